# The accident: nothing has moved since Friday, and nobody was told; or somebody was, and had nothing to go by.

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

run "without_channels_there_are_alerts_all_the_same" {
  command = plan

  assert {
    condition = toset(keys(google_monitoring_alert_policy.this)) == toset([
      "database-full", "launch-blocked", "run-failed", "runs-stuck", "tick-failing", "tick-missing", "unknown-launches",
    ])
    error_message = "An alert is missing."
  }
  assert {
    condition     = alltrue([for p in google_monitoring_alert_policy.this : length(p.notification_channels) == 0 && length(p.conditions) > 0])
    error_message = "A policy watches nothing, or tells somebody whom nobody named."
  }
}

run "each_alert_carries_its_playbook" {
  command = plan

  variables {
    notification_channels = ["projects/my-project/notificationChannels/42"]
    playbooks_url         = "https://example.com/docs/alerts"
  }

  assert {
    condition     = alltrue([for key, p in google_monitoring_alert_policy.this : strcontains(p.documentation[0].content, file("../docs/alerts/${key}.md")) && p.documentation[0].links[0].url == "https://example.com/docs/alerts/${key}.md"])
    error_message = "A policy comes without its page."
  }
  assert {
    condition     = alltrue([for p in google_monitoring_alert_policy.this : length(p.documentation[0].content) <= 8192])
    error_message = "Cloud Monitoring refuses a documentation of more than 8,192 characters."
  }
  assert {
    condition     = alltrue([for p in google_monitoring_alert_policy.this : strcontains(p.documentation[0].content, "NAME=orchestrator PROJECT=my-project REGION=europe-west1")])
    error_message = "The commands of a page cannot be used as they are."
  }
  assert {
    condition     = alltrue([for p in google_monitoring_alert_policy.this : p.notification_channels == tolist(["projects/my-project/notificationChannels/42"])])
    error_message = "An alert goes to nobody."
  }
}

run "a_missing_tick_is_noticed_as_no_data_and_as_zero" {
  command = plan

  assert {
    condition = (
      google_monitoring_alert_policy.this["tick-missing"].conditions[0].condition_absent[0].duration == "300s" &&
      google_monitoring_alert_policy.this["tick-missing"].conditions[1].condition_threshold[0].comparison == "COMPARISON_LT"
    )
    error_message = "Ticks can stop without an alert."
  }
}

run "a_failed_run_is_told_by_name" {
  command = plan

  assert {
    condition     = google_monitoring_alert_policy.this["run-failed"].conditions[0].condition_matched_log[0].label_extractors["run"] == "EXTRACT(jsonPayload.run)" && startswith(google_monitoring_alert_policy.this["run-failed"].documentation[0].content, "**$${log.extracted_label.run}** failed")
    error_message = "The message does not say which run failed."
  }
  assert {
    condition     = length(google_monitoring_alert_policy.this["run-failed"].alert_strategy[0].notification_rate_limit) == 1
    error_message = "Cloud Monitoring refuses an alert on log lines that has no limit."
  }
}

run "metrics_read_the_lines_of_this_installation" {
  command = plan

  assert {
    condition     = alltrue([for m in google_logging_metric.count : startswith(m.filter, "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"orchestrator-tick\" AND jsonPayload.message=")])
    error_message = "A metric counts lines of something else."
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.this["unknown-launches"].conditions[0].condition_threshold[0].filter, "logging.googleapis.com/user/${google_logging_metric.count["unknown-launches"].name}")
    error_message = "An alert reads a metric that is not there."
  }
}

run "the_dashboard_is_a_dashboard" {
  command = plan

  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles) == 12
    error_message = "The dashboard lacks a tile."
  }
  assert {
    condition = alltrue([for t in jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles :
    t.xPos + t.width <= jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.columns])
    error_message = "A tile lies outside, and Cloud Monitoring refuses all of it."
  }
}

run "alerts_can_be_left_out" {
  command = plan

  variables {
    alerts_enabled = false
  }

  assert {
    condition     = length(google_monitoring_alert_policy.this) == 0
    error_message = "There are alerts that nobody wants."
  }
}
