locals {
  migrate = {
    image   = var.image
    labels  = local.labels
    network = local.network
    env = merge(local.database_env.migrate, {
      DATABASE_USER_STATUS    = local.database_users.status
      DATABASE_USER_TICK      = local.database_users.tick
      DATABASE_USER_TRIGGER   = local.database_users.trigger
      DATABASE_USER_WORKFLOWS = local.database_users.workflows
    })
  }
}

# Brings the database to the image's release. Functions never do: they would all try at once when they start.
resource "google_cloud_run_v2_job" "migrate" {
  project             = var.project
  location            = var.region
  name                = "${var.name}-migrate"
  labels              = local.labels
  deletion_protection = false # it holds nothing, and replacing it is how to run it again

  # A new token makes Cloud Run run the job as part of its update, and the update is done when that execution has succeeded; so no service gets a
  # release whose schema is not there. It follows everything that the job is made of: what Cloud Run does with a token that it has seen is not
  # documented, and "migrate up" changes nothing where nothing is missing.
  run_execution_token = var.migrate_on_apply ? "m${substr(sha256(jsonencode(local.migrate)), 0, 16)}" : null

  template {
    task_count = 1
    labels     = local.labels

    template {
      service_account       = local.emails.migrate
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2" # jobs have no other
      timeout               = "1800s"                      # a migration of a large table takes its time
      max_retries           = 3                            # rights that were just granted take minutes to arrive; a migration is safe to repeat

      containers {
        name    = "migrate"
        image   = local.migrate.image
        command = ["/app/migrate"]
        args    = ["up"]

        resources {
          limits = { cpu = "1", memory = "512Mi" } # the least that a job may have
        }

        dynamic "env" {
          for_each = local.migrate.env
          content {
            name  = env.key
            value = env.value
          }
        }
      }

      dynamic "vpc_access" {
        for_each = local.migrate.network[*]
        content {
          egress = "PRIVATE_RANGES_ONLY"
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.subnetwork
          }
        }
      }
    }
  }

  depends_on = [
    google_project_iam_member.database,
    google_project_service.this,
    google_sql_database.this,
    google_sql_user.this,
  ]
}
