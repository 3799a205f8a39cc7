# One environment: the web fleet in two colours, and the api as a single group. staging/ and production/ hold the same code; only
# their tfvars differ, and `make test` compares them. Must not: make networks, load balancers, roles; those are given by name or id.

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

module "web" {
  source = "../../modules/bluegreen"

  name        = "${var.environment}-web"
  environment = var.environment

  blue = {
    ami_id   = var.blue_ami_id
    min_size = var.blue_min_size
    max_size = var.blue_max_size
    elb_name = var.blue_elb_name
  }

  green = {
    ami_id   = var.green_ami_id
    min_size = var.green_min_size
    max_size = var.green_max_size
    elb_name = var.green_elb_name
  }

  target_groups       = var.target_groups
  instance_type       = var.instance_type
  subnet_ids          = var.subnet_ids
  security_group_ids  = var.security_group_ids
  instance_profile    = var.instance_profile
  codedeploy_role_arn = var.codedeploy_role_arn
  variables           = var.variables
}

# None before its image was built.
module "api" {
  source = "../../modules/single"
  count  = var.api_ami_id == "" ? 0 : 1

  name               = "${var.environment}-api"
  environment        = var.environment
  ami_id             = var.api_ami_id
  min_size           = var.api_min_size
  max_size           = var.api_max_size
  elb_name           = var.api_elb_name
  instance_type      = var.instance_type
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  instance_profile   = var.instance_profile
  variables          = var.variables
}
