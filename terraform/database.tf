locals {
  # max_connections of Cloud SQL for PostgreSQL where no flag sets it, by tier and else by memory (SHOW max_connections tells the truth).
  tier_memory_mb = try(tonumber(regex("^db-custom-[0-9]+-([0-9]+)$", var.database_tier)[0]), 0)
  tier_connections = (
    var.database_tier == "db-f1-micro" ? 25 :
    var.database_tier == "db-g1-small" ? 50 :
    local.tier_memory_mb < 6144 ? 100 :
    local.tier_memory_mb < 7680 ? 200 :
    local.tier_memory_mb < 15360 ? 400 :
    local.tier_memory_mb < 30720 ? 500 :
    local.tier_memory_mb < 61440 ? 600 :
    local.tier_memory_mb < 122880 ? 800 : 1000
  )
  max_connections = coalesce(var.database_max_connections, local.tier_connections)

  # Of these the server keeps a few for itself and for Google's agents.
  connections_reserved  = 5
  connections_migration = 3

  # Twice, because during a rollout the old revision and the new one may both have all their instances.
  connections_needed = 2 * sum([for f in values(var.functions) : f.max_instances * f.pool_size]) + local.connections_migration

  database_flags = merge(
    { "cloudsql.iam_authentication" = "on" },
    var.database_max_connections == null ? {} : { max_connections = tostring(var.database_max_connections) },
  )

  # Who logs in: the accounts that open the database, under the names that PostgreSQL knows them by.
  database_users = { for key in ["migrate", "status", "tick", "trigger", "workflows"] : key => trimsuffix(local.emails[key], ".gserviceaccount.com") }

  database_instance = "${var.project}:${var.region}:${google_sql_database_instance.this.name}"
}

resource "google_sql_database_instance" "this" {
  project          = var.project
  region           = var.region
  name             = coalesce(var.database_instance_name, "${var.name}-db")
  database_version = "POSTGRES_17"

  # Two locks: this one stops Terraform, the one in the settings stops everybody else, the console too.
  deletion_protection = var.deletion_protection

  settings {
    edition                     = "ENTERPRISE" # the other one, the default from PostgreSQL 16 on, has no small tiers
    tier                        = var.database_tier
    availability_type           = var.database_availability
    disk_type                   = "PD_SSD"
    disk_size                   = 10
    disk_autoresize             = true
    disk_autoresize_limit       = var.database_disk_limit_gb
    deletion_protection_enabled = var.deletion_protection
    connector_enforcement       = "REQUIRED" # whoever connects has proven an IAM identity first
    user_labels                 = local.labels

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
      start_time                     = "03:00"
      transaction_log_retention_days = 7
      backup_retention_settings {
        retained_backups = 14
        retention_unit   = "COUNT"
      }
    }

    # A public address without authorized networks answers nobody but the connectors, which come with a certificate made for them.
    ip_configuration {
      ipv4_enabled    = !var.private_ip
      private_network = var.private_ip ? google_compute_network.this[0].id : null
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    maintenance_window {
      day          = 7
      hour         = 4
      update_track = "stable"
    }

    dynamic "database_flags" {
      for_each = local.database_flags
      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
  }

  lifecycle {
    precondition {
      condition     = local.connections_needed <= local.max_connections - local.connections_reserved
      error_message = "The functions may open ${local.connections_needed} database connections (max_instances x pool_size of each, twice during a rollout, and ${local.connections_migration} of the migration), and ${var.database_tier} has ${local.max_connections}, of which ${local.connections_reserved} are kept back. Lower max_instances or pool_size in var.functions, take a larger database_tier, or set database_max_connections."
    }
  }

  depends_on = [google_project_service.this, google_service_networking_connection.database]
}

# Terraform forgets this database and its users, and never drops them: "terraform destroy" reaches them before it reaches the instance, whose
# protection would come too late for the data. They go with the instance.
resource "google_sql_database" "this" {
  project         = var.project
  instance        = google_sql_database_instance.this.name
  name            = "orchestrator"
  deletion_policy = "ABANDON"
}

# The migration's user makes the schema and owns it, and grants the others what each needs; these get no role of their own here.
# To be verified at the first deployment: that cloudsqlsuperuser may create in the database's public schema (it owns the databases).
resource "google_sql_user" "this" {
  for_each = local.database_users

  project         = var.project
  instance        = google_sql_database_instance.this.name
  name            = each.value
  type            = "CLOUD_IAM_SERVICE_ACCOUNT"
  database_roles  = each.key == "migrate" ? ["cloudsqlsuperuser"] : null
  deletion_policy = "ABANDON"
}

locals {
  database_roles = {
    client       = "roles/cloudsql.client"       # reach the instance
    instanceUser = "roles/cloudsql.instanceUser" # log in
  }
  database_grants = merge([for user in keys(local.database_users) : {
    for key, role in local.database_roles : "${user}/${key}" => { user = user, role = role }
  }]...)
}

# Cloud SQL has no IAM policy per instance, so these are bound on the project, with a condition that leaves one instance of it.
resource "google_project_iam_member" "database" {
  for_each = local.database_grants

  project = var.project
  role    = each.value.role
  member  = local.members[each.value.user]

  condition {
    title      = "${var.name} database only"
    expression = "resource.service == 'sqladmin.googleapis.com' && resource.type == 'sqladmin.googleapis.com/Instance' && resource.name == 'projects/${var.project}/instances/${google_sql_database_instance.this.name}'"
  }
}
