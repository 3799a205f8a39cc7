#!/usr/bin/env python3
# Owns: turning npm's @cdktf/provider-aws into schema.json, in the shape of `terraform providers schema -json`.
# Must not: know what a resource does, or fill a gap; the only names of resources are the two lists below.
# Invariant: anything in the package that is not understood is an error, never a guess; equal input gives equal bytes.
"""The schemas of the real hashicorp/aws, out of the bindings that were generated from them.

    python3 extract_schema.py cdktf-provider-aws-21.22.1.tgz schema.json

Each lib/<name>/*.js ends in an inline source map whose `sourcesContent` is the generated TypeScript. Only there does every
attribute keep the line `// min_size - computed: false, optional: false, required: true`: what one can set is a private field,
which the compiler drops from both the .js and the .d.ts. Of each class we read

  * those lines, and the getter or initialiser below them: the flags, the type of what cannot be set, list or set;
  * `synthesizeHclAttributes` and the functions `…ToHclTerraform`: the type of what can be set;
  * the doc comment `* listener block` of the interface: a real block. `isBlock: true` alone is not enough, for attributes
    that may be written as blocks (`aws_security_group.ingress`) have it too.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tarfile
from typing import Any

RESOURCES = """
autoscaling_group autoscaling_policy cloudwatch_metric_alarm codedeploy_app codedeploy_deployment_group elb
iam_instance_profile iam_role launch_configuration launch_template lb lb_listener lb_target_group security_group
""".split()
DATA_SOURCES = "ami caller_identity region subnets vpc".split()

SCALAR = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}

MAPPING = re.compile(r'^ {4,8}"?(\w+)"?: \{\n\s+value: .*?,\n\s+isBlock: \w+,\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)",', re.M)
SAID = re.compile(r"^  // (\w+) - computed: ", re.M)
MEMBER = re.compile(
    r"^  // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n"
    r"(?:  private _\w+\s*= new ([\w.]+)\(this, \"\w+\"(?:, (\w+))?\);\n|  private _\w+\?: [^\n]*\n)?"
    r"  public get \w+\(\) \{\n(?:    //[^\n]*\n)*    return ([^\n]*);\n",
    re.M,
)
PROPERTY = re.compile(r"/\*\*((?:(?!\*/).)*?)\*/\s+readonly \w+(\??):", re.S)
GETTER = re.compile(
    r"(?:cdktf\.Token\.as\w+\()?(cdktf\.Fn\.tolist\()?this\.get(String|Number|Boolean|Any)?(List|Map)?Attribute\('\w+'\)+"
)


class NotUnderstood(Exception):
    """The package says something that this script has no rule for."""


class Member:
    """One attribute or block of a class, as the three places together tell it."""

    def __init__(self, where: str, found: tuple[str, ...] | None, mapping: tuple[str, str] | None, prop: tuple[bool, bool]) -> None:
        self.where = where
        self.block, required = prop
        self.kind, self.storage = mapping or ("", "")
        # The provider block and its structs have no getters; there the interface's `?` tells.
        _, computed, optional, needed, self.made, self.wraps, self.returns = found or (
            "", "false", str(not required).lower(), str(required).lower(), "", "", "",
        )  # fmt: skip
        self.flags = {"computed": computed == "true", "optional": optional == "true", "required": needed == "true"}

    def collection(self, last: str = "list") -> str:
        """Of objects that cannot be set, `true` as second argument of the initialiser tells a set."""
        return "set" if self.wraps == "true" else last


class Module:
    """The TypeScript of one lib/<name>."""

    def __init__(self, sources: list[str]) -> None:
        text = "\n".join(sources)
        self.classes = {m[1]: (m[2], m[3]) for m in re.finditer(r"^export class (\w+) extends cdktf\.(\w+) \{\n(.*?)^\}", text, re.M | re.S)}
        self.mappings = {m[1].lower(): m[2] for m in re.finditer(r"^export function (\w+)ToHclTerraform\(.*?\): any \{\n(.*?)^\}", text, re.M | re.S)}
        self.interfaces = {m[1]: m[2] for m in re.finditer(r"^export interface (\w+)(?: extends [\w.]+)? \{\n(.*?)^\}", text, re.M | re.S)}

    def main(self, kind: str) -> str:
        found = [name for name, (base, _) in self.classes.items() if base == kind]
        if len(found) != 1:
            raise NotUnderstood(f"classes of {kind}: {found}")
        return found[0]

    def terraform_name(self, main: str) -> str:
        return re.search(r'tfResourceType = "(\w+)"', self.classes[main][1])[1]

    def _properties(self, interface: str) -> dict[str, tuple[bool, bool]]:
        """Terraform's name → (is a block, is required)."""
        found = {}
        for doc, optional in PROPERTY.findall(self.interfaces.get(interface, "")):
            if name := re.search(r"#([\w.]+) \w+#", doc):
                found[name[1]] = (re.search(rf"^\s*\*\s+{re.escape(name[1])} block\s*$", doc, re.M) is not None, not optional)
        return found

    def members(self, name: str, main: bool) -> dict[str, Member]:
        body = self.classes.get(name if main else name + "OutputReference", ("", ""))[1]
        mapping = body[body.rfind("synthesizeHclAttributes") :] if main else self.mappings.get(name.lower(), "")
        mappings = {m[0]: (m[1], m[2]) for m in MAPPING.findall(mapping)}
        found = {m[0]: m for m in MEMBER.findall(body)}
        if lost := set(SAID.findall(body)) - set(found):
            raise NotUnderstood(f"{name}: getters of {sorted(lost)}")
        properties = self._properties(name + "Config" if main else name)
        return {
            one: Member(f"{name}.{one}", found.get(one), mappings.get(one), properties.get(one, (False, False)))
            for one in sorted(set(mappings) | set(found))
        }

    # --- types ---------------------------------------------------------------------------------------------------------

    def object_type(self, struct: str) -> list[Any]:
        return ["object", {name: self.type_of(member) for name, member in self.members(struct, False).items()}]

    def type_of(self, member: Member) -> Any:
        if member.made.startswith("cdktf."):
            if not (m := re.fullmatch(r"cdktf\.(String|Number|Boolean|Any)Map(List)?", member.made)):
                raise NotUnderstood(f"{member.where}: {member.made}")
            of = ["map", SCALAR[m[1].lower()]]
            return [member.collection(), of] if m[2] else of
        if member.made:
            of = self.object_type(struct_of(member.made))
            if member.made.endswith("MapList"):
                return ["list", ["map", of]]
            if member.made.endswith("Map"):
                return ["map", of]
            if member.made.endswith("List"):
                return [member.collection(), of]
            return [member.kind, of] if member.kind in ("list", "set") else of
        if member.storage:
            return self._settable(member)
        if not (m := GETTER.fullmatch(member.returns)):
            raise NotUnderstood(f"{member.where}: {member.returns}")
        of = SCALAR[(m[2] or "String").lower()]
        return {"Map": ["map", of], "List": ["set" if m[1] else "list", of], None: of}[m[3]]

    def _settable(self, member: Member) -> Any:
        if member.kind == "simple" and member.storage in SCALAR:
            return SCALAR[member.storage]
        if (m := re.fullmatch(r"(string|number|boolean|any)(?:List|Map)", member.storage)) and member.kind in ("list", "set", "map"):
            return [member.kind, SCALAR[m[1]]]
        raise NotUnderstood(f"{member.where}: {member.kind} of {member.storage}")

    def block(self, name: str, main: bool = False, without: tuple[str, ...] = ()) -> dict[str, Any]:
        attributes, blocks = {}, {}
        for one, member in self.members(name, main).items():
            if one in without:
                continue
            if member.block:
                blocks[one] = self._nested(member)
            elif not any(member.flags.values()):
                raise NotUnderstood(f"{member.where}: neither computed, optional nor required")
            else:
                attributes[one] = {"type": self.type_of(member), **{flag: True for flag, on in member.flags.items() if on}}
        return {"attributes": attributes, "block_types": blocks}

    def _nested(self, member: Member) -> dict[str, Any]:
        if member.kind not in ("list", "set", "struct"):
            raise NotUnderstood(f"{member.where}: block of kind {member.kind}")
        nested = {
            "nesting_mode": "single" if member.kind == "struct" else member.kind,
            "block": self.block(struct_of(member.made or member.storage)),
        }
        if member.kind != "struct":  # larger limits than one are lost in the bindings
            if member.flags["required"]:
                nested["min_items"] = 1
            if member.made.endswith("OutputReference"):
                nested["max_items"] = 1
        return nested


def struct_of(name: str) -> str:
    return re.sub(r"(OutputReference|MapList|List|Map)$", "", name)


def typescript(javascript: str) -> list[str]:
    mark = "sourceMappingURL=data:application/json;base64,"
    at = javascript.rfind(mark)
    return json.loads(base64.b64decode(javascript[at + len(mark) :]))["sourcesContent"] if at >= 0 else []


def folders(package: str, wanted: set[str]) -> tuple[dict[str, Module], dict[str, Any]]:
    """The modules that are wanted, by folder, and package.json."""
    sources: dict[str, list[str]] = {name: [] for name in wanted}
    about: dict[str, Any] = {}
    with tarfile.open(package) as tar:
        for entry in tar:
            parts = entry.name.split("/")
            if parts[1:] == ["package.json"]:
                about = json.load(tar.extractfile(entry))
            elif len(parts) == 4 and parts[1] == "lib" and parts[2] in wanted and parts[3].endswith(".js"):
                sources[parts[2]] += typescript(tar.extractfile(entry).read().decode())
    if missing := sorted(name for name, found in sources.items() if not found):
        raise NotUnderstood(f"not in the package: {missing}")
    return {name: Module(found) for name, found in sources.items()}, about


def main(package: str, out: str) -> None:
    dashed = lambda prefix, names: [prefix + name.replace("_", "-") for name in names]  # noqa: E731
    resources, data = dashed("", RESOURCES), dashed("data-aws-", DATA_SOURCES)
    modules, about = folders(package, {"provider", *resources, *data})

    def schemas(names: list[str], kind: str) -> dict[str, Any]:
        found = {}
        for name in names:
            module, at = modules[name], modules[name].main(kind)
            found[module.terraform_name(at)] = {"block": module.block(at, main=True)}
        return found

    provider = modules["provider"]
    document = {
        "source": {"npm": f"{about['name']}@{about['version']}", **about["cdktf"]["provider"]},
        "provider": {"block": provider.block(provider.main("TerraformProvider"), main=True, without=("alias",))},  # `alias` is cdktf's own
        "resource_schemas": schemas(resources, "TerraformResource"),
        "data_source_schemas": schemas(data, "TerraformDataSource"),
    }
    with open(out, "w") as file:
        json.dump(document, file, indent=1, sort_keys=True)
    print(f"{len(resources)} resources and {len(data)} data sources of {about['cdktf']['provider']['version']}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except NotUnderstood as error:
        sys.exit(f"extract_schema: {error}")
