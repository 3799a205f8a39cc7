# What a person or a test asks of this environment.

output "web" {
  description = "The web fleet: groups, images and load balancers by colour, and its CodeDeploy group."
  value = {
    groups         = module.web.groups
    ami_ids        = module.web.ami_ids
    load_balancers = module.web.load_balancers
    codedeploy     = module.web.codedeploy
    newest_ami_id  = var.web_ami_id
  }
}

output "urls" {
  description = "Where the load balancers listen, by name."
  value = merge(
    { for name, one in aws_elb.web : name => "http://${one.dns_name}" },
    { for name, one in aws_lb.web : name => "http://${one.dns_name}" },
  )
}

output "target_groups" {
  description = "ARNs of the target groups, by name; none of classic load balancers."
  value       = { for name, one in aws_lb_target_group.web : name => one.arn }
}
