# The accident: a tick is cut off in the middle, again and again: the scheduler or Cloud Run gives up before the tick does. Or a claim ends before the call
# that it protects, and work is sent twice.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

variables {
  project = "my-project"
  region  = "europe-west1"
  image   = "europe-west1-docker.pkg.dev/my-project/orchestrator/server:v1"
}

run "the_defaults_are_in_order_and_the_function_is_told_them" {
  command = plan

  assert {
    condition     = google_cloud_scheduler_job.tick.attempt_deadline == "120s" && module.function["tick"].service.template[0].timeout == "180s"
    error_message = "The scheduler's patience or the service's timeout is not what was checked."
  }
  assert {
    condition = { for e in module.function["tick"].service.template[0].containers[0].env : e.name => e.value } == {
      DATABASE_INSTANCE          = "my-project:europe-west1:orchestrator-db"
      DATABASE_NAME              = "orchestrator"
      DATABASE_PRIVATE_IP        = "false"
      DATABASE_USER              = "orchestrator-tick@my-project.iam"
      FUNCTION_TARGET            = "tick"
      LOG_LEVEL                  = "info"
      ORCHESTRATOR_CALL_DEADLINE = "30s"
      ORCHESTRATOR_CLAIM         = "60s"
      ORCHESTRATOR_CONCURRENCY   = "16"
      ORCHESTRATOR_HISTORY_KEPT  = "900"
      ORCHESTRATOR_POOL_SIZE     = "4"
      ORCHESTRATOR_PROJECT       = "my-project"
      ORCHESTRATOR_REGION        = "europe-west1"
      ORCHESTRATOR_SETTLE_WINDOW = "180s"
      ORCHESTRATOR_TICK_BUDGET   = "50s"
    }
    error_message = "tick is told other settings than were checked."
  }
}

run "a_budget_beyond_the_schedulers_patience_is_refused" {
  command = plan

  variables {
    tick = { budget_seconds = 80 }
  }

  expect_failures = [google_cloud_scheduler_job.tick]
}

run "patience_beyond_the_services_timeout_is_refused" {
  command = plan

  variables {
    tick = { timeout_seconds = 120 }
  }

  expect_failures = [google_cloud_scheduler_job.tick]
}

run "a_claim_shorter_than_its_call_is_refused" {
  command = plan

  variables {
    tick = { claim_seconds = 30 }
  }

  expect_failures = [var.tick]
}

run "a_settle_window_shorter_than_a_claim_is_refused" {
  command = plan

  variables {
    tick = { settle_window_seconds = 60 }
  }

  expect_failures = [var.tick]
}

run "more_calls_at_once_than_the_server_takes_are_refused" {
  command = plan

  variables {
    tick = { calls_at_once = 101 }
  }

  expect_failures = [var.tick]
}

run "more_patience_than_the_scheduler_has_is_refused" {
  command = plan

  variables {
    tick = { attempt_deadline_seconds = 1801, timeout_seconds = 3600 }
  }

  expect_failures = [var.tick]
}
