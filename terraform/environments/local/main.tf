# The environment of the demo and the tests: the modules of staging and production against a local EC2, in its default network, with
# load balancers of its own. Must not: reach an account; the keys are good for nothing there.
#
#   tests/cloud/local-ec2 run -- terraform -chdir=terraform/environments/local apply -var-file=variables.tfvars

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

provider "aws" {
  region     = var.region
  access_key = "test"
  secret_key = "test"

  # What the real provider would ask of an account before anything else.
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true

  default_tags {
    tags = { environment = "local" }
  }
}

module "web" {
  source = "../../modules/bluegreen"

  name        = "local-web"
  environment = "local"

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

  target_groups             = { for name, one in aws_lb_target_group.web : name => one.arn }
  subnet_ids                = data.aws_subnets.all.ids
  security_group_ids        = [aws_security_group.web.id]
  instance_profile          = aws_iam_instance_profile.web.name
  codedeploy_role_arn       = aws_iam_role.codedeploy.arn
  health_check_grace_period = var.health_check_grace_period
  variables                 = { CONSUL_SERVER = "consul.local" }

  # A group can only be put on a load balancer that listens.
  depends_on = [aws_elb.web, aws_lb_listener.web]
}

# None before its image was built.
module "api" {
  source = "../../modules/single"
  count  = var.api_ami_id == "" ? 0 : 1

  name               = "local-api"
  environment        = "local"
  ami_id             = var.api_ami_id
  min_size           = 1
  max_size           = 1
  subnet_ids         = data.aws_subnets.all.ids
  security_group_ids = [aws_security_group.web.id]
  instance_profile   = aws_iam_instance_profile.web.name
  roll               = false # the local EC2 has no instance refresh
}
