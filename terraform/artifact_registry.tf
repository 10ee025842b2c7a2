# Where the image may live; var.image may name another repository just as well.
resource "google_artifact_registry_repository" "this" {
  project       = var.project
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  labels        = local.labels

  # Old images cost money every month. The newest ones stay whatever their age, so that there is always one to go back to.
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "7776000s" # 90 days
      tag_state  = "ANY"
    }
  }
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 20
    }
  }

  depends_on = [google_project_service.this]
}
