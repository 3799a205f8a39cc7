# Owns: that Ansible checks what each role, and each entry that others name, is given. Must not: run a role.
# Invariant: every entry of every argument_specs.yml is entered the way playbooks and roles enter it, with one argument of a wrong type.
"""Arguments of roles."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

ROLES = Path(__file__).resolve().parents[2] / "ansible/roles"
WRONG = {"int": "many", "float": "much", "bool": "perhaps", "list": {"a": "map"}, "dict": "no map"}


def entries():
    """Role, entry, and a wrong value of one of its arguments; none where every one is a text."""
    for spec in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        for entry, about in yaml.safe_load(spec.read_text())["argument_specs"].items():
            options = about.get("options") or {}
            wrong = {name: WRONG[option["type"]] for name, option in options.items() if option.get("type") in WRONG}
            yield spec.parents[1].name, entry, dict(list(wrong.items())[:1]), sorted(options)


class Arguments(unittest.TestCase):
    def test_a_wrong_argument_is_refused_by_every_entry_before_anything_is_done(self):
        tasks, asked = [], []
        for role, entry, wrong, _ in entries():
            if not wrong:
                continue
            asked.append(f"{role}.{entry}")
            enter = {"name": role} if entry == "main" else {"name": role, "tasks_from": entry}
            tasks.append(
                {
                    "block": [{"ansible.builtin.include_role": enter, "vars": wrong}, {"ansible.builtin.fail": {"msg": f"{role}.{entry} took {wrong}"}}],
                    "rescue": [{"ansible.builtin.set_fact": {"seen": f"{{{{ seen | default({{}}) | combine({{'{role}.{entry}': ansible_failed_result.argument_errors | default([ansible_failed_result.msg | default('')])}}) }}}}"}}],
                }
            )
        tasks.append({"ansible.builtin.copy": {"content": "{{ seen | to_json }}", "dest": "{{ playbook_dir }}/seen.json", "mode": "0600"}})
        with tempfile.TemporaryDirectory() as folder:
            play = [{"hosts": "localhost", "connection": "local", "gather_facts": True, "tasks": tasks}]
            Path(folder, "play.yml").write_text(json.dumps(play))
            environment = {**os.environ, "ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_LOCALHOST_WARNING": "False", "PYTHONDONTWRITEBYTECODE": "1"}
            ran = subprocess.run(
                ["ansible-playbook", "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}", "play.yml"], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
            self.assertEqual(ran.returncode, 0, ran.stdout[-3000:] + ran.stderr[-1000:])
            seen = json.loads(Path(folder, "seen.json").read_text())
        self.assertEqual(sorted(seen), sorted(asked))
        self.assertGreater(len(asked), 8)
        for (role, entry, wrong, _) in entries():
            if wrong:
                name = next(iter(wrong))
                self.assertTrue(any(name in error and "convert" in error for error in seen[f"{role}.{entry}"]), f"{role}.{entry} {wrong}: {seen[f'{role}.{entry}']}")

    def test_what_playbooks_and_roles_enter_is_an_entry_with_arguments(self):
        known = {(role, entry) for role, entry, _, _ in entries()}
        named = []

        def look(node):
            if isinstance(node, list):
                for item in node:
                    look(item)
            elif isinstance(node, dict):
                if isinstance(node.get("tasks_from"), str):
                    named.append((node["name"], node["tasks_from"]))
                for value in node.values():
                    look(value)

        for file in [*ROLES.parent.glob("*.yml"), *ROLES.parent.glob("verify/**/*.yml"), *ROLES.glob("*/tasks/*.yml"), *ROLES.glob("*/handlers/*.yml")]:
            look(yaml.safe_load(file.read_text()))
        self.assertGreater(len(named), 8)
        self.assertEqual([one for one in named if one not in known], [])


if __name__ == "__main__":
    unittest.main()
