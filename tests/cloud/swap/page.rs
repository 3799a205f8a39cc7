//! docs/swap.md, "Try it without an account": its commands, word for word, in a clone of this repository.
//!
//! Must not hold any of the page's commands. Invariant: what the page starts is ended, also when the test fails.

#![expect(clippy::disallowed_types, reason = "a test types what a person types")]

use std::path::PathBuf;
use std::process::Command;

use crate::harness::root;
use crate::tools::tools;

struct Clone {
    folder: tempfile::TempDir,
}

impl Clone {
    fn path(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    /// Exit status and both streams of a script, which a shell reads in the clone.
    fn bash(&self, script: &str) -> (bool, String) {
        let mut command = Command::new("bash");
        command.args(["-ec", &format!("exec 2>&1\n{script}")]).current_dir(self.path()).env_clear().envs(tools());
        command.env("HOME", self.folder.path());
        for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            command.env(name, "test@localhost");
        }
        let output = command.output().expect("bash starts");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        drop(self.bash("tests/cloud/local-ec2 down --state .ovenbird/ec2"));
    }
}

/// A clone, and every block of the page in its order.
pub fn followed_word_for_word() {
    let clone = Clone { folder: tempfile::tempdir().expect("a folder can be made") };
    let path = clone.path();
    let cloned = Command::new("git").args(["clone", "--quiet"]).arg(root()).arg(&path).status().expect("git starts");
    assert!(cloned.success());
    // What `make tools` and `cargo build` make.
    std::os::unix::fs::symlink(root().join(".tools").canonicalize().expect("it is installed"), path.join(".tools")).expect("a link");
    std::fs::create_dir(path.join("target")).expect("a folder can be made");
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ovenbird"));
    std::os::unix::fs::symlink(built.parent().expect("it is in a folder"), path.join("target/debug")).expect("a link");

    let page = std::fs::read_to_string(path.join("docs/swap.md")).expect("it is there");
    let (_, section) = page.split_once("## Try it without an account").expect("it has that section");
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0)).collect();
    assert_eq!(blocks.len(), 2);
    let (well, said) = clone.bash(&blocks.concat());
    assert!(well, "{said}");
    for wanted in [
        "steady: blue serves, green is off",
        "step 4 of 4: blue goes to size 0",
        "green returns to test",
        "steady: green serves, blue is off",
    ] {
        assert!(said.contains(wanted), "`{wanted}`\n{said}");
    }
    let steps = said.lines().filter(|line| line.contains(" Swap local: ")).count();
    assert_eq!(steps, 6, "a commit a step: {said}");
}
