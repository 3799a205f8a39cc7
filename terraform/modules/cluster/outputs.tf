# What other code reads of a cluster.

output "groups" {
  description = "Names of the Auto Scaling groups, by kind of instance."
  value       = merge({ consul_server = module.consul_server.group }, { for one in module.web : "web" => one.group }, { for one in module.api : "api" => one.group })
}

output "ami_ids" {
  description = "Images, by kind of instance."
  value       = merge({ consul_server = module.consul_server.ami_id }, { for one in module.web : "web" => one.ami_id }, { for one in module.api : "api" => one.ami_id })
}

output "retry_join" {
  description = "What a machine outside of the groups needs to join: Consul's `retry_join`."
  value       = local.retry_join
}

output "user_data" {
  description = "The user data, by kind of instance. It holds the gossip key."
  value       = local.user_data
  sensitive   = true
}
