# The accident: a part that can be left out cannot, or leaves half of itself behind: a trigger that is told of a queue that is not there fails each time.

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

run "the_wake_queue_is_there_and_only_trigger_is_told" {
  command = plan

  assert {
    condition = { for e in module.function["trigger"].service.template[0].containers[0].env : e.name => e.value if startswith(e.name, "ORCHESTRATOR_WAKE") } == {
      ORCHESTRATOR_WAKE_ACCOUNT = "orchestrator-wake@my-project.iam.gserviceaccount.com"
      ORCHESTRATOR_WAKE_QUEUE   = "projects/my-project/locations/europe-west1/queues/orchestrator-wake"
      ORCHESTRATOR_WAKE_URL     = "https://orchestrator-tick-123456789012.europe-west1.run.app"
    }
    error_message = "trigger is not told how to wake tick."
  }
  assert {
    condition     = alltrue([for key in ["status", "tick", "workflows"] : length([for e in module.function[key].service.template[0].containers[0].env : e if startswith(e.name, "ORCHESTRATOR_WAKE")]) == 0])
    error_message = "Another function than trigger is told of the queue."
  }
  assert {
    condition     = google_cloud_tasks_queue.wake[0].retry_config[0].max_attempts == 1
    error_message = "A wake is repeated, and the next minute's tick with it."
  }
}

run "without_the_wake_queue_nothing_of_it_is_left" {
  command = plan

  variables {
    wake_queue = false
  }

  assert {
    condition = (
      length(google_cloud_tasks_queue.wake) + length(google_cloud_tasks_queue_iam_member.trigger) + length(google_service_account_iam_member.trigger_acts_as_wake) == 0 &&
      !contains(keys(google_service_account.this), "wake") && !contains(keys(google_project_service.this), "cloudtasks.googleapis.com")
    )
    error_message = "A part of the wake queue is there."
  }
  assert {
    condition     = length([for e in module.function["trigger"].service.template[0].containers[0].env : e if startswith(e.name, "ORCHESTRATOR_WAKE")]) == 0 && length(module.function["tick"].callers) == 1
    error_message = "trigger is told of a queue that is not there, or somebody may call for it."
  }
}

run "without_a_private_address_there_is_no_network" {
  command = plan

  assert {
    condition     = length(google_compute_network.this) + length(google_service_networking_connection.database) == 0 && google_sql_database_instance.this.settings[0].ip_configuration[0].ipv4_enabled
    error_message = "There is a network that nobody asked for, or no way to the database."
  }
  assert {
    condition     = alltrue([for f in module.function : length(f.service.template[0].vpc_access) == 0]) && length(google_cloud_run_v2_job.migrate.template[0].template[0].vpc_access) == 0
    error_message = "A function goes through a network that is not there."
  }
}

run "with_a_private_address_there_is_no_public_one" {
  command = plan

  variables {
    private_ip = true
  }

  assert {
    condition     = !google_sql_database_instance.this.settings[0].ip_configuration[0].ipv4_enabled && length(google_service_networking_connection.database) == 1
    error_message = "The database has a public address."
  }
  assert {
    condition     = alltrue([for f in module.function : f.service.template[0].vpc_access[0].egress == "PRIVATE_RANGES_ONLY"]) && google_cloud_run_v2_job.migrate.template[0].template[0].vpc_access[0].egress == "PRIVATE_RANGES_ONLY"
    error_message = "A function or the migration cannot reach the database."
  }
  assert {
    condition     = alltrue([for f in module.function : contains([for e in f.service.template[0].containers[0].env : "${e.name}=${e.value}"], "DATABASE_PRIVATE_IP=true")])
    error_message = "A function looks for the public address."
  }
}

run "without_iap_nobody_comes_in_by_it" {
  command = plan

  assert {
    condition     = alltrue([for f in module.function : !f.service.iap_enabled]) && !contains(keys(google_project_service.this), "iap.googleapis.com")
    error_message = "Identity-Aware Proxy is on though nobody asked for it."
  }
}

run "with_iap_only_its_agent_and_readers_call_the_dashboard" {
  command = plan

  variables {
    dashboard_iap = true
  }

  assert {
    condition     = module.function["status"].service.iap_enabled && !module.function["tick"].service.iap_enabled && !module.function["trigger"].service.iap_enabled && !module.function["workflows"].service.iap_enabled
    error_message = "Identity-Aware Proxy is not before the dashboard, or is before another function, which programs call."
  }
  assert {
    condition     = [for b in module.function["status"].callers : b.member] == ["serviceAccount:service-123456789012@gcp-sa-iap.iam.gserviceaccount.com"]
    error_message = "The proxy cannot call the dashboard, or somebody goes around it."
  }
}

run "two_installations_share_a_project" {
  command = plan

  variables {
    name   = "staging"
    labels = { team = "data" }
  }

  assert {
    condition = alltrue(concat(
      [for f in module.function : startswith(f.service.name, "staging-")],
      [for a in google_service_account.this : startswith(a.account_id, "staging-")],
      [for m in google_logging_metric.count : startswith(m.name, "staging-")],
      [for p in google_monitoring_alert_policy.this : startswith(p.display_name, "staging: ")],
      [
        google_artifact_registry_repository.this.repository_id == "staging",
        google_cloud_run_v2_job.migrate.name == "staging-migrate",
        google_cloud_scheduler_job.tick.name == "staging-tick",
        google_cloud_tasks_queue.wake[0].name == "staging-wake",
        google_logging_metric.unfinished_runs.name == "staging-unfinished-runs",
        google_project_iam_custom_role.job_runner.role_id == "staging_job_runner",
        google_sql_database_instance.this.name == "staging-db",
      ],
    ))
    error_message = "Something has a name that another installation of the project has too."
  }
  assert {
    condition     = module.function["tick"].service.labels == tomap({ application = "staging", function = "tick", team = "data" }) && google_sql_database_instance.this.settings[0].user_labels == tomap({ application = "staging", team = "data" })
    error_message = "A label is missing, so a bill cannot be told apart."
  }
  assert {
    condition     = output.orchestrator_url == "https://staging-{function}-123456789012.europe-west1.run.app" && startswith(local.urls.tick, "https://staging-tick-")
    error_message = "The command line is sent to another installation."
  }
}
