//! Tests of verification in the planner: which images are checked, why, and which emits wait.
//!
//! Invariant: a pipeline without `verify` plans as if there were none.

use std::path::PathBuf;

use crate::model::artifact::tags;
use crate::model::node::RunId;
use crate::model::verification::{Mark, Verification};
use crate::plan::fitness::Misfit;
use crate::plan::plan::{Plan, Wishes};
use crate::plan::testing::{World, name, node, tree, wishes, world};
use crate::plan::verification::VerifyAction;

/// base → web → edge, base → api, all built; base and web have checks; `web` is emitted.
fn checked() -> World {
    let mut world = world().built(&["base", "web", "edge", "api"]);
    for stage in ["base", "web"] {
        check(&mut world, stage, "checks");
    }
    world
}

fn check(world: &mut World, stage: &str, text: &str) {
    let playbook = format!("ansible/verify/{stage}.yml");
    world.pipeline.stages.iter_mut().find(|s| s.name == name(stage)).unwrap().verify = Some(PathBuf::from(&playbook));
    world.inputs.get_mut(stage).unwrap().verify_trees.insert(playbook, tree(&[("", text)]));
}

/// Marks the image of a stage.
fn mark(world: &mut World, stage: &str, passed: bool) {
    let key = world.keyed()[&node(stage)].verify_key.unwrap();
    let mark = if passed { Mark::Passed(key) } else { Mark::Failed { key, run: "20261121t000000-000001".to_owned() } };
    let id = format!("ami-{stage}");
    let image = world.images().iter_mut().find(|image| image.id == id).unwrap();
    image.tags.insert(tags::VERIFIED.to_owned(), mark.to_string());
}

/// `base: run: never verified`, one node a line.
fn text(plan: &Plan) -> Vec<String> {
    let line = |node: &crate::plan::plan::PlannedNode| {
        let said = match &node.verification {
            VerifyAction::None => "none".to_owned(),
            VerifyAction::Passed => "passed".to_owned(),
            VerifyAction::Run { because, .. } => format!("run: {because}"),
            VerifyAction::Skip { because } => format!("skip: {because}"),
        };
        format!("{}: {said}", node.node)
    };
    plan.nodes.iter().map(line).collect()
}

#[test]
fn without_checks_nothing_is_verified() {
    let plan = world().built(&["base"]).plan(&[]);
    assert_eq!((plan.counts().verify, plan.nodes.iter().any(|n| n.verification != VerifyAction::None)), (0, false));
    assert!(plan.emits.iter().all(|emit| emit.unverified.is_empty()));
}

#[test]
fn what_is_built_is_verified_and_what_is_there_without_the_mark_too() {
    let mut world = checked();
    mark(&mut world, "base", true);
    let plan = world.plan(&[]);
    assert_eq!(text(&plan), ["base: passed", "web: run: never verified", "edge: none", "api: none"]);
    assert_eq!((plan.counts().build, plan.counts().verify, plan.counts().reuse, plan.has_work()), (0, 1, 3, true));
    assert_eq!(plan.emits[0].unverified, [], "it is verified in this run");
    world.touch("web");
    let plan = world.plan(&[]);
    assert_eq!(text(&plan), ["base: passed", "web: run: made in this run", "edge: none", "api: none"]);
    assert_eq!((plan.counts().build, plan.counts().verify), (2, 1), "web, and edge on it");
}

#[test]
fn changed_checks_repeat_only_the_checks() {
    let mut world = checked();
    for stage in ["base", "web"] {
        mark(&mut world, stage, true);
    }
    world.targets.values_mut().next().unwrap().present.insert("web_ami_id".to_owned(), "ami-web".to_owned());
    let keys = world.keyed();
    assert!(!world.plan(&[]).has_work());
    check(&mut world, "web", "more checks");
    let plan = world.plan(&[]);
    assert_eq!(text(&plan)[..2], ["base: passed", "web: run: its checks changed since they passed"]);
    assert_eq!((plan.counts().build, plan.counts().dry_run, plan.counts().verify), (0, 0, 1));
    assert_eq!(world.keyed()[&node("web")].stage_key, keys[&node("web")].stage_key);
}

#[test]
fn a_failure_is_told_with_its_run_and_task_and_repeated() {
    let mut world = checked();
    mark(&mut world, "base", true);
    mark(&mut world, "web", false);
    assert_eq!(text(&world.plan(&[]))[1], "web: run: verification failed in run 20261121t000000-000001");
    let last = Verification {
        image: "ami-web".to_owned(),
        key: world.keyed()[&node("web")].verify_key.unwrap(),
        node: node("web"),
        run: RunId::new("20261121t000000", 1),
        passed: false,
        message: Some("a task failed: 404".to_owned()),
        task: Some("Ask (ansible/verify/web.yml:7)".to_owned()),
        tasks: 2,
        seconds: 1.5,
        checks: std::collections::BTreeMap::new(),
    };
    world.known.verifications.insert("ami-web".to_owned(), last);
    let told = "web: run: verification failed in run 20261121t000000-000001: task Ask (ansible/verify/web.yml:7)";
    assert_eq!(text(&world.plan(&[]))[1], told);
    check(&mut world, "web", "more checks");
    assert_eq!(text(&world.plan(&[]))[1], format!("{told}; its checks changed since"));
}

#[test]
fn an_emit_that_the_run_does_not_verify_for_is_not_written_and_a_base_counts_for_what_stands_on_it() {
    let mut world = checked();
    let emitted = |world: &World, stages: &[&str]| {
        let plan = world.try_plan(&Wishes { emit: Some(true), ..wishes(stages) }).unwrap();
        plan.emits[0].unverified.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(emitted(&world, &["web"]), ["base"], "nobody asked for base in this run");
    assert_eq!(text(&world.plan(&["web"])), ["web: run: never verified"]);
    assert_eq!(emitted(&world, &[]), Vec::<String>::new(), "a full run verifies both");
    mark(&mut world, "base", true);
    assert_eq!(emitted(&world, &["web"]), Vec::<String>::new());
    mark(&mut world, "base", false);
    mark(&mut world, "web", true);
    assert_eq!(emitted(&world, &["web"]), ["base"], "a base that failed takes its apps with it");
    world.images().retain(|image| image.id != "ami-base");
    assert_eq!(emitted(&world, &["web"]), Vec::<String>::new(), "one that is gone can be asked by nobody");
}

#[test]
fn a_saved_plan_does_not_fit_when_other_checks_would_run() {
    let mut world = checked();
    mark(&mut world, "base", true);
    let saved: Plan = serde_json::from_str(&serde_json::to_string(&world.plan(&[])).unwrap()).unwrap();
    assert_eq!(saved.still_fits(&world.plan(&[])), Ok(()));
    mark(&mut world, "web", true);
    assert_eq!(saved.still_fits(&world.plan(&[])), Ok(()), "verified by another run meanwhile");
    check(&mut world, "web", "more checks");
    assert_eq!(saved.still_fits(&world.plan(&[])), Err(vec![Misfit::Inputs(node("web"))]), "the dry run's verdict is about them, too");
    world.pipeline.stages.iter_mut().for_each(|stage| stage.dry_run.enabled = false);
    let saved = world.plan(&[]);
    check(&mut world, "web", "again others");
    assert_eq!(saved.still_fits(&world.plan(&[])), Err(vec![Misfit::Verification(node("web"))]));
}

#[test]
fn a_plan_that_was_saved_before_there_were_verifications_is_read() {
    let plan = world().built(&["base"]).plan(&[]);
    let mut json = serde_json::to_value(&plan).unwrap();
    for node in json["nodes"].as_array_mut().unwrap() {
        node.as_object_mut().unwrap().remove("verification");
    }
    for emit in json["emits"].as_array_mut().unwrap() {
        emit.as_object_mut().unwrap().remove("unverified");
    }
    assert_eq!(serde_json::from_value::<Plan>(json).unwrap(), plan);
}
