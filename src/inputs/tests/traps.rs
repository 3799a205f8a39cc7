//! Traps of Ansible's own rules, each one a file that a playbook reads and that a key would easily lack.
//!
//! A row is what the tree holds, what is changed, and where: the key must change with it. The rules were read in ansible-core 2.19
//! (`path_dwim_relative`, `get_search_path`, `process_include_results`, `first_found`).

use super::*;

/// What the tree holds: path and text.
type Files<'a> = &'a [(&'a str, &'a str)];

/// One row: what it shows, the tree, the file that appears or is edited.
const TRAPS: &[(&str, Files<'static>, &str)] = &[
    (
        "an include looks in the playbook's folder before that of the file that includes",
        &[
            ("ansible/web.yml", "- hosts: all\n  tasks:\n    - include_tasks: a/b.yml\n"),
            ("ansible/a/b.yml", "- include_tasks: c.yml\n"),
            ("ansible/a/c.yml", "- ping:\n"),
        ],
        "ansible/c.yml",
    ),
    (
        "an include of an include looks in the folders that were named on the way",
        &[
            ("ansible/web.yml", "- hosts: all\n  tasks:\n    - include_tasks: a/b.yml\n"),
            ("ansible/a/b.yml", "- include_tasks: c/d.yml\n"),
            ("ansible/a/c/d.yml", "- include_tasks: e.yml\n"),
            ("ansible/a/c/e.yml", "- ping:\n"),
        ],
        "ansible/c/e.yml",
    ),
    (
        "an include below a role's tasks looks in tasks/ of the root first",
        &[
            ("ansible/roles/nginx/tasks/main.yml", "- include_tasks: sub/a.yml\n"),
            ("ansible/roles/nginx/tasks/sub/a.yml", "- include_tasks: b.yml\n"),
            ("ansible/roles/nginx/tasks/sub/b.yml", "- ping:\n"),
        ],
        "tasks/b.yml",
    ),
    (
        "a look-up in a template searches beside the task and not beside the template",
        &[
            ("ansible/web.yml", "- hosts: all\n  tasks:\n    - template: {src: t.j2, dest: /t}\n"),
            ("ansible/templates/t.j2", "{{ lookup('file', 'motd') }}"),
            ("ansible/templates/motd", "never read"),
            ("ansible/files/motd", "1"),
        ],
        "ansible/files/motd",
    ),
    (
        "what a template includes is searched beside the task that renders it",
        &[
            ("ansible/web.yml", "- hosts: all\n  tasks:\n    - include_tasks: sub/x.yml\n"),
            ("ansible/sub/x.yml", "- template: {src: t.j2, dest: /t}\n"),
            ("ansible/templates/t.j2", "{% include 'part.j2' %}"),
        ],
        "ansible/sub/templates/part.j2",
    ),
    (
        "a look-up in group_vars searches where the task stands that uses it",
        &[
            ("ansible/web.yml", "- hosts: all\n  tasks:\n    - include_tasks: sub/x.yml\n"),
            ("ansible/group_vars/all.yml", "motd: \"{{ lookup('file', 'motd') }}\"\n"),
            ("ansible/sub/x.yml", "- debug: {msg: \"{{ motd }}\"}\n"),
        ],
        "ansible/sub/files/motd",
    ),
    (
        "a look-up out of a variable goes up from the role that uses it",
        &[("ansible/group_vars/all.yml", "motd: \"{{ lookup('file', '../../shared/motd') }}\"\n"), ("ansible/roles/shared/motd", "1")],
        "ansible/roles/shared/motd",
    ),
    (
        "a role's search path has the roles that depend on it",
        &[
            ("ansible.cfg", "[defaults]\nroles_path = other/roles\n"),
            ("ansible/roles/nginx/meta/main.yml", "dependencies: [tls]\n"),
            ("other/roles/tls/tasks/main.yml", "- copy: {src: ../../shared/ca.pem, dest: /ca}\n"),
            ("ansible/roles/shared/ca.pem", "1"),
        ],
        "ansible/roles/shared/ca.pem",
    ),
    (
        "a loop's item is seen in the file that is included",
        &[
            ("ansible/web.yml", "- hosts: all\n  tasks:\n    - include_tasks: one.yml\n      loop: [a, b]\n"),
            ("ansible/one.yml", "- copy: {src: \"{{ item | default('none') }}.conf\", dest: /x}\n"),
            ("ansible/b.conf", "1"),
        ],
        "ansible/b.conf",
    ),
    (
        "one of two maps of a name lacks what has a default",
        &[
            (
                "ansible/web.yml",
                "- hosts: all\n  vars: {app: {file: a.conf}}\n  tasks:\n    - set_fact: {app: {}}\n      when: false\n    - copy: {src: \"{{ app.file | default('b.conf') }}\", dest: /x}\n",
            ),
            ("ansible/a.conf", "1"),
        ],
        "ansible/a.conf",
    ),
    (
        "a variable by way of vars[…]",
        &[
            (
                "ansible/web.yml",
                "- hosts: all\n  vars: {which: a}\n  tasks:\n    - copy: {src: \"{{ vars['which'] | default('b') }}.conf\", dest: /x}\n",
            ),
            ("ansible/a.conf", "1"),
        ],
        "ansible/a.conf",
    ),
    (
        "a fact whose name is a template",
        &[
            (
                "ansible/web.yml",
                "- hosts: all\n  vars: {which: a}\n  tasks:\n    - set_fact: {\"{{ 'whi' ~ 'ch' }}\": b}\n    - copy: {src: \"{{ which }}.conf\", dest: /x}\n",
            ),
            ("ansible/b.conf", "1"),
        ],
        "ansible/b.conf",
    ),
    (
        "a number in a name is written as YAML 1.1 has it",
        &[
            (
                "ansible/web.yml",
                "- hosts: all\n  vars: {version: 1.10}\n  tasks:\n    - copy: {src: \"app-{{ version }}.conf\", dest: /x}\n",
            ),
            ("ansible/app-1.1.conf", "1"),
        ],
        "ansible/app-1.1.conf",
    ),
    (
        "a key that stands twice in a map",
        &[
            (
                "ansible/web.yml",
                "- hosts: all\n  vars: {app: {file: a.conf, file: b.conf}}\n  tasks:\n    - copy: {src: \"{{ app.file }}\", dest: /x}\n",
            ),
            ("ansible/b.conf", "1"),
        ],
        "ansible/b.conf",
    ),
    (
        "arguments that are one template",
        &[
            ("ansible/web.yml", "- hosts: all\n  vars: {how: {src: a.conf, dest: /x}}\n  tasks:\n    - copy: \"{{ how }}\"\n"),
            ("ansible/a.conf", "1"),
        ],
        "ansible/a.conf",
    ),
    (
        "arguments from args",
        &[
            ("ansible/web.yml", "- hosts: all\n  vars: {how: {src: a.conf, dest: /x}}\n  tasks:\n    - copy:\n      args: \"{{ how }}\"\n"),
            ("ansible/a.conf", "1"),
        ],
        "ansible/a.conf",
    ),
    (
        "defaults of a module",
        &[
            ("ansible/web.yml", "- hosts: all\n  module_defaults: {copy: {src: a.conf}}\n  tasks:\n    - copy: {dest: /x}\n"),
            ("ansible/a.conf", "1"),
        ],
        "ansible/a.conf",
    ),
    (
        "a script with its arguments",
        &[("ansible/web.yml", "- hosts: all\n  tasks:\n    - script: {cmd: run.sh --all}\n"), ("ansible/run.sh", "1")],
        "ansible/run.sh",
    ),
    (
        "jinja includes in a text of YAML",
        &[
            ("ansible/web.yml", "- hosts: all\n  tasks:\n    - copy: {content: \"{% include 'part.j2' %}\", dest: /x}\n"),
            ("ansible/part.j2", "1"),
        ],
        "ansible/part.j2",
    ),
    (
        "first_found as a look-up has a folder called None",
        &[("ansible/web.yml", "- hosts: all\n  tasks:\n    - include_vars: \"{{ lookup('first_found', 'x.yml', skip=True) }}\"\n")],
        "ansible/None/x.yml",
    ),
    (
        "a template with a NUL in it",
        &[
            ("ansible/roles/nginx/templates/t.j2", "\0{{ lookup('file', '/../../outside/x') }}{{ lookup('file', '../../../data/x') }}"),
            ("data/x", "1"),
        ],
        "data/x",
    ),
    (
        "variables of an inventory that the arguments name",
        &[
            ("hosts/prod.ini", "[web]\ndefault which=b\n\n[web:vars]\nother = c\n"),
            (
                "ansible/web.yml",
                "- hosts: all\n  tasks:\n    - copy: {src: \"{{ which | default('a') }}.conf\", dest: /x}\n    - copy: {src: \"{{ other | default('a') }}.conf\", dest: /x}\n",
            ),
            ("ansible/c.conf", "1"),
        ],
        "ansible/c.conf",
    ),
    (
        "a nested folder behind a link below tasks/",
        &[("shared/deep/x.yml", "- include_role: {name: deep}\n"), ("ansible/roles/deep/tasks/main.yml", "- ping:\n")],
        "ansible/roles/deep/tasks/main.yml",
    ),
    (
        "an import of a role's tasks beside the playbook",
        &[
            ("ansible/roles/nginx/tasks/main.yml", "- include_tasks: sub/a.yml\n"),
            ("ansible/roles/nginx/tasks/sub/a.yml", "- import_tasks: b.yml\n"),
            ("ansible/roles/nginx/tasks/sub/b.yml", "- ping:\n"),
        ],
        "ansible/b.yml",
    ),
    (
        "a list of tasks that a role takes from outside of itself",
        &[
            ("ansible/roles/nginx/tasks/main.yml", "- include_tasks: ../../../common/a.yml\n"),
            ("ansible/common/a.yml", "- copy: {src: x.conf, dest: /x}\n"),
        ],
        "ansible/common/files/x.conf",
    ),
];

fn project(files: Files<'_>) -> Project {
    let project = Project::with("playbook = \"ansible/web.yml\"\n  ansible_arguments = [\"--inv=hosts/prod.ini\"]");
    for (name, text) in files {
        project.file(name, text);
    }
    if files.iter().any(|(name, _)| name.starts_with("shared/deep")) {
        project.link("ansible/roles/nginx/tasks/sub", "../../../../shared");
    }
    project
}

#[test]
fn what_ansible_finds_by_its_own_rules_is_an_input() {
    for (what, files, changed) in TRAPS {
        let project = project(files);
        let changes = project.changes(|p| {
            p.file(changed, "- set_fact: {changed: now}\n");
        });
        assert!(changes, "{what}: {:?}", project.inputs().imprecise);
    }
}

#[test]
fn what_may_run_on_this_machine_takes_the_root_however_it_is_said() {
    let play = |text: &str| format!("- hosts: all\n  tasks:\n    - ping:\n{text}");
    let plays = [
        play("    - delegate_to: localhost\n      block:\n        - shell: make\n"),
        play("    - delegate_to: \"{{ builder | default('localhost') }}\"\n      shell: make\n"),
        play("    - include_tasks: {file: a.yml, apply: {delegate_to: localhost}}\n"),
        play("    - include_role: {name: nginx, apply: {connection: local}}\n"),
        play("    - add_host: {name: here, ansible_connection: local}\n"),
        play("    - set_fact: ansible_connection=local\n"),
        play("    - shell: make\n      vars: {ansible_connection: \"{{ how }}\"}\n"),
        "- hosts: \"{{ target | default('localhost') }}\"\n  tasks: []\n".to_owned(),
        "- hosts: web,localhost\n  tasks: []\n".to_owned(),
        "- hosts: all\n  roles: [{role: nginx, delegate_to: localhost}]\n".to_owned(),
        play("    - debug: {msg: \"{% set f = lookup %}{{ f('file', 'x') }}\"}\n"),
        play("    - template: {src: t.j2, dest: /t, block_start_string: '[%'}\n"),
        play("    - uri: {url: 'http://x', src: a, remote_src: yes}\n      delegate_to: localhost\n"),
    ];
    for text in plays {
        let project = Project::new();
        project.file("ansible/web.yml", &text).file("ansible/a.yml", "- ping:\n").file("anything", "1");
        let inputs = project.inputs();
        assert!(has(&inputs, "anything") && inputs.imprecise.iter().any(|i| i.taken == "the root"), "{text}: {:?}", inputs.imprecise);
    }
}

#[test]
fn a_plugin_of_the_checkout_that_opens_files_takes_the_root_and_one_that_does_not_is_itself() {
    for (body, opens) in [("def f(x):\n    return open(x).read()\n", true), ("def f(x):\n    # open( is not called\n    return x\n", false)]
    {
        let project = Project::new();
        project.file("ansible/filter_plugins/f.py", body).file("anything", "1");
        let inputs = project.inputs();
        assert_eq!(has(&inputs, "anything"), opens, "{body}");
        assert!(has(&inputs, "ansible/filter_plugins/f.py"));
    }
}

#[test]
fn first_found_in_an_expression_is_followed_without_widening() {
    let project = Project::new();
    project
        .file(
            "ansible/roles/nginx/tasks/main.yml",
            "- include_vars: \"{{ lookup('first_found', params) }}\"\n  vars:\n    params:\n      files: ['{{ ansible_distribution }}.yml', default.yml]\n      paths: [vars]\n",
        )
        .file("ansible/roles/nginx/vars/default.yml", "which: b\n")
        .file("ansible/web.yml", "- hosts: all\n  roles: [nginx]\n  tasks:\n    - copy: {src: \"{{ which }}.conf\", dest: /x}\n")
        .file("ansible/b.conf", "1");
    let inputs = project.inputs();
    assert!(has(&inputs, "ansible/b.conf") && inputs.imprecise.is_empty(), "{:?}", inputs.imprecise);
}

#[test]
fn a_collection_counts_when_a_module_a_filter_or_a_short_name_is_of_it() {
    for (playbook, short) in [
        ("- hosts: all\n  tasks:\n    - acme.tools.install: {name: x}\n", false),
        ("- hosts: all\n  tasks:\n    - debug: {msg: \"{{ 1 | acme.tools.twice }}\"}\n", false),
        ("- hosts: all\n  collections: [acme.tools]\n  roles: [thing]\n", true),
    ] {
        let project = Project::new();
        project.file("ansible.cfg", "[defaults]\ncollections_path = ../installed\n").file("ansible/web.yml", playbook);
        let base = "installed/ansible_collections/acme/tools";
        outside(&project, &format!("{base}/MANIFEST.json"), "{\"collection_info\": {\"dependencies\": {\"acme.base\": \"*\"}}}");
        outside(&project, &format!("{base}/roles/thing/tasks/main.yml"), "- ping:\n");
        outside(&project, "installed/ansible_collections/acme/base/plugins/x.py", "x");
        let inputs = project.inputs();
        assert!(has(&inputs, "collection:acme.tools/MANIFEST.json"), "{playbook}: {:?}", present(&inputs));
        assert!(has(&inputs, "collection:acme.base/plugins/x.py"), "{playbook}");
        assert!(holds_no_machine_path(&inputs, project.dir.path()));
        assert_eq!(inputs.trees.keys().any(|name| name.starts_with("role:")), short, "{playbook}");
    }
}

#[test]
fn a_secret_of_the_environment_is_in_no_key_and_said() {
    let mut project = Project::new();
    project.file("ansible/roles/nginx/templates/a.j2", "{{ lookup('env', 'DB_PASSWORD') }}{{ lookup('env', 'APP') }}");
    project.environment.insert("DB_PASSWORD".to_owned(), "hunter2".to_owned());
    project.environment.insert("PKR_VAR_token".to_owned(), "hunter2".to_owned());
    project.environment.insert("APP".to_owned(), "1".to_owned());
    let inputs = project.inputs();
    assert_eq!(inputs.environment.keys().collect::<Vec<_>>(), ["APP"]);
    assert!(inputs.notes.iter().any(|note| note.contains("`DB_PASSWORD`") && !note.contains("hunter2")), "{:?}", inputs.notes);
}

#[test]
fn a_mode_that_a_variable_gives_keeps_all_bits_only_where_it_may_be_preserve() {
    for (mode, counts) in [("preserve", true), ("0644", false)] {
        let project = Project::new();
        project.file(
            "ansible/web.yml",
            format!("- hosts: all\n  vars: {{how: \"{mode}\"}}\n  tasks:\n    - copy: {{src: a, dest: /a, mode: \"{{{{ how }}}}\"}}\n"),
        );
        project.file("ansible/files/a", "x").mode("ansible/files/a", 0o644);
        let changed = project.changes(|p| {
            p.mode("ansible/files/a", 0o600);
        });
        assert_eq!(changed, counts, "{mode}");
    }
}
