# One function: the image as a Cloud Run service, and who may call it.
resource "google_cloud_run_v2_service" "this" {
  project             = var.project
  location            = var.region
  name                = var.name
  labels              = var.labels
  ingress             = var.ingress
  iap_enabled         = var.iap_enabled
  deletion_protection = var.deletion_protection

  template {
    service_account                  = var.account
    labels                           = var.labels
    timeout                          = "${var.timeout_seconds}s"
    max_instance_request_concurrency = var.concurrency
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2" # Linux itself, not an imitation of it

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image

      resources {
        limits            = { cpu = "1", memory = var.memory } # less than one CPU would allow no second request beside the first
        cpu_idle          = true                               # billed while it answers; nothing runs between requests
        startup_cpu_boost = false                              # it starts in well under a second
      }

      ports {
        name           = "http1"
        container_port = 8080
      }

      # Neither looks at the database: an instance is not broken because the database is.
      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 1
        failure_threshold = 15
        http_get {
          path = "/health"
        }
      }

      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/health"
        }
      }

      dynamic "env" {
        for_each = var.env
        content {
          name  = env.key
          value = env.value
        }
      }
    }

    dynamic "vpc_access" {
      for_each = var.network[*]
      content {
        egress = "PRIVATE_RANGES_ONLY" # Google's APIs by Google's own way
        network_interfaces {
          network    = vpc_access.value.network
          subnetwork = vpc_access.value.subnetwork
        }
      }
    }
  }

  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = 100
  }
}

# The role is run.routes.invoke and nothing else; it cannot run jobs, as the older roles/run.invoker can.
resource "google_cloud_run_v2_service_iam_member" "caller" {
  for_each = toset(var.callers)

  project  = var.project
  location = google_cloud_run_v2_service.this.location
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.servicesInvoker"
  member   = each.value
}
