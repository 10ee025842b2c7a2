output "authenticate" {
  description = "How to reach the functions with the orchestrator command."
  value       = <<-EOT
    export ORCHESTRATOR_URL='${local.orchestrator_url}'
    gcloud auth login        # as one of definers, triggerers, readers or operators; or GOOGLE_APPLICATION_CREDENTIALS=/path/key.json of one
    orchestrator list-workflows
  EOT
}

output "database_instance" {
  description = "The Cloud SQL instance, project:region:name."
  value       = local.database_instance
}

output "image_repository" {
  description = "Where images can be pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.this.repository_id}"
}

output "job_runner_role" {
  description = "The role that lets tick run a job; modules/job takes it."
  value       = local.job_runner
}

output "migrate_job" {
  description = "The migration job."
  value       = google_cloud_run_v2_job.migrate.name
}

output "migration_token" {
  description = "The end of the name of the execution that migrated for this image, or null."
  value       = google_cloud_run_v2_job.migrate.run_execution_token
}

output "orchestrator_url" {
  description = "ORCHESTRATOR_URL for the orchestrator command; {function} stays in it."
  value       = local.orchestrator_url
}

output "service_accounts" {
  description = "Emails of the service accounts, by what they are for."
  value       = local.emails
}

output "services" {
  description = "Names of the services, by function."
  value       = { for key, f in module.function : key => f.service.name }
}

output "status_url" {
  description = "The status function, also for browsers where dashboard_iap is on."
  value       = local.urls.status
}

output "wake_queue" {
  description = "The wake queue, or null."
  value       = try(local.wake_env.ORCHESTRATOR_WAKE_QUEUE, null)
}

locals {
  orchestrator_url = "https://${var.name}-{function}-${data.google_project.this.number}.${var.region}.run.app"
}
