//! What programs and people off a terminal get: events, groups, no control codes, and a reader that goes away.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::account::Account;
use crate::harness::LocalEc2;
use crate::project::Project;

fn project(name: &str, cloud: &LocalEc2) -> Project {
    let mut project = Project::small(name, cloud);
    project.fake_packer(&json!([{ "bytes": 20_000 }]));
    project
}

#[test]
fn json_is_one_event_a_line_in_one_order() {
    let cloud = LocalEc2::start(true);
    let project = project("events", &cloud);
    let events = project.expect(0, &["build", "--no-dry-run", "--json"]).events();
    let numbers: Vec<u64> = events.iter().filter_map(|e| e["seq"].as_u64()).collect();
    assert!(numbers.windows(2).all(|w| w[0] < w[1]) && numbers.len() == events.len(), "{numbers:?}");
    assert_eq!((&events[0]["event"], &events[events.len() - 1]["event"]), (&json!("run_started"), &json!("run_finished")));
    let sealed = events.iter().filter(|e| e["event"] == "image_sealed").count();
    let emitted = events.iter().filter(|e| e["event"] == "emitted").count();
    assert_eq!((sealed, emitted), (3, 1));
    // The record of the run holds the same facts.
    let run = events[0]["run"].as_str().expect("it has an id");
    let record = project.read(&format!(".ovenbird/runs/{run}/events.jsonl"));
    assert!(record.lines().last().is_some_and(|l| l.contains("run_finished")), "{record}");
    assert!(project.path(&format!(".ovenbird/runs/{run}/logs/build-web.log")).is_file());
    assert!(project.path(&format!(".ovenbird/runs/{run}/plan.json")).is_file());
}

#[test]
fn off_a_terminal_there_are_no_control_codes_and_github_gets_groups() {
    let cloud = LocalEc2::start(true);
    let mut project = project("plain", &cloud);
    let plain = |text: &str| !text.chars().any(|c| c.is_control() && c != '\n');
    for command in [&["plan"][..], &["build", "--no-dry-run"], &["build"], &["images"], &["explain", "web"], &["inputs", "web"], &["emit"]]
    {
        let ran = project.expect(0, command);
        assert!(plain(&ran.text()), "{command:?}: {ran:?}");
    }
    assert!(project.expect(0, &["plan", "--color", "always"]).stdout.contains('\u{1b}'));
    project.environment.insert("CLICOLOR_FORCE".to_owned(), "1".to_owned());
    assert!(project.expect(0, &["plan"]).stdout.contains('\u{1b}'));
    project.environment.insert("NO_COLOR".to_owned(), "1".to_owned());
    assert!(plain(&project.expect(0, &["plan"]).stdout));
    project.environment.remove("CLICOLOR_FORCE");

    project.edit("ansible/roles/api/files/api.conf", "8080", "9090");
    project.environment.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
    let ran = project.expect(0, &["build", "--no-dry-run"]);
    let count = |start: &str| ran.text().lines().filter(|l| l.starts_with(start)).count();
    assert!(count("::group::") > 0 && count("::group::") == count("::endgroup::"), "{ran}");
    project.fake_packer(&json!([{ "exit": 1 }]));
    project.edit("ansible/roles/api/files/api.conf", "9090", "9091");
    project.expect(1, &["build", "--no-dry-run"]).said("::error");
}

#[test]
fn a_reader_that_goes_away_ends_a_listing_quietly_and_no_build() {
    let cloud = LocalEc2::start(true);
    let project = project("pipe", &cloud);
    let head = |arguments: &[&str]| {
        let mut child = project.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut reader = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("it prints");
        drop(reader);
        let output = child.wait_with_output().expect("it ends");
        (line, output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for command in [&["inputs", "web"][..], &["plan", "--json"], &["explain", "web", "--json"]] {
        let (line, code, stderr) = head(command);
        assert!(
            !line.is_empty() && code == Some(0) && !stderr.contains("error") && !stderr.contains("panic"),
            "{command:?}: {code:?} {stderr}"
        );
    }
    let (_, code, stderr) = head(&["build", "--no-dry-run", "--json"]);
    assert!(code == Some(0) && !stderr.contains("panic"), "{code:?} {stderr}");
    Account::of(&cloud).only_sealed_images(&["api", "base", "web"]);
}
