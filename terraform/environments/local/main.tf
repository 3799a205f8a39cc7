# An environment without a cloud: Terraform's built-in provider only, so that `init` and `plan` run offline and show which image
# each fleet would get. Must not need a provider that is downloaded.

terraform {
  required_version = ">= 1.4"
}

resource "terraform_data" "web" {
  input = {
    ami_id   = var.web_ami_id
    min_size = 2
  }
}

resource "terraform_data" "api" {
  input = {
    ami_id   = var.api_ami_id
    min_size = 1
  }
}
