variable "account" {
  description = "Email of the service account that the function runs as."
  type        = string
  nullable    = false
}

variable "callers" {
  description = "IAM members that may call the service."
  type        = list(string)
  nullable    = false
}

variable "concurrency" {
  description = "Most requests at once in one instance."
  type        = number
  nullable    = false
}

variable "deletion_protection" {
  description = "Terraform refuses to delete the service."
  type        = bool
  nullable    = false
}

variable "env" {
  description = "Environment variables of the container."
  type        = map(string)
  nullable    = false
}

variable "iap_enabled" {
  description = "Identity-Aware Proxy stands before the service."
  type        = bool
  nullable    = false
}

variable "image" {
  description = "The orchestrator's image."
  type        = string
  nullable    = false
}

variable "ingress" {
  description = "From where the service can be reached."
  type        = string
  nullable    = false
}

variable "labels" {
  description = "Labels of the service and its revisions."
  type        = map(string)
  nullable    = false
}

variable "max_instances" {
  description = "Most instances of one revision."
  type        = number
  nullable    = false
}

variable "memory" {
  description = "Memory of one instance."
  type        = string
  nullable    = false
}

variable "min_instances" {
  description = "Instances that stay, and are billed, without requests."
  type        = number
  nullable    = false
}

variable "name" {
  description = "Name of the service."
  type        = string
  nullable    = false
}

variable "network" {
  description = "Network and subnetwork for a private database, or null."
  type        = object({ network = string, subnetwork = string })
}

variable "project" {
  description = "Project of the service."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region of the service."
  type        = string
  nullable    = false
}

variable "timeout_seconds" {
  description = "Longest that a request may take."
  type        = number
  nullable    = false
}
