# What tick may do, and only with the jobs in var.jobs. A binding on the project would let it run every job there is, and every job that comes.

locals {
  job_permissions = [
    "run.executions.cancel",
    "run.executions.get",
    "run.executions.list",
    "run.jobs.get",
    "run.jobs.run",
    "run.jobs.runWithOverrides", # each task gets an environment of its own
    "run.tasks.list",
  ]

  # A short name is a job of this project and region.
  jobs = { for job in var.jobs : job => (
    startswith(job, "projects/")
    ? { project = split("/", job)[1], location = split("/", job)[3], name = split("/", job)[5] }
    : { project = var.project, location = var.region, name = job }
  ) }

  # A project's own role cannot be bound in another project. There two of Google's do it together: one runs and cancels, the other reads.
  job_runner = "projects/${google_project_iam_custom_role.job_runner.project}/roles/${google_project_iam_custom_role.job_runner.role_id}"
  job_roles = {
    here      = { runner = local.job_runner }
    elsewhere = { runner = "roles/run.jobsExecutorWithOverrides", viewer = "roles/run.viewer" }
  }
  job_grants = merge([for full, job in local.jobs : {
    for key, role in local.job_roles[job.project == var.project ? "here" : "elsewhere"] : "${full} ${key}" => merge(job, { role = role })
  }]...)
}

resource "google_project_iam_custom_role" "job_runner" {
  project     = var.project
  role_id     = "${replace(var.name, "-", "_")}_job_runner"
  title       = "${var.name}: run and follow Cloud Run jobs"
  permissions = local.job_permissions

  depends_on = [google_project_service.this]
}

resource "google_cloud_run_v2_job_iam_member" "tick" {
  for_each = local.job_grants

  project  = each.value.project
  location = each.value.location
  name     = each.value.name
  role     = each.value.role
  member   = local.members.tick
}

# Whether running a job needs this on the job's own account is not established; the first run shows it.
resource "google_service_account_iam_member" "tick_acts_as" {
  for_each = toset(var.job_service_accounts)

  service_account_id = "projects/${regex("@([a-z0-9-]+)[.]iam[.]gserviceaccount[.]com$", each.value)[0]}/serviceAccounts/${each.value}"
  role               = "roles/iam.serviceAccountUser"
  member             = local.members.tick
}
