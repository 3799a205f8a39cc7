# shellcheck shell=bash
# Owns: the Debian packages that the rest needs. Must not: touch a package whose command is there already.
# Invariant: the check is made by command, not by package, so another way of installing counts too.

# command, then the package that brings it
apt_table() {
  cat <<'T'
dockerd docker.io
docker docker.io
iptables iptables
mmdebstrap mmdebstrap
ssh openssh-client
git git
cc gcc
flock util-linux
strace strace
hyperfine hyperfine
shellcheck shellcheck
haproxy haproxy
T
}

apt_missing() {
  local tool package
  while read -r tool package; do
    # A reachable daemon is as good as one of our own: someone else runs it (Docker Desktop, a CI service).
    if [ "$tool" = dockerd ] && docker version >/dev/null 2>&1; then continue; fi
    have "$tool" || printf '%s\n' "$package"
  done < <(apt_table) | sort -u
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then echo python3-venv; fi
}

apt_install() {
  # Unreachable third-party lists make the update fail while Debian's own are there; the install decides.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

ensure_packages() {
  local missing
  missing=$(apt_missing | paste -sd ' ')
  if [ -z "$missing" ]; then
    say "  Debian packages: all there"
    return
  fi
  have apt-get || die "these are missing: $missing" "this machine has no apt-get; install them the way it has, then run \`make tools\` again"
  # shellcheck disable=SC2086 # a list of names
  step "Debian packages ($missing)" "look at what apt-get says; as a plain user it needs sudo" apt_install $missing
}
