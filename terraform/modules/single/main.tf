# One launch template and one group. Owns what an instance is and how a new image reaches those that run.
# Must not: set desired_capacity (a later apply would reset a group that was scaled out).

resource "aws_launch_template" "this" {
  name_prefix            = "${var.name}-"
  image_id               = var.ami_id
  instance_type          = var.instance_type
  key_name               = var.key_name
  vpc_security_group_ids = var.security_group_ids

  user_data = base64encode(var.user_data != null ? var.user_data : templatefile(coalesce(var.user_data_template, "${path.module}/user_data.yml.tftpl"), {
    environment = var.environment
    variables   = var.variables
  }))

  iam_instance_profile {
    name = var.instance_profile
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = var.name, environment = var.environment })
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_autoscaling_group" "this" {
  name                      = var.name
  min_size                  = var.min_size
  max_size                  = var.max_size
  vpc_zone_identifier       = var.subnet_ids
  load_balancers            = compact([var.elb_name])
  target_group_arns         = var.target_group_arns
  health_check_type         = var.health_check_type
  health_check_grace_period = var.health_check_grace_period
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  dynamic "instance_refresh" {
    for_each = var.roll ? ["on"] : []

    content {
      strategy = "Rolling"

      preferences {
        min_healthy_percentage = 90
      }
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}
