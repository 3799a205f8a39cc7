# shellcheck shell=bash
# Owns: the venv with ansible-core, ansible-lint and the local EC2's packages. Must not: touch the machine's own Python packages.
# Invariant: `.tools/venv` points at a whole venv, never at one that an interrupted run left behind.

# A venv's scripts hold its path, so it cannot be built elsewhere and renamed: each gets a folder named after its pins and Python,
# and a stamp in it when it is whole.
venv_folder() {
  local python
  python=$(python3 -c 'import sys; print(sys.executable, sys.version)')
  printf '%s/venv-%s\n' "$TOOLS" "$( { cat "$ROOT"/dev/requirements*.txt; printf %s "$python"; } | sha256sum | cut -c1-12)"
}

make_venv() {
  rm -rf "$1"
  python3 -m venv "$1"
  "$1/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off --no-deps \
    -r "$ROOT/dev/requirements.txt" -r "$ROOT/dev/requirements-cloud.txt" -r "$ROOT/dev/requirements-lint.txt"
  "$1/bin/python" -m pip check
  "$1/bin/python" -c 'import ansible, ansiblelint, moto.server, docker'
  touch "$1/.whole"
}

ansible_on_path() {
  local path version
  path=$(on_path ansible-playbook) || return 1
  version=$("$path" --version 2>/dev/null | sed -nE '1s/.*core ([0-9.]+).*/\1/p')
  grep -qE "$ANSIBLE_GOOD" <<<"$version" || return 1
  printf '%s %s\n' "$version" "$(dirname "$path")"
}

ensure_python() {
  local venv tool found old from
  have python3 || die "\`python3\` is not on PATH" "install Python 3.11 or newer"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "python3 is $(python3 -V | cut -d' ' -f2), and ansible-core wants 3.11 or newer" "put a newer python3 first on PATH"
  venv=$(venv_folder)
  if [ ! -e "$venv/.whole" ]; then
    step "Python venv with ansible-core and moto, about 1 min" "check that pip reaches its index" make_venv "$venv"
  fi
  ln -sfn "$venv" "$TOOLS/venv"
  # Kept for a day: a local EC2 that another work tree started may still run from it.
  for old in "$TOOLS"/venv-*; do [ "$old" = "$venv" ] || find "$old" -maxdepth 0 -mtime +0 -exec rm -rf {} +; done
  from=$TOOLS/venv/bin
  if found=$(ansible_on_path); then
    from=${found#* }
    say "  ansible-core ${found%% *} from PATH"
  else
    say "  ansible-core $(sed -n 's/^ansible-core==//p' "$ROOT/dev/requirements.txt"): there"
  fi
  for tool in ansible ansible-playbook ansible-galaxy ansible-inventory ansible-config ansible-vault ansible-doc; do
    [ ! -e "$from/$tool" ] || ln -sfn "$from/$tool" "$TOOLS/bin/$tool"
  done
  say "  moto $(sed -n 's/^moto==//p' "$ROOT/dev/requirements-cloud.txt"): there"
}
