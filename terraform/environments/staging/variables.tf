# What differs between environments. Values: the eight of the swap in variables.tfvars, which `ovenbird swap` edits; image ids in
# images.auto.tfvars, which ovenbird writes; the rest in terraform.tfvars. Owns their types; the modules refuse what cannot be.

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

variable "api_min_size" {
  type        = number
  description = "API servers at least."
  default     = 1
}

variable "api_max_size" {
  type        = number
  description = "API servers at most."
  default     = 2
}

variable "api_elb_name" {
  type        = string
  description = "Classic load balancer of the API servers; `\"\"` for none."
  default     = ""
}

variable "region" {
  type        = string
  description = "The region."
}

variable "environment" {
  type        = string
  description = "Name of the environment: in the names of everything, in tags, in user data."
}

variable "target_groups" {
  type        = map(string)
  description = "For load balancers of version 2: what an `…_elb_name` says → ARN of a target group."
  default     = {}
}

variable "instance_type" {
  type        = string
  description = "Type of all instances."
  default     = "t3.small"
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets of the instances."
}

variable "security_group_ids" {
  type        = list(string)
  description = "Security groups of the instances."
}

variable "instance_profile" {
  type        = string
  description = "Name of the instances' IAM instance profile."
}

variable "codedeploy_role_arn" {
  type        = string
  description = "ARN of CodeDeploy's service role."
}

variable "variables" {
  type        = map(string)
  description = "What an instance of this environment is told at its start; no secrets."
  default     = {}
}
