# The inputs. Owns their types, defaults and what is refused. Invariant: what passes here can be planned.

variable "environment" {
  type        = string
  description = "Name of the environment."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "The environment must begin with a lowercase letter and hold only lowercase letters, digits and hyphens, 20 at most."
  }
}

variable "datacenter" {
  type        = string
  description = "Consul's datacentre: one a region or cloud. `web.service.DATACENTER.consul` asks for it by name."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.datacenter))
    error_message = "The datacenter must begin with a lowercase letter and hold only lowercase letters, digits and hyphens, 20 at most."
  }
}

variable "region" {
  type        = string
  description = "The region."
}

variable "consul_server_ami_id" {
  type        = string
  description = "Image of the Consul servers."
}

variable "consul_servers" {
  type        = number
  default     = 3
  description = "Consul servers: an odd number. One that is lost can be survived from three on."

  validation {
    condition     = contains([1, 3, 5, 7], var.consul_servers)
    error_message = "There must be 1, 3, 5 or 7 Consul servers."
  }
}

variable "web_ami_id" {
  type        = string
  default     = ""
  description = "Image of the web servers; `\"\"`: there are none."
}

variable "web_min_size" {
  type        = number
  default     = 1
  description = "Web servers at least."
}

variable "web_max_size" {
  type        = number
  default     = 2
  description = "Web servers at most."
}

variable "web_elb_name" {
  type        = string
  default     = ""
  description = "Classic load balancer of the web servers; `\"\"` for none."
}

variable "api_ami_id" {
  type        = string
  default     = ""
  description = "Image of the API servers; `\"\"`: there are none."
}

variable "api_min_size" {
  type        = number
  default     = 1
  description = "API servers at least."
}

variable "api_max_size" {
  type        = number
  default     = 2
  description = "API servers at most."
}

variable "gossip_key" {
  type        = string
  sensitive   = true
  description = "Consul's gossip key (`consul keygen`). It reaches instances in their user data, so whoever may describe these reads it; and it is in Terraform's state."

  validation {
    condition     = can(regex("^[A-Za-z0-9+/]{43}=$|^[A-Za-z0-9+/]{32}$|^[A-Za-z0-9+/]{22}==$", var.gossip_key))
    error_message = "The gossip_key must be 16, 24 or 32 bytes in base64."
  }
}

variable "retry_join" {
  type        = list(string)
  default     = null
  description = "Addresses of Consul servers, or `provider=…` lines; default: those with this cluster's tag."
}

variable "retry_join_wan" {
  type        = list(string)
  default     = []
  description = "Consul servers of other datacentres, for the servers of this one: addresses, or `provider=… addr_type=public_v4` lines."
}

variable "addresses" {
  type = object({
    bind          = optional(string, "")
    advertise     = optional(string, "")
    advertise_wan = optional(string, "")
  })
  default     = {}
  description = "What Consul binds to and tells others, as addresses or go-sockaddr templates; empty: the image's defaults. `advertise_wan` is what other datacentres get."
}

variable "releases" {
  type        = string
  description = "Where releases of the app are: `s3://BUCKET/PREFIX`."

  validation {
    condition     = can(regex("^s3://[a-z0-9.-]+/[^ ]*[^/ ]$", var.releases))
    error_message = "The releases must be s3://BUCKET/PREFIX without a slash at its end."
  }
}

variable "log_collector" {
  type        = string
  default     = ""
  description = "`HOST:PORT` that logs are forwarded to; empty: they stay."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets that instances start in, one or more availability zones."
}

variable "security_group_ids" {
  type        = list(string)
  description = "Security groups of the instances: Consul's ports (8300 to 8302) among each other, 80 and 8080 for those who ask."
}

variable "instance_profile" {
  type        = string
  description = "Name of the instances' IAM instance profile: `ec2:DescribeInstances`, and `s3:GetObject` below `releases`."
}

variable "instance_type" {
  type        = string
  default     = "t3.small"
  description = "Type of the instances; its architecture must be the AMIs'."
}

variable "key_name" {
  type        = string
  default     = null
  description = "Name of an EC2 key pair for ssh; none by default."
}

variable "health_check_grace_period" {
  type        = number
  default     = 300
  description = "Seconds after its start in which a web server is not replaced for being unhealthy."
}

variable "roll" {
  type        = bool
  default     = true
  description = "Replace the instances when their launch template changes, a few at a time; `false`: only instances that start from then on have the new one."
}

variable "variables" {
  type        = map(string)
  default     = {}
  description = "Further lines of /etc/instance/environment. For a cloud that is not Amazon's: AWS_ENDPOINT_URL, and keys where there is no instance profile."

  validation {
    condition     = alltrue([for name, value in var.variables : can(regex("^[A-Z][A-Z0-9_]*$", name)) && !strcontains(value, "\n")])
    error_message = "The variables must have names of capital letters, digits and underscores, and values of one line."
  }
}

variable "hosts" {
  type        = map(string)
  default     = {}
  description = "Name → address for /etc/hosts. For a cloud that is not Amazon's, whose API has another address."
}

variable "trusted_ca" {
  type        = list(string)
  default     = []
  description = "CA certificates (PEM) that instances trust beside the distribution's."
}
