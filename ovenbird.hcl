# The images of a shop: a base with Consul's agent, web and api servers on it, and Consul's servers. One AMI of each for every
# environment; what an environment is comes at boot. Owns what is built from what; the roles are ansible/'s, the pins ovenbird.lock's.
# The pipeline to begin with is examples/small.

pipeline "shop" {
  region = "ap-northeast-1"
  tags   = { pipeline = "shop" }
}

tools {
  packer       = "~> 1.15"
  ansible_core = "~> 2.19.0"
}

builder {
  instance_type         = "t3.small"
  polling_delay_seconds = 2 # a local EC2 is quick; 15 is right for Amazon's
}

# Downloads are taken from here and must have these checksums (`sha256:…`). They have no default that could be checked by this
# repository: they stand in the vendor's SHA256SUMS, and a role refuses to go on without one.
variable "releases_url" { default = "https://releases.hashicorp.com" }
variable "consul_checksum" { default = "" }
variable "consul_template_checksum" { default = "" }
variable "stretcher_url" { default = "https://github.com/fujiwara/stretcher/releases/download/v2.0.0/stretcher_v2.0.0_linux_amd64.tar.gz" }
variable "stretcher_checksum" { default = "" }

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
  vars = {
    consul_releases_url          = var.releases_url
    consul_checksum              = var.consul_checksum
    consul_template_releases_url = var.releases_url
    consul_template_checksum     = var.consul_template_checksum
  }
  verify = "ansible/verify/base.yml"
  dry_run { idempotent = true }
}

stage "web" {
  from     = stage.base
  playbook = "ansible/web.yml"
  groups   = ["web"]
  vars     = { stretcher_url = var.stretcher_url, stretcher_checksum = var.stretcher_checksum }
  verify   = "ansible/verify/web.yml"
  dry_run { idempotent = true }
}

stage "api" {
  from     = stage.base
  playbook = "ansible/api.yml"
  groups   = ["api"]
  vars     = { stretcher_url = var.stretcher_url, stretcher_checksum = var.stretcher_checksum }
  verify   = "ansible/verify/api.yml"
  dry_run { idempotent = true }
}

stage "consul_server" {
  from     = stage.base
  playbook = "ansible/consul_server.yml"
  groups   = ["consul_server"]
  vars     = { consul_releases_url = var.releases_url, consul_checksum = var.consul_checksum }
  verify   = "ansible/verify/consul_server.yml"
  dry_run { idempotent = true }
}

emit "terraform/environments/cluster/images.auto.tfvars" {
  web_ami_id           = stage.web.id
  api_ami_id           = stage.api.id
  consul_server_ami_id = stage.consul_server.id
}
