provider "google" {
  project = var.project
  region  = var.region
}

# Its number is part of the addresses of Cloud Run services and of the names of Google's own service accounts.
data "google_project" "this" {
  project_id = var.project
}
