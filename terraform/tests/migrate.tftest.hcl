# The accident: a release meets the schema of the one before, because nobody ran its migration; or the migration runs with an image that is not the services'.

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

run "v1" {
  command = plan

  assert {
    condition = alltrue(concat(
      [google_cloud_run_v2_job.migrate.template[0].template[0].containers[0].image == var.image],
      [for f in module.function : f.service.template[0].containers[0].image == var.image],
    ))
    error_message = "Something runs another image than the rest."
  }
  assert {
    condition     = google_cloud_run_v2_job.migrate.template[0].template[0].containers[0].command == tolist(["/app/migrate"]) && google_cloud_run_v2_job.migrate.template[0].template[0].containers[0].args == tolist(["up"])
    error_message = "The job does not migrate."
  }
  assert {
    condition = { for e in google_cloud_run_v2_job.migrate.template[0].template[0].containers[0].env : e.name => e.value } == {
      DATABASE_INSTANCE       = "my-project:europe-west1:orchestrator-db"
      DATABASE_NAME           = "orchestrator"
      DATABASE_PRIVATE_IP     = "false"
      DATABASE_USER           = "orchestrator-migrate@my-project.iam"
      DATABASE_USER_STATUS    = "orchestrator-status@my-project.iam"
      DATABASE_USER_TICK      = "orchestrator-tick@my-project.iam"
      DATABASE_USER_TRIGGER   = "orchestrator-trigger@my-project.iam"
      DATABASE_USER_WORKFLOWS = "orchestrator-workflows@my-project.iam"
      LOG_LEVEL               = "info"
      ORCHESTRATOR_PROJECT    = "my-project"
      ORCHESTRATOR_REGION     = "europe-west1"
    }
    error_message = "The migration grants nothing to one of the functions, or something to another."
  }
  assert {
    condition     = can(regex("^m[0-9a-f]{16}$", google_cloud_run_v2_job.migrate.run_execution_token)) && length(google_cloud_run_v2_job.migrate.name) + length(google_cloud_run_v2_job.migrate.run_execution_token) < 63
    error_message = "Cloud Run refuses the token: with the job's name it must stay under 63 characters."
  }
}

run "v2_is_migrated_again" {
  command = plan

  variables {
    image = "europe-west1-docker.pkg.dev/my-project/orchestrator/server:v2"
  }

  assert {
    condition     = google_cloud_run_v2_job.migrate.run_execution_token != run.v1.migration_token
    error_message = "Another image does not make the job run."
  }
}

run "the_same_again_is_not" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_job.migrate.run_execution_token == run.v1.migration_token
    error_message = "The job runs though nothing has changed."
  }
}

run "a_long_name_leaves_room_for_the_token" {
  command = plan

  variables {
    name = "an-orchestrator-test"
  }

  assert {
    condition     = length(google_cloud_run_v2_job.migrate.name) + length(google_cloud_run_v2_job.migrate.run_execution_token) < 63
    error_message = "Cloud Run refuses the token."
  }
}

run "somebody_else_runs_it" {
  command = plan

  variables {
    migrate_on_apply = false
  }

  assert {
    condition     = google_cloud_run_v2_job.migrate.run_execution_token == null
    error_message = "The job runs at an apply though it should not."
  }
}
