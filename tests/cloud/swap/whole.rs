//! Whole swaps and ways back under a client with 20 connections: no request may fail.
//!
//! Invariant: the client asks from before the first step until after the last gate.

use serde_json::json;

use crate::swap::client::{CONNECTIONS, Counted};
use crate::swap::proof;
use crate::swap::stage::{Stage, TFVARS};

#[expect(clippy::print_stdout, reason = "figures, for whoever looks")]
#[track_caller]
fn unharmed(counted: &Counted, amis: &[&String]) {
    println!("{CONNECTIONS} connections: {} answers, longest {:?}, failed {}", counted.answered, counted.longest, counted.failed.len());
    assert_eq!(counted.failed, [""; 0], "of {} requests", counted.answered);
    for ami in amis {
        assert!(counted.amis.contains_key(*ami), "{ami} never answered: {:?}", counted.amis);
    }
}

#[test]
fn a_run_and_the_way_back_from_each_state_lose_no_request() {
    let stage = Stage::new("swap-whole");
    let plan = stage.swap(0, &["plan"]);
    plan.said("step 1 of 4: green starts on test").said("step 4 of 4: blue goes to size 0").said("-green_min_size = 0");
    let before = stage.project.read(TFVARS);
    assert_eq!(stage.stands(), "steady blue");

    // Back from each state: one, two, three steps forward. The short form goes the longest way, and half of it back.
    let client = stage.client();
    let all = [(1, "started green"), (2, "joined green"), (3, "left green")];
    for (steps, states) in &all[if proof() { 0 } else { 2 }..] {
        for _ in 0..*steps {
            stage.swap(0, &["next"]);
        }
        assert_eq!(stage.stands(), *states);
        stage.swap(0, &["rollback"]);
        if *steps > 1 {
            assert_eq!(stage.stands(), "started green");
        }
        if proof() {
            if *steps > 1 {
                stage.swap(0, &["rollback"]);
            }
            assert_eq!(stage.stands(), "steady blue");
            let idle = |ami: &str| format!("green_ami_id = \"{ami}\"");
            assert_eq!(
                stage.project.read(TFVARS).replace(&idle(&stage.new), &idle(&stage.old)),
                before,
                "only the idle colour's AMI is another"
            );
            stage.swap(0, &["rollback"]).said("nothing to do");
        }
    }
    let run = stage.swap(0, &["run", "--json"]);
    assert_eq!((stage.stands().as_str(), stage.serving()), ("steady green", vec![stage.new.clone()]));
    let events = run.events();
    let finished = events.iter().filter(|e| e["fact"] == "step_finished").map(|e| e["step"].as_str().unwrap_or_default().to_owned());
    let finished: Vec<String> = finished.collect();
    assert_eq!(finished, if proof() { &["start", "join", "leave", "finish"][..] } else { &["join", "leave", "finish"] });
    assert_eq!(run.events().last().map(|e| e["outcome"].clone()), Some(json!("done")));

    // Everything is in git, pushed, one commit a step.
    let log = stage.git(&["log", "--format=%(trailers:key=Ovenbird-Swap,valueonly,separator=%x20)", "@{upstream}"]);
    let steps: Vec<&str> = log.lines().filter_map(|line| line.split(' ').nth(1)).take(3).collect();
    assert_eq!(steps, ["finish", "leave", "join"]);
    assert_eq!(stage.git(&["status", "--porcelain"]), "");
    stage.swap(0, &["run"]).said("nothing to do");
    if proof() {
        for _ in 0..9 {
            stage.emit_and_push();
            stage.swap(0, &["run"]);
        }
    }
    unharmed(&client.end(), &[&stage.old, &stage.new]);
}
