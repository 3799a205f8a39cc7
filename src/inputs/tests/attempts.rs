//! What was tried by somebody who wanted a file read that the key lacks: the attempts whose answer is that nothing is known any more.
//! The runs of Ansible that show that such files are read stand in `tests/keys/trees/attempt_…`.
//!
//! Invariant: each of them takes the root, for a reason of its own.

use super::*;

/// The reason, and what the tree holds beside a play that reads the file that `which` names.
const BLIND: &[(&str, &[(&str, &str)])] = &[
    ("which may give facts", &[("ansible/library/mine", "#!/bin/sh\necho '{\"ansible_facts\": {\"which\": \"b.txt\"}}'\n")]),
    ("which may give variables", &[("ansible/vars_plugins/v.py", "class VarsModule:\n    def get_vars(self):\n        return {}\n")]),
    (
        "which may give filters of known names",
        &[("ansible/filter_plugins/f.py", "class FilterModule:\n    def filters(self):\n        return {'lower': str}\n")],
    ),
    (
        "a loop whose variable is named by a template",
        &[("ansible/more.yml", "- ping:\n  loop: [b.txt]\n  loop_control: {loop_var: \"{{ 'which' }}\"}\n")],
    ),
    ("an inventory in TOML", &[("inv.toml", "[all.hosts]\nx = { which = \"b.txt\" }\n")]),
    ("is encrypted", &[("ansible/group_vars/all.yml", "which: !vault-encrypted |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\n")]),
    ("which Python evaluates", &[("inv.ini", "x which=1.10\n")]),
    ("makes of it", &[("ansible/group_vars/all.yml", "which: !!float \"1.10\"\n")]),
    (
        "`template_vars`, whose names are no literals",
        &[("ansible/more.yml", "- debug: {msg: \"{{ lookup('template', 't.j2', template_vars=x) }}\"}\n")],
    ),
    (
        "a plugin that may read anything",
        &[
            ("ansible/collections/ansible_collections/acme/tools/plugins/filter/f.py", "x = {'reader': lambda x: open(x)}\n"),
            ("ansible/more.yml", "- debug: {msg: \"{{ 'x' | acme.tools.reader }}\"}\n"),
        ],
    ),
    (
        "a template with delimiters of its own",
        &[
            ("ansible/more.yml", "- template: {src: t.j2, dest: /x}\n"),
            ("ansible/templates/t.j2", "#jinja2: variable_start_string:'[['\n[[ lookup('file', 'x') ]]\0\n"),
        ],
    ),
    (
        "file conf/{{ way }}.txt",
        &[
            ("ansible/more.yml", "- copy: {src: \"conf/{{ way }}.txt\", dest: /x}\n  vars: {way: \"{{ ['..', 'a'] | join('/') }}\"}\n"),
            ("ansible/files/conf/x", ""),
        ],
    ),
];

#[test]
fn a_value_that_something_else_may_give_is_not_the_one_that_stands_there() {
    for (because, files) in BLIND {
        let toml = files.iter().any(|(path, _)| *path == "inv.toml");
        let inventory = if toml { "inv.toml" } else { "inv.ini" };
        let project = Project::with(&format!("{PLAIN}\n  ansible_arguments = [\"-i\", \"{inventory}\"]"));
        let copy = "    - copy: {src: \"{{ which | default('a.txt') | lower }}\", dest: /x}\n";
        project.file("ansible/web.yml", format!("- hosts: all\n  tasks:\n    - include_tasks: more.yml\n{copy}"));
        project.file("ansible/more.yml", "- ping:\n");
        if !toml {
            project.file("inv.ini", "x\n");
        }
        // An inventory in TOML counts as one that cannot be read, there or not.
        assert!(toml || project.inputs().imprecise.is_empty(), "{because}: without it nothing is taken whole");
        for (path, text) in *files {
            project.file(path, text);
        }
        let taken = project.inputs().imprecise;
        let found = taken.iter().any(|place| place.taken == "the root" && place.because.contains(because));
        assert!(found, "{because}: {taken:?}");
    }
}
