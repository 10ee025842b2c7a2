# The accident: Cloud Run repeats a failed task by itself, three times unless told otherwise, and the orchestrator sees only the last try; or a job runs as
# the project's default account, which may do nearly everything.

mock_provider "google" {}

variables {
  project         = "my-project"
  region          = "europe-west1"
  name            = "nightly-report"
  image           = "europe-west1-docker.pkg.dev/my-project/jobs/report:v1"
  job_runner_role = "projects/my-project/roles/orchestrator_job_runner"
  tick_account    = "orchestrator-tick@my-project.iam.gserviceaccount.com"
}

run "a_job_is_ready_for_the_orchestrator" {
  command = plan

  module {
    source = "./modules/job"
  }

  assert {
    condition     = google_cloud_run_v2_job.this.template[0].template[0].max_retries == 0
    error_message = "Cloud Run repeats tasks behind the orchestrator's back."
  }
  assert {
    condition     = google_cloud_run_v2_job.this.template[0].template[0].service_account == "nightly-report@my-project.iam.gserviceaccount.com"
    error_message = "The job has no identity of its own."
  }
  assert {
    condition     = google_cloud_run_v2_job.this.template[0].template[0].containers[0].name == "main"
    error_message = "The container has no name, and overrides could be refused."
  }
  assert {
    condition     = google_cloud_run_v2_job_iam_member.tick.role == "projects/my-project/roles/orchestrator_job_runner" && google_cloud_run_v2_job_iam_member.tick.member == "serviceAccount:orchestrator-tick@my-project.iam.gserviceaccount.com"
    error_message = "tick may not run the job."
  }
  assert {
    condition     = output.job == "projects/my-project/locations/europe-west1/jobs/nightly-report"
    error_message = "The output is not the job's name."
  }
}

run "a_timeout_that_starting_alone_can_use_up" {
  command = plan

  module {
    source = "./modules/job"
  }
  variables {
    timeout_seconds = 60
  }
  expect_failures = [var.timeout_seconds]
}

run "a_name_that_no_service_account_can_have" {
  command = plan

  module {
    source = "./modules/job"
  }
  variables {
    name = "job"
  }
  expect_failures = [var.name]
}

run "a_variable_that_the_orchestrator_sets" {
  command = plan

  module {
    source = "./modules/job"
  }
  variables {
    env = { ORCHESTRATOR_TASK_INDEX = "0" }
  }
  expect_failures = [var.env]
}
