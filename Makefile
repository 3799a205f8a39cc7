# Owns: the commands that a person and the CI type. Must not: hold more than a line a target; the work is in dev/.
# Invariant: every target installs what it needs, and the default target changes nothing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help tools demo cluster test proof check bench clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

tools: ## install what lacks: Docker, Packer and its plugins, ansible-core, moto, a Debian 12 image, a Terraform provider, consul (into .tools/)
	@dev/install

demo: tools ## the small example on a local EC2: plan, dry run, build, emit, and what a change rebuilds
	@. "$${OVENBIRD_TOOLS_DIR:-.tools}/env.sh" && cargo build --locked && dev/demo

cluster: tools ## Consul servers, web and API servers of the images built here, on a local EC2, kept up to look at; Ctrl-C removes all
	@. "$${OVENBIRD_TOOLS_DIR:-.tools}/env.sh" && cargo build --locked && dev/cluster

test: tools ## everything, the runs against the local EC2 included
	@dev/test

proof: tools ## the same with the long numbers (hundreds of generated trees, many kills)
	@OVENBIRD_PROOF=1 dev/test

check: tools ## fmt, clippy, doc, shell, Python, Ansible, licences
	@dev/check

bench: tools ## ratios side by side in one run (release build); ONLY=main for one group
	@. "$${OVENBIRD_TOOLS_DIR:-.tools}/env.sh" && ONLY="$(ONLY)" dev/bench/run

clean: ## remove target/ and the run folders; the installed tools stay
	@cargo clean && rm -rf .ovenbird
