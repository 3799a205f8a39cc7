# What a person or a test asks of an environment.

output "groups" {
  description = "Names of the Auto Scaling groups, by kind of instance."
  value       = module.cluster.groups
}

output "ami_ids" {
  description = "Images, by kind of instance."
  value       = module.cluster.ami_ids
}

output "url" {
  description = "Where the web servers' load balancer listens."
  value       = "http://${aws_elb.web.dns_name}"
}

output "user_data" {
  description = "The user data, by kind of instance. It holds the gossip key."
  value       = module.cluster.user_data
  sensitive   = true
}
