output "job" {
  description = "The job's full name, for a workflow's definition."
  value       = "projects/${var.project}/locations/${google_cloud_run_v2_job.this.location}/jobs/${google_cloud_run_v2_job.this.name}"
}

output "service_account" {
  description = "Email of the account that the job runs as. Grant it what the work needs."
  value       = local.email
}
