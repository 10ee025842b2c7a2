locals {
  labels = merge(var.labels, { application = var.name })

  # The address of each service, in the form that is known before the service exists.
  urls = { for key in ["status", "tick", "trigger", "workflows"] : key => "https://${var.name}-${key}-${data.google_project.this.number}.${var.region}.run.app" }

  # How services and the migration job reach a private database; null: over Google's network to its public address.
  network = var.private_ip ? {
    network    = google_compute_network.this[0].id
    subnetwork = google_compute_subnetwork.this[0].id
  } : null
}
