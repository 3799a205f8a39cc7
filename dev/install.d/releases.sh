# shellcheck shell=bash
# Owns: .tools/releases, laid out as the vendors' release sites are: consul and consul-template from their Go modules, stretcher's
# stand-in. Must not: serve it (dev/releases does). Invariant: `.tools/releases` points at a whole site whose folder's name holds the
# digest of all that it was made of, and equal binaries give equal archives.

STRETCHER_SOURCE=$ROOT/dev/stretcher

# site_archive FOLDER TOOL VERSION BINARY: as releases.hashicorp.com has it. Stored, not deflated, with fixed times: which zlib this
# machine has must not reach a checksum, for checksums reach the stage keys.
site_archive() {
  local folder=$1/$2/$3 name=$2_$3_linux_$goarch.zip
  mkdir -p "$folder"
  python3 -c 'import sys, zipfile
archive, name, source = sys.argv[1:]
entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
entry.create_system, entry.external_attr = 3, 0o100755 << 16
with zipfile.ZipFile(archive, "w") as file, open(source, "rb") as binary:
    file.writestr(entry, binary.read())' "$folder/$name" "$2" "$4" || return 1
  (cd "$folder" && sha256sum "$name" >"$2_$3_SHA256SUMS")
}

# As GitHub has stretcher's releases. gzip stores nothing that differs from one run to the next.
site_stretcher() {
  local folder=$1/$stretcher_path
  mkdir -p "$folder"
  (set -o pipefail
    tar --create --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0755 -C "$STRETCHER_SOURCE" stretcher | gzip -n >"$folder/$stretcher_name") || return 1
  (cd "$folder" && sha256sum "$stretcher_name" >checksums.txt)
}

checksum_in() { sed -n '1s/^\([0-9a-f]\{64\}\) .*/sha256:\1/p' "$1"; }

# site_env SITE ADDRESS: what the pipeline's variables are here, instead of the vendors' addresses.
site_env() {
  local base=http://$2:$RELEASES_PORT
  cat <<ENV
# Written by dev/install; source it to build the pipeline at the top. Owns: where the local release site answers, its archives' checksums.
export OVENBIRD_VAR_releases_url='$base'
export OVENBIRD_VAR_consul_checksum='$(checksum_in "$1/consul/$CONSUL_VERSION/consul_${CONSUL_VERSION}_SHA256SUMS")'
export OVENBIRD_VAR_consul_template_checksum='$(checksum_in "$1/consul-template/$CONSUL_TEMPLATE_VERSION/consul-template_${CONSUL_TEMPLATE_VERSION}_SHA256SUMS")'
export OVENBIRD_VAR_stretcher_url='$base/$stretcher_path/$stretcher_name'
export OVENBIRD_VAR_stretcher_checksum='$(checksum_in "$1/$stretcher_path/checksums.txt")'
ENV
}

# make_site SITE CONSUL CONSUL_TEMPLATE ADDRESS
make_site() {
  local tmp=$1.new
  rm -rf "$tmp"
  mkdir -p "$tmp"
  site_archive "$tmp" consul "$CONSUL_VERSION" "$2" || return 1
  site_archive "$tmp" consul-template "$CONSUL_TEMPLATE_VERSION" "$3" || return 1
  site_stretcher "$tmp" || return 1
  site_env "$tmp" "$4" >"$tmp/env.sh"
  basename "$1" >"$tmp/SITE"   # by this `dev/releases` knows its own site from another's on the same port
  mv "$tmp" "$1"
}

# Where dry runs and instances reach this machine.
bridge_address() { docker network inspect bridge --format '{{(index .IPAM.Config 0).Gateway}}'; }

ensure_releases() {
  local at=github.com/hashicorp consul consul_template address digest site old
  local goarch stretcher_path=fujiwara/stretcher/releases/download/v$STRETCHER_VERSION stretcher_name
  go_tool consul "$ROOT/dev/consul" $at/consul "$CONSUL_VERSION" $at/consul/version.VersionPrerelease= "2 min"
  # shellcheck disable=SC2154 # go_tool sets it
  consul=$built
  go_tool consul-template "$ROOT/dev/consul-template" $at/consul-template "$CONSUL_TEMPLATE_VERSION" $at/consul-template/version.VersionPrerelease= "20 s"
  consul_template=$built
  ln -sfn "$consul" "$TOOLS/bin/consul"   # the tests of the modules ask a real agent
  goarch=$(go env GOARCH)
  stretcher_name=stretcher_v${STRETCHER_VERSION}_linux_$goarch.tar.gz
  address=$(bridge_address)
  [ -n "$address" ] || die "Docker's network \`bridge\` has no gateway" "\`docker network inspect bridge\`; the release site answers there"
  digest=$( { cat "$ROOT/dev/install.d/releases.sh" "$STRETCHER_SOURCE/stretcher"
    printf '%s\n' "$(basename "$consul")" "$(basename "$consul_template")" "$address" "$STRETCHER_VERSION" "$RELEASES_PORT" "$(go version)"; } | sha256sum | cut -c1-12)
  site=$TOOLS/releases-$digest
  if [ ! -d "$site" ]; then
    step "release site with consul and consul-template" "see that the disk has 200 MB free" make_site "$site" "$consul" "$consul_template" "$address"
  fi
  ln -sfn "$site" "$TOOLS/releases"
  # Kept for a day: another work tree that shares the folder may still use the site of its own pins.
  for old in "$TOOLS"/releases-*; do [ "$old" = "$site" ] || find "$old" -maxdepth 0 -mtime +0 -exec rm -rf {} +; done
  say "  consul $CONSUL_VERSION, consul-template $CONSUL_TEMPLATE_VERSION and stretcher's stand-in: there"
}
