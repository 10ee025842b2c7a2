# The accident: a wrong value is found out by Google an hour into the first deployment, half of which stands by then, in words about another thing. Or a
# right that nobody meant to give is given by a typing error.

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

run "a_place_that_is_none" {
  command = plan

  variables {
    region        = "europe-west1-b"
    project       = "123456789012"
    playbooks_url = "docs/alerts"
    ingress       = "all"
  }

  expect_failures = [var.region, var.project, var.playbooks_url, var.ingress]
}

run "a_continent_for_a_region" {
  command = plan

  variables {
    region = "eu"
  }

  expect_failures = [var.region]
}

run "everybody" {
  command = plan

  variables {
    definers   = ["allAuthenticatedUsers"]
    operators  = ["user:operator@example.com", "allUsers"]
    readers    = ["allUsers"]
    triggerers = ["allUsers", "allAuthenticatedUsers"]
  }

  expect_failures = [var.definers, var.operators, var.readers, var.triggerers]
}

run "addresses_of_something_else" {
  command = plan

  variables {
    definers              = ["definer@example.com"]
    operators             = ["user:"]
    readers               = ["reader@example.com"]
    triggerers            = ["everyone:example.com"]
    notification_channels = ["oncall@example.com"]
    jobs                  = ["projects/my-project/locations/europe-west1/services/nightly"]
  }

  expect_failures = [var.definers, var.operators, var.readers, var.triggerers, var.notification_channels, var.jobs]
}

run "all_jobs_and_the_account_that_may_do_everything" {
  command = plan

  variables {
    jobs                 = ["projects/my-project/locations/europe-west1/jobs/*"]
    job_service_accounts = ["123456789012-compute@developer.gserviceaccount.com"]
  }

  expect_failures = [var.jobs, var.job_service_accounts]
}

run "a_job_by_both_of_its_names" {
  command = plan

  variables {
    jobs = ["nightly", "projects/my-project/locations/europe-west1/jobs/nightly"]
  }

  expect_failures = [var.jobs]
}

run "a_tier_of_the_other_edition_and_an_image_that_moves" {
  command = plan

  variables {
    database_tier = "db-perf-optimized-N-16"
    image         = "europe-west1-docker.pkg.dev/my-project/orchestrator/server:latest"
  }

  expect_failures = [var.database_tier, var.image]
}

run "a_tier_of_another_database_and_an_image_without_a_tag" {
  command = plan

  variables {
    database_tier = "db-n1-standard-1"
    image         = "europe-west1-docker.pkg.dev/my-project/orchestrator/server"
  }

  expect_failures = [var.database_tier, var.image]
}

run "an_image_from_where_cloud_run_cannot_pull" {
  command = plan

  variables {
    image = "registry.example.com/orchestrator/server:v1"
  }

  expect_failures = [var.image]
}

run "sizes_that_google_refuses" {
  command = plan

  variables {
    database_availability    = "MULTI_AZ"
    database_disk_limit_gb   = 5
    database_max_connections = 10
    functions                = { tick = { memory = "256Mi" } }
    name                     = "orchestrator-of-production"
    labels                   = { Team = "Data" }
    log_level                = "error"
  }

  expect_failures = [var.database_availability, var.database_disk_limit_gb, var.database_max_connections, var.functions, var.name, var.labels, var.log_level]
}

run "more_instances_that_stay_than_there_may_be_and_a_label_that_is_set_here" {
  command = plan

  variables {
    functions = { status = { min_instances = 3 } }
    labels    = { application = "mine" }
  }

  expect_failures = [var.functions, var.labels]
}

run "no_instance_at_all" {
  command = plan

  variables {
    functions = { trigger = { max_instances = 0 } }
  }

  expect_failures = [var.functions]
}

run "more_connections_than_an_instance_may_open" {
  command = plan

  variables {
    functions = { trigger = { pool_size = 101 } }
  }

  expect_failures = [var.functions]
}

run "half_a_request_at_once" {
  command = plan

  variables {
    functions = { trigger = { concurrency = 0.5 } }
  }

  expect_failures = [var.functions]
}

run "an_image_by_its_digest_is_taken" {
  command = plan

  variables {
    image = "europe-west1-docker.pkg.dev/my-project/orchestrator/server@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  }
}

run "other_registries_and_members_are_taken" {
  command = plan

  variables {
    image    = "gcr.io/my-project/server:v1"
    jobs     = ["nightly", "projects/my-project/locations/us-central1/jobs/nightly"]
    definers = ["principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/repo"]
    readers  = ["domain:example.com", "group:readers@example.com", "user:reader@example.com", "serviceAccount:reader@my-project.iam.gserviceaccount.com"]
  }
}

run "an_instance_with_a_name_that_cloud_sql_does_not_take" {
  command = plan

  variables {
    database_instance_name = "My_Instance"
  }

  expect_failures = [var.database_instance_name]
}
