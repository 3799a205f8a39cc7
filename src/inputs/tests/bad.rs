//! Things that stop a careless reader: each ends quickly, as an input that is declared imprecise or as a clear problem.

use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn a_fifo_and_a_socket_are_special_and_nobody_waits_for_them() {
    let project = Project::new();
    project.folder("ansible/roles/nginx/files");
    nix::unistd::mkfifo(&project.path("ansible/roles/nginx/files/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(project.path("ansible/roles/nginx/files/sock")).unwrap();
    project.link("ansible/roles/nginx/files/null", "/dev/null");
    let inputs = project.inputs();
    let tree = &inputs.trees["ansible/roles/nginx"];
    assert_eq!(tree["files/pipe"], Entry::Special { what: "fifo".to_owned() });
    assert_eq!(tree["files/sock"], Entry::Special { what: "socket".to_owned() });
    assert!(matches!(tree["files/null"], Entry::Special { .. }));
    assert_eq!(inputs.imprecise.len(), 3, "{:?}", inputs.imprecise);
}

#[test]
fn a_fifo_as_playbook_include_or_variables_widens_instead_of_hanging() {
    let project = Project::new();
    project.file("ansible/web.yml", "- hosts: all\n  tasks:\n    - include_tasks: pipe.yml\n");
    nix::unistd::mkfifo(&project.path("ansible/pipe.yml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(project.inputs().imprecise.iter().any(|i| i.because.contains("fifo") && i.taken == "the root"));
}

#[test]
fn a_file_that_cannot_be_read_is_declared() {
    let project = Project::new();
    // It can only be written to, by root too.
    project.link("ansible/roles/nginx/files/uevent", "/sys/bus/platform/uevent");
    let inputs = project.inputs();
    assert_eq!(inputs.trees["ansible/roles/nginx"]["files/uevent"], Entry::Special { what: "unreadable".to_owned() });
    assert!(inputs.imprecise.iter().any(|i| i.place == "ansible/roles/nginx/files/uevent"));
}

#[test]
fn broken_yaml_widens_and_says_where() {
    let project = Project::new();
    project.file("ansible/web.yml", "- hosts: all\n  roles: [nginx\n  x: }\n").file("README", "x");
    let inputs = project.inputs();
    let imprecise = &inputs.imprecise[0];
    assert_eq!(imprecise.taken, "the root");
    assert!(imprecise.place.starts_with("ansible/web.yml:") && imprecise.because.contains("YAML"), "{imprecise:?}");
    assert!(has(&inputs, "README") && !has(&inputs, "ovenbird.hcl"));
    assert!(project.changes(|p| {
        p.file("README", "y");
    }));
}

#[test]
fn deep_nesting_and_an_alias_bomb_widen() {
    let deep = "[".repeat(10_000);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    for text in [deep.as_str(), bomb] {
        let project = Project::new();
        project.file("ansible/web.yml", text);
        assert_eq!(project.inputs().imprecise[0].taken, "the root");
    }
}

#[test]
fn dependencies_in_a_circle_are_a_problem_with_its_path() {
    let project = Project::new();
    project
        .file("ansible/roles/nginx/meta/main.yml", "dependencies:\n  - role: tls\n")
        .file("ansible/roles/tls/meta/main.yml", "dependencies: [nginx]\n");
    let problems = project.try_inputs().unwrap_err();
    assert_eq!(problems.0[0].summary, "roles depend on each other in a circle: `nginx` → `tls` → `nginx`");
    assert_eq!(problems.0[0].places[0].source.path, Path::new("ansible/roles/tls/meta/main.yml"));
}

#[test]
fn a_role_that_includes_the_one_that_depends_on_it_is_no_circle() {
    let project = Project::new();
    project
        .file("ansible/roles/nginx/meta/main.yml", "dependencies: [tls]\n")
        .file("ansible/roles/tls/tasks/main.yml", "- include_role: {name: nginx}\n");
    assert!(project.try_inputs().is_ok());
}

#[test]
fn includes_of_nothing_of_themselves_and_of_outside_end() {
    let project = Project::new();
    project.file(
        "ansible/web.yml",
        "- hosts: all\n  tasks:\n    - include_tasks: web.yml\n    - include_tasks: gone.yml\n    - include_tasks: ../../outside.yml\n    - include_tasks: /etc/hostname\n- import_playbook: web.yml\n",
    );
    outside(&project, "outside.yml", "- copy: {src: x, dest: /x}\n");
    let inputs = project.inputs();
    assert!(absent(&inputs).contains("ansible/gone.yml"));
    assert!(has(&inputs, "outside:../outside.yml"), "{:?}", present(&inputs));
    assert!(inputs.trees.contains_key("outside:etc/hostname"));
}

#[test]
fn a_sparse_file_of_a_gigabyte_is_hashed_by_streaming() {
    let project = Project::new();
    project.folder("ansible/roles/nginx/files");
    std::fs::File::create(project.path("ansible/roles/nginx/files/big")).unwrap().set_len(1 << 30).unwrap();
    assert!(matches!(project.inputs().trees["ansible/roles/nginx"]["files/big"], Entry::File { .. }));
}
