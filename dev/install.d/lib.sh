# shellcheck shell=bash
# Owns: how the install and test scripts speak, fail, become root and run a step with its time. Must not: know any tool.
# Invariant: what a step prints goes to its log; the terminal gets one line a step, and on failure the log's end and how to mend it.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
TOOLS=${OVENBIRD_TOOLS_DIR:-$ROOT/.tools}
mkdir -p "$TOOLS"
TOOLS=$(cd "$TOOLS" && pwd -P)
mkdir -p "$TOOLS/bin" "$TOOLS/log" "$TOOLS/run"
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"   # Debian keeps dockerd and iptables off a plain user's PATH

say() { printf '%s\n' "$*"; }

# die MESSAGE HELP
die() {
  printf 'error: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf 'help:  %s\n' "$2" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "\`$1\` needs root, and there is no \`sudo\`" "run as root, or install sudo"
  fi
}

# step NAME HELP COMMAND…: runs the command with its output in a log; one line when it starts, one with its time when it is done.
step() {
  local name=$1 help=$2 log started=$SECONDS
  shift 2
  log=$TOOLS/log/$(printf %s "$name" | tr -c 'a-zA-Z0-9.\n' -).log
  say "  $name …"
  if "$@" >"$log" 2>&1 </dev/null; then
    say "  $name: done in $((SECONDS - started)) s"
  else
    local code=$?
    printf 'error: %s failed with exit code %s; its last lines:\n' "$name" "$code" >&2
    tail -n 15 "$log" | sed 's/^/  | /' >&2
    printf 'help:  %s; the whole log is %s\n' "$help" "$log" >&2
    return 1
  fi
}

# on_path TOOL: where PATH has it, our own folder left out.
on_path() {
  local IFS=: dir
  for dir in $PATH; do
    [ "$dir" != "$TOOLS/bin" ] && [ -x "$dir/$1" ] && [ ! -d "$dir/$1" ] && { printf '%s\n' "$dir/$1"; return 0; }
  done
  return 1
}
