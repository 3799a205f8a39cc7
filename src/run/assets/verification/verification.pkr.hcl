# Boots an instance from a finished image, waits until it is up, runs the stage's checks on it and ends it. No image comes of it.
# Owns how that instance is started and reached; whether the image passed is judged by who starts this. ovenbird brings this file
# along: a stage with a template of its own is verified by it too, and nothing of it is in a key.
# Invariant: a machine is reached here as packer/image.pkr.hcl reaches one that is built: same names, same arguments of Ansible.

packer {
  required_version = ">= 1.9.0"

  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
    ansible = {
      source  = "github.com/hashicorp/ansible"
      version = ">= 1.0.3"
    }
  }
}

variable "region" {
  type        = string
  description = "Region of the image."
}

variable "source_ami" {
  type        = string
  description = "The image."
}

variable "playbook_file" {
  type        = string
  description = "The checks, relative to the folder that Packer is started in."
}

variable "run_tags" {
  type        = map(string)
  description = "Tags of the instance, its volumes, key pair and security group."
}

variable "groups" {
  type        = list(string)
  description = "Inventory groups of the machine, as when it was built."
  default     = []
}

variable "ansible_arguments" {
  type        = list(string)
  description = "Further arguments of ansible-playbook. Packer prints them: values belong into a file, `-e @file`."
  default     = []
}

variable "ec2_endpoint" {
  type        = string
  description = "URL of another EC2 than Amazon's, such as a local one. Empty: Amazon's."
  default     = ""
}

variable "ssh_username" {
  type        = string
  description = "User that the image's cloud-init gives the public key to."
  default     = "admin"
}

variable "ssh_interface" {
  type        = string
  description = "How the instance is reached: public_ip, private_ip or session_manager."
  default     = "public_ip"
}

variable "instance_type" {
  type        = string
  description = "Type of the instance."
  default     = "t3.medium"
}

variable "spot" {
  type        = bool
  description = "Take a spot instance at the current price. It is not stopped before it is terminated, which saves half a minute."
  default     = false
}

variable "subnet_id" {
  type        = string
  description = "Subnet of the instance. Empty: by subnet_tags, else the default VPC."
  default     = ""
}

variable "subnet_tags" {
  type        = map(string)
  description = "Tags that a subnet must have; of those that match, the one with the most free addresses is taken."
  default     = {}
}

variable "security_group_id" {
  type        = string
  description = "Security group of the instance. Empty: a temporary one that lets in only who verifies."
  default     = ""
}

variable "iam_instance_profile" {
  type        = string
  description = "Instance profile of the instance; session_manager needs one."
  default     = ""
}

variable "polling_delay_seconds" {
  type        = number
  description = "Seconds between two looks at an instance that is not ready."
  default     = 15
}

variable "polling_max_attempts" {
  type        = number
  description = "Looks before Packer gives up."
  default     = 240
}

locals {
  by_public_address = var.ssh_interface == "public_ip" && var.ec2_endpoint == ""
  private_ranges    = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
}

source "amazon-ebs" "image" {
  region                     = var.region
  custom_endpoint_ec2        = var.ec2_endpoint
  skip_region_validation     = var.ec2_endpoint != ""
  skip_credential_validation = var.ec2_endpoint != ""

  # Required, and never used.
  ami_name        = "verification-of-${var.source_ami}"
  skip_create_ami = true

  source_ami           = var.source_ami
  instance_type        = var.instance_type
  spot_price           = var.spot ? "auto" : null
  subnet_id            = var.subnet_id
  security_group_id    = var.security_group_id
  iam_instance_profile = var.iam_instance_profile
  run_tags             = var.run_tags
  run_volume_tags      = var.run_tags

  dynamic "subnet_filter" {
    for_each = length(var.subnet_tags) > 0 ? [var.subnet_tags] : []
    content {
      filters   = { for name, value in subnet_filter.value : "tag:${name}" => value }
      most_free = true
    }
  }

  temporary_key_pair_type                   = "ed25519"
  temporary_security_group_source_public_ip = local.by_public_address
  temporary_security_group_source_cidrs     = local.by_public_address ? null : local.private_ranges

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  ssh_username  = var.ssh_username
  ssh_interface = var.ssh_interface
  ssh_timeout   = "10m"

  aws_polling {
    delay_seconds = var.polling_delay_seconds
    max_attempts  = var.polling_max_attempts
  }
}

build {
  sources = ["source.amazon-ebs.image"]

  # Half of what a first boot can get wrong shows here. Exit status 2 is "done, with warnings".
  provisioner "shell" {
    inline = [
      "command -v cloud-init >/dev/null || exit 0",
      "cloud-init status --wait >/dev/null; status=$?",
      "if [ $status -eq 1 ]; then cloud-init status --long; echo 'cloud-init ended with an error on the first boot'; exit 1; fi",
    ]
  }

  # As packer/image.pkr.hcl says.
  provisioner "ansible" {
    playbook_file           = var.playbook_file
    user                    = var.ssh_username
    use_proxy               = false
    groups                  = var.groups
    extra_arguments         = var.ansible_arguments
    ansible_env_vars        = ["ANSIBLE_HOST_KEY_CHECKING=False"]
    ansible_ssh_extra_args  = ["-o IdentitiesOnly=yes' '-o UserKnownHostsFile=/dev/null' '-o LogLevel=ERROR"]
    inventory_file_template = "{{ .HostAlias }} ansible_host={{ .Host }} ansible_user={{ .User }} ansible_port={{ .Port }}\n"
    skip_version_check      = true
  }
}
