# The accident: the database goes. "terraform destroy" in the wrong directory, a click in the console, a rename that replaces the instance; or a destroy
# that stops at the protected instance only after it has dropped the database inside it. Or it stands open to the internet.

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

run "the_database_refuses_deletion_by_default" {
  command = plan

  assert {
    condition     = google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].deletion_protection_enabled
    error_message = "The instance can be deleted by Terraform, or by anybody else."
  }
  assert {
    condition     = google_sql_database.this.deletion_policy == "ABANDON" && alltrue([for u in google_sql_user.this : u.deletion_policy == "ABANDON"])
    error_message = "A destroy drops the data before it comes to the protected instance."
  }
  assert {
    condition     = alltrue([for f in module.function : f.service.deletion_protection])
    error_message = "A service can be deleted by accident."
  }
}

run "what_is_deleted_all_the_same_can_be_had_back" {
  command = plan

  assert {
    condition = (
      google_sql_database_instance.this.settings[0].backup_configuration[0].enabled &&
      google_sql_database_instance.this.settings[0].backup_configuration[0].point_in_time_recovery_enabled &&
      google_sql_database_instance.this.settings[0].backup_configuration[0].backup_retention_settings[0].retained_backups >= 7
    )
    error_message = "There are no backups, or one cannot go back to a point in time."
  }
}

run "protection_can_be_taken_off_on_purpose" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = !google_sql_database_instance.this.deletion_protection && !google_sql_database_instance.this.settings[0].deletion_protection_enabled && !module.function["tick"].service.deletion_protection
    error_message = "deletion_protection = false leaves something that cannot be deleted."
  }
}

run "nobody_on_the_internet_can_connect" {
  command = plan

  assert {
    condition = (
      length(google_sql_database_instance.this.settings[0].ip_configuration[0].authorized_networks) == 0 &&
      google_sql_database_instance.this.settings[0].ip_configuration[0].ssl_mode == "ENCRYPTED_ONLY" &&
      google_sql_database_instance.this.settings[0].connector_enforcement == "REQUIRED"
    )
    error_message = "The database lets in who has no certificate of a connector."
  }
}

run "accounts_log_in_by_iam_and_only_the_migration_may_make_the_schema" {
  command = plan

  assert {
    condition     = contains([for f in google_sql_database_instance.this.settings[0].database_flags : "${f.name}=${f.value}"], "cloudsql.iam_authentication=on")
    error_message = "The database knows no IAM users."
  }
  assert {
    condition     = { for key, u in google_sql_user.this : key => u.name } == { for key in ["migrate", "status", "tick", "trigger", "workflows"] : key => "orchestrator-${key}@my-project.iam" }
    error_message = "A database user has not the name that PostgreSQL knows its account by."
  }
  assert {
    condition     = alltrue([for u in google_sql_user.this : u.type == "CLOUD_IAM_SERVICE_ACCOUNT" && u.password == null])
    error_message = "There is a user with a password."
  }
  assert {
    condition     = google_sql_user.this["migrate"].database_roles == tolist(["cloudsqlsuperuser"]) && alltrue([for key in ["status", "tick", "trigger", "workflows"] : google_sql_user.this[key].database_roles == null])
    error_message = "A function has a database role of its own, or the migration has none."
  }
}

# After a restore to a point in time the database lives in an instance with another name.
run "another_instance" {
  command = plan

  variables {
    database_instance_name = "orchestrator-db-2"
  }

  assert {
    condition     = google_sql_database_instance.this.name == "orchestrator-db-2"
    error_message = "the instance is ${google_sql_database_instance.this.name}"
  }
  assert {
    condition     = contains([for env in module.function["tick"].service.template[0].containers[0].env : "${env.name}=${env.value}"], "DATABASE_INSTANCE=my-project:europe-west1:orchestrator-db-2")
    error_message = "tick is told another instance"
  }
}
