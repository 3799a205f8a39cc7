# The inputs. Owns their types, defaults and what is refused. Invariant: what passes here can be planned.

variable "name" {
  type        = string
  description = "Name of the fleet. Groups are called after it: `<name>-blue` and `<name>-green`."

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9-]{0,47}$", var.name))
    error_message = "The name must begin with a letter and hold only letters, digits and hyphens, 48 at most."
  }
}

variable "environment" {
  type        = string
  description = "Name of the environment, for tags and user data."
}

variable "blue" {
  type        = object({ ami_id = string, min_size = number, max_size = number, elb_name = string })
  description = "The blue group: its image, its sizes, and the load balancer it is on (`\"\"` for none)."

  validation {
    condition     = can(regex("^ami-([0-9a-f]{8}|[0-9a-f]{17})$", var.blue.ami_id))
    error_message = "The ami_id of blue is not the id of an AMI."
  }

  validation {
    condition     = var.blue.min_size >= 0 && var.blue.max_size >= var.blue.min_size && floor(var.blue.min_size) == var.blue.min_size && floor(var.blue.max_size) == var.blue.max_size
    error_message = "The sizes of blue must be whole numbers with 0 <= min_size <= max_size."
  }

  validation {
    condition     = var.blue.elb_name == "" || contains(keys(var.target_groups), var.blue.elb_name) || can(regex("^[0-9A-Za-z]([0-9A-Za-z-]{0,30}[0-9A-Za-z])?$", var.blue.elb_name))
    error_message = "The elb_name of blue is neither \"\", nor a key of target_groups, nor a name that a classic load balancer can have (letters, digits and hyphens)."
  }
}

variable "green" {
  type        = object({ ami_id = string, min_size = number, max_size = number, elb_name = string })
  description = "The green group, as `blue`."

  validation {
    condition     = can(regex("^ami-([0-9a-f]{8}|[0-9a-f]{17})$", var.green.ami_id))
    error_message = "The ami_id of green is not the id of an AMI."
  }

  validation {
    condition     = var.green.min_size >= 0 && var.green.max_size >= var.green.min_size && floor(var.green.min_size) == var.green.min_size && floor(var.green.max_size) == var.green.max_size
    error_message = "The sizes of green must be whole numbers with 0 <= min_size <= max_size."
  }

  validation {
    condition     = var.green.elb_name == "" || contains(keys(var.target_groups), var.green.elb_name) || can(regex("^[0-9A-Za-z]([0-9A-Za-z-]{0,30}[0-9A-Za-z])?$", var.green.elb_name))
    error_message = "The elb_name of green is neither \"\", nor a key of target_groups, nor a name that a classic load balancer can have (letters, digits and hyphens)."
  }
}

variable "target_groups" {
  type        = map(string)
  default     = {}
  description = "For load balancers of version 2: what `elb_name` says → ARN of a target group. Names that are no key here are classic load balancers."
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

variable "codedeploy_role_arn" {
  type        = string
  description = "ARN of the service role that CodeDeploy works with."
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
  description = "Path of a template for the user data, given `environment`, `colour` and `variables`; default: the module's `user_data.yml.tftpl`, which writes them to /etc/default/instance."
}

variable "variables" {
  type        = map(string)
  default     = {}
  description = "The environment's variables, for the user data. No secrets: user data can be read by whoever may describe the instance."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of the instances and volumes, beside Name, environment and colour. The provider's default_tags do not reach them."
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

variable "deployment_config" {
  type        = string
  default     = "CodeDeployDefault.OneAtATime"
  description = "Name of the CodeDeploy configuration: how many instances at once."
}

variable "scale_out" {
  type = object({
    above              = optional(number, 50)
    add                = optional(number, 3)
    period             = optional(number, 60)
    evaluation_periods = optional(number, 2)
    cooldown           = optional(number, 300)
  })
  default     = {}
  description = "When the group grows: average CPU in percent, instances to add, seconds of a period, periods in a row, seconds until the next time."

  validation {
    condition     = var.scale_out.add > 0 && var.scale_out.above > var.scale_in.below
    error_message = "The scale_out must add at least one instance, and its threshold be above the one of scale_in."
  }
}

variable "scale_in" {
  type = object({
    below              = optional(number, 20)
    remove             = optional(number, 1)
    period             = optional(number, 60)
    evaluation_periods = optional(number, 10)
    cooldown           = optional(number, 300)
  })
  default     = {}
  description = "When the group shrinks, as `scale_out`."

  validation {
    condition     = var.scale_in.remove > 0
    error_message = "The scale_in must remove at least one instance."
  }
}
