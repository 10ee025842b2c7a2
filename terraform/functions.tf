locals {
  # What every process that opens the database is told.
  database_env = { for key, user in local.database_users : key => {
    DATABASE_INSTANCE    = local.database_instance
    DATABASE_NAME        = google_sql_database.this.name
    DATABASE_PRIVATE_IP  = tostring(var.private_ip)
    DATABASE_USER        = user
    LOG_LEVEL            = var.log_level
    ORCHESTRATOR_PROJECT = var.project
    ORCHESTRATOR_REGION  = var.region
  } }

  tick_env = {
    ORCHESTRATOR_CALL_DEADLINE = "${var.tick.call_deadline_seconds}s"
    ORCHESTRATOR_CLAIM         = "${var.tick.claim_seconds}s"
    ORCHESTRATOR_CONCURRENCY   = tostring(var.tick.calls_at_once)
    ORCHESTRATOR_HISTORY_KEPT  = tostring(var.tick.history_kept)
    ORCHESTRATOR_SETTLE_WINDOW = "${var.tick.settle_window_seconds}s"
    ORCHESTRATOR_TICK_BUDGET   = "${var.tick.budget_seconds}s"
  }

  # All three or none: trigger wakes tick through the queue, and the queue shows the wake account to Cloud Run.
  wake_env = var.wake_queue ? {
    ORCHESTRATOR_WAKE_ACCOUNT = local.emails.wake
    ORCHESTRATOR_WAKE_QUEUE   = "projects/${var.project}/locations/${var.region}/queues/${google_cloud_tasks_queue.wake[0].name}"
    ORCHESTRATOR_WAKE_URL     = local.urls.tick
  } : {}

  # Who may call what. Everything that is not in these lists gets a 403 from Cloud Run before it reaches us.
  callers = {
    status    = concat(var.readers, var.dashboard_iap ? [local.iap_agent] : [])
    tick      = concat([local.members.scheduler], var.wake_queue ? [local.members.wake] : [], var.operators)
    trigger   = var.triggerers
    workflows = var.definers
  }

  # Identity-Aware Proxy calls status for the person whom it has let in.
  iap_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-iap.iam.gserviceaccount.com"

  functions = {
    status    = { env = {}, timeout_seconds = 60, iap = var.dashboard_iap, ingress = var.ingress }
    trigger   = { env = local.wake_env, timeout_seconds = 60, iap = false, ingress = var.ingress }
    workflows = { env = {}, timeout_seconds = 60, iap = false, ingress = var.ingress }
    tick = {
      env             = local.tick_env
      timeout_seconds = var.tick.timeout_seconds
      iap             = false
      # Cloud Scheduler and Cloud Tasks of the same project count as internal. The internet is let as far as IAM only where a person is to come in.
      ingress = length(var.operators) == 0 ? "INGRESS_TRAFFIC_INTERNAL_ONLY" : var.ingress
    }
  }
}

module "function" {
  source   = "./modules/function"
  for_each = local.functions

  project             = var.project
  region              = var.region
  name                = "${var.name}-${each.key}"
  image               = var.image
  account             = local.emails[each.key]
  callers             = local.callers[each.key]
  concurrency         = var.functions[each.key].concurrency
  deletion_protection = var.deletion_protection
  iap_enabled         = each.value.iap
  ingress             = each.value.ingress
  labels              = merge(local.labels, { function = each.key })
  max_instances       = var.functions[each.key].max_instances
  memory              = var.functions[each.key].memory
  min_instances       = var.functions[each.key].min_instances
  network             = local.network
  timeout_seconds     = each.value.timeout_seconds

  env = merge(local.database_env[each.key], each.value.env, {
    FUNCTION_TARGET        = each.key
    ORCHESTRATOR_POOL_SIZE = tostring(var.functions[each.key].pool_size)
  })

  # The database is at this release before any service is.
  depends_on = [google_cloud_run_v2_job.migrate]
}
