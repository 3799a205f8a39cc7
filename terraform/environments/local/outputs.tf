# What other code reads of this environment.

output "ami_ids" {
  description = "The image of each fleet."
  value = {
    web = terraform_data.web.input.ami_id
    api = terraform_data.api.input.ami_id
  }
}
