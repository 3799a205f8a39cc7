# What other code reads of this environment.

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

output "api" {
  description = "The API's group and image, once there is one."
  value       = { for one in module.api : one.group => one.ami_id }
}
