# shellcheck shell=bash
# Owns: the stand-in for Terraform's provider hashicorp/aws (tests/cloud/provider), built and put where Terraform finds it, with the
# real one's schemas out of its published bindings. Must not: serve any other provider; those still come from their registries.
# Invariant: `.tools/providers` points at a whole mirror, and that folder's name holds the digest of all that it was made of.

PROVIDER_SOURCE=$ROOT/tests/cloud/provider

provider_digest() {
  { find "$PROVIDER_SOURCE" -maxdepth 1 \( -name '*.go' -o -name 'go.*' -o -name extract_schema.py \) -print0 | LC_ALL=C sort -z | xargs -0 cat
    printf '%s %s' "$AWS_PROVIDER_VERSION" "$AWS_BINDINGS_SHA256"
    go version; } | sha256sum | cut -c1-12
}

is_bindings() { [ "$(sha256sum "$1" 2>/dev/null | cut -d' ' -f1)" = "$AWS_BINDINGS_SHA256" ]; }

# bindings FOLDER: leaves package.tgz in it. npm fetches just that; the Python package of the same bindings carries the same file,
# so a machine without npm needs none.
bindings() {
  local wheel
  if have npm && (cd "$1" && npm pack --silent "@cdktf/provider-aws@$AWS_BINDINGS_VERSION" && mv ./*.tgz package.tgz) && is_bindings "$1/package.tgz"; then
    return
  fi
  # Debian's python3 has no pip of its own, and the venv that has one is made beside us.
  python3 -m venv "$1/venv" || return 1
  "$1/venv/bin/python" -m pip download --disable-pip-version-check --no-input --progress-bar off --no-deps --only-binary :all: -d "$1" \
    "cdktf-cdktf-provider-aws==$AWS_BINDINGS_VERSION" || return 1
  wheel=$(find "$1" -name '*.whl' -print -quit)
  python3 -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    (name,) = [name for name in wheel.namelist() if name.endswith(".jsii.tgz")]
    sys.stdout.buffer.write(wheel.read(name))' "$wheel" >"$1/package.tgz" || return 1
  is_bindings "$1/package.tgz" || { echo "the package's SHA-256 is not $AWS_BINDINGS_SHA256"; return 1; }
}

# The schemas take a download of 37 MB, and change with the pins or the script only.
make_schema() {
  local tmp
  tmp=$(mktemp -d "$TOOLS/run/schema.XXXXXX")
  if bindings "$tmp" && python3 "$PROVIDER_SOURCE/extract_schema.py" "$tmp/package.tgz" "$tmp/schema.json"; then
    mv "$tmp/schema.json" "$1"
    rm -rf "$tmp"
  else
    rm -rf "$tmp"
    return 1
  fi
}

make_mirror() {
  local tmp=$1.new platform host folder
  rm -rf "$tmp"
  mkdir -p "$tmp"
  (cd "$PROVIDER_SOURCE" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off nice go build -trimpath -ldflags '-s -w' -o "$tmp/provider" .) || return 1
  platform=$(go env GOOS)_$(go env GOARCH)
  # OpenTofu, which may answer to the name terraform, looks under a host of its own.
  for host in registry.terraform.io registry.opentofu.org; do
    folder=$tmp/$host/hashicorp/aws/$AWS_PROVIDER_VERSION/$platform
    mkdir -p "$folder"
    ln "$tmp/provider" "$folder/terraform-provider-aws_v${AWS_PROVIDER_VERSION}_x5"
    cp "$2" "$folder/schema.json"
  done
  rm "$tmp/provider"
  mv "$tmp" "$1"
}

write_terraformrc() {
  local tmp
  tmp=$(mktemp "$TOOLS/.terraformrc.XXXXXX")
  cat >"$tmp" <<E
# Written by dev/install; env.sh points Terraform at it. Owns: where the stand-in for hashicorp/aws is found.
disable_checkpoint = true
provider_installation {
  filesystem_mirror {
    path    = "$TOOLS/providers"
    include = ["registry.terraform.io/hashicorp/aws", "registry.opentofu.org/hashicorp/aws"]
  }
  direct {
    exclude = ["registry.terraform.io/hashicorp/aws", "registry.opentofu.org/hashicorp/aws"]
  }
}
E
  chmod 0644 "$tmp"
  mv "$tmp" "$TOOLS/terraformrc"
}

ensure_provider() {
  local digest schema mirror old
  have go || die "\`go\` is not on PATH; the stand-in for Terraform's AWS provider is built from tests/cloud/provider" "install Go $(sed -n 's/^go //p' "$PROVIDER_SOURCE/go.mod") or newer"
  digest=$(provider_digest)
  schema=$TOOLS/schema-$(cat "$PROVIDER_SOURCE/extract_schema.py" - <<<"$AWS_BINDINGS_SHA256" | sha256sum | cut -c1-12).json
  mirror=$TOOLS/providers-$digest
  if [ ! -s "$schema" ]; then
    step "schemas of hashicorp/aws $AWS_PROVIDER_VERSION from its bindings, about 15 s" "check that npm or pip reaches its index" make_schema "$schema"
  fi
  if [ ! -d "$mirror" ]; then
    step "stand-in for hashicorp/aws $AWS_PROVIDER_VERSION, about 30 s" "check that \`go mod download\` works in $PROVIDER_SOURCE" make_mirror "$mirror" "$schema"
  fi
  ln -sfn "$mirror" "$TOOLS/providers"
  write_terraformrc
  # Kept for a day: another work tree that shares the folder may still use the build of its own sources.
  for old in "$TOOLS"/providers-* "$TOOLS"/schema-*.json; do
    case $old in "$mirror" | "$schema") ;; *) find "$old" -maxdepth 0 -mtime +0 -exec rm -rf {} + ;; esac
  done
  say "  stand-in for the Terraform provider hashicorp/aws $AWS_PROVIDER_VERSION: there"
}
