# What other code reads of a fleet.

output "groups" {
  description = "Names of the Auto Scaling groups, by colour."
  value       = local.groups
}

output "ami_ids" {
  description = "The image of each colour."
  value       = { blue = var.blue.ami_id, green = var.green.ami_id }
}

output "load_balancers" {
  description = "What each colour is on, as it is written in the tfvars; \"\" for none."
  value       = { blue = var.blue.elb_name, green = var.green.elb_name }
}

output "launch_templates" {
  description = "Ids of the launch templates, by colour."
  value       = { blue = aws_launch_template.blue.id, green = aws_launch_template.green.id }
}

output "codedeploy" {
  description = "CodeDeploy application and deployment group, as ovenbird's `codedeploy = \"application/group\"` wants them."
  value       = "${aws_codedeploy_app.app.name}/${aws_codedeploy_deployment_group.both.deployment_group_name}"
}
