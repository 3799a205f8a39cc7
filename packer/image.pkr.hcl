# One image by two ways: `amazon-ebs.image` makes the AMI, `docker.image` is the dry run of the same playbook.
# Owns how a machine is started, made ready and handed to Ansible; what differs between stages stands in variables.pkr.hcl.
# Invariant: both sources run the same playbook with the same arguments, groups and environment.

locals {
  # A temporary security group lets in the address that builds. Behind a private interface, or at another EC2 than Amazon's,
  # the public address is not the one that the instance sees.
  by_public_address = var.ssh_interface == "public_ip" && var.ec2_endpoint == ""
  private_ranges    = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
}

source "amazon-ebs" "image" {
  region                     = var.region
  custom_endpoint_ec2        = var.ec2_endpoint
  skip_region_validation     = var.ec2_endpoint != ""
  skip_credential_validation = var.ec2_endpoint != ""

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

  ami_name     = var.image_name
  tags         = var.image_tags
  encrypt_boot = var.encrypted ? true : null
  kms_key_id   = var.kms_key_id
  ena_support  = var.ena_support ? true : null
  imds_support = var.imds_support

  dynamic "launch_block_device_mappings" {
    for_each = var.volumes
    iterator = volume
    content {
      device_name           = volume.value.device_name
      volume_size           = try(volume.value["volume_size"], null)
      volume_type           = try(volume.value["volume_type"], null)
      iops                  = try(volume.value["iops"], null)
      throughput            = try(volume.value["throughput"], null)
      delete_on_termination = true
    }
  }

  aws_polling {
    delay_seconds = var.polling_delay_seconds
    max_attempts  = var.polling_max_attempts
  }
}

source "docker" "image" {
  image       = var.docker_image
  pull        = var.docker_pull
  run_command = var.docker_run
  commit      = true
  # Docker expands `$NAME` in a label's value, as in a Dockerfile.
  changes = concat(var.docker_changes, [
    for name, value in var.docker_labels : "LABEL ${jsonencode(name)}=${replace(jsonencode(value), "$", "\\$")}"
  ])
}

build {
  sources = ["source.amazon-ebs.image", "source.docker.image"]

  # On its first boot cloud-init still installs packages and holds dpkg's lock. Exit status 2 is "done, with warnings".
  provisioner "shell" {
    only = ["amazon-ebs.image"]
    inline = [
      "command -v cloud-init >/dev/null || exit 0",
      "cloud-init status --wait >/dev/null; status=$?",
      "if [ $status -eq 1 ]; then cloud-init status --long; exit 1; fi",
    ]
  }

  # Ansible needs Python on the other side, `become` needs sudo, and an AMI has a user that the image of a registry lacks. Services
  # can be started only when systemd has come up. Not in /tmp: it may be a tmpfs, which `docker cp` cannot write to.
  provisioner "shell" {
    only             = ["docker.image"]
    remote_folder    = "/var/tmp"
    environment_vars = ["LOGIN=${var.docker_user}"]
    execute_command  = "{{.Vars}} /bin/sh -e '{{.Path}}'"
    inline = [
      "if [ \"$(cat /proc/1/comm)\" = systemd ]; then",
      "  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do systemctl list-units >/dev/null 2>&1 && break; sleep 0.2; done",
      "  state=$(timeout 60 systemctl is-system-running --wait) || echo \"systemd is $state\"",
      "fi",
      "if command -v python3 >/dev/null && command -v sudo >/dev/null; then :",
      "elif command -v apt-get >/dev/null; then apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends python3 sudo >/dev/null",
      "elif command -v dnf >/dev/null; then dnf -q -y install python3 sudo",
      "elif command -v yum >/dev/null; then yum -q -y install python3 sudo",
      "elif command -v zypper >/dev/null; then zypper -q -n install python3 sudo",
      "elif command -v apk >/dev/null; then apk -q add python3 sudo",
      "else echo 'this image has neither python3 and sudo nor a package manager that is known here'; exit 1",
      "fi",
      "if [ \"$LOGIN\" = root ]; then exit 0; fi",
      "if id -u \"$LOGIN\" >/dev/null 2>&1; then :",
      "elif command -v useradd >/dev/null; then useradd --create-home --shell /bin/sh \"$LOGIN\"",
      "elif command -v adduser >/dev/null; then adduser -D \"$LOGIN\"",
      "else echo \"this image has no user $LOGIN and nothing that makes one\"; exit 1",
      "fi",
      # What the engine gives a container by its environment, sudo would drop: the proxy, and that mounted files are written in place.
      "mkdir -p /etc/sudoers.d",
      "printf 'Defaults:%s env_keep += \"ANSIBLE_UNSAFE_WRITES http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY\"\\n' \"$LOGIN\" >/etc/sudoers.d/90-dry-run",
      "printf '%s ALL=(ALL) NOPASSWD:ALL\\n' \"$LOGIN\" >>/etc/sudoers.d/90-dry-run",
      "chmod 0440 /etc/sudoers.d/90-dry-run",
    ]
  }

  # Straight to the instance: Packer's SSH proxy is five to ten times slower. Host keys of a machine that lives for minutes
  # are not worth keeping in the user's known_hosts. One string with its own quotes: plugins up to 1.0.x join several with nothing.
  provisioner "ansible" {
    only                    = ["amazon-ebs.image"]
    playbook_file           = var.playbook_file
    user                    = var.ssh_username
    use_proxy               = false
    groups                  = var.groups
    extra_arguments         = var.ansible_arguments
    ansible_env_vars        = concat(["ANSIBLE_HOST_KEY_CHECKING=False"], var.ansible_env)
    ansible_ssh_extra_args  = ["-o IdentitiesOnly=yes' '-o UserKnownHostsFile=/dev/null' '-o LogLevel=ERROR"]
    inventory_file_template = "{{ .HostAlias }} ansible_host={{ .Host }} ansible_user={{ .User }} ansible_port={{ .Port }}\n"
    skip_version_check      = true
  }

  # With a connection plugin Ansible goes to the container by `docker exec`. Without one it goes through Packer's proxy, whose
  # host key is of type ssh-rsa up to plugin 1.0.x, which today's OpenSSH refuses; and which speaks scp, not sftp.
  provisioner "ansible" {
    only             = ["docker.image"]
    playbook_file    = var.playbook_file
    user             = var.docker_user
    groups           = var.groups
    ansible_env_vars = concat(["ANSIBLE_HOST_KEY_CHECKING=False"], var.ansible_env)
    extra_arguments = concat(var.docker_connection != "" ? [] : [
      "--scp-extra-args", "'-O'",
      "--ssh-extra-args", "-o HostKeyAlgorithms=+ssh-rsa -o PubkeyAcceptedAlgorithms=+ssh-rsa -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
    ], var.ansible_arguments)
    inventory_file_template = (var.docker_connection != ""
      ? "{{ .HostAlias }} ansible_connection=${var.docker_connection} ansible_host={{ .ID }} ansible_user={{ .User }}\n"
      : "{{ .HostAlias }} ansible_host={{ .Host }} ansible_user={{ .User }} ansible_port={{ .Port }}\n"
    )
    skip_version_check = true
  }

  post-processor "docker-tag" {
    only       = ["docker.image"]
    repository = var.docker_repository
    tags       = [var.docker_tag]
  }
}
