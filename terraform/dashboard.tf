locals {
  service_filters = { for key in ["status", "tick", "trigger", "workflows"] : key => "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-${key}\"" }
  all_services    = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=monitoring.regex.full_match(\"${var.name}-(status|tick|trigger|workflows)\")"
  database        = "resource.type=\"cloudsql_database\" AND resource.labels.database_id=\"${var.project}:${google_sql_database_instance.this.name}\""

  # One chart each: a title, and the lines in it with how their points are put together.
  charts = [
    { title = "Ticks, by answer", lines = [
      { filter = "${local.service_filters.tick} AND metric.type=\"run.googleapis.com/request_count\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.label.response_code_class"] },
    ] },
    { title = "Duration of a tick, ms", lines = [
      { filter = "${local.service_filters.tick} AND metric.type=\"run.googleapis.com/request_latencies\"", aligner = "ALIGN_PERCENTILE_50", reducer = "REDUCE_MAX", by = [] },
      { filter = "${local.service_filters.tick} AND metric.type=\"run.googleapis.com/request_latencies\"", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = [] },
    ] },
    { title = "Unfinished runs", lines = [
      { filter = local.metrics.unfinished-runs, aligner = "ALIGN_DELTA", reducer = "REDUCE_MEAN", by = [] },
    ] },
    { title = "Runs that ended, by status", lines = [
      { filter = local.metrics.runs, aligner = "ALIGN_SUM", reducer = "REDUCE_SUM", by = ["metric.label.status"] },
    ] },
    { title = "Failed runs, by workflow", lines = [
      { filter = "${local.metrics.runs} AND metric.labels.status=\"failed\"", aligner = "ALIGN_SUM", reducer = "REDUCE_SUM", by = ["metric.label.workflow"] },
    ] },
    { title = "Ticks that saw stuck runs, unknown launches, launching blocked", lines = [
      for key in ["stuck-runs", "unknown-launches", "launch-blocked"] : { filter = local.metrics[key], aligner = "ALIGN_SUM", reducer = "REDUCE_SUM", by = [] }
    ] },
    { title = "Requests per second, by function", lines = [
      { filter = "${local.all_services} AND metric.type=\"run.googleapis.com/request_count\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["resource.label.service_name"] },
    ] },
    { title = "Instances, by function", lines = [
      { filter = "${local.all_services} AND metric.type=\"run.googleapis.com/container/instance_count\"", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = ["resource.label.service_name"] },
    ] },
    { title = "Memory of an instance, share", lines = [
      { filter = "${local.all_services} AND metric.type=\"run.googleapis.com/container/memory/utilizations\"", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["resource.label.service_name"] },
    ] },
    { title = "Database: CPU and disk, share", lines = [
      { filter = "${local.database} AND metric.type=\"cloudsql.googleapis.com/database/cpu/utilization\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX", by = [] },
      { filter = "${local.database} AND metric.type=\"cloudsql.googleapis.com/database/disk/utilization\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX", by = [] },
    ] },
    { title = "Database: connections, of ${local.max_connections}", lines = [
      { filter = "${local.database} AND metric.type=\"cloudsql.googleapis.com/database/postgresql/num_backends\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_SUM", by = [] },
    ] },
  ]

  chart_tiles = [for i, chart in local.charts : {
    xPos   = 16 * (i % 3)
    yPos   = 16 * floor(i / 3)
    width  = 16
    height = 16
    widget = {
      title = chart.title
      xyChart = {
        dataSets = [for line in chart.lines : {
          plotType   = "LINE"
          targetAxis = "Y1"
          timeSeriesQuery = { timeSeriesFilter = {
            filter = line.filter
            aggregation = {
              alignmentPeriod    = "60s"
              perSeriesAligner   = line.aligner
              crossSeriesReducer = line.reducer
              groupByFields      = line.by
            }
          } }
        }]
        yAxis = { scale = "LINEAR" }
      }
    }
  }]

  log_tile = {
    xPos   = 16 * (length(local.charts) % 3)
    yPos   = 16 * floor(length(local.charts) / 3)
    width  = 16
    height = 16
    widget = {
      title = "Warnings and errors"
      logsPanel = {
        filter        = "resource.type=\"cloud_run_revision\"\nresource.labels.service_name=~\"^${var.name}-(status|tick|trigger|workflows)$\"\nseverity>=WARNING"
        resourceNames = ["projects/${var.project}"]
      }
    }
  }
}

resource "google_monitoring_dashboard" "this" {
  project = var.project
  dashboard_json = jsonencode({
    displayName  = "Orchestrator: ${var.name}"
    mosaicLayout = { columns = 48, tiles = concat(local.chart_tiles, [local.log_tile]) }
  })

  depends_on = [google_project_service.this]
}
