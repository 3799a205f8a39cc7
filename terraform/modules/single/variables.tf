# The inputs. Owns their types, defaults and what is refused. Invariant: what passes here can be planned.

variable "name" {
  type        = string
  description = "Name of the fleet and of its group."

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9-]{0,47}$", var.name))
    error_message = "The name must begin with a letter and hold only letters, digits and hyphens, 48 at most."
  }
}

variable "environment" {
  type        = string
  description = "Name of the environment, for tags and user data."
}

variable "ami_id" {
  type        = string
  description = "The image."

  validation {
    condition     = can(regex("^ami-([0-9a-f]{8}|[0-9a-f]{17})$", var.ami_id))
    error_message = "The ami_id is not the id of an AMI."
  }
}

variable "min_size" {
  type        = number
  description = "Instances at least."
}

variable "max_size" {
  type        = number
  description = "Instances at most."

  validation {
    condition     = var.min_size >= 0 && var.max_size >= var.min_size && floor(var.min_size) == var.min_size && floor(var.max_size) == var.max_size
    error_message = "The sizes must be whole numbers with 0 <= min_size <= max_size."
  }
}

variable "elb_name" {
  type        = string
  default     = ""
  description = "Name of a classic load balancer; `\"\"` for none."
}

variable "target_group_arns" {
  type        = list(string)
  default     = []
  description = "Target groups of load balancers of version 2."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets that instances start in, one or more availability zones."

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "At least one subnet is needed."
  }
}

variable "security_group_ids" {
  type        = list(string)
  description = "Security groups of the instances."
}

variable "instance_profile" {
  type        = string
  description = "Name of the instances' IAM instance profile."
}

variable "instance_type" {
  type        = string
  default     = "t3.small"
  description = "Type of the instances; its architecture must be the AMI's."
}

variable "key_name" {
  type        = string
  default     = null
  description = "Name of an EC2 key pair for ssh; none by default."
}

variable "user_data_template" {
  type        = string
  default     = null
  description = "Path of a template for the user data, given `environment` and `variables`; default: the module's `user_data.yml.tftpl`, which writes them to /etc/default/instance."
}

variable "user_data" {
  type        = string
  default     = null
  description = "The user data itself, in place of a template and `variables`."
}

variable "variables" {
  type        = map(string)
  default     = {}
  description = "The environment's variables, for the user data. No secrets: user data can be read by whoever may describe the instance."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of the instances and volumes, beside Name and environment. The provider's default_tags do not reach them."
}

variable "health_check_type" {
  type        = string
  default     = "ELB"
  description = "`ELB`: an instance that its load balancer finds unhealthy is replaced; `EC2`: only one that died."

  validation {
    condition     = contains(["ELB", "EC2"], var.health_check_type)
    error_message = "The health_check_type must be ELB or EC2."
  }
}

variable "health_check_grace_period" {
  type        = number
  default     = 300
  description = "Seconds after its start in which an instance is not replaced for being unhealthy."
}

variable "roll" {
  type        = bool
  default     = true
  description = "Replace the instances when the launch template changes, a few at a time, with 90 % of them in service; `false`: only instances that start from then on have the new image."
}
