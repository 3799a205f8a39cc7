//! `dev/history` on histories whose answer is known, and with `OVENBIRD_PROOF=1` on this repository's own.
//!
//! The long form writes `target/keys-history.json`, which `make bench` reads.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test starts a process as a user does, and asks how long it may take"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::guard::with_a_filter_that_opens_a_file;
use crate::harness::{LocalEc2, root};
use crate::project::Project;

/// Exit code, what it printed, and the totals.
fn history(project: &Project, arguments: &[&str], totals: &Path) -> (Option<i32>, String, Json) {
    let output = Command::new(root().join("dev/history"))
        .args(arguments)
        .args(["--binary", env!("CARGO_BIN_EXE_ovenbird"), "--write"])
        .arg(totals)
        .env_clear()
        .envs(&project.environment)
        .output()
        .expect("dev/history starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let totals = std::fs::read_to_string(totals).unwrap_or_default();
    (output.status.code(), said, serde_json::from_str(&totals).unwrap_or_default())
}

#[test]
fn a_history_says_what_each_commit_rebuilt_and_a_sampled_run_read_nothing_that_changed() {
    let cloud = LocalEc2::start(true);
    let project = Project::small("history", &cloud);
    project.edit("ansible/roles/web/templates/index.html.j2", "from", "again from");
    project.commit();
    project.write("docs/notes.md", "Nobody's input.\n");
    project.commit();
    project.edit("ansible/roles/common/tasks/main.yml", "base\\n", "basis\\n");
    project.commit();
    let checkout = project.path("").display().to_string();
    let (code, said, totals) = history(&project, &[&checkout, "--trace", "1", "--seed", "3"], &project.beside("totals.json"));
    let rebuilt: Vec<_> = said.lines().filter_map(|line| line.split("files  ").nth(1)?.split(')').next()).collect();
    assert_eq!(rebuilt, ["1/3 rebuilt (web", "0/3 rebuilt (-", "3/3 rebuilt (api, base, web"], "{said}");
    assert_eq!((code, &totals["by_key"], &totals["by_tree"]), (Some(0), &4.into(), &9.into()), "{said}");
    assert_eq!((&totals["watched"], &totals["missed_rebuilds"]), (&1.into(), &0.into()), "{said}");
}

#[test]
fn a_rebuild_that_a_key_missed_is_found_by_the_sampled_run() {
    let cloud = LocalEc2::start(true);
    let project = with_a_filter_that_opens_a_file("missed", &cloud);
    project.commit();
    project.edit("data/motd.txt", "welcome", "goodbye");
    project.commit();
    let checkout = project.path("").display().to_string();
    let (code, said, totals) = history(&project, &[&checkout, "--commits", "2", "--trace", "1"], &project.beside("totals.json"));
    assert!(said.contains("motd watched: MISSED: data/motd.txt"), "{said}");
    assert_eq!((code, &totals["missed_rebuilds"]), (Some(1), &1.into()), "{said}");
}

#[test]
fn a_team_s_history_rebuilds_a_third_of_what_a_hash_over_the_tree_does_and_misses_nothing() {
    let cloud = LocalEc2::start(true);
    let project = Project::small("own-history", &cloud);
    let proof = std::env::var("OVENBIRD_PROOF").is_ok_and(|proof| proof == "1");
    let target = Path::new(env!("CARGO_BIN_EXE_ovenbird")).ancestors().nth(2).expect("target/debug/ovenbird");
    let own = root().display().to_string();
    let (code, said, totals) = if proof {
        history(&project, &[&own, "--generate", "60", "--trace", "3"], &target.join("keys-history.json"))
    } else {
        history(&project, &["--generate", "8"], &project.beside("totals.json"))
    };
    assert_eq!(code, Some(0), "{said}");
    assert!(totals["rebuilds_over_whole_tree"].as_f64().is_some_and(|ratio| ratio > 0.0 && ratio <= 0.33), "{said}");
    assert!(!proof || totals["missed_rebuilds"] == 0, "{said}");
}
