# The wake queue: a trigger puts a task into it, so that the run starts in seconds and not at the next full minute. Cloud Scheduler stays the one that
# everything relies on, so nothing here is repeated, and a lost wake costs a minute.

resource "google_cloud_tasks_queue" "wake" {
  count = var.wake_queue ? 1 : 0

  project  = var.project
  location = var.region
  name     = "${var.name}-wake"

  retry_config {
    max_attempts = 1
  }

  # Wakes of the same two seconds are one task. Two at once: while one tick is busy with its runs, one more starts what has come since.
  rate_limits {
    max_concurrent_dispatches = 2
    max_dispatches_per_second = 1
  }

  depends_on = [google_project_service.this]
}

resource "google_cloud_tasks_queue_iam_member" "trigger" {
  count = var.wake_queue ? 1 : 0

  project  = var.project
  location = var.region
  name     = google_cloud_tasks_queue.wake[0].name
  role     = "roles/cloudtasks.enqueuer"
  member   = local.members.trigger
}

# Whoever puts a task with an account's token into a queue must be allowed to act as that account. The wake account can call tick, and nothing else.
resource "google_service_account_iam_member" "trigger_acts_as_wake" {
  count = var.wake_queue ? 1 : 0

  service_account_id = "projects/${var.project}/serviceAccounts/${local.emails.wake}"
  role               = "roles/iam.serviceAccountUser"
  member             = local.members.trigger
}
