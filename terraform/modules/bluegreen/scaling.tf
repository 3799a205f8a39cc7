# Scaling by CPU, the same for both colours. Must not: decide sizes; those are min_size and max_size.
# Invariant: an idle colour (0/0) has its alarms too, which then find no data and do nothing.

locals {
  groups = {
    blue  = aws_autoscaling_group.blue.name
    green = aws_autoscaling_group.green.name
  }
}

resource "aws_autoscaling_policy" "out" {
  for_each = local.groups

  name                   = "${var.name}-${each.key}-out"
  autoscaling_group_name = each.value
  adjustment_type        = "ChangeInCapacity"
  scaling_adjustment     = var.scale_out.add
  cooldown               = var.scale_out.cooldown
}

resource "aws_autoscaling_policy" "in" {
  for_each = local.groups

  name                   = "${var.name}-${each.key}-in"
  autoscaling_group_name = each.value
  adjustment_type        = "ChangeInCapacity"
  scaling_adjustment     = -var.scale_in.remove
  cooldown               = var.scale_in.cooldown
}

resource "aws_cloudwatch_metric_alarm" "cpu_high" {
  for_each = local.groups

  alarm_name          = "${var.name}-${each.key}-cpu-high"
  alarm_description   = "Average CPU above ${var.scale_out.above} %: ${var.scale_out.add} more instances."
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  statistic           = "Average"
  dimensions          = { AutoScalingGroupName = each.value }
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.scale_out.above
  period              = var.scale_out.period
  evaluation_periods  = var.scale_out.evaluation_periods
  alarm_actions       = [aws_autoscaling_policy.out[each.key].arn]
}

resource "aws_cloudwatch_metric_alarm" "cpu_low" {
  for_each = local.groups

  alarm_name          = "${var.name}-${each.key}-cpu-low"
  alarm_description   = "Average CPU below ${var.scale_in.below} %: ${var.scale_in.remove} fewer instances."
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  statistic           = "Average"
  dimensions          = { AutoScalingGroupName = each.value }
  comparison_operator = "LessThanThreshold"
  threshold           = var.scale_in.below
  period              = var.scale_in.period
  evaluation_periods  = var.scale_in.evaluation_periods
  alarm_actions       = [aws_autoscaling_policy.in[each.key].arn]
}
