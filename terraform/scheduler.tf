# Calls tick every minute; everything moves by this. A tick goes on for most of that minute while something is due soon.
resource "google_cloud_scheduler_job" "tick" {
  project          = var.project
  region           = var.region
  name             = "${var.name}-tick"
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "${var.tick.attempt_deadline_seconds}s"

  # The next minute is soon enough, and a repeat would only overlap.
  retry_config {
    retry_count = 0
  }

  http_target {
    http_method = "POST"
    uri         = "${local.urls.tick}/"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode("{}")

    oidc_token {
      service_account_email = local.emails.scheduler
      audience              = local.urls.tick # Cloud Run accepts the service's address, not the address with a path
    }
  }

  lifecycle {
    precondition {
      condition     = var.tick.budget_seconds + var.tick.call_deadline_seconds + local.record_seconds < var.tick.attempt_deadline_seconds
      error_message = "tick.attempt_deadline_seconds is ${var.tick.attempt_deadline_seconds}; it must be above ${var.tick.budget_seconds + var.tick.call_deadline_seconds + local.record_seconds}, which is budget_seconds + call_deadline_seconds + ${local.record_seconds} to record what came of it: a tick begins no call after its budget, but ends the one that it has begun, and Cloud Scheduler should see its answer."
    }
    precondition {
      condition     = var.tick.attempt_deadline_seconds < var.tick.timeout_seconds
      error_message = "tick.timeout_seconds is ${var.tick.timeout_seconds}; it must be above attempt_deadline_seconds, which is ${var.tick.attempt_deadline_seconds}: Cloud Scheduler gives up first, and the tick still gets to its end."
    }
  }

  # Without the right to call, each attempt would be a failure in the log.
  depends_on = [google_project_service.this, module.function]
}

locals {
  record_seconds = 10
}
