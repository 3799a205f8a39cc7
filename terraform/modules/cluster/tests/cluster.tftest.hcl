# What the module plans, and what the user data says. Needs no account: the provider is mocked, its schemas are real.

mock_provider "aws" {
  mock_resource "aws_launch_template" {
    defaults = {
      id             = "lt-0123456789abcdef0"
      latest_version = 1
    }
  }
}

variables {
  environment          = "staging"
  datacenter           = "tokyo"
  region               = "ap-northeast-1"
  consul_server_ami_id = "ami-0aaaaaaaaaaaaaaa1"
  web_ami_id           = "ami-0aaaaaaaaaaaaaaa2"
  gossip_key           = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="
  releases             = "s3://releases/app"
  subnet_ids           = ["subnet-1"]
  security_group_ids   = ["sg-1"]
  instance_profile     = "cluster"
}

run "servers_are_found_by_their_tag_and_expect_each_other" {
  command = plan

  assert {
    condition     = output.groups == { consul_server = "staging-tokyo-consul", web = "staging-tokyo-web" }
    error_message = "There are other groups than those that have an image."
  }

  assert {
    condition     = output.retry_join == tolist(["provider=aws region=ap-northeast-1 tag_key=consul tag_value=staging-tokyo"])
    error_message = "The servers are looked for elsewhere."
  }
}

run "an_address_list_takes_the_place_of_the_tag" {
  command = plan

  variables {
    retry_join = ["10.0.0.1", "10.0.0.2"]
  }

  assert {
    condition     = output.retry_join == tolist(["10.0.0.1", "10.0.0.2"])
    error_message = "The addresses are not those that were given."
  }
}

run "user_data_says_what_the_environment_is_and_nothing_else" {
  command = plan

  assert {
    condition = yamldecode(output.user_data.web) == {
      write_files = [{
        path        = "/etc/instance/environment"
        owner       = "root:root"
        permissions = "0600"
        content     = <<-EOT
          ENVIRONMENT=staging
          CONSUL_DATACENTER=tokyo
          CONSUL_RETRY_JOIN=["provider=aws region=ap-northeast-1 tag_key=consul tag_value=staging-tokyo"]
          CONSUL_ENCRYPT=pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=
          RELEASES=s3://releases/app
          AWS_REGION=ap-northeast-1
        EOT
      }]
    }
    error_message = "The user data of a web server is not as expected."
  }

  assert {
    condition     = startswith(output.user_data.consul_server, "#cloud-config\n") && strcontains(output.user_data.consul_server, "CONSUL_BOOTSTRAP_EXPECT=3\n") && strcontains(output.user_data.consul_server, "CONSUL_RETRY_JOIN_WAN=[]\n") && !strcontains(output.user_data.consul_server, "RELEASES")
    error_message = "The user data of a server is not as expected."
  }

  assert {
    condition     = yamldecode(output.user_data.api) == yamldecode(output.user_data.web)
    error_message = "An API server is told something else than a web server."
  }
}

run "a_cloud_of_its_own_is_described_whole" {
  command = plan

  variables {
    addresses      = { advertise = "{{ GetInterfaceIP `eth0` }}", advertise_wan = "{{ GetInterfaceIP `eth1` }}" }
    retry_join_wan = ["provider=aws region=us-west-2 addr_type=public_v4 tag_key=consul tag_value=staging-oregon"]
    variables      = { AWS_ENDPOINT_URL = "http://10.0.0.1" }
    hosts          = { "ec2.ap-northeast-1.amazonaws.com" = "10.0.0.1" }
    trusted_ca     = ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    log_collector  = "logs:514"
  }

  assert {
    condition = yamldecode(output.user_data.consul_server) == {
      write_files = [
        {
          path        = "/etc/instance/environment"
          owner       = "root:root"
          permissions = "0600"
          content     = <<-EOT
            ENVIRONMENT=staging
            CONSUL_DATACENTER=tokyo
            CONSUL_RETRY_JOIN=["provider=aws region=ap-northeast-1 tag_key=consul tag_value=staging-tokyo"]
            CONSUL_ENCRYPT=pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=
            CONSUL_BOOTSTRAP_EXPECT=3
            CONSUL_RETRY_JOIN_WAN=["provider=aws region=us-west-2 addr_type=public_v4 tag_key=consul tag_value=staging-oregon"]
            AWS_ENDPOINT_URL=http://10.0.0.1
            AWS_REGION=ap-northeast-1
            CONSUL_ADVERTISE_ADDR={{ GetInterfaceIP `eth0` }}
            CONSUL_ADVERTISE_WAN={{ GetInterfaceIP `eth1` }}
            LOG_COLLECTOR=logs:514
          EOT
        },
        {
          path    = "/etc/hosts"
          append  = true
          content = "10.0.0.1 ec2.ap-northeast-1.amazonaws.com\n"
        },
      ]
      ca_certs = { trusted = ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] }
    }
    error_message = "The user data of a server is not as expected."
  }
}

run "what_cannot_be_is_refused" {
  command = plan

  variables {
    environment    = "Staging"
    datacenter     = "a.b"
    consul_servers = 2
    gossip_key     = "short"
    releases       = "releases/app/"
    variables      = { "lower" = "x" }
  }

  expect_failures = [var.environment, var.datacenter, var.consul_servers, var.gossip_key, var.releases, var.variables]
}
