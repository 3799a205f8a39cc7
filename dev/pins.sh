# shellcheck shell=bash disable=SC2034
# Owns: the versions of the tools that `make tools` brings. Must not: do anything; it is only sourced.
# Invariant: a Go pin equals the version in dev/packer/*/go.mod, dev/opentofu/go.mod, dev/consul/go.mod or dev/consul-template/go.mod;
# `dev/install` refuses to go on when they differ.

PACKER_VERSION=1.15.0
PACKER_PLUGIN_AMAZON_VERSION=1.3.2
PACKER_PLUGIN_DOCKER_VERSION=1.1.2
PACKER_PLUGIN_ANSIBLE_VERSION=1.0.3
# Stands in where no terraform is on PATH: Terraform itself cannot be built from its Go module, which replaces modules within it.
OPENTOFU_VERSION=1.10.6

# What the release site of the tests serves, and where on the Docker bridge. stretcher's releases cannot be had offline: its version
# names the one whose manifest format and command line dev/stretcher follows.
CONSUL_VERSION=1.10.0
CONSUL_TEMPLATE_VERSION=0.41.1
STRETCHER_VERSION=2.0.0
RELEASES_PORT=8643

# The Terraform provider that tests/cloud/provider stands in for, and the npm package of bindings that its schemas are taken from: the
# last one there is, for the package is archived. Its digest holds for the copy in the Python package of the same version too.
AWS_PROVIDER_VERSION=6.25.0
AWS_BINDINGS_VERSION=21.22.1
AWS_BINDINGS_SHA256=d1446ab6ac6526c6fab4b28a5ebefdd90c0ce56203949925d35a4d286c05cbbf

# What counts as a good version of a tool that is on PATH already (extended regular expressions on the bare version).
PACKER_GOOD='^1\.(1[5-9]|[2-9][0-9])\.[0-9]+$'
ANSIBLE_GOOD='^2\.19\.[0-9]+$'
TERRAFORM_GOOD='^1\.(9|[1-9][0-9])\.[0-9]+$'

# The Docker image that stands for Debian 12 where no registry is reachable.
BASE_IMAGE=ovenbird-base/debian:12
