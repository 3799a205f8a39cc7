# The images that this environment runs. Owns their form only; their values come from images.auto.tfvars, which ovenbird writes.
# Invariant: nothing is planned with an id that no build has made.

variable "web_ami_id" {
  type        = string
  description = "AMI of the web servers."

  validation {
    condition     = can(regex("^ami-([0-9a-f]{8}|[0-9a-f]{17})$", var.web_ami_id))
    error_message = "The web_ami_id is not the id of an AMI. Run `ovenbird build`: it writes images.auto.tfvars."
  }
}

variable "api_ami_id" {
  type        = string
  description = "AMI of the API servers."

  validation {
    condition     = can(regex("^ami-([0-9a-f]{8}|[0-9a-f]{17})$", var.api_ami_id))
    error_message = "The api_ami_id is not the id of an AMI. Run `ovenbird build`: it writes images.auto.tfvars."
  }
}
