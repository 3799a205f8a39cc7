# The application and its one deployment group over both colours: a deployment reaches whichever instances there are, and an
# instance that starts gets the last revision before it is in service. Must not: deploy.

resource "aws_codedeploy_app" "app" {
  name             = var.name
  compute_platform = "Server"
}

resource "aws_codedeploy_deployment_group" "both" {
  app_name               = aws_codedeploy_app.app.name
  deployment_group_name  = var.name
  service_role_arn       = var.codedeploy_role_arn
  deployment_config_name = var.deployment_config
  autoscaling_groups     = [aws_autoscaling_group.blue.name, aws_autoscaling_group.green.name]

  deployment_style {
    deployment_option = "WITHOUT_TRAFFIC_CONTROL"
    deployment_type   = "IN_PLACE"
  }

  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE"]
  }
}
