//! What of a file counts and what does not: the walker's half of the regression list.

use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, SystemTime};

use super::*;

const ROLE: &str = "ansible/roles/nginx";

#[test]
fn the_playbook_its_role_and_the_template_are_in_and_nothing_else_is() {
    let project = Project::new();
    project.file("ansible/roles/other/tasks/main.yml", "- debug:\n").file("README.md", "x").file("ansible/api.yml", "[]");
    let inputs = project.inputs();
    let expected = ["ansible/roles/nginx/tasks/main.yml", "ansible/web.yml", "packer/image.pkr.hcl"];
    assert_eq!(present(&inputs).into_iter().collect::<Vec<_>>(), expected);
    assert!(inputs.imprecise.is_empty(), "{:?}", inputs.imprecise);
}

#[test]
fn a_byte_a_name_the_x_bit_and_a_line_end_count() {
    let project = Project::new();
    project.file("ansible/roles/nginx/files/a", "one\n");
    assert!(
        project.changes(|p| {
            p.file("ansible/roles/nginx/files/a", "two\n");
        }),
        "content"
    );
    assert!(
        project.changes(|p| {
            p.file("ansible/roles/nginx/files/a", "two\r\n");
        }),
        "CRLF"
    );
    assert!(
        project.changes(|p| {
            p.mode("ansible/roles/nginx/files/a", 0o755);
        }),
        "chmod +x"
    );
    assert!(
        project.changes(|p| std::fs::rename(p.path("ansible/roles/nginx/files/a"), p.path("ansible/roles/nginx/files/b")).unwrap()),
        "rename only"
    );
    assert!(
        project.changes(|p| {
            p.remove("ansible/roles/nginx/files/b");
        }),
        "deleted"
    );
    assert!(
        project.changes(|p| {
            p.file("ansible/roles/nginx/files/.hidden", "");
        }),
        "dotfile"
    );
}

#[test]
fn mtimes_and_other_mode_bits_do_not_count() {
    let project = Project::new();
    let touched = project.changes(|p| {
        let file = std::fs::File::options().write(true).open(p.path("ansible/web.yml")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    });
    assert!(!touched);
    assert!(
        !project.changes(|p| {
            p.mode("ansible/web.yml", 0o600);
        }),
        "umask"
    );
}

#[test]
fn all_mode_bits_count_where_something_preserves_them() {
    let project = Project::new();
    project.file("ansible/roles/nginx/files/a", "x").mode("ansible/roles/nginx/files/a", 0o644);
    project.file("ansible/roles/nginx/tasks/main.yml", "- copy: {src: a, dest: /a, mode: preserve}\n");
    assert!(project.changes(|p| {
        p.mode("ansible/roles/nginx/files/a", 0o640);
    }));
}

#[test]
fn the_same_content_in_another_folder_gives_the_same_inputs() {
    let build = || {
        let project = Project::new();
        project.file("ansible/roles/nginx/files/b", "x").file("ansible/roles/nginx/files/a", "x").link("ansible/roles/nginx/files/l", "a");
        project
    };
    let (one, two) = (build(), build());
    assert_eq!(one.inputs(), two.inputs());
    assert!(holds_no_machine_path(&one.inputs(), one.dir.path()));
}

#[test]
fn an_empty_folder_counts() {
    let project = Project::new();
    assert!(project.changes(|p| {
        p.folder("ansible/roles/nginx/files/empty");
    }));
    assert_eq!(project.inputs().trees[ROLE]["files/empty"], Entry::EmptyFolder);
}

#[test]
fn a_link_counts_by_its_text_and_by_what_it_ends_at() {
    let project = Project::new();
    project.file("shared/a", "same").file("shared/b", "same").link("ansible/roles/nginx/files/l", "../../../../shared/a");
    let retargeted = project.changes(|p| {
        p.remove("ansible/roles/nginx/files/l").link("ansible/roles/nginx/files/l", "../../../../shared/b");
    });
    assert!(retargeted, "link retargeted to equal content");
    assert!(
        project.changes(|p| {
            p.file("shared/b", "edited");
        }),
        "target edited"
    );
    assert!(
        project.changes(|p| {
            p.remove("shared/b");
        }),
        "target gone"
    );
}

#[test]
fn a_linked_folder_counts_with_its_content_under_the_links_name() {
    let project = Project::new();
    project.file("shared/conf/a", "1").link("ansible/roles/nginx/files/conf", "../../../../shared/conf");
    assert!(has(&project.inputs(), "ansible/roles/nginx/files/conf/a"));
    assert!(project.changes(|p| {
        p.file("shared/conf/b", "2");
    }));
}

#[test]
fn a_role_reached_through_a_link_counts_with_its_content() {
    let project = Project::new();
    project
        .remove("ansible/roles/nginx")
        .file("vendor/nginx/tasks/main.yml", "- debug:\n")
        .link("ansible/roles/nginx", "../../vendor/nginx");
    assert!(has(&project.inputs(), "ansible/roles/nginx/tasks/main.yml"));
    assert!(project.changes(|p| {
        p.file("vendor/nginx/tasks/main.yml", "- ping:\n");
    }));
}

#[test]
fn links_in_a_circle_end_and_count_by_their_text() {
    let project = Project::new();
    project.link("ansible/roles/nginx/files/a", "b").link("ansible/roles/nginx/files/b", "a");
    project.link("ansible/roles/nginx/files/up", "../..").link("ansible/roles/nginx/files/self", ".");
    let tree = &project.inputs().trees[ROLE];
    assert!(matches!(&tree["files/a"], Entry::Link { target, content: None, .. } if target == "b"));
    assert!(tree.len() < 20, "{tree:?}");
}

#[test]
fn a_link_out_of_the_root_counts_with_its_content_and_is_noted() {
    let project = Project::new();
    let target = outside(&project, "elsewhere/a", "1");
    project.link("ansible/roles/nginx/files/l", "../../../../../elsewhere/a");
    assert!(project.inputs().notes.iter().any(|note| note.contains("leaves the root")));
    assert!(project.changes(|_| {
        std::fs::File::create(&target).unwrap();
    }));
}

#[test]
fn a_name_that_is_not_utf8_counts_and_is_shown_by_its_bytes() {
    let project = Project::new();
    project.folder("ansible/roles/nginx/files");
    let path = project.path("ansible/roles/nginx/files").join(std::ffi::OsStr::from_bytes(b"caf\xe9\\x"));
    std::fs::File::create(path).unwrap();
    assert!(has(&project.inputs(), "ansible/roles/nginx/files/caf\\xe9\\\\x"));
}

#[test]
fn what_tools_leave_behind_does_not_count_and_is_counted_as_left_out() {
    let project = Project::new();
    project.file("ansible/filter_plugins/f.py", "x");
    let changed = project.changes(|p| {
        p.file("ansible/filter_plugins/__pycache__/f.cpython-312.pyc", "x")
            .file("ansible/filter_plugins/f.pyc", "x")
            .file("ansible/roles/nginx/molecule/default/molecule.yml", "x")
            .file("ansible/roles/nginx/meta/.galaxy_install_info", "now");
        p.file("ansible/roles/nginx/tasks/.main.yml.swp", "x")
            .file("ansible/roles/nginx/tasks/main.yml~", "x")
            .file("ansible/roles/nginx/.DS_Store", "x");
    });
    // The empty `meta/` itself is a folder that was not there.
    assert!(changed);
    let ignored = project.inputs().ignored;
    for pattern in ["__pycache__", "*.pyc", "molecule/", "meta/.galaxy_install_info", ".*.sw?", "*~", ".DS_Store"] {
        assert!(ignored.get(pattern).is_some_and(|n| *n > 0), "{pattern}: {ignored:?}");
    }
    assert!(!present(&project.inputs()).iter().any(|name| name.contains("pyc") || name.contains("molecule") || name.ends_with('~')));
}

#[test]
fn bytecode_beside_a_plugin_does_not_count() {
    let project = Project::new();
    project.file("ansible/filter_plugins/f.py", "x");
    assert!(!project.changes(|p| {
        p.file("ansible/filter_plugins/__pycache__/f.cpython-312.pyc", "x");
    }));
}

#[test]
fn a_file_that_git_ignores_and_the_role_uses_counts() {
    let project = Project::new();
    project.file(".gitignore", "*.secret\n").file("ansible/roles/nginx/files/a.secret", "1");
    assert!(project.changes(|p| {
        p.file("ansible/roles/nginx/files/a.secret", "2");
    }));
}

#[test]
fn ignore_takes_files_out_and_says_how_many() {
    let project = Project::with("playbook = \"ansible/web.yml\"\n  ignore = [\"ansible/**/*.md\", \"ansible/roles/nginx/docs\"]");
    project.file("ansible/roles/nginx/README.md", "1").file("ansible/roles/nginx/docs/a.txt", "1");
    let inputs = project.inputs();
    assert!(!has(&inputs, "ansible/roles/nginx/README.md") && !has(&inputs, "ansible/roles/nginx/docs/a.txt"));
    assert_eq!((inputs.ignored["ansible/**/*.md"], inputs.ignored["ansible/roles/nginx/docs"]), (1, 1));
}

#[test]
fn a_path_that_is_ignored_as_a_whole_does_not_count_by_being_there() {
    let project = Project::with("playbook = \"ansible/web.yml\"\n  inputs = [\"notes.txt\"]\n  ignore = [\"notes.txt\"]");
    assert!(!project.changes(|p| {
        p.file("notes.txt", "1");
    }));
}

#[test]
fn globs_of_the_stage_take_files_folders_and_what_matches() {
    let project = Project::with("playbook = \"ansible/web.yml\"\n  inputs = [\"files/**\", \"conf/*.ini\", \"VERSION\", \"later.txt\"]");
    project.file("files/deep/a", "1").file("conf/a.ini", "1").file("conf/a.txt", "1").file("VERSION", "1");
    let inputs = project.inputs();
    assert!(has(&inputs, "files/deep/a") && has(&inputs, "conf/a.ini") && has(&inputs, "VERSION") && !has(&inputs, "conf/a.txt"));
    assert!(absent(&inputs).contains("later.txt"));
    assert!(project.changes(|p| {
        p.file("conf/b.ini", "1");
    }));
    assert!(inputs.why["files"].whys()[0].what.contains("files/**"));
}
