locals {
  apis = toset(concat(
    [
      "artifactregistry.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "cloudscheduler.googleapis.com",
      "iam.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "run.googleapis.com",
      "sqladmin.googleapis.com",
    ],
    var.dashboard_iap ? ["iap.googleapis.com"] : [],
    var.private_ip ? ["compute.googleapis.com", "servicenetworking.googleapis.com"] : [],
    var.wake_queue ? ["cloudtasks.googleapis.com"] : [],
  ))
}

# They stay on when this goes: something else in the project may have come to need them.
resource "google_project_service" "this" {
  for_each = local.apis

  project            = var.project
  service            = each.value
  disable_on_destroy = false
}
