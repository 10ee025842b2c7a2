variable "args" {
  description = "Arguments of the container; null for the image's own."
  type        = list(string)
  default     = null
}

variable "command" {
  description = "Entry point of the container; null for the image's own."
  type        = list(string)
  default     = null
}

variable "container" {
  description = "Name of the container. It has one always: Cloud Run refuses overrides for a container without a name where there are several."
  type        = string
  default     = "main"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.container))
    error_message = "container is \"${var.container}\"; it must be a DNS label: at most 63 lower-case letters, digits and -."
  }
}

variable "cpu" {
  description = "CPUs of one task."
  type        = string
  default     = "1"
  nullable    = false

  validation {
    condition     = contains(["1", "2", "4", "6", "8"], var.cpu)
    error_message = "cpu is \"${var.cpu}\"; it must be 1, 2, 4, 6 or 8, what Cloud Run has for jobs."
  }
}

variable "deletion_protection" {
  description = "Terraform refuses to delete the job. While executions of a job that is gone are unsettled, their tasks end as lost."
  type        = bool
  default     = true
  nullable    = false
}

variable "env" {
  description = "Environment variables of the container. The orchestrator adds its own, which begin with ORCHESTRATOR_."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.env) : !startswith(key, "ORCHESTRATOR_") && !startswith(key, "CLOUD_RUN_")])
    error_message = "env must not have names that begin with ORCHESTRATOR_ or CLOUD_RUN_: the orchestrator and Cloud Run set those for each execution."
  }
}

variable "image" {
  description = "The job's image."
  type        = string
  nullable    = false
}

variable "job_runner_role" {
  description = "Output job_runner_role of the orchestrator. It belongs to the orchestrator's project; a job in another one gets its rights by var.jobs there."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^projects/[a-z0-9-]+/roles/[a-zA-Z0-9_.]+$", var.job_runner_role))
    error_message = "job_runner_role is \"${var.job_runner_role}\"; it must be projects/PROJECT/roles/ROLE, as the orchestrator's output job_runner_role gives it."
  }
}

variable "labels" {
  description = "Labels of the job."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "memory" {
  description = "Memory of one task."
  type        = string
  default     = "512Mi"
  nullable    = false
}

variable "name" {
  description = "Name of the job and of its service account."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.name))
    error_message = "name is \"${var.name}\"; it must be 6 to 30 lower-case letters, digits and -, which is what a service account's id may be."
  }
}

variable "parallelism" {
  description = "Most tasks of one packed execution that run at once; null for as many as Cloud Run has room for."
  type        = number
  default     = null
}

variable "project" {
  description = "Project of the job."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region of the job."
  type        = string
  nullable    = false
}

variable "tick_account" {
  description = "Email of tick's service account: the orchestrator's output service_accounts, key tick."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]+@[a-z0-9-]+[.]iam[.]gserviceaccount[.]com$", var.tick_account))
    error_message = "tick_account is \"${var.tick_account}\"; it must be the email of a service account, NAME@PROJECT.iam.gserviceaccount.com."
  }
}

variable "timeout_seconds" {
  description = "Longest that one task may take. Starting the container counts."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 180 && var.timeout_seconds <= 604800
    error_message = "timeout_seconds is ${var.timeout_seconds}; it must be from 180 to 604800 (a week): getting a container to run counts too, and has taken most of a minute."
  }
}
