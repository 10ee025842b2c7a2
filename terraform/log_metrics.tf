# Numbers out of log lines. tick writes one line per tick, and one for each run that ends.

locals {
  tick_log = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-tick\""

  counted_lines = {
    ticks            = { filter = "jsonPayload.message=\"tick\"", labels = {} }
    stuck-runs       = { filter = "jsonPayload.message=\"tick\" AND jsonPayload.stuck_runs>0", labels = {} }
    unknown-launches = { filter = "jsonPayload.message=\"tick\" AND jsonPayload.unknown_launches>0", labels = {} }
    launch-blocked   = { filter = "jsonPayload.message=\"tick\" AND jsonPayload.launch_blocked=true", labels = {} }
    runs = {
      filter = "jsonPayload.message=\"run finished\""
      labels = { status = "EXTRACT(jsonPayload.status)", workflow = "EXTRACT(jsonPayload.workflow)" }
    }
  }
}

resource "google_logging_metric" "count" {
  for_each = local.counted_lines

  project          = var.project
  name             = "${var.name}-${each.key}"
  filter           = "${local.tick_log} AND ${each.value.filter}"
  label_extractors = each.value.labels

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    dynamic "labels" {
      for_each = each.value.labels
      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_logging_metric" "unfinished_runs" {
  project         = var.project
  name            = "${var.name}-unfinished-runs"
  filter          = "${local.tick_log} AND jsonPayload.message=\"tick\""
  value_extractor = "EXTRACT(jsonPayload.unfinished_runs)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "1"
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 20
      growth_factor      = 2
      scale              = 1
    }
  }

  depends_on = [google_project_service.this]
}

locals {
  # Each metric as filters name it, by the key above.
  metrics = merge(
    { for key, metric in google_logging_metric.count : key => "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${metric.name}\"" },
    { unfinished-runs = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.unfinished_runs.name}\"" },
  )
}
