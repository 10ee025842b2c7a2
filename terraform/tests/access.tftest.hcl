# The accident: somebody who should not calls a function, or a function may do what only another one is for. A tick that anyone can call is a bill that
# anyone can run up; a status that may run jobs is a dashboard that deletes production.

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

run "only_the_scheduler_and_the_wake_queue_may_call_tick" {
  command = plan

  assert {
    condition = toset([for binding in module.function["tick"].callers : binding.member]) == toset([
      "serviceAccount:orchestrator-scheduler@my-project.iam.gserviceaccount.com",
      "serviceAccount:orchestrator-wake@my-project.iam.gserviceaccount.com",
    ])
    error_message = "Somebody else may call tick."
  }
  assert {
    condition     = module.function["tick"].service.ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    error_message = "tick is reachable from the internet though no person may call it."
  }
  assert {
    condition = (
      google_cloud_scheduler_job.tick.http_target[0].oidc_token[0].service_account_email == "orchestrator-scheduler@my-project.iam.gserviceaccount.com" &&
      google_cloud_scheduler_job.tick.http_target[0].oidc_token[0].audience == "https://orchestrator-tick-123456789012.europe-west1.run.app" &&
      google_cloud_scheduler_job.tick.http_target[0].uri == "https://orchestrator-tick-123456789012.europe-west1.run.app/" &&
      google_cloud_scheduler_job.tick.http_target[0].http_method == "POST" &&
      google_cloud_scheduler_job.tick.schedule == "* * * * *" &&
      google_cloud_scheduler_job.tick.retry_config[0].retry_count == 0
    )
    error_message = "The scheduler does not call tick every minute, once, as itself."
  }
}

run "nothing_is_public_and_nobody_calls_anything_by_default" {
  command = plan

  assert {
    condition     = alltrue([for key in ["status", "trigger", "workflows"] : length(module.function[key].callers) == 0])
    error_message = "Somebody may call a function though nobody is named."
  }
  assert {
    condition     = alltrue([for f in module.function : !coalesce(f.service.invoker_iam_disabled, false)])
    error_message = "A service asks its callers for no identity."
  }
}

run "each_list_opens_its_own_function_and_no_other" {
  command = plan

  variables {
    definers   = ["group:definers@example.com"]
    operators  = ["user:operator@example.com"]
    readers    = ["domain:example.com"]
    triggerers = ["serviceAccount:ci@my-project.iam.gserviceaccount.com"]
  }

  assert {
    condition = (
      [for b in module.function["workflows"].callers : b.member] == ["group:definers@example.com"] &&
      [for b in module.function["status"].callers : b.member] == ["domain:example.com"] &&
      [for b in module.function["trigger"].callers : b.member] == ["serviceAccount:ci@my-project.iam.gserviceaccount.com"]
    )
    error_message = "A list opens another function than its own."
  }
  assert {
    condition     = length(module.function["tick"].callers) == 3 && contains([for b in module.function["tick"].callers : b.member], "user:operator@example.com")
    error_message = "operators may not call tick, or somebody else may."
  }
  assert {
    condition     = module.function["tick"].service.ingress == "INGRESS_TRAFFIC_ALL"
    error_message = "A named operator cannot reach tick."
  }
  assert {
    condition     = alltrue(flatten([for f in module.function : [for b in f.callers : b.role == "roles/run.servicesInvoker"]]))
    error_message = "Callers get a role that may do more than call."
  }
}

run "each_function_has_its_own_identity" {
  command = plan

  assert {
    condition     = length(distinct([for f in module.function : f.service.template[0].service_account])) == 4
    error_message = "Two functions share an identity."
  }
  assert {
    condition     = module.function["status"].service.template[0].service_account != "" && google_cloud_run_v2_job.migrate.template[0].template[0].service_account == "orchestrator-migrate@my-project.iam.gserviceaccount.com"
    error_message = "Something runs as the project's default account."
  }
}

run "only_tick_may_run_jobs_and_only_the_jobs_that_are_listed" {
  command = plan

  variables {
    jobs                 = ["nightly", "projects/other-project/locations/us-central1/jobs/report"]
    job_service_accounts = ["nightly@my-project.iam.gserviceaccount.com"]
  }

  assert {
    condition     = alltrue([for b in google_cloud_run_v2_job_iam_member.tick : b.member == "serviceAccount:orchestrator-tick@my-project.iam.gserviceaccount.com"])
    error_message = "Another function than tick may run jobs."
  }
  assert {
    condition = toset([for b in google_cloud_run_v2_job_iam_member.tick : "${b.project}/${b.location}/${b.name} ${b.role}"]) == toset([
      "my-project/europe-west1/nightly projects/my-project/roles/orchestrator_job_runner",
      "other-project/us-central1/report roles/run.jobsExecutorWithOverrides",
      "other-project/us-central1/report roles/run.viewer",
    ])
    error_message = "tick has other rights on jobs than on the listed ones."
  }
  assert {
    condition = google_project_iam_custom_role.job_runner.permissions == toset([
      "run.executions.cancel", "run.executions.get", "run.executions.list", "run.jobs.get", "run.jobs.run", "run.jobs.runWithOverrides", "run.tasks.list",
    ])
    error_message = "The role for jobs has other permissions than the client uses."
  }
  assert {
    condition     = [for b in google_service_account_iam_member.tick_acts_as : b.service_account_id] == ["projects/my-project/serviceAccounts/nightly@my-project.iam.gserviceaccount.com"]
    error_message = "tick may act as another account than the listed one."
  }
}

run "project_wide_roles_are_for_the_database_and_for_this_one_only" {
  command = plan

  assert {
    condition     = toset([for b in google_project_iam_member.database : b.role]) == toset(["roles/cloudsql.client", "roles/cloudsql.instanceUser"])
    error_message = "A role is bound on the project that is not about the database."
  }
  assert {
    condition     = alltrue([for b in google_project_iam_member.database : strcontains(b.condition[0].expression, "resource.name == 'projects/my-project/instances/orchestrator-db'")])
    error_message = "A database role of the project is not limited to this instance."
  }
  assert {
    condition = toset([for b in google_project_iam_member.database : b.member]) == toset([
      for key in ["migrate", "status", "tick", "trigger", "workflows"] : "serviceAccount:orchestrator-${key}@my-project.iam.gserviceaccount.com"
    ])
    error_message = "Somebody may log in to the database who has no business there."
  }
}

run "trigger_may_wake_tick_and_act_as_nobody_else" {
  command = plan

  assert {
    condition = (
      google_cloud_tasks_queue_iam_member.trigger[0].role == "roles/cloudtasks.enqueuer" &&
      google_cloud_tasks_queue_iam_member.trigger[0].name == "orchestrator-wake" &&
      google_cloud_tasks_queue_iam_member.trigger[0].member == "serviceAccount:orchestrator-trigger@my-project.iam.gserviceaccount.com"
    )
    error_message = "trigger cannot use the wake queue, or may do more than that."
  }
  assert {
    condition = (
      google_service_account_iam_member.trigger_acts_as_wake[0].service_account_id == "projects/my-project/serviceAccounts/orchestrator-wake@my-project.iam.gserviceaccount.com" &&
      google_service_account_iam_member.trigger_acts_as_wake[0].role == "roles/iam.serviceAccountUser" &&
      google_service_account_iam_member.trigger_acts_as_wake[0].member == "serviceAccount:orchestrator-trigger@my-project.iam.gserviceaccount.com"
    )
    error_message = "trigger may act as another account than the wake account."
  }
}
