# Two load balancers, live and test, as classic ones or, with balancer = "application", as ALBs with a target group each.
# Invariant: they answer to the same names in the tfvars either way.

locals {
  names       = toset(["elb-prd", "elb-test"])
  classic     = var.balancer == "classic" ? local.names : toset([])
  application = var.balancer == "application" ? local.names : toset([])
}

resource "aws_elb" "web" {
  for_each = local.classic

  name                        = each.key
  subnets                     = data.aws_subnets.all.ids
  security_groups             = [aws_security_group.web.id]
  connection_draining         = true
  connection_draining_timeout = var.draining_timeout

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

resource "aws_lb" "web" {
  for_each = local.application

  name            = each.key
  subnets         = data.aws_subnets.all.ids
  security_groups = [aws_security_group.web.id]
}

resource "aws_lb_target_group" "web" {
  for_each = local.application

  name                 = each.key
  port                 = 80
  protocol             = "HTTP"
  vpc_id               = data.aws_vpc.default.id
  deregistration_delay = var.draining_timeout

  health_check {
    path                = "/health"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "web" {
  for_each = local.application

  load_balancer_arn = aws_lb.web[each.key].arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.web[each.key].arn
  }
}
