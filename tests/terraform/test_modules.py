# Owns: that what is written about the modules is what they have. Must not: run Terraform. Invariant: every module is looked at.
"""READMEs against variables and outputs."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

TERRAFORM = Path(__file__).resolve().parents[2] / "terraform"
MODULES = sorted((TERRAFORM / "modules").iterdir())


class Modules(unittest.TestCase):
    def test_a_readme_lists_exactly_the_inputs_and_outputs_with_their_descriptions(self) -> None:
        self.assertEqual([one.name for one in MODULES], ["bluegreen", "cluster", "single"])
        for module in MODULES:
            readme = (module / "README.md").read_text()
            for title, file, word in (("Inputs", "variables.tf", "variable"), ("Outputs", "outputs.tf", "output")):
                with self.subTest(module=module.name, what=title):
                    section = readme.split(f"## {title}\n")[1].split("\n## ")[0]
                    told = {m[1]: m[2] for m in re.finditer(r"^\| `(\w+)` \|.*?([^|]*) \|$", section, re.M)}
                    blocks = re.finditer(rf'^{word} "(\w+)" \{{\n(.*?)^\}}', (module / file).read_text(), re.M | re.S)
                    there = {m[1]: re.search(r'^  description = "(.*)"$', m[2], re.M)[1].replace('\\"', '"') for m in blocks}
                    self.assertEqual({name: text.strip() for name, text in told.items()}, there)

    def test_every_variable_of_an_environment_is_typed_and_described(self) -> None:
        for file in sorted(TERRAFORM.glob("*/*/variables.tf")):
            for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', file.read_text(), re.M | re.S):
                with self.subTest(file=str(file.relative_to(TERRAFORM)), variable=name):
                    self.assertRegex(body, r"(?m)^  type +=")
                    self.assertRegex(body, r"(?m)^  description +=")


if __name__ == "__main__":
    unittest.main()
