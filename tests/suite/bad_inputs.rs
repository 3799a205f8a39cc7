//! Inputs that stop a careless reader: each ends quickly, as a clear message with its file and line or as an input that is
//! declared imprecise. Never a hang, never a crash, never a smaller key that says nothing.
//!
//! Invariant: each test changes something that the careless reader would have missed, and the key moves.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use ovenbird::model::problem::Problem;
use ovenbird::plan::inputs::{Entry, StageInputs};

use crate::keys_tree::Keys;

/// A tree whose `web` has one more list of tasks, `ansible/bad.yml`.
fn including() -> Keys {
    let keys = Keys::new();
    let web = std::fs::read_to_string(keys.path("ansible/web.yml")).unwrap();
    keys.write("ansible/web.yml", format!("{web}    - include_tasks: bad.yml\n"));
    keys
}

fn web(keys: &Keys) -> StageInputs {
    keys.inputs().remove("web").unwrap()
}

/// The whole root counts, `place` and the reason are said.
#[track_caller]
fn widened(keys: &Keys, place: &str, because: &str) {
    let inputs = web(keys);
    let said = inputs.imprecise.iter().any(|i| i.taken == "the root" && i.place == place && i.because.contains(because));
    assert!(said, "{:?}", inputs.imprecise);
    let moved = keys.moved(|k| {
        k.write("docs/readme.md", "even this counts now\n");
    });
    assert!(moved.contains("web"), "{moved:?}");
}

fn problem(keys: &Keys) -> Problem {
    keys.try_inputs().unwrap_err().0.remove(0)
}

#[test]
fn broken_yaml_takes_the_root_and_says_where() {
    let keys = including();
    keys.write("ansible/bad.yml", "- debug:\n- copy: {src: a\n- x: }\n");
    widened(&keys, "ansible/bad.yml:3", "is not YAML");
}

#[test]
fn roles_that_depend_on_each_other_in_a_circle_are_refused_with_file_and_line() {
    let keys = Keys::new();
    keys.write("ansible/roles/tls/meta/main.yml", "---\ndependencies:\n  - role: nginx\n");
    let problem = problem(&keys);
    assert!(problem.summary.contains("`nginx` → `tls` → `nginx`"), "{}", problem.summary);
    let place = &problem.places[0];
    assert_eq!(place.source.path.to_str(), Some("ansible/roles/tls/meta/main.yml"));
    assert_eq!(place.source.line_column(place.span.start).0, 3);
}

#[test]
fn an_include_out_of_the_root_counts_by_its_content_under_a_name_without_its_place() {
    let keys = Keys::new();
    let web_yml = std::fs::read_to_string(keys.path("ansible/web.yml")).unwrap();
    keys.write("ansible/web.yml", format!("{web_yml}    - include_tasks: ../../elsewhere/x.yml\n"));
    keys.write("../elsewhere/x.yml", "- debug: {msg: one}\n");
    assert!(web(&keys).trees.contains_key("outside:../elsewhere/x.yml"));
    let moved = keys.moved(|k| {
        k.write("../elsewhere/x.yml", "- debug: {msg: two}\n");
    });
    assert_eq!(moved.iter().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn an_include_of_etc_counts_by_its_content() {
    let keys = Keys::new();
    let web_yml = std::fs::read_to_string(keys.path("ansible/web.yml")).unwrap();
    keys.write("ansible/web.yml", format!("{web_yml}    - include_tasks: /etc/hostname\n    - copy: {{src: /etc/none.conf, dest: /x}}\n"));
    let inputs = web(&keys);
    assert!(matches!(inputs.trees["outside:etc/hostname"][""], Entry::File { .. }));
    assert_eq!(inputs.trees["outside:etc/none.conf"][""], Entry::Absent);
}

#[test]
fn an_include_of_a_missing_file_counts_when_it_appears() {
    let moved = including().moved(|k| {
        k.write("ansible/bad.yml", "- debug:\n");
    });
    assert_eq!(moved.iter().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn an_include_of_a_folder_counts_with_what_is_in_it() {
    let keys = including();
    keys.write("ansible/bad.yml/inside", "1\n");
    let moved = keys.moved(|k| {
        k.write("ansible/bad.yml/inside", "2\n");
    });
    assert_eq!(moved.iter().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn an_include_of_a_fifo_takes_the_root_and_waits_for_nobody() {
    let keys = including();
    assert_cmd::Command::new("mkfifo").arg(keys.path("ansible/bad.yml")).assert().success();
    widened(&keys, "ansible/bad.yml:1", "is a fifo");
}

#[test]
fn an_include_of_a_device_takes_the_root_and_does_not_read_for_ever() {
    let keys = including();
    keys.link("ansible/bad.yml", "/dev/zero");
    widened(&keys, "ansible/bad.yml:1", "is a device");
}

#[test]
fn an_include_of_a_socket_takes_the_root() {
    let keys = including();
    let _socket = UnixListener::bind(keys.path("ansible/bad.yml")).unwrap();
    widened(&keys, "ansible/bad.yml:1", "is a socket");
}

#[test]
fn an_include_of_links_in_a_circle_takes_the_root_and_ends() {
    let keys = including();
    keys.link("ansible/bad.yml", "other.yml").link("ansible/other.yml", "bad.yml");
    widened(&keys, "ansible/bad.yml:1", "symbolic links");
}

/// 5 GB in the proof; reading it is the test, not the size.
#[test]
#[expect(clippy::disallowed_methods, reason = "proofs are asked for by the environment")]
fn a_sparse_file_is_hashed_by_streaming_and_too_large_to_be_parsed() {
    let proof = std::env::var("OVENBIRD_PROOF").is_ok_and(|value| value == "1");
    let keys = including();
    let sparse = |name: &str, bytes: u64| std::fs::File::create(keys.path(name)).unwrap().set_len(bytes).unwrap();
    sparse("ansible/roles/nginx/files/big", if proof { 5 << 30 } else { 64 << 20 });
    assert!(matches!(web(&keys).trees["ansible/roles/nginx"]["files/big"], Entry::File { .. }));
    sparse("ansible/roles/nginx/files/big", 1);
    sparse("ansible/bad.yml", if proof { 5 << 30 } else { 64 << 20 });
    let inputs = web(&keys);
    assert!(
        inputs.imprecise.iter().any(|i| i.place == "ansible/bad.yml:1" && i.because.contains("has more than")),
        "{:?}",
        inputs.imprecise
    );
}

#[test]
fn a_file_that_cannot_be_read_is_declared_and_as_tasks_takes_the_root() {
    let keys = including();
    // It can only be written to, by root too.
    keys.link("ansible/bad.yml", "/sys/bus/platform/uevent").link("ansible/roles/nginx/files/uevent", "/sys/bus/platform/uevent");
    let inputs = web(&keys);
    assert_eq!(inputs.trees["ansible/roles/nginx"]["files/uevent"], Entry::Special { what: "unreadable".to_owned() });
    assert!(inputs.imprecise.iter().any(|i| i.place == "ansible/roles/nginx/files/uevent"), "{:?}", inputs.imprecise);
    assert!(
        inputs.imprecise.iter().any(|i| i.place == "ansible/bad.yml:1" && i.because.contains("cannot be read")),
        "{:?}",
        inputs.imprecise
    );
}

#[test]
fn names_that_are_no_utf8_count_as_tasks_too() {
    let keys = Keys::new();
    let put = |text: &str| {
        let path = keys.path("ansible/roles/nginx/tasks").join(std::ffi::OsStr::from_bytes(b"caf\xe9.yml"));
        std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), text.as_bytes()).unwrap();
    };
    put("- include_role: {name: unused}\n");
    let inputs = web(&keys);
    assert!(inputs.trees["ansible/roles/nginx"].contains_key("tasks/caf\\xe9.yml"));
    assert!(inputs.trees.contains_key("ansible/roles/unused"), "what such a file names counts");
    assert_eq!(keys.moved(|_| put("- debug:\n")).iter().collect::<Vec<_>>(), ["web"]);
}

/// Files and folders come and go while they are read: an answer every time, and the true one when it is over.
#[test]
fn files_that_vanish_while_they_are_read_end_as_what_was_there() {
    let keys = Keys::new();
    let before = keys.keys();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for n in 0..20 {
                    keys.write(&format!("ansible/roles/nginx/files/come/{n}/x"), "x");
                }
                keys.write("ansible/roles/nginx/tasks/come.yml", "- include_tasks: other.yml\n");
                keys.remove("ansible/roles/nginx/files/come").remove("ansible/roles/nginx/tasks/come.yml");
            }
        });
        for _ in 0..30 {
            assert!(keys.inputs_while_moving().len() == 4);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(keys.keys(), before);
}

/// Found by mutated files: a name whose first part is unknown led to all files of this machine, which were read and hashed.
#[test]
fn a_name_that_may_be_anything_of_this_machine_takes_the_root_and_ends() {
    let keys = including();
    keys.write("ansible/bad.yml", "- command: date\n  register: which\n- include_vars: \"/{{ which.stdout }}/x.yml\"\n");
    widened(&keys, "ansible/bad.yml:3", "is registered at run time");
    let keys = including();
    keys.write("ansible/bad.yml", "- command: date\n  register: which\n- include_vars: \"/usr/{{ which.stdout }}.yml\"\n");
    widened(&keys, "ansible/bad.yml:3", "`outside:usr` is too large to be taken");
    let outside: Vec<String> = web(&keys).trees.into_keys().filter(|name| name.starts_with("outside:usr")).collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn an_alias_bomb_takes_the_root_and_is_not_written_out() {
    let keys = including();
    let mut bomb = "- a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let list = vec![format!("*a{}", level - 1); 10].join(",");
        writeln!(bomb, "  a{level}: &a{level} [{list}]").unwrap();
    }
    keys.write("ansible/bad.yml", bomb);
    let inputs = web(&keys);
    let said = inputs.imprecise.iter().find(|i| i.place.starts_with("ansible/bad.yml:")).unwrap();
    assert!(said.because.contains("aliases") && said.taken == "the root", "{said:?}");
}

#[test]
fn nesting_of_ten_thousand_takes_the_root_in_yaml_hcl_and_json() {
    let keys = including();
    for deep in ["[".repeat(10_000), "- ".repeat(10_000), "{a: ".repeat(10_000)] {
        keys.write("ansible/bad.yml", deep);
        let inputs = web(&keys);
        assert!(
            inputs.imprecise.iter().any(|i| i.place.starts_with("ansible/bad.yml:") && i.taken == "the root"),
            "{:?}",
            inputs.imprecise
        );
    }
    keys.write("ansible/bad.yml", "- ping:\n");
    keys.write("packer/image.pkr.hcl", format!("a = {}", "[".repeat(10_000)));
    assert!(web(&keys).imprecise.iter().any(|i| i.place.starts_with("packer/image.pkr.hcl:")));
    keys.write("legacy/app.json", format!("{{\"a\": {}", "[".repeat(10_000)));
    assert!(keys.inputs()["legacy"].imprecise.iter().any(|i| i.place.starts_with("legacy/app.json:")));
}

#[test]
fn includes_of_themselves_end() {
    let keys = including();
    keys.write(
        "ansible/bad.yml",
        "- include_tasks: bad.yml\n  loop: \"{{ item }}\"\n- include_role: {name: nginx}\n- import_playbook: web.yml\n",
    );
    assert!(web(&keys).trees.contains_key("ansible/bad.yml"));
}

#[test]
fn jinja_without_an_end_and_very_long_names_end() {
    let keys = including();
    let long = "x".repeat(1 << 16);
    keys.write(
        "ansible/bad.yml",
        format!(
            "- copy: {{src: \"{{{{ a\", dest: /x}}\n- copy: {{src: \"{long}\", dest: /x}}\n- copy: {{src: \"{}\", dest: /x}}\n",
            "{{ a }}".repeat(5_000)
        ),
    );
    keys.write("ansible/roles/nginx/templates/open.j2", "{% include ".repeat(2_000) + &"lookup(".repeat(2_000));
    assert!(web(&keys).imprecise.iter().any(|i| i.place == "ansible/bad.yml:1"));
}

/// Found by mutated files: `vars_files: [/]` had this machine's whole disk read and hashed, down to files of the kernel that never end.
#[test]
fn a_folder_of_this_machine_takes_the_root_and_ends() {
    for (tasks, place, because) in [
        ("- include_vars: { dir: / }\n", "ansible/bad.yml:1", "`/` is a folder of this machine"),
        ("- include_role: { name: / }\n", "ansible/bad.yml:1", "`/` is a folder of this machine"),
        ("- copy: { src: /proc/self, dest: /x }\n", "ansible/bad.yml:1", "`/proc/self` is a folder of this machine"),
        ("- ping:\n- copy: { src: ../../../../../../../../../, dest: /x }\n", "ansible/bad.yml:2", "`/` is a folder of this machine"),
    ] {
        let keys = including();
        keys.write("ansible/bad.yml", tasks);
        widened(&keys, place, because);
    }
    let keys = including();
    let play = std::fs::read_to_string(keys.path("ansible/web.yml")).unwrap();
    keys.write("ansible/web.yml", play.replacen("  tasks:", "  vars_files: [[/, other.yml]]\n  tasks:", 1));
    assert!(web(&keys).imprecise.iter().any(|i| i.taken == "the root" && i.because.contains("`/` is a folder of this machine")));
}

#[test]
fn a_file_that_the_kernel_makes_up_is_special_and_ends() {
    let keys = including();
    keys.write("ansible/bad.yml", "- copy: { src: /proc/self/pagemap, dest: /x }\n");
    let inputs = web(&keys);
    let said = inputs.imprecise.iter().any(|i| i.because.contains("file that the kernel makes up"));
    assert!(said, "{:?}", inputs.imprecise);
}
