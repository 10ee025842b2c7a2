output "callers" {
  description = "The bindings that let somebody call the service, by member."
  value       = google_cloud_run_v2_service_iam_member.caller
}

output "service" {
  description = "The Cloud Run service."
  value       = google_cloud_run_v2_service.this
}
