# Everything that differs from stage to stage and from run to run. ovenbird fills the variables that are declared here and no
# others, from a file that only its user can read. Must not hold a secret as a default.
# Invariant: every variable has a type and a description; one without a default is a value that no build can do without.

# What is built

variable "image_name" {
  type        = string
  description = "Name of the AMI. Found by tags, never by name; it only has to be new."
}

variable "image_tags" {
  type        = map(string)
  description = "Tags of the AMI and its snapshots, written by Packer when the image is complete."
  default     = {}
}

variable "run_tags" {
  type        = map(string)
  description = "Tags of the build instance, its volumes, key pair and security group; on AWS the image has them from its first moment."
  default     = {}
}

# What provisions it

variable "playbook_file" {
  type        = string
  description = "Playbook, relative to the folder that Packer is started in."
}

variable "groups" {
  type        = list(string)
  description = "Inventory groups of the machine being built, so that `hosts: web` matches it and group_vars beside the playbook apply."
  default     = []
}

variable "ansible_arguments" {
  type        = list(string)
  description = "Further arguments of ansible-playbook. Packer prints them: values belong into a file, `-e @file`."
  default     = []
}

variable "ansible_env" {
  type        = list(string)
  description = "NAME=value pairs for ansible-playbook."
  default     = []
}

# Where the AMI is built

variable "region" {
  type        = string
  description = "Region of the build."
  default     = ""
}

variable "ec2_endpoint" {
  type        = string
  description = "URL of another EC2 than Amazon's, such as a local one. Empty: Amazon's."
  default     = ""
}

variable "source_ami" {
  type        = string
  description = "AMI that the build instance boots from."
  default     = ""
}

variable "ssh_username" {
  type        = string
  description = "User that the source AMI's cloud-init gives the public key to."
  default     = "admin"
}

variable "ssh_interface" {
  type        = string
  description = "How the instance is reached: public_ip, private_ip or session_manager."
  default     = "public_ip"

  validation {
    condition     = contains(["public_ip", "private_ip", "session_manager"], var.ssh_interface)
    error_message = "The ssh_interface is one of public_ip, private_ip, session_manager."
  }
}

variable "instance_type" {
  type        = string
  description = "Type of the build instance."
  default     = "t3.medium"
}

variable "spot" {
  type        = bool
  description = "Build on a spot instance at the current price."
  default     = false
}

variable "subnet_id" {
  type        = string
  description = "Subnet of the build instance. Empty: by subnet_tags, else the default VPC."
  default     = ""
}

variable "subnet_tags" {
  type        = map(string)
  description = "Tags that a subnet must have; of those that match, the one with the most free addresses is taken."
  default     = {}
}

variable "security_group_id" {
  type        = string
  description = "Security group of the build instance. Empty: a temporary one that lets in only who builds."
  default     = ""
}

variable "iam_instance_profile" {
  type        = string
  description = "Instance profile of the build instance; session_manager needs one."
  default     = ""
}

variable "polling_delay_seconds" {
  type        = number
  description = "Seconds between two looks at an instance or image that is not ready."
  default     = 15
}

variable "polling_max_attempts" {
  type        = number
  description = "Looks before Packer gives up. 240 of 15 s are an hour; Packer's own ten minutes are too few for a large volume."
  default     = 240
}

# What the AMI is like

variable "volumes" {
  type        = list(map(string))
  description = "Volumes of the instance and so of the AMI: maps with device_name and, as wanted, volume_size, volume_type, iops, throughput."
  default     = []
}

variable "encrypted" {
  type        = bool
  description = "Encrypt the AMI's snapshots."
  default     = false
}

variable "kms_key_id" {
  type        = string
  description = "Key that encrypts them. Empty: the account's default key."
  default     = ""
}

variable "ena_support" {
  type        = bool
  description = "Mark the AMI as able to use enhanced networking (ENA)."
  default     = false
}

variable "imds_support" {
  type        = string
  description = "v2.0: instances of the AMI ask for a token at the metadata service by default. Empty: as the source AMI."
  default     = "v2.0"
}

# The dry run in Docker

variable "docker_image" {
  type        = string
  description = "Docker image that stands for the source AMI."
  default     = ""
}

variable "docker_pull" {
  type        = bool
  description = "Fetch docker_image first, though it may be there."
  default     = false
}

variable "docker_run" {
  type        = list(string)
  description = "Arguments of `docker run`. The default starts the image's systemd, on a host with cgroup v1."
  default = [
    "-d", "--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:ro",
    "--tmpfs=/run", "--tmpfs=/run/lock", "-e", "container=docker", "-e", "ANSIBLE_UNSAFE_WRITES=1",
    "--entrypoint=", "--", "{{.Image}}", "/sbin/init",
  ]
}

variable "docker_connection" {
  type        = string
  description = "Ansible connection plugin that reaches the container by its id. Empty: through Packer's SSH proxy, which is slower."
  default     = ""
}

variable "docker_user" {
  type        = string
  description = "User that Ansible works as, made with sudo where the image lacks it. As root, a playbook without `become` passes here and fails on EC2."
  default     = "root"
}

variable "docker_repository" {
  type        = string
  description = "Repository of the image that is committed."
  default     = ""
}

variable "docker_tag" {
  type        = string
  description = "Tag of the image that is committed."
  default     = "latest"
}

variable "docker_labels" {
  type        = map(string)
  description = "Labels of the image that is committed."
  default     = {}
}

variable "docker_changes" {
  type        = list(string)
  description = "Dockerfile instructions for the commit. The default takes back the command that docker_run had given."
  default     = ["CMD [\"/bin/bash\"]"]
}
