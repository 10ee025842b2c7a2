# Three have no default: project, region and image.

variable "alerts_enabled" {
  description = "Make the alert policies. Without notification_channels their incidents are only shown in the console."
  type        = bool
  default     = true
  nullable    = false
}

variable "dashboard_iap" {
  description = "Put Identity-Aware Proxy before the status service, so that people open it in a browser; see the README for who is let in."
  type        = bool
  default     = false
  nullable    = false
}

variable "database_availability" {
  description = "ZONAL, or REGIONAL for a standby in another zone at twice the price."
  type        = string
  default     = "ZONAL"
  nullable    = false

  validation {
    condition     = contains(["REGIONAL", "ZONAL"], var.database_availability)
    error_message = "database_availability is \"${var.database_availability}\"; it must be ZONAL or REGIONAL, the two that Cloud SQL has."
  }
}

variable "database_disk_limit_gb" {
  description = "The disk grows by itself up to this size, and never shrinks; 0 is without a limit."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.database_disk_limit_gb == 0 || var.database_disk_limit_gb >= 10 && floor(var.database_disk_limit_gb) == var.database_disk_limit_gb
    error_message = "database_disk_limit_gb is ${var.database_disk_limit_gb}; it must be a whole number from 10 on, the size that the disk begins with, or 0 for no limit."
  }
}

variable "database_instance_name" {
  description = "Name of the Cloud SQL instance; null is NAME-db. A restore to a point in time makes an instance with another name, which this names."
  type        = string
  default     = null

  validation {
    condition     = var.database_instance_name == null ? true : can(regex("^[a-z][a-z0-9-]{0,82}[a-z0-9]$", var.database_instance_name))
    error_message = "database_instance_name is \"${coalesce(var.database_instance_name, "-")}\"; it must be lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen: the form of a Cloud SQL instance's name."
  }
}

variable "database_max_connections" {
  description = "Sets the database's max_connections; null leaves what Cloud SQL gives the tier. Each connection takes memory."
  type        = number
  default     = null

  validation {
    condition     = var.database_max_connections == null ? true : var.database_max_connections >= 20 && var.database_max_connections <= 5000 && floor(var.database_max_connections) == var.database_max_connections
    error_message = "database_max_connections is ${coalesce(var.database_max_connections, 0)}; it must be a whole number from 20 to 5000: fewer do not hold four functions, and more want another database than this one."
  }
}

variable "database_tier" {
  description = "Machine of the database: db-f1-micro, db-g1-small, or db-custom-CPUS-MEGABYTES. The first two share a CPU and are without Google's SLA."
  type        = string
  default     = "db-g1-small" # the smallest whose connections last for four functions, also while a rollout has them twice
  nullable    = false

  validation {
    condition     = can(regex("^(db-f1-micro|db-g1-small|db-custom-([1-9]|[1-9][0-9])-[0-9]{4,6})$", var.database_tier))
    error_message = "database_tier is \"${var.database_tier}\"; it must be db-f1-micro, db-g1-small or db-custom-CPUS-MEGABYTES, as in db-custom-2-7680: the tiers of Cloud SQL's Enterprise edition for PostgreSQL."
  }
}

variable "definers" {
  description = "IAM members that may define workflows, and so decide what is run with the identities of the jobs."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.definers : can(regex("^(user|group|domain|serviceAccount|principal|principalSet):[^ ]+$", member))])
    error_message = "definers has ${join(", ", [for member in var.definers : "\"${member}\"" if !can(regex("^(user|group|domain|serviceAccount|principal|principalSet):[^ ]+$", member))])}; a member must be user:, group:, domain: or serviceAccount: and an address, or principal: or principalSet: and its path. allUsers and allAuthenticatedUsers are refused: no function is public."
  }
}

variable "deletion_protection" {
  description = "The database and the services refuse to be deleted. To delete them, apply with false first."
  type        = bool
  default     = true
  nullable    = false
}

variable "functions" {
  description = "Size of each function: requests at once per instance, instances, memory, and database connections per instance."
  type = object({
    status = optional(object({
      concurrency   = optional(number, 20)
      max_instances = optional(number, 2)
      memory        = optional(string, "512Mi")
      min_instances = optional(number, 0)
      pool_size     = optional(number, 2)
    }), {})
    # A tick waits for others nearly all of its time, so several at once (the scheduler's, two from the wake queue, a doctor) go well on one
    # instance, which costs what one of them costs. Two instances, so that one that is stuck stops nothing. Overlap is correct; only cost and latency decide.
    tick = optional(object({
      concurrency   = optional(number, 8)
      max_instances = optional(number, 2)
      memory        = optional(string, "512Mi")
      min_instances = optional(number, 0)
      pool_size     = optional(number, 4)
    }), {})
    trigger = optional(object({
      concurrency   = optional(number, 20)
      max_instances = optional(number, 2)
      memory        = optional(string, "512Mi")
      min_instances = optional(number, 0)
      pool_size     = optional(number, 2)
    }), {})
    workflows = optional(object({
      concurrency   = optional(number, 20)
      max_instances = optional(number, 2)
      memory        = optional(string, "512Mi")
      min_instances = optional(number, 0)
      pool_size     = optional(number, 2)
    }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for f in values(var.functions) : f.concurrency >= 1 && f.concurrency <= 1000 && floor(f.concurrency) == f.concurrency])
    error_message = "The concurrency of each of functions must be a whole number from 1 to 1000, the most that Cloud Run takes."
  }

  validation {
    condition     = alltrue([for f in values(var.functions) : f.max_instances >= 1 && f.max_instances <= 100 && floor(f.max_instances) == f.max_instances])
    error_message = "The max_instances of each of functions must be a whole number from 1 to 100: each instance opens pool_size database connections."
  }

  validation {
    condition     = alltrue([for f in values(var.functions) : f.min_instances >= 0 && f.min_instances <= f.max_instances && floor(f.min_instances) == f.min_instances])
    error_message = "The min_instances of each of functions must be a whole number from 0 to its max_instances; above 0 they are billed day and night."
  }

  # 512Mi is the least that the second generation of Cloud Run allows, and enough: the server idles at 33 MiB, and had 61 MiB at most while four ticks at
  # once moved a run of 20,000 tasks (measured on Linux, with the mock in the same process).
  validation {
    condition     = alltrue([for f in values(var.functions) : contains(["512Mi", "1Gi", "2Gi", "4Gi"], f.memory)])
    error_message = "The memory of each of functions must be 512Mi, 1Gi, 2Gi or 4Gi: less is refused by Cloud Run's second generation, and more wants more than the one CPU that a function has."
  }

  validation {
    condition     = alltrue([for f in values(var.functions) : f.pool_size >= 1 && f.pool_size <= 100 && floor(f.pool_size) == f.pool_size])
    error_message = "The pool_size of each of functions must be a whole number from 1 to 100, the most that Cloud Run lets one instance open."
  }
}

variable "image" {
  description = "The orchestrator's image, with a tag that is never moved or with its digest."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^((([a-z0-9]+-)+docker[.]pkg[.]dev)|(([a-z]+[.])?gcr[.]io)|docker[.]io)/[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?@sha256:[0-9a-f]{64})$", var.image))
    error_message = "image is \"${var.image}\"; it must be the full name with a tag or a digest, as in europe-west1-docker.pkg.dev/my-project/orchestrator/server:v1, in a registry that Cloud Run can pull from: Artifact Registry (…-docker.pkg.dev), gcr.io or docker.io."
  }

  validation {
    condition     = !endswith(var.image, ":latest")
    error_message = "image is \"${var.image}\"; it must not be \"latest\": when the tag moves, nothing here changes, so nothing would be migrated or rolled out."
  }
}

variable "ingress" {
  description = "From where the services can be reached. Whoever reaches them must still be allowed to call them."
  type        = string
  default     = "INGRESS_TRAFFIC_ALL"
  nullable    = false

  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INGRESS_TRAFFIC_INTERNAL_ONLY"], var.ingress)
    error_message = "ingress is \"${var.ingress}\"; it must be INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER or INGRESS_TRAFFIC_INTERNAL_ONLY, the three that Cloud Run has."
  }
}

variable "job_service_accounts" {
  description = "Emails of jobs' service accounts that tick may act as. Only needed where Cloud Run refuses to run a job for the lack of iam.serviceAccounts.actAs."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.job_service_accounts : can(regex("^[a-z0-9-]+@[a-z0-9-]+[.]iam[.]gserviceaccount[.]com$", email))])
    error_message = "job_service_accounts has ${join(", ", [for email in var.job_service_accounts : "\"${email}\"" if !can(regex("^[a-z0-9-]+@[a-z0-9-]+[.]iam[.]gserviceaccount[.]com$", email))])}; each must be the email of an account that somebody made, NAME@PROJECT.iam.gserviceaccount.com: to act as a project's default account is to act as nearly everything in it."
  }
}

variable "jobs" {
  description = "The Cloud Run jobs that the orchestrator may run and follow: names in this project and region, or projects/PROJECT/locations/REGION/jobs/NAME."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for job in var.jobs : can(regex("^(projects/[a-z][a-z0-9-]{4,28}[a-z0-9]/locations/[a-z]+-[a-z]+[0-9]+/jobs/)?[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", job))])
    error_message = "jobs has ${join(", ", [for job in var.jobs : "\"${job}\"" if !can(regex("^(projects/[a-z][a-z0-9-]{4,28}[a-z0-9]/locations/[a-z]+-[a-z]+[0-9]+/jobs/)?[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", job))])}; each must be the name of one job, as in nightly-report or projects/my-project/locations/europe-west1/jobs/nightly-report: rights are given job by job, so there are no patterns."
  }

  validation {
    condition     = length(distinct([for job in var.jobs : startswith(job, "projects/") ? job : "projects/${var.project}/locations/${var.region}/jobs/${job}"])) == length(var.jobs)
    error_message = "jobs has one job twice; each must be there once, by its short name or by its full one."
  }
}

variable "labels" {
  description = "Labels for everything that takes labels."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "Each of labels must be at most 63 lower-case letters, digits, _ and -, and its key must begin with a letter: Google Cloud refuses anything else."
  }

  validation {
    condition     = length(setintersection(keys(var.labels), ["application", "function"])) == 0
    error_message = "labels must not have application or function, which are set here."
  }
}

variable "log_level" {
  description = "What the functions log: debug or info."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = contains(["debug", "info"], var.log_level)
    error_message = "log_level is \"${var.log_level}\"; it must be debug or info: the alerts, the dashboard and the metrics read lines of level info."
  }
}

variable "migrate_on_apply" {
  description = "Run the migration job whenever the image changes, before the services get it. With false, run it yourself, before the apply that changes the image."
  type        = bool
  default     = true
  nullable    = false
}

variable "name" {
  description = "Prefix of every name, so that several installations can share a project."
  type        = string
  default     = "orchestrator"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$", var.name))
    error_message = "name is \"${var.name}\"; it must be 1 to 20 lower-case letters, digits and -, begin with a letter and not end with -: ids of service accounts are made of it, and they may have 30."
  }
}

variable "notification_channels" {
  description = "Who is told of alerts: full names of notification channels of Cloud Monitoring."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[a-z0-9-]+/notificationChannels/[0-9]+$", channel))])
    error_message = "Each of notification_channels must be projects/PROJECT/notificationChannels/NUMBER; \"gcloud beta monitoring channels list\" shows them."
  }
}

variable "operators" {
  description = "IAM members that may call tick, which is also doctor and restore. Naming one opens tick to the networks of var.ingress."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.operators : can(regex("^(user|group|domain|serviceAccount|principal|principalSet):[^ ]+$", member))])
    error_message = "operators has ${join(", ", [for member in var.operators : "\"${member}\"" if !can(regex("^(user|group|domain|serviceAccount|principal|principalSet):[^ ]+$", member))])}; a member must be user:, group:, domain: or serviceAccount: and an address, or principal: or principalSet: and its path. allUsers and allAuthenticatedUsers are refused: no function is public."
  }
}

variable "playbooks_url" {
  description = "Where people find docs/alerts of this repository, as in https://example.com/orchestrator/docs/alerts; alerts carry the pages themselves, and a link where this is set."
  type        = string
  default     = null

  validation {
    condition     = var.playbooks_url == null ? true : can(regex("^https://[^ ]+[^/ ]$", var.playbooks_url))
    error_message = "playbooks_url is \"${coalesce(var.playbooks_url, "-")}\"; it must be an https address without a / at its end, to which the name of a page is added."
  }
}

variable "private_ip" {
  description = "Give the database a private address only, and the services a network to reach it. Cannot be taken back for a database that has it."
  type        = bool
  default     = false
  nullable    = false
}

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project is \"${var.project}\"; it must be a project's id, 6 to 30 lower-case letters, digits and -, not its number or its display name: addresses of service accounts are made of it."
  }
}

variable "readers" {
  description = "IAM members that may read status. With dashboard_iap, people are let in by Identity-Aware Proxy instead; see the README."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.readers : can(regex("^(user|group|domain|serviceAccount|principal|principalSet):[^ ]+$", member))])
    error_message = "readers has ${join(", ", [for member in var.readers : "\"${member}\"" if !can(regex("^(user|group|domain|serviceAccount|principal|principalSet):[^ ]+$", member))])}; a member must be user:, group:, domain: or serviceAccount: and an address, or principal: or principalSet: and its path. allUsers and allAuthenticatedUsers are refused: no function is public."
  }
}

variable "region" {
  description = "Region of everything here, and of jobs that name none."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is \"${var.region}\"; it must be a region, as in europe-west1: a zone (europe-west1-b) or a continent (eu) cannot hold Cloud Run services."
  }
}

variable "tick" {
  description = "Times and limits of a tick. call_deadline < claim < settle_window is what keeps a launch from being sent twice."
  type = object({
    attempt_deadline_seconds = optional(number, 120) # Cloud Scheduler's patience
    budget_seconds           = optional(number, 50)  # after it a tick begins nothing new
    call_deadline_seconds    = optional(number, 30)  # of one call to Cloud Run
    calls_at_once            = optional(number, 16)
    claim_seconds            = optional(number, 60)  # how long a tick owns what it works on
    history_kept             = optional(number, 900) # executions that Cloud Run surely keeps of a job
    settle_window_seconds    = optional(number, 180) # after it, what Cloud Run accepted is surely listed
    timeout_seconds          = optional(number, 180) # of the service
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.tick.call_deadline_seconds > 0 && var.tick.call_deadline_seconds < var.tick.claim_seconds && var.tick.claim_seconds < var.tick.settle_window_seconds
    error_message = "tick has call_deadline_seconds ${var.tick.call_deadline_seconds}, claim_seconds ${var.tick.claim_seconds} and settle_window_seconds ${var.tick.settle_window_seconds}; each must be above the one before: a claim outlives its call, and the settle window outlives the claim."
  }

  validation {
    condition     = var.tick.budget_seconds >= 1 && var.tick.budget_seconds <= 1500 && var.tick.attempt_deadline_seconds >= 15 && var.tick.attempt_deadline_seconds <= 1800 && var.tick.timeout_seconds <= 3600
    error_message = "tick.budget_seconds must be from 1 to 1500, attempt_deadline_seconds from 15 to 1800 (what Cloud Scheduler takes) and timeout_seconds at most 3600 (what Cloud Run takes)."
  }

  validation {
    condition     = var.tick.calls_at_once >= 1 && var.tick.calls_at_once <= 100 && var.tick.history_kept >= 1 && var.tick.history_kept <= 1000
    error_message = "tick.calls_at_once must be from 1 to 100, and history_kept from 1 to 1000, what Cloud Run keeps of a job."
  }
}

variable "triggerers" {
  description = "IAM members that may start, cancel, pause, resume and retry runs."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.triggerers : can(regex("^(user|group|domain|serviceAccount|principal|principalSet):[^ ]+$", member))])
    error_message = "triggerers has ${join(", ", [for member in var.triggerers : "\"${member}\"" if !can(regex("^(user|group|domain|serviceAccount|principal|principalSet):[^ ]+$", member))])}; a member must be user:, group:, domain: or serviceAccount: and an address, or principal: or principalSet: and its path. allUsers and allAuthenticatedUsers are refused: no function is public."
  }
}

variable "wake_queue" {
  description = "Start triggered runs within seconds, by a Cloud Tasks queue that calls tick; without it they wait for the next full minute."
  type        = bool
  default     = true
  nullable    = false
}
