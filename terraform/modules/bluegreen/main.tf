# Two launch templates and two groups. Owns what an instance is and which load balancer its group is on.
# Must not: set desired_capacity (a later apply would reset a group that was scaled out) or wait for capacity (on sizes 0/0 the
# provider waits for the number of before, and fails). Invariant: a value of one colour changes nothing of the other.

locals {
  # Of all that is written to `elb_name`, what is a target group, and the rest.
  balancers = {
    for colour, name in { blue = var.blue.elb_name, green = var.green.elb_name } : colour => {
      classic                  = [for one in compact([name]) : one if !contains(keys(var.target_groups), one)]
      target_groups            = [for one in compact([name]) : var.target_groups[one] if contains(keys(var.target_groups), one)]
    }
  }

  tags = {
    for colour in ["blue", "green"] : colour => merge(var.tags, {
      Name        = "${var.name}-${colour}"
      environment = var.environment
      colour      = colour
    })
  }

  user_data = {
    for colour in ["blue", "green"] : colour => base64encode(templatefile(coalesce(var.user_data_template, "${path.module}/user_data.yml.tftpl"), {
      environment = var.environment
      colour      = colour
      variables   = var.variables
    }))
  }
}

resource "aws_launch_template" "blue" {
  name_prefix            = "${var.name}-blue-"
  image_id               = var.blue.ami_id
  instance_type          = var.instance_type
  key_name               = var.key_name
  user_data              = local.user_data.blue
  vpc_security_group_ids = var.security_group_ids

  iam_instance_profile {
    name = var.instance_profile
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  tag_specifications {
    resource_type = "instance"
    tags          = local.tags.blue
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags.blue
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_launch_template" "green" {
  name_prefix            = "${var.name}-green-"
  image_id               = var.green.ami_id
  instance_type          = var.instance_type
  key_name               = var.key_name
  user_data              = local.user_data.green
  vpc_security_group_ids = var.security_group_ids

  iam_instance_profile {
    name = var.instance_profile
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  tag_specifications {
    resource_type = "instance"
    tags          = local.tags.green
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags.green
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_autoscaling_group" "blue" {
  name                      = "${var.name}-blue"
  min_size                  = var.blue.min_size
  max_size                  = var.blue.max_size
  vpc_zone_identifier       = var.subnet_ids
  load_balancers            = local.balancers.blue.classic
  target_group_arns         = local.balancers.blue.target_groups
  health_check_type         = var.health_check_type
  health_check_grace_period = var.health_check_grace_period
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.blue.id
    version = aws_launch_template.blue.latest_version
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_autoscaling_group" "green" {
  name                      = "${var.name}-green"
  min_size                  = var.green.min_size
  max_size                  = var.green.max_size
  vpc_zone_identifier       = var.subnet_ids
  load_balancers            = local.balancers.green.classic
  target_group_arns         = local.balancers.green.target_groups
  health_check_type         = var.health_check_type
  health_check_grace_period = var.health_check_grace_period
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.green.id
    version = aws_launch_template.green.latest_version
  }

  lifecycle {
    create_before_destroy = true
  }
}
