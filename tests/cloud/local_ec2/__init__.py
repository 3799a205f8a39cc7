# Owns: the words that every part of the local EC2 shares (account, regions, the label on all that it makes).
# Must not: import moto or touch Docker; anybody may import this, the reaper included.
# Invariant: whatever the local EC2 makes in Docker carries LABEL=<server id>, so that one filter finds it all.
"""A local EC2: moto answers the API, instances are Docker containers, AMIs are commits of them."""

ACCOUNT = "123456789012"
"""moto's default account; what Owners=["self"] means."""

REGIONS = ("ap-northeast-1", "us-west-2", "us-east-1")
"""Regions in which source AMIs are registered at start. The others work too, they are only empty."""

DEFAULT_REGION = REGIONS[0]

LABEL = "ovenbird.local-ec2"
"""Label of every container and committed image; its value is the id of the server that made it."""

BASE_IMAGE = "ovenbird-base/debian:12"
"""The Docker image behind the source AMIs; OVENBIRD_BASE_IMAGE names another one."""
