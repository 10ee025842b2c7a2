locals {
  # One identity each, so that none can do what another is for. A person who may call trigger cannot make the orchestrator run what they like:
  # what runs is decided by workflows, and only tick may run jobs.
  accounts = merge(
    {
      migrate   = "Orchestrator: brings the database to a release"
      scheduler = "Orchestrator: calls tick every minute"
      status    = "Orchestrator: reads"
      tick      = "Orchestrator: runs and follows Cloud Run jobs"
      trigger   = "Orchestrator: starts and stops runs"
      workflows = "Orchestrator: keeps definitions"
    },
    var.wake_queue ? { wake = "Orchestrator: calls tick from the wake queue" } : {},
  )

  # The addresses are put together here because Google's answer is only known after an apply, and a plan that shows who may do what can be read.
  emails  = { for key, account in google_service_account.this : key => "${account.account_id}@${account.project}.iam.gserviceaccount.com" }
  members = { for key, email in local.emails : key => "serviceAccount:${email}" }
}

resource "google_service_account" "this" {
  for_each = local.accounts

  project      = var.project
  account_id   = "${var.name}-${each.key}"
  display_name = each.value

  depends_on = [google_project_service.this]
}
