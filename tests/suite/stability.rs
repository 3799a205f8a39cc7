//! What must not move a key: where the checkout lies, who looks at it, with what settings, in which order, and when.
//!
//! Two pipelines: the small example's, and the tree that has an input of every class. Invariant: what a person's settings could
//! change is tried through the real binary, in a process that has them.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::time::SystemTime;

use ovenbird::plan::inputs::Entry;

use crate::keys_tree::Keys;

fn both(make: impl Fn(fn() -> Keys)) {
    make(Keys::new);
    make(Keys::example);
}

/// `inputs STAGE --json` of every stage, as the real binary says it: all that a key is made of beside the pipeline file.
fn told(keys: &Keys, prefix: &[&str], environment: &[(&str, &str)]) -> String {
    let mut all = String::new();
    for stage in keys.load().pipeline.stages {
        let mut words = prefix.to_vec();
        words.extend([env!("CARGO_BIN_EXE_ovenbird"), "inputs", stage.name.as_str(), "--json"]);
        let mut command = assert_cmd::Command::new(words[0]);
        command.args(&words[1..]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", keys.path("../home"));
        let output = command.envs(environment.iter().copied()).current_dir(keys.root()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        all.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    all
}

/// Runs a program that a test needs.
fn run(program: &str, arguments: &[&str], folder: &Path) {
    let mut command = assert_cmd::Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    command.args(arguments).current_dir(folder).assert().success();
}

#[test]
fn another_folder_moves_nothing() {
    both(|make| assert_eq!(make().keys(), make().keys()));
}

#[test]
fn the_order_in_which_the_disk_lists_a_folder_moves_nothing() {
    assert_eq!(Keys::new().keys(), Keys::reversed().keys());
}

#[test]
fn locale_time_zone_and_umask_move_nothing() {
    both(|make| {
        let keys = make();
        let plain = told(&keys, &[], &[]);
        for environment in [
            [("LC_ALL", "C"), ("LANG", "C"), ("TZ", "UTC")],
            [("LC_ALL", "ja_JP.UTF-8"), ("LANG", "ja_JP.UTF-8"), ("TZ", "Asia/Tokyo")],
            [("LC_ALL", "tr_TR.UTF-8"), ("LANG", "C"), ("TZ", "America/New_York")],
        ] {
            assert_eq!(told(&keys, &[], &environment), plain, "{environment:?}");
        }
        assert_eq!(told(&keys, &["sh", "-c", "umask 077; exec \"$0\" \"$@\""], &[]), plain, "umask");
    });
}

/// As root another user is really another; without root the one that there is must at least not be asked.
#[test]
fn another_user_moves_nothing() {
    both(|make| {
        let keys = make();
        let plain = told(&keys, &[], &[]);
        let names = [("USER", "somebody"), ("LOGNAME", "somebody")];
        assert_eq!(told(&keys, &[], &names), plain);
        if nix_is_root(&keys) {
            let all: Vec<_> = ignore::WalkBuilder::new(keys.path("..")).standard_filters(false).build().map(Result::unwrap).collect();
            for entry in all.iter().filter(|e| e.file_type().is_some_and(|kind| kind.is_dir())) {
                let path = entry.path().strip_prefix(keys.path("..")).unwrap_or(entry.path()).display().to_string();
                keys.mode(&format!("../{path}"), 0o755);
            }
            let reachable = Path::new(env!("CARGO_BIN_EXE_ovenbird"));
            assert!(reachable.exists());
            assert_eq!(told(&keys, &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], &names), plain);
        }
    });
}

/// Does a file that we make belong to root.
fn nix_is_root(keys: &Keys) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(keys.path("ovenbird.hcl")).unwrap().uid() == 0
}

/// Modes count only where something sends them (the file that `legacy` uploads): the other stages are the same under any umask.
#[test]
fn a_fresh_clone_moves_nothing_and_its_umask_only_what_sends_modes() {
    let keys = Keys::new();
    keys.remove("ansible/roles/common/files/empty");
    run("git", &["init", "-q", "-b", "main"], &keys.root());
    run("git", &["add", "-A"], &keys.root());
    run("git", &["-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "-m", "x"], &keys.root());
    for (umask, modes) in [("022", true), ("077", false)] {
        let clone = Keys::empty();
        clone.write("../shared/org/tasks/main.yml", "- debug: {msg: org}\n");
        let command = format!("umask {umask}; git clone -q '{}' .", keys.root().display());
        run("sh", &["-c", &command], &clone.root());
        let (mut here, mut there) = (keys.keys(), clone.keys());
        if !modes {
            assert_ne!(here.remove("legacy"), there.remove("legacy"), "0600 reaches the image where 0644 did");
        }
        assert_eq!(here, there, "umask {umask}");
    }
}

#[test]
fn times_move_nothing() {
    both(|make| {
        let keys = make();
        let moved = keys.moved(|keys| {
            for inputs in keys.inputs().values() {
                for (name, entry) in Keys::present(inputs) {
                    if matches!(entry, Entry::File { .. }) && keys.path(&name).is_file() {
                        let file = std::fs::File::options().append(true).open(keys.path(&name)).unwrap();
                        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
                    }
                }
            }
        });
        assert!(moved.is_empty(), "{moved:?}");
    });
}
