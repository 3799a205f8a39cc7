# What the module plans. Needs no account: the provider is mocked, its schemas are real.

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
  name               = "api"
  environment        = "staging"
  ami_id             = "ami-0aaaaaaaaaaaaaaa1"
  min_size           = "1"
  max_size           = "2"
  subnet_ids         = ["subnet-1"]
  security_group_ids = ["sg-1"]
  instance_profile   = "api"
}

run "the_group_has_the_image_and_the_sizes" {
  command = plan

  assert {
    condition     = aws_launch_template.this.image_id == "ami-0aaaaaaaaaaaaaaa1" && aws_launch_template.this.metadata_options[0].http_tokens == "required"
    error_message = "The launch template has another image, or allows IMDSv1."
  }

  assert {
    condition     = aws_autoscaling_group.this.min_size == 1 && aws_autoscaling_group.this.max_size == 2 && length(aws_autoscaling_group.this.load_balancers) == 0
    error_message = "Sizes or load balancers are not those of the variables."
  }
}

run "a_new_image_rolls_unless_told_otherwise" {
  command = plan

  assert {
    condition     = aws_autoscaling_group.this.instance_refresh[0].strategy == "Rolling"
    error_message = "There is no instance refresh."
  }
}

run "roll_can_be_switched_off" {
  command = plan

  variables {
    roll     = false
    elb_name = "elb-api"
  }

  assert {
    condition     = length(aws_autoscaling_group.this.instance_refresh) == 0 && aws_autoscaling_group.this.load_balancers == toset(["elb-api"])
    error_message = "An instance refresh stayed, or the load balancer is not the one that was given."
  }
}

run "user_data_is_taken_as_it_is" {
  command = plan

  variables {
    user_data = "#cloud-config\n{}\n"
    variables = { NAME = "unused" }
  }

  assert {
    condition     = base64decode(aws_launch_template.this.user_data) == "#cloud-config\n{}\n"
    error_message = "The user data is not what was given."
  }
}

run "what_cannot_be_is_refused" {
  command = plan

  variables {
    ami_id   = "ami-1"
    max_size = 0
  }

  expect_failures = [var.ami_id, var.max_size]
}
