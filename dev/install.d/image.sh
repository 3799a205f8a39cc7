# shellcheck shell=bash
# Owns: the Debian 12 image in the Docker daemon, and the tar that it is imported from. Must not: pull from a registry.
# Invariant: the image carries its recipe's digest as a label; it is built again only when dev/image changes.

make_base_tar() {
  local tmp
  tmp=$(mktemp -d "$TOOLS/run/base.XXXXXX")
  if as_root "$ROOT/dev/image/build" "$tmp/base.tar"; then
    mv "$tmp/base.tar" "$1"
    rm -rf "$tmp"
  else
    rm -rf "$tmp"
    return 1
  fi
}

import_base() {
  docker import --change 'CMD ["/bin/bash"]' --change "LABEL ovenbird.recipe=$2" "$1" "$BASE_IMAGE"
}

base_recipe() { find "$ROOT/dev/image" -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-12; }

base_is_there() { [ "$(docker image inspect --format '{{index .Config.Labels "ovenbird.recipe"}}' "$BASE_IMAGE" 2>/dev/null)" = "$1" ]; }

# ensure_image RECIPE
ensure_image() {
  local recipe=$1 tar=$TOOLS/base-$1.tar old
  if ! base_is_there "$recipe"; then
    if [ ! -s "$tar" ]; then
      have mmdebstrap || die "\`mmdebstrap\` is not on PATH" "it makes the Debian 12 image; install Debian's package of that name"
      step "Debian 12 base image, about 45 s" "check that apt reaches its archive" make_base_tar "$tar"
      for old in "$TOOLS"/base-*.tar; do [ "$old" = "$tar" ] || rm -f "$old"; done
    fi
    step "docker import $BASE_IMAGE" "see \`dev/dockerd status\`, and that the disk has 1 GB free" import_base "$tar" "$recipe"
  fi
  say "  image $BASE_IMAGE: there ($recipe)"
}
