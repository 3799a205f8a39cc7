# What other code reads of a fleet.

output "group" {
  description = "Name of the Auto Scaling group."
  value       = aws_autoscaling_group.this.name
}

output "ami_id" {
  description = "The image."
  value       = var.ami_id
}

output "launch_template" {
  description = "Id of the launch template."
  value       = aws_launch_template.this.id
}
