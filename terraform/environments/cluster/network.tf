# What the groups of one environment stand in: the default network, a security group, an instance profile, the load balancer of the web
# servers. All are named by environment and datacentre, so that several fit into one account.

locals {
  name = "${var.environment}-${var.datacenter}"
}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "all" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_security_group" "cluster" {
  name        = "${local.name}-cluster"
  description = "Consul among each other, HTTP from within"
  vpc_id      = data.aws_vpc.default.id

  ingress {
    description = "HTTP"
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = var.clients
  }

  ingress {
    description = "The API"
    from_port   = 8080
    to_port     = 8080
    protocol    = "tcp"
    cidr_blocks = var.clients
  }

  ingress {
    description = "Consul: RPC and gossip"
    from_port   = 8300
    to_port     = 8302
    protocol    = "tcp"
    cidr_blocks = var.consul_peers
  }

  ingress {
    description = "Consul: gossip"
    from_port   = 8301
    to_port     = 8302
    protocol    = "udp"
    cidr_blocks = var.consul_peers
  }

  ingress {
    description = "ssh, for deployments and configuration"
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
    cidr_blocks = var.clients
  }

  egress {
    description = "All"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

# Has no permissions by itself: what instances may do is attached by whoever owns the account's policies (see ../README.md).
resource "aws_iam_role" "cluster" {
  name               = "${local.name}-cluster"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }] })
}

resource "aws_iam_instance_profile" "cluster" {
  name = "${local.name}-cluster"
  role = aws_iam_role.cluster.name
}

resource "aws_elb" "web" {
  name                        = "${local.name}-web"
  subnets                     = data.aws_subnets.all.ids
  security_groups             = [aws_security_group.cluster.id]
  connection_draining         = true
  connection_draining_timeout = 30

  listener {
    instance_port     = 80
    instance_protocol = "http"
    lb_port           = 80
    lb_protocol       = "http"
  }

  health_check {
    target              = "HTTP:80/health"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}
