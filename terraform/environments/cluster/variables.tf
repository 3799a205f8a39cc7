# What can be set of an environment. Values: ENVIRONMENT.tfvars, one file each; image ids in images.auto.tfvars, which ovenbird writes; the
# gossip key in TF_VAR_gossip_key and in no file. Owns their types; the module refuses what cannot be.

variable "environment" {
  type        = string
  description = "Name of the environment."
}

variable "datacenter" {
  type        = string
  description = "Consul's datacentre: one a region or cloud. `web.service.DATACENTER.consul` asks for it by name."
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
}

variable "log_collector" {
  type        = string
  default     = ""
  description = "`HOST:PORT` that logs are forwarded to; empty: they stay."
}

variable "clients" {
  type        = list(string)
  default     = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
  description = "Who may ask the web and API servers, and reach ssh: CIDR blocks."
}

variable "consul_peers" {
  type        = list(string)
  default     = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
  description = "Who may speak to Consul: this network, and the public addresses of the other datacentres' instances. CIDR blocks."
}

variable "instance_profile" {
  type        = string
  default     = null
  description = "Name of an IAM instance profile with `ec2:DescribeInstances`, and `s3:GetObject` below `releases`; default: one that is made here and has no permissions yet."
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
