#!/usr/bin/python3
# Owns: filling the templates in /etc/instance/templates.d from /etc/instance/environment, at boot and on demand.
# Must not: print a value of the environment, know a service, or need more than Python 3.9 and its standard library.
# Invariant: every destination is written or none is, and /run/instance/configured is there only after all were.
"""Fill configuration templates from the environment that user data wrote.

    instance-configure [fill]       fill every template, all or nothing; without an environment change nothing
    instance-configure check FILE   is this a template? Needs no environment
    instance-configure forget       remove the environment and all that was filled from it

A template's first line says where it goes, and is not part of what is written:

    # instance-configure: /etc/consul.d/instance.hcl root:consul 0640

Below it `${KEY}` is the key's value and must be set, `${KEY:-text}` is text where it is not set or empty, `${KEY:+text}` is text
where it is set; text may hold further ones, and braces in pairs. `$${` is `${`. Any other `$` is itself.
"""

from __future__ import annotations

import argparse
import grp
import os
import pwd
import re
import sys
from pathlib import Path

HEADER = re.compile(r"# instance-configure: (/\S+) ([a-z_][a-z0-9_-]*):([a-z_][a-z0-9_-]*) (0[0-7]{3})")
SETTING = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
KEY = re.compile(r"[A-Z][A-Z0-9_]*")


class Problems(Exception):
    """What is wrong, a line each; never holds a value."""

    def __init__(self, lines):
        super().__init__("; ".join(lines))
        self.lines = lines


class Template:
    """One template: where it goes, and its text below the header."""

    def __init__(self, path: Path):
        self.name = path.name
        first, _, self.text = path.read_text(encoding="utf-8").partition("\n")
        found = HEADER.fullmatch(first)
        if not found:
            raise Problems([f"template `{self.name}` line 1: wanted `# instance-configure: /path owner:group 0640`"])
        self.destination, self.owner, self.group = found.group(1, 2, 3)
        self.mode = int(found.group(4), 8)

    def fill(self, values, problems):
        """The text with every `${…}` replaced; what could not be goes into `problems`. Without `values` only the form is looked at."""
        return self._expand(self.text, 2, values, problems)

    def _expand(self, text, line, values, problems):
        out, at = [], 0
        while True:
            start = text.find("${", at)
            if start < 0:
                return "".join([*out, text[at:]])
            if start > at and text[start - 1] == "$":
                out.append(text[at : start - 1] + "${")
                at = start + 2
                continue
            out.append(text[at:start])
            here = line + text.count("\n", 0, start)
            key = KEY.match(text, start + 2)
            end = _end(text, start + 2)
            rest = text[key.end() : end] if key and end is not None else None
            if rest is None or (rest and rest[:2] not in (":-", ":+")):
                problems.append(f"template `{self.name}` line {here}: wanted `${{KEY}}`, `${{KEY:-text}}` or `${{KEY:+text}}`")
                at = start + 2
                continue
            inner_line = here + text.count("\n", start, key.end())
            out.append(self._value(key.group(), rest, inner_line, values, problems))
            at = end + 1

    def _value(self, key, rest, line, values, problems):
        if values is None:
            return self._expand(rest[2:], line, values, problems)
        value = values.get(key, "")
        if rest.startswith(":+"):
            return self._expand(rest[2:], line, values, problems) if value else ""
        if value:
            return value
        if rest.startswith(":-"):
            return self._expand(rest[2:], line, values, problems)
        state = "is empty" if key in values else "is not set"
        problems.append(f"template `{self.name}` line {line}: key `{key}` {state}")
        return ""


def _end(text, at):
    """Where the brace that was open before `at` is closed."""
    depth = 1
    for place in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return None


def read_environment(path: Path):
    """Keys and values. A line that is none is named by its number: what stands in it may be a secret."""
    values, problems = {}, []
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise Problems([f"{path}: is not UTF-8"]) from None
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        found = SETTING.fullmatch(line)
        if not found:
            problems.append(f"environment line {number}: wanted `KEY=value`")
        elif found.group(1) in values:
            problems.append(f"environment line {number}: key `{found.group(1)}` is set twice")
        else:
            values[found.group(1)] = found.group(2)
    if problems:
        raise Problems(problems)
    return values


def read_templates(folder: Path):
    """All templates, in the order of their names. Two may not have one destination."""
    templates, problems = [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        try:
            templates.append(Template(path))
        except Problems as wrong:
            problems.extend(wrong.lines)
        except UnicodeDecodeError:
            problems.append(f"template `{path.name}`: is not UTF-8")
    seen = {}
    for template in templates:
        other = seen.setdefault(template.destination, template)
        if other is not template:
            problems.append(f"template `{template.name}`: `{other.name}` goes to {template.destination} too")
    if problems:
        raise Problems(problems)
    return templates


class Machine:
    """The files of one machine, below `root`."""

    def __init__(self, root: Path):
        self.root = root
        self.environment = root / "etc/instance/environment"
        self.templates = root / "etc/instance/templates.d"
        self.written = root / "var/lib/instance-configure/written"
        self.run = root / "run/instance"

    def _below(self, path):
        return self.root / path.lstrip("/")

    def fill(self):
        """Fill all templates. Gives back what to say."""
        for name in ("configured", "failed"):
            (self.run / name).unlink(missing_ok=True)
        if not self.environment.exists():
            return "no environment: /etc/instance/environment is not there, nothing was changed"
        try:
            said = self._fill()
        except Problems as wrong:
            self._mark("failed", wrong.lines)
            raise
        self._mark("configured", said)
        return f"filled {len(said)} templates: " + " ".join(said)

    def _fill(self):
        # It may hold the gossip key; who wrote it need not have thought of that.
        self.environment.chmod(0o600)
        values = read_environment(self.environment)
        problems, made = [], []
        templates = read_templates(self.templates)
        for template in templates:
            made.append((template, template.fill(values, problems), self._owner(template, problems)))
        if problems:
            raise Problems(problems)
        self._write(made)
        return [template.destination for template in templates]

    def _owner(self, template, problems):
        ids = [0, 0]
        for place, (name, look, what) in enumerate([(template.owner, lambda n: pwd.getpwnam(n).pw_uid, "user"), (template.group, lambda n: grp.getgrnam(n).gr_gid, "group")]):
            try:
                ids[place] = look(name)
            except KeyError:
                problems.append(f"template `{template.name}` line 1: there is no {what} `{name}`")
        if not self._below(template.destination).parent.is_dir():
            problems.append(f"template `{template.name}` line 1: the folder of {template.destination} is not there")
        return tuple(ids)

    def _write(self, made):
        """Everything beside its destination first, then every rename; what was there before comes back when one fails."""
        placed, kept, steps = [], [], []
        try:
            for template, text, owner in made:
                destination = self._below(template.destination)
                steps.append((destination, _beside(destination, "new"), _beside(destination, "old")))
                placed.append(steps[-1][1])
                _put(steps[-1][1], text, owner, template.mode)
            # Known before anything is in place, so that `forget` finds what a power cut left.
            self.written.parent.mkdir(parents=True, exist_ok=True)
            before = set(self.written.read_text(encoding="utf-8").split()) if self.written.exists() else set()
            _put(self.written, "".join(f"{path}\n" for path in sorted(before | {template.destination for template, _, _ in made})), None, 0o644)
            for destination, new, old in steps:
                old.unlink(missing_ok=True)
                if destination.exists():
                    os.link(destination, old)
                kept.append((destination, old))
                os.replace(new, destination)
        except OSError as error:
            for destination, old in kept:
                if old.exists():
                    os.replace(old, destination)
                else:
                    destination.unlink(missing_ok=True)
            raise Problems([f"{error.filename or 'a destination'}: {error.strerror}; what was there before stands"]) from error
        finally:
            for path in [*placed, *(old for _, old in kept)]:
                path.unlink(missing_ok=True)

    def _mark(self, name, lines):
        self.run.mkdir(parents=True, exist_ok=True)
        self.run.chmod(0o755)
        _put(self.run / name, "".join(f"{line}\n" for line in lines), None, 0o644)

    def forget(self):
        """Remove the environment and what was filled from it: an image must hold neither."""
        gone = []
        filled = self.written.read_text(encoding="utf-8").split() if self.written.exists() else []
        for path in [*map(self._below, filled), self.environment, self.written, self.run / "configured", self.run / "failed"]:
            if path.exists():
                path.unlink()
                gone.append(f"/{path.relative_to(self.root)}")
        return "removed " + " ".join(gone) if gone else "nothing to forget"


def _beside(destination: Path, what):
    return destination.with_name(f".{destination.name}.instance-configure-{what}")


def _put(path: Path, text, owner, mode):
    """A whole file with its rights from its first moment on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def check(path: Path):
    """Is it a template? `fill` would say the same, but at boot, when it is too late."""
    problems = []
    Template(path).fill(None, problems)
    if problems:
        raise Problems(problems)
    return f"{path} is a template"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="instance-configure", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("/"), help="work on the files of a machine below this folder")
    parser.add_argument("command", nargs="?", choices=["fill", "check", "forget"], default="fill")
    parser.add_argument("file", nargs="?", type=Path)
    asked = parser.parse_args(arguments)
    if (asked.command == "check") != (asked.file is not None):
        parser.error("`check` takes a file, the others take none")
    machine = Machine(asked.root)
    try:
        said = check(asked.file) if asked.command == "check" else getattr(machine, asked.command)()
    except Problems as wrong:
        for line in wrong.lines:
            print(f"instance-configure: {line}", file=sys.stderr)
        if asked.command == "fill":
            print("instance-configure: nothing was written", file=sys.stderr)
        return 1
    print(f"instance-configure: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
