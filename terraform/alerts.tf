# What a person has to hear of. Each policy carries the page of docs/alerts with its name, so that whoever is woken need not look for it.

locals {
  tick_failures = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-tick\" AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\""
  database_disk = "resource.type=\"cloudsql_database\" AND resource.labels.database_id=\"${var.project}:${google_sql_database_instance.this.name}\" AND metric.type=\"cloudsql.googleapis.com/database/disk/utilization\""

  # The lines of a tick can be nearly two minutes apart, so what a tick says is counted over three.
  alerts = {
    tick-missing = {
      title    = "no tick"
      severity = "CRITICAL"
      # Two conditions for one thing: lines that stop can show as no data, or as a count of 0.
      absences   = [{ name = "no line of a tick in 5 minutes", filter = local.metrics.ticks, seconds = 300 }]
      thresholds = [{ name = "0 ticks in 5 minutes", filter = local.metrics.ticks, aligner = "ALIGN_SUM", window = 300, comparison = "COMPARISON_LT", value = 1, seconds = 0 }]
      lines      = []
    }
    tick-failing = {
      title      = "ticks fail"
      severity   = "ERROR"
      absences   = []
      thresholds = [{ name = "3 ticks failed in 10 minutes", filter = local.tick_failures, aligner = "ALIGN_SUM", window = 600, comparison = "COMPARISON_GT", value = 2, seconds = 0 }]
      lines      = []
    }
    runs-stuck = {
      title      = "runs are stuck"
      severity   = "WARNING"
      absences   = []
      thresholds = [{ name = "ticks see stuck runs for 10 minutes", filter = local.metrics.stuck-runs, aligner = "ALIGN_SUM", window = 180, comparison = "COMPARISON_GT", value = 0, seconds = 600 }]
      lines      = []
    }
    unknown-launches = {
      title      = "launches stay unknown"
      severity   = "WARNING"
      absences   = []
      thresholds = [{ name = "ticks see unknown launches for 15 minutes", filter = local.metrics.unknown-launches, aligner = "ALIGN_SUM", window = 180, comparison = "COMPARISON_GT", value = 0, seconds = 900 }]
      lines      = []
    }
    launch-blocked = {
      title      = "launching is blocked"
      severity   = "CRITICAL"
      absences   = []
      thresholds = [{ name = "ticks say that launching is blocked", filter = local.metrics.launch-blocked, aligner = "ALIGN_SUM", window = 180, comparison = "COMPARISON_GT", value = 0, seconds = 60 }]
      lines      = []
    }
    database-full = {
      title      = "the database is nearly full"
      severity   = "CRITICAL"
      absences   = []
      thresholds = [{ name = "85 % of the disk is used", filter = local.database_disk, aligner = "ALIGN_MEAN", window = 300, comparison = "COMPARISON_GT", value = 0.85, seconds = 300 }]
      lines      = []
    }
    run-failed = {
      title      = "a run failed"
      severity   = "WARNING"
      absences   = []
      thresholds = []
      lines      = [{ name = "a run ended as failed", filter = "${local.tick_log} AND jsonPayload.message=\"run finished\" AND jsonPayload.status=\"failed\"" }]
    }
  }

  # In front of the page: what it needs to be used as it is, and for a run which one.
  alert_beginnings = { for key in keys(local.alerts) : key => join("\n\n", concat(
    key == "run-failed" ? ["**$${log.extracted_label.run}** failed: $${log.extracted_label.reason}, $${log.extracted_label.failed_tasks} of $${log.extracted_label.tasks} tasks."] : [],
    ["`NAME=${var.name} PROJECT=${var.project} REGION=${var.region}`"],
  )) }
}

resource "google_monitoring_alert_policy" "this" {
  for_each = { for key, alert in local.alerts : key => alert if var.alerts_enabled }

  project               = var.project
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  user_labels           = local.labels

  dynamic "conditions" {
    for_each = each.value.absences
    content {
      display_name = conditions.value.name
      condition_absent {
        filter   = conditions.value.filter
        duration = "${conditions.value.seconds}s"
        aggregations {
          alignment_period     = "60s"
          per_series_aligner   = "ALIGN_SUM"
          cross_series_reducer = "REDUCE_SUM"
        }
      }
    }
  }

  dynamic "conditions" {
    for_each = each.value.thresholds
    content {
      display_name = conditions.value.name
      condition_threshold {
        filter          = conditions.value.filter
        comparison      = conditions.value.comparison
        threshold_value = conditions.value.value
        duration        = "${conditions.value.seconds}s"
        aggregations {
          alignment_period     = "${conditions.value.window}s"
          per_series_aligner   = conditions.value.aligner
          cross_series_reducer = conditions.value.aligner == "ALIGN_MEAN" ? "REDUCE_MAX" : "REDUCE_SUM"
        }
      }
    }
  }

  dynamic "conditions" {
    for_each = each.value.lines
    content {
      display_name = conditions.value.name
      condition_matched_log {
        filter           = conditions.value.filter
        label_extractors = { for field in ["failed_tasks", "reason", "run", "tasks", "workflow"] : field => "EXTRACT(jsonPayload.${field})" }
      }
    }
  }

  alert_strategy {
    auto_close = "1800s"

    # Only for log lines, which would each be a message otherwise.
    dynamic "notification_rate_limit" {
      for_each = each.value.lines
      content {
        period = "300s"
      }
    }
  }

  documentation {
    subject   = "${var.name}: ${each.value.title}"
    mime_type = "text/markdown"
    content   = "${local.alert_beginnings[each.key]}\n\n${file("${path.module}/../docs/alerts/${each.key}.md")}"

    dynamic "links" {
      for_each = var.playbooks_url[*]
      content {
        display_name = "Playbook"
        url          = "${links.value}/${each.key}.md"
      }
    }
  }

  depends_on = [google_project_service.this]
}
