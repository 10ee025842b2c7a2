# The accident: during a rollout the old instances and the new ones hold connections at once, the database has none left, and all four functions fail
# together until somebody finds out why.

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

run "the_defaults_fit_the_default_tier" {
  command = plan

  assert {
    condition     = local.connections_needed == 2 * (2 * 2 + 2 * 4 + 2 * 2 + 2 * 2) + 3 && local.max_connections == 50
    error_message = "The sum of connections is not that of the functions, twice, and the migration."
  }
}

run "a_tier_with_too_few_is_refused" {
  command = plan

  variables {
    database_tier = "db-f1-micro"
  }

  expect_failures = [google_sql_database_instance.this]
}

run "one_instance_too_many_is_refused" {
  command = plan

  variables {
    functions = { tick = { max_instances = 3 } }
  }

  expect_failures = [google_sql_database_instance.this]
}

run "a_larger_tier_takes_more" {
  command = plan

  variables {
    database_tier = "db-custom-2-7680"
    functions     = { tick = { max_instances = 10, pool_size = 8 } }
  }

  assert {
    condition     = local.max_connections == 400 && module.function["tick"].service.template[0].scaling[0].max_instance_count == 10
    error_message = "A tier with 7.5 GB is not counted with 400 connections."
  }
}

run "a_number_that_is_set_is_made_true_by_the_flag" {
  command = plan

  variables {
    database_max_connections = 120
    functions                = { tick = { max_instances = 6 } }
  }

  assert {
    condition     = contains([for f in google_sql_database_instance.this.settings[0].database_flags : "${f.name}=${f.value}"], "max_connections=120")
    error_message = "The sum counts with connections that the database does not have."
  }
}

run "a_function_is_told_the_size_that_was_counted" {
  command = plan

  variables {
    functions = { status = { pool_size = 1 } }
  }

  assert {
    condition     = one([for e in module.function["status"].service.template[0].containers[0].env : e.value if e.name == "ORCHESTRATOR_POOL_SIZE"]) == "1"
    error_message = "status opens another number of connections than was counted."
  }
}
