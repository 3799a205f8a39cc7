# What the module plans from the eight values. Needs no account: the provider is mocked, its schemas are real.

mock_provider "aws" {
  # OpenTofu makes values up at plan already, and the provider's own rules hold for them.
  mock_resource "aws_launch_template" {
    defaults = {
      id             = "lt-0123456789abcdef0"
      latest_version = 1
    }
  }
}

variables {
  name                = "shop"
  environment         = "staging"
  blue                = { ami_id = "ami-0aaaaaaaaaaaaaaa1", min_size = "2", max_size = "4", elb_name = "elb-prd" }
  green               = { ami_id = "ami-0aaaaaaaaaaaaaaa1", min_size = "0", max_size = "0", elb_name = "elb-test" }
  subnet_ids          = ["subnet-1", "subnet-2"]
  security_group_ids  = ["sg-1"]
  instance_profile    = "web"
  codedeploy_role_arn = "arn:aws:iam::123456789012:role/codedeploy"
  variables           = { CONSUL_SERVER = "consul.internal" }
}

run "each_colour_has_its_own_size_and_load_balancer" {
  command = plan

  assert {
    condition     = aws_autoscaling_group.blue.min_size == 2 && aws_autoscaling_group.blue.max_size == 4 && aws_autoscaling_group.green.max_size == 0
    error_message = "Sizes are not those of the variables."
  }

  assert {
    condition     = aws_autoscaling_group.blue.load_balancers == toset(["elb-prd"]) && aws_autoscaling_group.green.load_balancers == toset(["elb-test"])
    error_message = "Load balancers are not those of the variables."
  }

  assert {
    condition     = length(aws_autoscaling_group.blue.target_group_arns) + length(aws_autoscaling_group.green.target_group_arns) == 0
    error_message = "A classic load balancer was taken for a target group."
  }

  assert {
    condition     = aws_launch_template.blue.image_id == "ami-0aaaaaaaaaaaaaaa1" && aws_launch_template.blue.metadata_options[0].http_tokens == "required"
    error_message = "The launch template has another image, or allows IMDSv1."
  }

  assert {
    condition     = output.groups == { blue = "shop-blue", green = "shop-green" }
    error_message = "The groups are not called after fleet and colour."
  }
}

run "terraform_neither_waits_for_capacity_nor_sets_it" {
  command = plan

  assert {
    condition     = alltrue([for one in [aws_autoscaling_group.blue, aws_autoscaling_group.green] : one.wait_for_capacity_timeout == "0" && one.min_elb_capacity == null && one.wait_for_elb_capacity == null])
    error_message = "A wait for capacity makes the last step of a swap fail."
  }
}

run "no_load_balancer_is_an_empty_set" {
  command = plan

  variables {
    green = { ami_id = "ami-0aaaaaaaaaaaaaaa2", min_size = 2, max_size = 4, elb_name = "" }
  }

  assert {
    condition     = length(aws_autoscaling_group.green.load_balancers) == 0
    error_message = "An empty name is not no name."
  }

  assert {
    condition     = aws_launch_template.green.image_id == "ami-0aaaaaaaaaaaaaaa2" && aws_launch_template.blue.image_id == "ami-0aaaaaaaaaaaaaaa1"
    error_message = "Green's image reached blue."
  }
}

run "a_name_in_target_groups_is_a_target_group" {
  command = plan

  variables {
    target_groups = {
      elb-prd = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/prd/1"
      elb-one = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/one/1"
    }
  }

  assert {
    condition     = aws_autoscaling_group.blue.target_group_arns == toset([var.target_groups.elb-prd]) && length(aws_autoscaling_group.blue.load_balancers) == 0
    error_message = "The target group of blue is not the one that the map names."
  }

  assert {
    condition     = length(aws_autoscaling_group.green.target_group_arns) == 0 && aws_autoscaling_group.green.load_balancers == toset(["elb-test"])
    error_message = "A name that is no key is not a classic load balancer."
  }
}

run "each_colour_grows_by_three_and_shrinks_by_one" {
  command = plan

  variables {
    scale_in = { below = 15, evaluation_periods = 5 }
  }

  assert {
    condition     = alltrue([for colour in ["blue", "green"] : aws_autoscaling_policy.out[colour].scaling_adjustment == 3 && aws_autoscaling_policy.in[colour].scaling_adjustment == -1])
    error_message = "The adjustments are not +3 and -1."
  }

  assert {
    condition     = alltrue([for colour in ["blue", "green"] : aws_cloudwatch_metric_alarm.cpu_high[colour].threshold == 50 && aws_cloudwatch_metric_alarm.cpu_low[colour].threshold == 15 && aws_cloudwatch_metric_alarm.cpu_low[colour].evaluation_periods == 5])
    error_message = "The thresholds are not those of the variables."
  }
}

run "one_deployment_group_is_over_both_colours" {
  command = plan

  assert {
    condition     = aws_codedeploy_deployment_group.both.autoscaling_groups == toset(["shop-blue", "shop-green"]) && output.codedeploy == "shop/shop"
    error_message = "The deployment group does not have both groups."
  }
}

run "user_data_has_the_environments_variables_and_the_colour" {
  command = plan

  assert {
    condition     = yamldecode(base64decode(aws_launch_template.green.user_data)).write_files[0].content == "ENVIRONMENT=\"staging\"\nCOLOUR=\"green\"\nCONSUL_SERVER=\"consul.internal\"\n"
    error_message = "The user data is not what the template makes of the variables."
  }
}

run "what_cannot_be_is_refused" {
  command = plan

  variables {
    blue      = { ami_id = "", min_size = 2, max_size = 4, elb_name = "elb-prd" }
    green     = { ami_id = "ami-0aaaaaaaaaaaaaaa1", min_size = 4, max_size = 2, elb_name = "elb_test" }
    scale_out = { above = 10 }
  }

  expect_failures = [var.blue, var.green, var.scale_out]
}
