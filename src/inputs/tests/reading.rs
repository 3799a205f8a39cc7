//! What a playbook is found to read.

use super::*;

#[test]
fn a_role_used_only_by_a_dependency_counts() {
    let project = Project::new();
    project
        .file("ansible/roles/nginx/meta/main.yml", "dependencies:\n  - role: tls\n    when: false\n")
        .file("ansible/roles/tls/tasks/main.yml", "- debug:\n");
    assert!(project.changes(|p| {
        p.file("ansible/roles/tls/tasks/main.yml", "- ping:\n");
    }));
    let why = &project.inputs().why["ansible/roles/tls"];
    let whys = why.whys();
    let said: Vec<_> = whys.iter().map(|w| (w.what.as_str(), w.via.as_deref())).collect();
    let expected =
        [("playbook", None), ("role nginx", Some("ansible/web.yml:3")), ("role tls", Some("ansible/roles/nginx/meta/main.yml:2"))];
    assert_eq!(said, expected);
}

#[test]
fn a_role_used_only_inside_a_block_in_a_handler_counts() {
    let project = Project::new();
    project
        .file(
            "ansible/roles/nginx/handlers/main.yml",
            "- name: restart\n  block:\n    - ping:\n  rescue:\n    - block:\n        - ansible.builtin.include_role:\n            name: deep\n",
        )
        .file("ansible/roles/deep/tasks/main.yml", "- debug:\n");
    assert!(has(&project.inputs(), "ansible/roles/deep/tasks/main.yml"));
}

#[test]
fn roles_are_found_in_every_spelling() {
    let project = Project::new();
    let playbook = "- hosts: all\n  roles:\n    - a\n    - role: b\n    - {name: c, tags: x}\n    - net/d\n  pre_tasks:\n    - import_role: name=e\n  post_tasks:\n    - ansible.builtin.import_role: {name: f, tasks_from: other}\n    - action: include_role name=g\n  handlers:\n    - include_role:\n        name: h\n";
    project.file("ansible/web.yml", playbook);
    for name in ["a", "b", "c", "net/d", "e", "f", "g", "h"] {
        project.file(&format!("ansible/roles/{name}/tasks/main.yml"), "- debug:\n");
    }
    let inputs = project.inputs();
    for name in ["a", "b", "c", "net/d", "e", "f", "g", "h"] {
        assert!(has(&inputs, &format!("ansible/roles/{name}/tasks/main.yml")), "{name}");
    }
    assert!(inputs.imprecise.is_empty(), "{:?}", inputs.imprecise);
}

#[test]
fn a_role_of_one_name_on_two_paths_counts_on_both_and_where_it_is_not() {
    let project = Project::new();
    project
        .file("ansible.cfg", "[defaults]\nroles_path = first:shared/roles:{{CWD}}/last ; comment\n")
        .file("shared/roles/nginx/tasks/main.yml", "- debug:\n");
    assert!(has(&project.inputs(), "shared/roles/nginx/tasks/main.yml"));
    project.remove("ansible/roles/nginx");
    let inputs = project.inputs();
    assert!(absent(&inputs).contains("ansible/roles/nginx") && absent(&inputs).contains("first/nginx"), "{:?}", absent(&inputs));
    assert!(
        project.changes(|p| {
            p.file("first/nginx/tasks/main.yml", "- debug:\n");
        }),
        "appears on an earlier path"
    );
}

#[test]
fn a_role_outside_the_root_has_a_name_without_its_place() {
    let project = Project::new();
    project.remove("ansible/roles/nginx").file("ansible.cfg", "[defaults]\nroles_path = ../elsewhere\n");
    outside(&project, "elsewhere/nginx/tasks/main.yml", "- debug:\n");
    let inputs = project.inputs();
    assert!(has(&inputs, "role:nginx/tasks/main.yml"));
    assert!(holds_no_machine_path(&inputs, project.dir.path()));
}

#[test]
fn a_role_that_is_nowhere_is_noted_and_its_places_count() {
    let project = Project::new();
    project.remove("ansible/roles/nginx");
    assert!(project.inputs().notes.iter().any(|note| note.contains("`nginx`")));
    assert!(project.changes(|p| {
        p.file("ansible/roles/nginx/tasks/main.yml", "- debug:\n");
    }));
}

#[test]
fn group_vars_that_appear_change_the_key() {
    let project = Project::new();
    assert!(absent(&project.inputs()).contains("ansible/group_vars"));
    assert!(project.changes(|p| {
        p.file("ansible/group_vars/web.yml", "a: 1\n");
    }));
    assert!(project.changes(|p| {
        p.file("ansible/host_vars/default/x.yml", "a: 1\n");
    }));
    assert!(project.changes(|p| {
        p.file("ansible/library/m.py", "");
    }));
}

#[test]
fn the_configuration_in_force_is_the_one_that_ansible_would_find() {
    let mut project = Project::new();
    assert!(absent(&project.inputs()).contains("ansible.cfg"));
    project.file("etc/mine.cfg", "[defaults]\nnocows = 1\n");
    assert!(project.changes(|p| {
        p.file("ansible.cfg", "[defaults]\n");
    }));
    assert_eq!(project.inputs().ansible_config.as_deref(), Some("ansible.cfg"));
    project.environment.insert("ANSIBLE_CONFIG".to_owned(), "etc/mine.cfg".to_owned());
    assert_eq!(project.inputs().ansible_config.as_deref(), Some("etc/mine.cfg"));
    assert!(!has(&project.inputs(), "ansible.cfg"));
}

#[test]
fn the_homes_configuration_counts_by_its_content_and_not_by_its_place() {
    let project = Project::new();
    outside(&project, "home/.ansible.cfg", "[defaults]\n");
    let inputs = project.inputs();
    assert_eq!(inputs.ansible_config.as_deref(), Some("cfg:ansible.cfg"));
    assert!(has(&inputs, "cfg:ansible.cfg"));
}

#[test]
fn imported_playbooks_tasks_and_variables_are_followed() {
    let project = Project::new();
    project
        .file("ansible/web.yml", "- import_playbook: sub/more.yml\n- hosts: all\n  vars_files:\n    - v1.yml\n    - [v2.yml, v3.yml]\n  tasks:\n    - include_tasks: tasks/a.yml\n    - include_vars: x.yml\n    - include_vars: {dir: many}\n")
        .file("ansible/sub/more.yml", "- hosts: all\n  roles: [only_there]\n")
        .file("ansible/sub/roles/only_there/tasks/main.yml", "- debug:\n")
        .file("ansible/v1.yml", "a: 1\n")
        .file("ansible/v3.yml", "a: 1\n")
        .file("ansible/tasks/a.yml", "- import_tasks: b.yml\n")
        .file("ansible/tasks/b.yml", "- template: {src: t.j2, dest: /t}\n")
        .file("ansible/templates/t.j2", "{% include 'part.j2' %}")
        .file("ansible/templates/part.j2", "{{ lookup('file', 'motd') }}")
        .file("ansible/files/motd", "x")
        .file("ansible/vars/x.yml", "b: 1\n")
        .file("ansible/many/1.yml", "c: 1\n");
    let inputs = project.inputs();
    for name in [
        "sub/more.yml",
        "sub/roles/only_there/tasks/main.yml",
        "v1.yml",
        "v3.yml",
        "tasks/a.yml",
        "tasks/b.yml",
        "templates/t.j2",
        "templates/part.j2",
        "files/motd",
        "vars/x.yml",
        "many/1.yml",
    ] {
        assert!(has(&inputs, &format!("ansible/{name}")), "{name}: {:?}", present(&inputs));
    }
    assert!(absent(&inputs).contains("ansible/v2.yml"));
    assert!(inputs.imprecise.is_empty(), "{:?}", inputs.imprecise);
}

#[test]
fn a_target_that_appears_on_an_earlier_search_path_changes_the_key() {
    let project = Project::new();
    project.file("ansible/web.yml", "- hosts: all\n  tasks:\n    - copy: {src: a.conf, dest: /a}\n").file("ansible/a.conf", "1");
    assert!(project.changes(|p| {
        p.file("ansible/files/a.conf", "1");
    }));
}

#[test]
fn a_templated_name_is_every_literal_that_is_assigned_anywhere() {
    let project = Project::new();
    project
        .file("ansible/web.yml", "- hosts: all\n  vars: {which: one}\n  tasks:\n    - copy: {src: \"{{ which }}.conf\", dest: /a}\n    - include_role: {name: \"{{ item.role }}\"}\n      loop: \"{{ apps }}\"\n  roles: [nginx]\n")
        .file("ansible/roles/nginx/defaults/main.yml", "which: two\napps:\n  - role: first\n  - {role: \"{{ other }}\"}\nother: second\n")
        .file("ansible/roles/first/tasks/main.yml", "- set_fact: {which: three}\n")
        .file("ansible/roles/second/tasks/main.yml", "- debug:\n")
        .file("ansible/roles/third/tasks/main.yml", "- debug:\n");
    for name in ["one", "two", "three", "four"] {
        project.file(&format!("ansible/{name}.conf"), "x");
    }
    let inputs = project.inputs();
    for name in [
        "ansible/one.conf",
        "ansible/two.conf",
        "ansible/three.conf",
        "ansible/roles/first/tasks/main.yml",
        "ansible/roles/second/tasks/main.yml",
    ] {
        assert!(has(&inputs, name), "{name}: {:?}", inputs.imprecise);
    }
    assert!(!has(&inputs, "ansible/four.conf") && !has(&inputs, "ansible/roles/third/tasks/main.yml"));
    assert!(inputs.imprecise.is_empty(), "{:?}", inputs.imprecise);
}

#[test]
fn a_fact_in_a_name_takes_what_fits_and_a_register_widens() {
    let project = Project::new();
    project
        .file("ansible/web.yml", "- hosts: all\n  tasks:\n    - include_vars: \"{{ ansible_facts['os_family'] }}.yml\"\n")
        .file("ansible/vars/Debian.yml", "a: 1\n")
        .file("ansible/vars/other.txt", "x");
    let inputs = project.inputs();
    assert!(
        has(&inputs, "ansible/vars/Debian.yml") && !has(&inputs, "ansible/vars/other.txt") && inputs.imprecise.is_empty(),
        "{:?}",
        inputs.imprecise
    );
    assert!(project.changes(|p| {
        p.file("ansible/vars/RedHat.yml", "a: 1\n");
    }));
    // A playbook or a list of tasks beside it fits too. Ansible refuses these as variables, so what they look up is looked up by nobody.
    project.file("ansible/other.yml", "- hosts: all\n  tasks:\n    - debug: {msg: \"{{ lookup('pipe', 'x') }}\"}\n");
    assert!(project.inputs().imprecise.is_empty());
    project.file("ansible/other.yml", "a: \"{{ lookup('pipe', 'x') }}\"\n");
    assert!(!project.inputs().imprecise.is_empty());
    project.remove("ansible/other.yml");

    project.file("ansible/web.yml", "- hosts: all\n  tasks:\n    - command: hostname\n      register: out\n    - copy: {src: \"conf/{{ out.stdout }}\", dest: /a}\n    - copy: {src: \"{{ out.stdout }}\", dest: /a}\n");
    project.file("ansible/files/conf/a", "1");
    let inputs = project.inputs();
    assert!(has(&inputs, "ansible/files/conf/a"));
    let taken: Vec<_> = inputs.imprecise.iter().map(|i| (i.taken.as_str(), i.place.as_str())).collect();
    assert_eq!(taken, [("ansible/files/conf", "ansible/web.yml:5"), ("the root", "ansible/web.yml:6")]);
}

#[test]
fn an_encrypted_file_of_variables_counts_by_its_bytes_and_may_assign_anything() {
    let project = Project::new();
    project
        .file("ansible/web.yml", "- hosts: all\n  vars: {which: one}\n  tasks:\n    - copy: {src: \"{{ which }}.conf\", dest: /a}\n")
        .file("ansible/group_vars/all/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n61626364\n");
    assert!(project.inputs().imprecise[0].because.contains("ansible-vault"));
    assert!(project.changes(|p| {
        p.file("ansible/group_vars/all/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n61626365\n");
    }));
}

#[test]
fn what_runs_on_this_machine_takes_the_root() {
    for task in [
        "delegate_to: localhost\n      shell: make",
        "local_action: command make",
        "connection: local\n      command: make",
        "debug: {msg: \"{{ lookup('pipe', 'date') }}\"}",
        "debug: {msg: \"{{ q('my.own.thing', 1) }}\"}",
    ] {
        let project = Project::new();
        project.file("ansible/web.yml", format!("- hosts: all\n  tasks:\n    - name: x\n      {task}\n")).file("anything", "1");
        let inputs = project.inputs();
        assert!(
            inputs.imprecise.iter().any(|i| i.taken == "the root" && i.place.starts_with("ansible/web.yml:")),
            "{task}: {:?}",
            inputs.imprecise
        );
        assert!(has(&inputs, "anything"));
    }
}

#[test]
fn waiting_on_this_machine_reads_nothing() {
    let project = Project::new();
    project.file("ansible/web.yml", "- hosts: all\n  tasks:\n    - wait_for: {port: 80}\n      delegate_to: localhost\n");
    assert!(project.inputs().imprecise.is_empty());
}

#[test]
fn variables_that_a_lookup_reads_are_in_the_key_and_others_are_not() {
    let mut project = Project::new();
    project.file("ansible/roles/nginx/templates/a.j2", "{{ lookup('env', 'APP_VERSION') }}");
    for (name, value) in [("APP_VERSION", "1"), ("OTHER", "1"), ("ANSIBLE_GATHERING", "smart")] {
        project.environment.insert(name.to_owned(), value.to_owned());
    }
    assert_eq!(project.inputs().environment.keys().collect::<Vec<_>>(), ["ANSIBLE_GATHERING", "APP_VERSION"]);
}

#[test]
fn the_verification_has_inputs_of_its_own() {
    let project = Project::with("playbook = \"ansible/web.yml\"\n  verify = \"ansible/verify/web.yml\"");
    project.file("ansible/verify/web.yml", "- hosts: all\n  tasks:\n    - script: check.sh\n").file("ansible/verify/check.sh", "x");
    let inputs = project.inputs();
    assert!(inputs.verify_trees.contains_key("ansible/verify/check.sh") && !has(&inputs, "ansible/verify/check.sh"));
    assert!(!project.changes(|p| {
        p.file("ansible/verify/check.sh", "y");
    }));
}

#[test]
fn requirement_files_count_and_their_roles_are_not_missing() {
    let project = Project::with("playbook = \"ansible/web.yml\"\n  galaxy = [\"ansible/requirements.yml\"]");
    project.remove("ansible/roles/nginx").file(
        "ansible/requirements.yml",
        "roles:\n  - name: nginx\n    version: \"1\"\n  - src: ./vendor/mine\n    name: mine\ncollections: []\n",
    );
    project.file("vendor/mine/tasks/main.yml", "- debug:\n");
    let inputs = project.inputs();
    assert!(has(&inputs, "ansible/requirements.yml") && has(&inputs, "vendor/mine/tasks/main.yml"));
    assert!(inputs.notes.is_empty(), "{:?}", inputs.notes);
}

#[test]
fn emit_targets_and_vault_passwords_are_never_inputs() {
    let project = Project::new();
    project
        .file("ansible/web.yml", "- hosts: localhost\n  tasks: []\n")
        .file("ansible.cfg", "[defaults]\nvault_password_file = .pw\n")
        .file(".pw", "secret");
    project.file("terraform/images.auto.tfvars", "web_ami_id = \"\"\n").file("terraform/v.tf", "variable \"web_ami_id\" {}\n");
    let text = std::fs::read_to_string(project.path("ovenbird.hcl")).unwrap();
    project.file("ovenbird.hcl", format!("{text}emit \"terraform/images.auto.tfvars\" {{\n  web_ami_id = stage.web.id\n}}\n"));
    let inputs = project.inputs();
    assert!(has(&inputs, "terraform/v.tf"), "{:?}", present(&inputs));
    for name in [".pw", "terraform/images.auto.tfvars", "ovenbird.hcl"] {
        assert!(!has(&inputs, name), "{name}");
    }
    assert!(inputs.ignored.contains_key("targets of emit") && inputs.ignored.contains_key("vault password files"));
}

#[test]
fn items_of_a_glob_count_by_their_folder() {
    let project = Project::new();
    project
        .file(
            "ansible/web.yml",
            "- hosts: all\n  tasks:\n    - copy: {src: \"{{ item }}\", dest: /a}\n      with_fileglob: [\"conf.d/*.conf\"]\n",
        )
        .file("ansible/files/conf.d/a.conf", "1");
    let inputs = project.inputs();
    assert!(has(&inputs, "ansible/files/conf.d/a.conf") && inputs.imprecise.is_empty(), "{:?}", inputs.imprecise);
    assert!(project.changes(|p| {
        p.file("ansible/files/conf.d/b.conf", "1");
    }));
}

#[test]
fn a_playbooks_folder_that_becomes_a_role_changes_the_key() {
    for name in ["tasks/main.yml", "ansible/meta/main.yml", "shell_plugins/x.py"] {
        assert!(
            Project::new().changes(|p| {
                p.file(name, "");
            }),
            "{name}"
        );
    }
}
