# A Cloud Run job that is ready for the orchestrator, as an example to use or to copy.

# An identity of its own: what the job may do is what this account may do, and whoever defines a workflow decides that it runs.
resource "google_service_account" "this" {
  project      = var.project
  account_id   = var.name
  display_name = "Cloud Run job ${var.name}"
}

locals {
  email = "${google_service_account.this.account_id}@${var.project}.iam.gserviceaccount.com"
}

resource "google_cloud_run_v2_job" "this" {
  project             = var.project
  location            = var.region
  name                = var.name
  labels              = var.labels
  deletion_protection = var.deletion_protection

  template {
    parallelism = var.parallelism

    template {
      service_account       = local.email
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
      timeout               = "${var.timeout_seconds}s"
      max_retries           = 0 # the orchestrator repeats what may be repeated; what Cloud Run repeats it cannot see

      containers {
        name    = var.container
        image   = var.image
        command = var.command
        args    = var.args

        resources {
          limits = { cpu = var.cpu, memory = var.memory }
        }

        dynamic "env" {
          for_each = var.env
          content {
            name  = env.key
            value = env.value
          }
        }
      }
    }
  }
}

resource "google_cloud_run_v2_job_iam_member" "tick" {
  project  = var.project
  location = google_cloud_run_v2_job.this.location
  name     = google_cloud_run_v2_job.this.name
  role     = var.job_runner_role
  member   = "serviceAccount:${var.tick_account}"
}
