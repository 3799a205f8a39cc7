#!/usr/bin/python3
# Owns: which release a machine serves: the link `current`, what stretcher is asked for, and what Consul is told of it. Runs as `deploy`.
# Must not: leave `current` at a release that does not answer, deploy two at once, or take a manifest from outside of $RELEASES.
# Invariant: `current` is switched by one rename, after the whole release is in its folder; a failure before leaves everything as it was.
"""Releases of the app on this machine.

    app-release latest      deploy what the latest pointer names (at boot)
    app-release event       deploy what the last of Consul's events on stdin names (below `consul watch`)
    app-release prepare ID  a manifest's `pre`: make room for the release, or say that it is served already
    app-release switch ID   a manifest's `post`: serve it; when it does not answer, serve the one before again
    app-release prune       a manifest's `success`: remove old releases
"""

import base64
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

CONSUL = "http://127.0.0.1:8500"
WATCHING = Path("/run/stretcher-watch/watching")
SETTINGS = json.loads(Path(os.environ.get("APP_RELEASE_SETTINGS", "/etc/app-release.json")).read_text(encoding="utf-8"))
ROOT = Path(SETTINGS["root"])
CURRENT = ROOT / "current"
INCOMING = ROOT / ".incoming"
SERVED_ALREADY = INCOMING / "served-already"
ANSWER_WITHIN = 20
FETCH_TRIES = 5


class Failed(Exception):
    """Why a release is not served."""


def say(text):
    print(f"app-release: {text}", file=sys.stderr, flush=True)


def opener():
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def current():
    with contextlib.suppress(OSError):
        return Path(os.readlink(CURRENT)).name
    return None


def folder_of(release):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", release):
        raise Failed(f"`{release}` is no name of a release")
    return ROOT / "releases" / release


def prepare(release):
    folder = folder_of(release)
    if current() == release:
        SERVED_ALREADY.touch()
        raise Failed(f"release `{release}` is served already")
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise Failed(f"`{folder}` cannot be removed")


def point_at(release):
    new = ROOT / ".current.new"
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    new.symlink_to(Path("releases") / release)
    new.replace(CURRENT)


def active():
    return subprocess.run(["systemctl", "is-active", "--quiet", SETTINGS["service"]], check=False).returncode == 0


def restart():
    done = subprocess.run(["sudo", "-n", "/usr/bin/systemctl", "restart", SETTINGS["service"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Failed(f"`{SETTINGS['service']}` does not start: {done.stdout.strip()}")


def answering():
    """The release that answers now, or why none does. Its health may be bad for other reasons than the release."""
    try:
        with opener().open(SETTINGS["health_url"], timeout=5) as reply:
            body = reply.read(65536)
    except urllib.error.HTTPError as error:
        body = error.read(65536)
    except OSError as error:
        return f"({error})"
    try:
        return json.loads(body)["release"]
    except (ValueError, KeyError, TypeError):
        return "(an answer without a release)"


def serve(release):
    point_at(release)
    # At boot the app is yet to start, after us, and will start with what `current` names; a restart would wait for ourselves.
    if not active():
        return
    restart()
    end = time.monotonic() + ANSWER_WITHIN
    while (seen := answering()) != release:
        if time.monotonic() > end:
            raise Failed(f"`{release}` was switched to, and {ANSWER_WITHIN} s later the answer is `{seen}`")
        time.sleep(0.1)


def switch(release):
    folder, before = folder_of(release), current()
    try:
        named = (folder / "RELEASE").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Failed(f"the archive of `{release}` has no file RELEASE: {error}") from error
    if named != release:
        raise Failed(f"the archive says that it is `{named}`, the manifest says `{release}`")
    if SETTINGS["check"]:
        done = subprocess.run(SETTINGS["check"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise Failed(f"release `{release}` cannot start: {done.stdout.strip()[-500:]}")
    # For prune: the order of releases is that in which they were served.
    os.utime(folder)
    try:
        serve(release)
    except Failed as failure:
        if before is None or before == release:
            raise
        point_at(before)
        if active() or answering() != before:
            restart()
        raise Failed(f"{failure}; `{before}` serves again") from failure
    say(f"release `{release}` is served" + (f", before it `{before}`" if before else ""))


def prune():
    kept = {current(), "image"}
    releases = sorted((ROOT / "releases").iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in [folder for folder in releases if folder.name not in kept][max(SETTINGS["keep"] - 1, 0):]:
        shutil.rmtree(folder, ignore_errors=True)
        say(f"removed release `{folder.name}`")


def report(result, **more):
    """Consul holds it for who waits for the deployment. Without Consul nobody waits."""
    body = {"Status": "passing", "Output": json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "result": result, "release": current(), **more}, sort_keys=True)}
    request = urllib.request.Request(f"{CONSUL}/v1/agent/check/update/deploy", data=json.dumps(body).encode(), method="PUT")
    try:
        opener().open(request, timeout=5).close()
    except OSError as error:
        say(f"Consul was not told: {error}")


def stretcher(url):
    """Exit code and log of one run. Consul's variables are taken away: below `consul watch` stretcher hides its failures."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
    # On the file system of the releases, so that a whole release is put there by one rename.
    environment["TMPDIR"] = str(INCOMING)
    done = subprocess.run(["/usr/local/bin/stretcher"], input=f"{url}\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False)
    sys.stderr.write(done.stdout)
    sys.stderr.flush()
    return done.returncode, done.stdout


def deploy(url, tries):
    with open(INCOMING / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in INCOMING.iterdir():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            elif left.name != "lock":
                left.unlink()
        # Who announced it waits instead of announcing it again.
        report("deploying", manifest=url)
        for attempt in range(1, tries + 1):
            code, log = stretcher(url)
            if code == 0 or SERVED_ALREADY.exists():
                report("served", manifest=url)
                return
            loaded = "Deploy manifest failed" in log
            if not loaded and re.search(r"NoSuchKey|\b404\b", log):
                report("none", manifest=url)
                raise Failed(f"there is no {url}; `{current()}` stays")
            if loaded or attempt == tries:
                break
            say(f"{url} could not be read; trying again ({attempt} of {tries - 1})")
            time.sleep(2)
        reason = next((line for line in log.splitlines() if "Deploy manifest failed" in line), log.strip().rpartition("\n")[2])
        # The command's own words say more than its exit code.
        words = [line for line in log.splitlines() if line.startswith("app-release: ")]
        reason = words[-1].partition(": ")[2] if words else reason
        report("failed", manifest=url, reason=reason[-600:])
        raise Failed(f"{reason}; `{current()}` stays")


def latest():
    releases = os.environ.get("RELEASES", "").rstrip("/")
    if not releases:
        say(f"RELEASES is not set; `{current()}` stays")
        return
    try:
        deploy(f"{releases}/latest/manifest.yml", FETCH_TRIES)
    except Failed as failure:
        if "there is no" not in str(failure):
            raise
        say(str(failure))


def event():
    events = json.load(sys.stdin) or []
    # What was announced before this watch began may be older than what serves: the pointer knows. It also knows what was missed.
    if not WATCHING.exists():
        latest()
        WATCHING.touch()
        return
    if not events:
        return
    url = base64.b64decode(events[-1]["Payload"] or "").decode()
    releases = os.environ.get("RELEASES", "").rstrip("/")
    if not releases or not url.startswith(f"{releases}/releases/"):
        reason = f"the event names `{url}`, which is not below `{releases}/releases/`"
        report("failed", manifest=url, reason=reason)
        raise Failed(reason)
    deploy(url, FETCH_TRIES)


def main(arguments):
    commands = {("latest",): latest, ("event",): event, ("prune",): prune}
    named = {"prepare": prepare, "switch": switch}
    try:
        if tuple(arguments) in commands:
            commands[tuple(arguments)]()
        elif len(arguments) == 2 and arguments[0] in named:
            named[arguments[0]](arguments[1])
        else:
            print(__doc__, file=sys.stderr)
            return 64
    except (Failed, OSError, ValueError) as error:
        say(str(error))
        # `consul watch` ends with a handler that fails, and would miss the next event.
        return 0 if arguments == ["event"] else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
