# The small example: a base image and two apps on it. `make demo` runs it on a local EC2.
# Owns what is built from what; which source AMI that is stands in ovenbird.lock, written by `ovenbird update`.

pipeline "example" {
  region = "ap-northeast-1"
  tags   = { example = "true" }
}

tools {
  packer       = "~> 1.15"
  ansible_core = "~> 2.19.0"
}

builder {
  instance_type         = "t3.small"
  polling_delay_seconds = 2 # a local EC2 is quick; 15 is right for Amazon's
}

variable "greeting" { default = "Hello" }

source "debian_12" {
  ami "x86_64" {
    owners = ["136693071363"]
    name   = "debian-12-amd64-*"
  }
  docker       = "ovenbird-base/debian:12"
  ssh_username = "admin"
}

stage "base" {
  from      = source.debian_12
  playbook  = "ansible/base.yml"
  freshness = "7d"
}

stage "web" {
  from     = stage.base
  playbook = "ansible/web.yml"
  groups   = ["web"]
  vars     = { nginx_greeting = var.greeting }
  verify   = "ansible/verify/web.yml"
}

stage "api" {
  from     = stage.base
  playbook = "ansible/api.yml"
  vars     = { api_greeting = var.greeting }
}

emit "terraform/environments/local/images.auto.tfvars" {
  web_ami_id = stage.web.id
  api_ami_id = stage.api.id
}
