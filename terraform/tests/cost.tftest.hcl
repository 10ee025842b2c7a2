# The accident: somebody tries this with the defaults, forgets it, and gets a bill.

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

run "the_defaults_cost_a_small_database_and_little_else" {
  command = plan

  assert {
    condition = (
      contains(["db-f1-micro", "db-g1-small"], google_sql_database_instance.this.settings[0].tier) &&
      google_sql_database_instance.this.settings[0].edition == "ENTERPRISE" &&
      google_sql_database_instance.this.settings[0].availability_type == "ZONAL" &&
      google_sql_database_instance.this.settings[0].disk_size == 10
    )
    error_message = "The default database is not a small one."
  }
  assert {
    condition     = alltrue([for f in module.function : f.service.template[0].scaling[0].min_instance_count == 0 && f.service.template[0].containers[0].resources[0].cpu_idle])
    error_message = "A service is billed while nobody calls it."
  }
  assert {
    condition     = alltrue([for f in module.function : f.service.template[0].scaling[0].max_instance_count <= 2 && f.service.template[0].containers[0].resources[0].limits == tomap({ cpu = "1", memory = "512Mi" })])
    error_message = "A service can grow large without being asked to."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].disk_autoresize_limit > 0
    error_message = "The disk grows without an end."
  }
}
