# A whole environment whose instances find each other by Consul: servers, web behind a load balancer, api. One folder for all of them,
# what differs stands in ENVIRONMENT.tfvars; a workspace each keeps their states apart. Must not: hold a value of one environment.
#
#   terraform workspace select -or-create production
#   terraform apply -var-file=production.tfvars        # with TF_VAR_gossip_key in the environment

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }

  # A team keeps its state in one place, with a lock: put your `backend "s3"` here.
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { environment = var.environment }
  }
}

module "cluster" {
  source = "../../modules/cluster"

  environment = var.environment
  datacenter  = var.datacenter
  region      = var.region

  consul_server_ami_id = var.consul_server_ami_id
  consul_servers       = var.consul_servers
  web_ami_id           = var.web_ami_id
  web_min_size         = var.web_min_size
  web_max_size         = var.web_max_size
  web_elb_name         = aws_elb.web.name
  api_ami_id           = var.api_ami_id
  api_min_size         = var.api_min_size
  api_max_size         = var.api_max_size

  gossip_key     = var.gossip_key
  retry_join     = var.retry_join
  retry_join_wan = var.retry_join_wan
  addresses      = var.addresses
  releases       = var.releases
  log_collector  = var.log_collector

  subnet_ids         = data.aws_subnets.all.ids
  security_group_ids = [aws_security_group.cluster.id]
  instance_profile   = coalesce(var.instance_profile, aws_iam_instance_profile.cluster.name)
  key_name           = var.key_name
  roll               = var.roll

  health_check_grace_period = var.health_check_grace_period

  variables  = var.variables
  hosts      = var.hosts
  trusted_ca = var.trusted_ca
}
