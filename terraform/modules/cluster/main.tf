# Three kinds of instances that find each other by Consul: servers, web, api. Owns the user data of each kind: all that differs between
# environments, the images being the same. Must not: make networks, load balancers, roles.
# Invariant: user data is made by one template a kind, and two environments with equal inputs get equal user data.

locals {
  name = "${var.environment}-${var.datacenter}"

  # Servers are found by a tag of their group, so nobody keeps a list of addresses.
  consul_tag = { consul = local.name }
  retry_join = coalesce(var.retry_join, ["provider=aws region=${var.region} tag_key=consul tag_value=${local.name}"])

  # An empty value would be a key that is there: what is not given is left out, and the image's default holds.
  more = merge(
    { AWS_REGION = var.region },
    { for name, value in {
      CONSUL_BIND_ADDR      = var.addresses.bind
      CONSUL_ADVERTISE_ADDR = var.addresses.advertise
      CONSUL_ADVERTISE_WAN  = var.addresses.advertise_wan
      LOG_COLLECTOR         = var.log_collector
    } : name => value if value != "" },
    var.variables,
  )

  shared = {
    environment = var.environment
    datacenter  = var.datacenter
    retry_join  = local.retry_join
    gossip_key  = var.gossip_key
    more        = local.more
    trusted_ca  = var.trusted_ca
    files = length(var.hosts) == 0 ? [] : [{
      path    = "/etc/hosts"
      append  = true
      content = join("", [for name, address in var.hosts : "${address} ${name}\n"])
    }]
  }

  user_data = {
    consul_server = templatefile("${path.module}/templates/consul_server.yml.tftpl", merge(local.shared, {
      bootstrap_expect = var.consul_servers
      retry_join_wan   = var.retry_join_wan
    }))
    web = templatefile("${path.module}/templates/web.yml.tftpl", merge(local.shared, { releases = var.releases }))
    api = templatefile("${path.module}/templates/api.yml.tftpl", merge(local.shared, { releases = var.releases }))
  }
}

module "consul_server" {
  source = "../single"

  name               = "${local.name}-consul"
  environment        = var.environment
  ami_id             = var.consul_server_ami_id
  min_size           = var.consul_servers
  max_size           = var.consul_servers
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  instance_profile   = var.instance_profile
  instance_type      = var.instance_type
  key_name           = var.key_name
  health_check_type  = "EC2"
  roll               = var.roll
  tags               = local.consul_tag
  user_data          = local.user_data.consul_server
}

module "web" {
  source = "../single"
  count  = var.web_ami_id == "" ? 0 : 1

  name                      = "${local.name}-web"
  environment               = var.environment
  ami_id                    = var.web_ami_id
  min_size                  = var.web_min_size
  max_size                  = var.web_max_size
  elb_name                  = var.web_elb_name
  subnet_ids                = var.subnet_ids
  security_group_ids        = var.security_group_ids
  instance_profile          = var.instance_profile
  instance_type             = var.instance_type
  key_name                  = var.key_name
  health_check_type         = var.web_elb_name == "" ? "EC2" : "ELB"
  health_check_grace_period = var.health_check_grace_period
  roll                      = var.roll
  user_data                 = local.user_data.web
}

module "api" {
  source = "../single"
  count  = var.api_ami_id == "" ? 0 : 1

  name               = "${local.name}-api"
  environment        = var.environment
  ami_id             = var.api_ami_id
  min_size           = var.api_min_size
  max_size           = var.api_max_size
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  instance_profile   = var.instance_profile
  instance_type      = var.instance_type
  key_name           = var.key_name
  health_check_type  = "EC2"
  roll               = var.roll
  user_data          = local.user_data.api
}
