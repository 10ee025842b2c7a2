# Only for a database with a private address. Direct VPC egress: the services and the migration job get addresses in the subnet, and no machine runs for it.

resource "google_compute_network" "this" {
  count = var.private_ip ? 1 : 0

  project                 = var.project
  name                    = var.name
  auto_create_subnetworks = false

  depends_on = [google_project_service.this]
}

# Cloud Run wants a /26 at least, and takes up to two addresses for each instance.
resource "google_compute_subnetwork" "this" {
  count = var.private_ip ? 1 : 0

  project                  = var.project
  region                   = var.region
  name                     = var.name
  network                  = google_compute_network.this[0].id
  ip_cidr_range            = "10.8.0.0/26"
  private_ip_google_access = true
}

# The range that Google puts the database into.
resource "google_compute_global_address" "database" {
  count = var.private_ip ? 1 : 0

  project       = var.project
  name          = "${var.name}-database"
  network       = google_compute_network.this[0].id
  address_type  = "INTERNAL"
  purpose       = "VPC_PEERING"
  prefix_length = 24
  labels        = local.labels
}

resource "google_service_networking_connection" "database" {
  count = var.private_ip ? 1 : 0

  network                 = google_compute_network.this[0].id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.database[0].name]
  deletion_policy         = "ABANDON" # Google holds on to it for days after the database has gone, and a delete would fail
}
