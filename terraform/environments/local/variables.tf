# What can be set of this environment. Values: the eight of the swap in variables.tfvars, which `ovenbird swap` edits; image ids in
# images.auto.tfvars, which ovenbird writes. Owns their types; the modules refuse what cannot be.

variable "blue_ami_id" {
  type        = string
  description = "Image of the blue group."
}

variable "blue_min_size" {
  type        = number
  description = "Instances at least, of the blue group."
}

variable "blue_max_size" {
  type        = number
  description = "Instances at most, of the blue group."
}

variable "blue_elb_name" {
  type        = string
  description = "Load balancer of the blue group; `\"\"` for none."
}

variable "green_ami_id" {
  type        = string
  description = "Image of the green group."
}

variable "green_min_size" {
  type        = number
  description = "Instances at least, of the green group."
}

variable "green_max_size" {
  type        = number
  description = "Instances at most, of the green group."
}

variable "green_elb_name" {
  type        = string
  description = "Load balancer of the green group; `\"\"` for none."
}

variable "web_ami_id" {
  type        = string
  description = "The newest image of the web servers: what the next swap takes into service. Which one serves, blue and green say."
  default     = ""
}

variable "api_ami_id" {
  type        = string
  description = "Image of the API servers; `\"\"`: there are none yet."
  default     = ""
}

variable "region" {
  type        = string
  description = "A region of the local EC2."
  default     = "ap-northeast-1"
}

variable "balancer" {
  type        = string
  description = "`classic`, or `application` for ALBs with target groups."
  default     = "classic"

  validation {
    condition     = contains(["classic", "application"], var.balancer)
    error_message = "The balancer must be classic or application."
  }
}

variable "draining_timeout" {
  type        = number
  description = "Seconds that a load balancer lets requests end before it takes an instance off."
  default     = 30
}

variable "health_check_grace_period" {
  type        = number
  description = "Seconds after its start in which an instance is not replaced for being unhealthy."
  default     = 300
}
