//! The regression list of the key: each way in which other projects that hashed the inputs of their images got it wrong, or could,
//! is one named test. The table says which test holds which item; the last test here holds the table to the files.
//!
//! Owns the items that need no EC2. Invariant: an item's test goes through the pipeline file and the disk, as a plan does.
//!
//! | item | test | file |
//! |---|---|---|
//! | rename only | `a_rename_alone_moves_the_key` | `tests/suite/regressions.rs` |
//! | chmod +x only | `an_executable_bit_alone_moves_the_key` | `tests/suite/regressions.rs` |
//! | symlink retargeted, and its target edited | `a_link_moves_the_key_by_its_target_and_by_what_it_points_to` | `tests/suite/regressions.rs` |
//! | dotfile edited | `an_edited_dotfile_moves_the_key` | `tests/suite/regressions.rs` |
//! | mtime touched (must not matter) | `a_touched_mtime_moves_nothing` | `tests/suite/regressions.rs` |
//! | same content in another checkout path (must not matter) | `another_folder_moves_nothing` | `tests/suite/stability.rs` |
//! | same content in another locale, time zone, umask (must not matter) | `locale_time_zone_and_umask_move_nothing` | `tests/suite/stability.rs` |
//! | same content as another user (must not matter) | `another_user_moves_nothing` | `tests/suite/stability.rs` |
//! | ignored-by-git but used file | `a_file_that_git_ignores_counts_where_it_is_used` | `tests/suite/regressions.rs` |
//! | file deleted | `a_deleted_file_moves_the_key` | `tests/suite/regressions.rs` |
//! | CRLF | `line_ends_of_windows_move_the_key` | `tests/suite/regressions.rs` |
//! | non-UTF-8 file name | `a_name_that_is_no_utf8_counts_by_its_bytes` | `tests/suite/regressions.rs` |
//! | empty directory | `an_empty_folder_moves_the_key` | `tests/suite/regressions.rs` |
//! | variable order in a map (must not matter) | `the_order_of_variables_in_a_map_moves_nothing` | `tests/suite/regressions.rs` |
//! | argument order (must) | `the_order_of_arguments_moves_the_key` | `tests/suite/regressions.rs` |
//! | delimiter injection in values | `a_value_cannot_look_like_two` | `tests/suite/regressions.rs` |
//! | template body changed under the same file name | `a_template_of_another_body_and_the_same_name_moves_the_key` | `tests/suite/regressions.rs` |
//! | source AMI moved (only by `update`) | `a_source_ami_moves_only_with_the_lock_file` | `tests/suite/regressions.rs` |
//! | … by `update` | `update_pins_the_newest_image_and_moves_nothing_that_still_holds` | `tests/cloud/pins.rs` |
//! | tool outside its constraint | `a_tool_outside_its_constraint_is_refused_before_anything_is_touched` | `tests/suite/regressions.rs` |
//! | secret version raised | `a_raised_version_of_a_secret_moves_the_key_and_its_value_stands_nowhere` | `tests/suite/regressions.rs` |
//! | copy region added (must not rebuild) | `a_copy_region_rebuilds_nothing` | `src/plan/planner_tests.rs` |
//! | tag changed (must retag) | `a_changed_tag_is_set_and_nothing_is_rebuilt` | `tests/suite/regressions.rs` |
//! | same inputs, other architecture | `another_architecture_is_another_image` | `tests/suite/regressions.rs` |
//! | `update --rebuild` of the parent | `a_rebuild_of_the_parent_reaches_the_children` | `tests/suite/regressions.rs` |
//! | … as the user runs it | `a_rebuild_that_was_asked_for_reaches_the_children_and_nobody_else` | `tests/cloud/pins.rs` |
//! | AMI deregistered by hand | `an_image_that_was_deregistered_by_hand_is_built_again` | `tests/suite/regressions.rs` |
//! | AMI without seal | `an_image_without_a_seal_is_no_hit` | `tests/suite/regressions.rs` |
//! | two sealed AMIs with one key (oldest, then smallest id; warn) | `of_two_sealed_images_the_oldest_is_taken_and_the_other_is_told` | `tests/suite/regressions.rs` |
//! | AMI revoked: the plan says which `update --rebuild` to run | `a_revoked_image_blocks_and_the_plan_says_what_to_run` | `tests/suite/regressions.rs` |
//! | role used only by a `meta` dependency | `a_role_that_only_a_dependency_names_counts` | `tests/suite/regressions.rs` |
//! | role used only inside a `block` in a handler | `a_role_that_only_a_block_in_a_handler_names_counts` | `tests/suite/regressions.rs` |
//! | role of the same name on two paths | `a_role_of_one_name_counts_on_both_of_its_paths` | `tests/suite/regressions.rs` |
//! | galaxy role upgraded in place | `content_that_is_there_starts_nothing_and_a_role_that_was_edited_in_place_is_made_anew` | `tests/suite/galaxy.rs` |
//! | group_vars file appears | `group_vars_that_appear_move_the_key` | `tests/suite/regressions.rs` |
//! | include target appears on an earlier search path | `a_file_that_appears_on_an_earlier_search_path_moves_the_key` | `tests/suite/regressions.rs` |
//! | input edited while Packer ran (image removed, not sealed) | `inputs_edited_while_packer_ran_mean_no_seal_and_no_image` | `tests/cloud/faults.rs` |
//! | bytecode written beside a plugin (must not matter) | `bytecode_beside_a_plugin_moves_nothing` | `tests/suite/regressions.rs` |
//! | template that chose its own source AMI (no seal) | `a_template_that_picks_its_own_source_ami_gets_no_seal_and_its_image_is_removed` | `tests/cloud/foreign.rs` |
//! | no two pipelines share images | `two_pipelines_never_share_an_image` | `tests/suite/regressions.rs` |

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, SystemTime};

use ovenbird::model::artifact::tags;
use ovenbird::plan::plan::Action;

use crate::keys_tree::Keys;

/// Names of stages.
fn stages(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// `web` changes and nothing else does.
#[track_caller]
fn web_alone(change: impl FnOnce(&Keys)) {
    assert_eq!(Keys::new().moved(change), stages(&["web"]));
}

#[track_caller]
fn nothing(change: impl FnOnce(&Keys)) {
    assert_eq!(Keys::new().moved(change), stages(&[]));
}

const NGINX: &str = "ansible/roles/nginx";

#[test]
fn a_rename_alone_moves_the_key() {
    web_alone(|k| std::fs::rename(k.path("ansible/roles/nginx/files/site.conf"), k.path("ansible/roles/nginx/files/other.conf")).unwrap());
}

#[test]
fn an_executable_bit_alone_moves_the_key() {
    web_alone(|k| {
        k.mode("ansible/roles/nginx/files/site.conf", 0o755);
    });
}

#[test]
fn a_link_moves_the_key_by_its_target_and_by_what_it_points_to() {
    let all = stages(&["base", "db", "web"]);
    let link = "ansible/roles/common/files/linked.txt";
    let keys = Keys::new();
    keys.write("shared/same.txt", "linked\n");
    let retargeted = keys.moved(|k| {
        k.link(link, "../../../../shared/same.txt");
    });
    assert_eq!(retargeted, all, "to equal content");
    let edited = keys.moved(|k| {
        k.write("shared/same.txt", "edited\n");
    });
    assert_eq!(edited, all);
    let below = keys.moved(|k| {
        k.write("shared/tree/deep/a.txt", "edited\n");
    });
    assert_eq!(below, all, "below a linked folder");
}

#[test]
fn an_edited_dotfile_moves_the_key() {
    let moved = Keys::new().moved(|k| {
        k.write("ansible/data/.hidden", "y\n");
    });
    assert_eq!(moved, stages(&["db"]));
}

#[test]
fn a_touched_mtime_moves_nothing() {
    nothing(|k| {
        for name in ["ansible/web.yml", "ansible/roles/nginx/tasks/main.yml", "legacy/app.json", "packer/image.pkr.hcl"] {
            let file = std::fs::File::options().append(true).open(k.path(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        }
    });
}

#[test]
fn a_file_that_git_ignores_counts_where_it_is_used() {
    let keys = Keys::new();
    keys.write(".gitignore", "*.local\n").write("ansible/roles/nginx/files/a.local", "1\n");
    let moved = keys.moved(|k| {
        k.write("ansible/roles/nginx/files/a.local", "2\n");
    });
    assert_eq!(moved, stages(&["web"]));
}

#[test]
fn a_deleted_file_moves_the_key() {
    web_alone(|k| {
        k.remove("ansible/roles/nginx/files/site.conf");
    });
}

#[test]
fn line_ends_of_windows_move_the_key() {
    web_alone(|k| {
        k.write("ansible/roles/nginx/files/site.conf", "server {}\r\n");
    });
}

#[test]
fn a_name_that_is_no_utf8_counts_by_its_bytes() {
    let keys = Keys::new();
    let put = |k: &Keys, name: &[u8]| drop(std::fs::File::create(k.path(NGINX).join(std::ffi::OsStr::from_bytes(name))).unwrap());
    assert_eq!(keys.moved(|k| put(k, b"caf\xe9")), stages(&["web"]));
    let (one, two) = (Keys::new(), Keys::new());
    put(&one, b"caf\xe9");
    put(&two, b"caf\xe8");
    assert_ne!(one.keys(), two.keys(), "two such names are two");
    let written_out = Keys::new();
    put(&written_out, b"caf\\xe9");
    assert_ne!(one.keys(), written_out.keys(), "nor is one like the text that stands for it");
}

#[test]
fn an_empty_folder_moves_the_key() {
    web_alone(|k| std::fs::create_dir(k.path(NGINX).join("files/later")).unwrap());
}

#[test]
fn the_order_of_variables_in_a_map_moves_nothing() {
    nothing(|k| {
        k.edit("{ a = \"1\", b = \"2\", key", "{ b = \"2\", a = \"1\", key");
    });
}

#[test]
fn the_order_of_arguments_moves_the_key() {
    web_alone(|k| {
        k.edit("\"--skip-tags\", \"slow\", \"-e\", \"@ansible/extra.yml\"", "\"-e\", \"@ansible/extra.yml\", \"--skip-tags\", \"slow\"");
    });
}

#[test]
fn a_value_cannot_look_like_two() {
    let arguments = |text: &str| {
        let keys = Keys::new();
        keys.edit("\"--skip-tags\", \"slow\", \"-e\", \"@ansible/extra.yml\"", text);
        keys.keys()["web"]
    };
    let vars = |text: &str| {
        let keys = Keys::new();
        keys.edit("a = \"1\", b = \"2\"", text);
        keys.keys()["web"]
    };
    let all = [
        arguments(r#""ab", "c""#),
        arguments(r#""a", "bc""#),
        arguments(r#""ab,c""#),
        arguments(r#""ab\",\"c""#),
        vars(r#"a = "1\",\"b\":\"2""#),
        vars(r#"a = "1", b = "2\",\"c\":\"""#),
        vars(r#"a = ["1", "2"], b = []"#),
        vars(r#"a = ["1"], b = ["2"]"#),
        vars(r#"a = "", b = null"#),
        vars(r#"a = null, b = """#),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn a_template_of_another_body_and_the_same_name_moves_the_key() {
    let moved = Keys::new().moved(|k| {
        k.write("packer/image.pkr.hcl", "variable \"image_name\" { default = \"y\" }\n");
    });
    assert_eq!(moved, stages(&["base", "db", "web"]));
    let moved = Keys::new().moved(|k| {
        let text = std::fs::read_to_string(k.path("legacy/app.json")).unwrap();
        k.write("legacy/app.json", text.replace("/etc/motd", "/etc/motd2"));
    });
    assert_eq!(moved, stages(&["legacy"]));
}

#[test]
fn a_source_ami_moves_only_with_the_lock_file() {
    let keys = Keys::new();
    keys.edit(
        "ami \"x86_64\" { id = \"ami-0123456789abcdef0\" }",
        "ami \"x86_64\" {\n    owners = [\"136693071363\"]\n    name   = \"debian-12-amd64-*\"\n  }",
    );
    let before = keys.keys();
    let lock = std::fs::read_to_string(keys.path("ovenbird.lock")).unwrap();
    keys.write("ovenbird.lock", lock.replace("2026-11-16\"", "2026-11-22\""));
    assert_eq!(keys.keys(), before, "nobody looked for a newer one, and the day of the look counts for nothing");
    let moved = keys.moved(|k| {
        k.write("ovenbird.lock", lock.replace("ami-0123456789abcdef0", "ami-0fedcba9876543210"));
    });
    assert_eq!(moved, stages(&["base", "db", "legacy", "web"]));
}

#[test]
fn a_tool_outside_its_constraint_is_refused_before_anything_is_touched() {
    let keys = Keys::new();
    keys.write("bin/packer", "#!/bin/sh\necho Packer v1.9.4\n").mode("bin/packer", 0o755);
    keys.write("bin/ansible-playbook", "#!/bin/sh\necho 'ansible-playbook [core 2.19.4]'\n").mode("bin/ansible-playbook", 0o755);
    // Docker has the image that stands for the source, and nobody's verdict.
    let docker =
        "#!/bin/sh\ncase \"$*\" in *debian:12*) echo sha256:d0c;; *image*) echo 'No such image' >&2; exit 1;; *) echo 20.10.24;; esac\n";
    keys.write("bin/docker", docker).mode("bin/docker", 0o755);
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_ovenbird"));
    command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", keys.path("bin").display())).env("HOME", keys.path("../home"));
    let output = command.env("DD_API_KEY", "x").current_dir(keys.root()).args(["dry-run"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("1.9.4") && said.contains("~> 1.15"), "the version seen and the one wanted: {said}");
}

#[test]
fn a_raised_version_of_a_secret_moves_the_key_and_its_value_stands_nowhere() {
    let mut keys = Keys::new();
    keys.environment.insert("DD_API_KEY".to_owned(), "hunter2".to_owned());
    let before = keys.keys();
    let text = format!("{:?}", keys.keyed());
    assert!(text.contains("2026-11") && !text.contains("hunter2"));
    keys.environment.insert("DD_API_KEY".to_owned(), "hunter3".to_owned());
    assert_eq!(keys.keys(), before, "its value counts for nothing");
    let moved = keys.moved(|k| {
        k.edit("version = \"2026-11\"", "version = \"2026-12\"");
    });
    assert_eq!(moved, stages(&["web"]));
}

#[test]
fn a_changed_tag_is_set_and_nothing_is_rebuilt() {
    let keys = Keys::new();
    let images: Vec<_> = ["base", "web", "db", "legacy"].map(|stage| keys.sealed(stage, &format!("ami-{stage}"), "2026-11-20")).into();
    assert!(keys.plan(&images).nodes.iter().filter(|n| n.wanted).all(|n| matches!(n.action, Action::Reuse { .. })));
    keys.edit("region = \"ap-northeast-1\"", "region = \"ap-northeast-1\"\n  tags = { team = \"platform\" }");
    let plan = keys.plan(&images);
    assert!(plan.nodes.iter().filter(|n| n.wanted).all(|n| matches!(n.action, Action::Retag { .. })), "{:?}", plan.nodes);
}

#[test]
fn another_architecture_is_another_image() {
    let keys = Keys::new();
    keys.edit(
        "ami \"x86_64\" { id = \"ami-0123456789abcdef0\" }",
        "ami \"x86_64\" { id = \"ami-0123456789abcdef0\" }\n  ami \"arm64\" { id = \"ami-0123456789abcdef0\" }",
    );
    keys.edit("  inputs   = [\"conf/**\"]", "  inputs   = [\"conf/**\"]\n  architectures = [\"x86_64\", \"arm64\"]");
    let lock = std::fs::read_to_string(keys.path("ovenbird.lock")).unwrap();
    let arm = lock.split_once("\n\n").unwrap().1.replace("x86_64", "arm64");
    keys.write("ovenbird.lock", format!("{lock}\n{arm}"));
    let all = keys.keys();
    let base: BTreeSet<_> = all.iter().filter(|(name, _)| name.starts_with("base")).map(|(_, key)| key).collect();
    assert_eq!(base.len(), 2, "equal source, equal files, two keys: {all:?}");
}

#[test]
fn a_rebuild_of_the_parent_reaches_the_children() {
    let moved = Keys::new().moved(|k| {
        let lock = std::fs::read_to_string(k.path("ovenbird.lock")).unwrap();
        k.write("ovenbird.lock", format!("{lock}\nstage \"base\" {{\n  generation = 1\n}}\n"));
    });
    assert_eq!(moved, stages(&["base", "db", "web"]));
}

#[test]
fn an_image_that_was_deregistered_by_hand_is_built_again() {
    let keys = Keys::new();
    let images: Vec<_> = ["base", "db", "legacy"].map(|stage| keys.sealed(stage, &format!("ami-{stage}"), "2026-11-20")).into();
    let plan = keys.plan(&images);
    let built: Vec<_> = plan.nodes.iter().filter(|n| matches!(n.action, Action::Build)).map(|n| n.node.stage.to_string()).collect();
    assert_eq!(built, ["web"]);
}

#[test]
fn an_image_without_a_seal_is_no_hit() {
    let keys = Keys::new();
    let mut image = keys.sealed("web", "ami-web", "2026-11-20");
    image.tags.remove(tags::KEY);
    let plan = keys.plan(&[image]);
    assert!(matches!(plan.nodes.iter().find(|n| n.node.stage.as_str() == "web").unwrap().action, Action::Build));
}

#[test]
fn of_two_sealed_images_the_oldest_is_taken_and_the_other_is_told() {
    let keys = Keys::new();
    let images = [
        keys.sealed("web", "ami-3", "2026-11-21T00:00:00Z"),
        keys.sealed("web", "ami-2", "2026-11-20T00:00:00Z"),
        keys.sealed("web", "ami-1", "2026-11-20T00:00:00Z"),
    ];
    let plan = keys.plan(&images);
    let web = plan.nodes.iter().find(|n| n.node.stage.as_str() == "web").unwrap();
    assert_eq!(web.action.image().map(|image| image.id.as_str()), Some("ami-1"));
    for twin in ["ami-2", "ami-3"] {
        assert!(plan.warnings.iter().any(|w| w.contains(twin) && w.contains("ami-1")), "{:?}", plan.warnings);
    }
}

#[test]
fn a_revoked_image_blocks_and_the_plan_says_what_to_run() {
    let keys = Keys::new();
    let mut image = keys.sealed("base", "ami-base", "2026-11-20");
    image.tags.insert(tags::REVOKED.to_owned(), "true".to_owned());
    let plan = keys.plan(&[image]);
    let of = |stage: &str| plan.nodes.iter().find(|n| n.node.stage.as_str() == stage).unwrap().reason.clone();
    assert!(of("base").blocks() && of("web").blocks());
    assert!(of("base").to_string().contains("ovenbird update --rebuild base"), "{}", of("base"));
}

#[test]
fn a_role_that_only_a_dependency_names_counts() {
    web_alone(|k| {
        k.write("ansible/roles/tls/tasks/main.yml", "- debug: {msg: edited}\n");
    });
}

#[test]
fn a_role_that_only_a_block_in_a_handler_names_counts() {
    web_alone(|k| {
        k.write("ansible/roles/restarter/tasks/main.yml", "- debug: {msg: edited}\n");
    });
}

#[test]
fn a_role_of_one_name_counts_on_both_of_its_paths() {
    let keys = Keys::new();
    keys.write("roles/nginx/tasks/main.yml", "- debug: {msg: the other}\n");
    for name in ["roles/nginx/tasks/main.yml", "ansible/roles/nginx/tasks/main.yml"] {
        let moved = keys.moved(|k| {
            k.write(name, "- debug: {msg: edited}\n");
        });
        assert_eq!(moved, stages(&["web"]), "{name}");
    }
}

#[test]
fn group_vars_that_appear_move_the_key() {
    let moved = Keys::new().moved(|k| {
        k.write("ansible/group_vars/all/later.yml", "x: 1\n");
    });
    assert_eq!(moved, stages(&["base", "db", "web"]));
    // A folder that was not there at all.
    let keys = Keys::new();
    keys.remove("ansible/host_vars");
    let moved = keys.moved(|k| {
        k.write("ansible/host_vars/default.yml", "x: 1\n");
    });
    assert_eq!(moved, stages(&["base", "db", "web"]));
}

#[test]
fn a_file_that_appears_on_an_earlier_search_path_moves_the_key() {
    web_alone(|k| {
        k.write("ansible/tasks/templates/motd.j2", "{% include 'part.j2' %}\n");
    });
    web_alone(|k| {
        k.write("ansible/tasks/files/motd.txt", "welcome\n");
    });
}

#[test]
fn bytecode_beside_a_plugin_moves_nothing() {
    nothing(|k| {
        k.write("ansible/filter_plugins/__pycache__/twice.cpython-311.pyc", "x").write("ansible/library/__pycache__/thing.pyc", "x");
    });
}

#[test]
fn two_pipelines_never_share_an_image() {
    let keys = Keys::new();
    let images: Vec<_> = ["base", "web"].map(|stage| keys.sealed(stage, &format!("ami-{stage}"), "2026-11-20")).into();
    let moved = keys.moved(|k| {
        k.edit("pipeline \"shop\"", "pipeline \"shop2\"");
    });
    assert_eq!(moved, stages(&["base", "db", "legacy", "web"]));
    let plan = keys.plan(&images);
    assert!(plan.nodes.iter().filter(|n| n.wanted).all(|n| matches!(n.action, Action::Build)), "{:?}", plan.nodes);
}

/// Every row of the table names a test that exists, and every item of the list has a row.
#[test]
fn the_table_of_the_list_is_whole() {
    const ITEMS: usize = 40;
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows: Vec<Vec<&str>> = include_str!("regressions.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .map(|line| line.trim_end_matches(" |").split(" | ").collect())
        .filter(|row: &Vec<&str>| row.len() == 3 && row[1].starts_with('`'))
        .collect();
    assert_eq!(rows.len(), ITEMS);
    for row in &rows {
        let (test, file) = (row[1].trim_matches('`'), row[2].trim_matches('`'));
        let source = std::fs::read_to_string(here.join(file)).unwrap();
        let at = source.find(&format!("fn {test}()")).unwrap_or_else(|| panic!("`{}` has no test `{test}` in {file}", row[0]));
        let before: Vec<&str> = source[..at].lines().rev().take(3).collect();
        assert!(before.iter().any(|line| line.contains("test]")), "`{test}` in {file} is no test: {before:?}");
        assert!(!before.iter().any(|line| line.contains("ignore")), "`{test}` in {file} is ignored");
    }
    let own = include_str!("regressions.rs").split("\nfn ").skip(1).filter_map(|text| text.split_once("()")).map(|(name, _)| name);
    let listed: BTreeSet<&str> = rows.iter().map(|row| row[1].trim_matches('`')).collect();
    let left_out: Vec<&str> = own.filter(|name| !name.contains(['(', ' ']) && !listed.contains(name)).collect();
    assert_eq!(left_out, ["the_table_of_the_list_is_whole"], "each test here holds an item");
}
