# shellcheck shell=bash
# Owns: packer, its plugins and OpenTofu, each built from a Go module of ours that pins it. Must not: edit go.mod or go.sum.
# Invariant: a binary's file name holds the digest of its module and recipe, and gets that name only when it is whole.

GO_RECIPE=1   # raise it when the way of building changes

# The version that PATH has, when it is a good one. good_on_path TOOL PATTERN
good_on_path() {
  local path version
  path=$(on_path "$1") || return 1
  version=$("$path" version 2>/dev/null | grep -oE 'v[0-9]+\.[0-9]+\.[0-9]+[^ ]*' | head -n1 | tr -d v)
  grep -qE "$2" <<<"$version" || return 1
  printf '%s %s\n' "$version" "$path"
}

# go_file NAME MODULE_DIR VERSION: where this build of it lies
go_file() { printf '%s/go/%s-%s-%s\n' "$TOOLS" "$1" "$3" "$(cat "$2/go.mod" "$2/go.sum" - <<<"$GO_RECIPE" | sha256sum | cut -c1-12)"; }

# go_build OUT MODULE_DIR PACKAGE VARIABLE=VALUE
go_build() {
  local out=$1 dir=$2 package=$3 variable=$4 tmp
  mkdir -p "$TOOLS/go"
  tmp=$(mktemp "$TOOLS/go/.build.XXXXXX")
  # The prerelease marker is cleared because two of the plugins carry `dev` in their release, and Packer ignores such a plugin
  # when a template asks for a version.
  # Kept for a day: another work tree that shares the folder may still use the build of its own pins.
  find "$TOOLS/go" -maxdepth 1 -type f -name "$(basename "${out%-*}" | sed 's/-[0-9.]*$//')-[0-9]*" -mtime +0 -delete
  if (cd "$dir" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off nice go build -trimpath -ldflags "-s -w -X $variable" -o "$tmp" "$package"); then
    mv "$tmp" "$out"
  else
    rm -f "$tmp"
    return 1
  fi
}

# go_tool NAME MODULE_DIR PACKAGE VERSION VARIABLE=VALUE GUESS: builds what lacks, sets $built
go_tool() {
  local name=$1 dir=$2 package=$3 version=$4 variable=$5 guess=$6
  built=$(go_file "$name" "$dir" "$version")
  [ -x "$built" ] && return
  grep -qE "^[[:space:]]${package%/cmd/*} v$version( |\$)" "$dir/go.mod" || die "dev/pins.sh wants $name $version, but $dir/go.mod pins another" "change both together"
  have go || die "\`go\` is not on PATH; $name is built from its Go module" "install Go $(sed -n 's/^go //p' "$dir/go.mod") or newer, or put $name $version on PATH"
  step "$name $version from its Go module, about $guess on 2 cores" "check that \`go mod download\` works in $dir" \
    go_build "$built" "$dir" "$package" "$variable"
}

# installed_plugin NAME VERSION: the file that Packer made of it, if there
installed_plugin() {
  find "$TOOLS/plugins/github.com/hashicorp/$1" -name "packer-plugin-$1_v$2_*" -not -name '*_SHA256SUM' -print -quit 2>/dev/null || true
}

ensure_packer() {
  local installed found name version guess variable stamp at=github.com/hashicorp
  if found=$(good_on_path packer "$PACKER_GOOD"); then
    ln -sfn "${found#* }" "$TOOLS/bin/packer"
    say "  packer ${found%% *} from PATH"
  else
    go_tool packer "$ROOT/dev/packer/packer" $at/packer "$PACKER_VERSION" $at/packer/version.VersionPrerelease= "2 min"
    ln -sfn "$built" "$TOOLS/bin/packer"
    say "  packer $PACKER_VERSION: there"
  fi
  mkdir -p "$TOOLS/plugins"
  for name in docker ansible amazon; do
    case $name in
      docker) version=$PACKER_PLUGIN_DOCKER_VERSION guess="20 s" ;;
      ansible) version=$PACKER_PLUGIN_ANSIBLE_VERSION guess="45 s" ;;
      amazon) version=$PACKER_PLUGIN_AMAZON_VERSION guess="1 min" ;;
    esac
    variable=$at/packer-plugin-$name/version.VersionPrerelease=
    go_tool "packer-plugin-$name" "$ROOT/dev/packer/$name" "$at/packer-plugin-$name" "$version" "$variable" "$guess"
    stamp=$TOOLS/plugins/.$(basename "$built")
    installed=$(installed_plugin "$name" "$version")
    if [ -z "$installed" ] || { [ ! -e "$stamp" ] && ! cmp -s "$built" "$installed"; }; then
      # Unlinked first: Packer writes over the old file, and that fails while a build somewhere runs it.
      rm -rf "$TOOLS/plugins/$at/$name"
      step "packer plugins install $name" "remove $TOOLS/plugins and run \`make tools\` again" \
        env PACKER_PLUGIN_PATH="$TOOLS/plugins" CHECKPOINT_DISABLE=1 "$TOOLS/bin/packer" plugins install --path "$built" "$at/$name"
    fi
    touch "$stamp"
    say "  packer plugin $name $version: there"
  done
}

ensure_terraform() {
  local found tool
  for tool in terraform tofu; do
    if found=$(good_on_path $tool "$TERRAFORM_GOOD"); then
      ln -sfn "${found#* }" "$TOOLS/bin/terraform"
      say "  $tool ${found%% *} from PATH"
      return
    fi
  done
  go_tool tofu "$ROOT/dev/opentofu" github.com/opentofu/opentofu/cmd/tofu "$OPENTOFU_VERSION" github.com/opentofu/opentofu/version.dev=no "5 min"
  ln -sfn "$built" "$TOOLS/bin/terraform"
  say "  terraform: none of 1.9 or newer on PATH, so OpenTofu $OPENTOFU_VERSION answers to that name"
}
