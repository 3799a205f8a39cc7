//! Tests of the planner: what exists and what is wished for → a plan, told as text.
//!
//! Invariant: every plan that a test makes passes `Plan::check` (the planner asserts it, and the generated cases ask again).

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::config::lock::StagePin;
use crate::model::artifact::{ImageState, tags};
use crate::model::digest::{Digest, StageKey};
use crate::model::problem::{Problem, Severity};
use crate::plan::fitness::Misfit;
use crate::plan::plan::{Action, DryRunAction, Plan, Wishes};
use crate::plan::planner::PlanError;
use crate::plan::testing::{self, World, name, node, wishes, world};

/// `base: build, first build of this stage; dry run`, one node a line.
fn text(plan: &Plan) -> Vec<String> {
    let line = |node: &crate::plan::plan::PlannedNode| {
        let action = match &node.action {
            Action::Build => "build".to_owned(),
            Action::Reuse { image } => format!("reuse {}", image.id),
            Action::Retag { image, .. } => format!("retag {}", image.id),
            Action::Nothing => "nothing".to_owned(),
        };
        let dry_run = match &node.dry_run {
            DryRunAction::Run => "; dry run",
            DryRunAction::Passed { .. } => "; passed",
            DryRunAction::NotPossible { .. } => "; no dry run",
            DryRunAction::Skip => "",
        };
        let wanted = if node.wanted { "" } else { " for a child" };
        format!("{}{wanted}: {action}, {}{dry_run}", node.node, node.reason)
    };
    plan.nodes.iter().map(line).collect()
}

const FIRST: &str = "build, first build of this stage; dry run";

#[test]
fn nothing_exists_so_everything_is_dry_run_and_built_parents_first() {
    let plan = world().plan(&[]);
    assert_eq!(text(&plan), ["base", "web", "edge", "api"].map(|stage| format!("{stage}: {FIRST}")));
    assert_eq!((plan.counts().build, plan.counts().dry_run, plan.has_work()), (4, 4, true));
    assert_eq!((plan.emits[0].wanted, plan.emits[0].changes.as_slice()), (true, ["web_ami_id".to_owned()].as_slice()));
}

#[test]
fn everything_exists_so_there_is_no_work_once_the_tfvars_hold_the_ids() {
    let mut world = world().built(&["base", "web", "edge", "api"]);
    let plan = world.plan(&[]);
    assert!(text(&plan).iter().all(|line| line.ends_with("sealed image found")), "{:?}", text(&plan));
    assert_eq!(plan.emits[0].changes, ["web_ami_id"]);
    assert!(plan.has_work(), "a value for Terraform differs");
    let present = &mut world.targets.values_mut().next().unwrap().present;
    present.insert("web_ami_id".to_owned(), "ami-web".to_owned());
    assert!(!world.plan(&[]).has_work());
}

#[test]
fn a_touched_role_rebuilds_its_stage_and_what_stands_on_it_and_nothing_else() {
    let mut world = world().built(&["base", "web", "edge", "api"]).passed(&["base", "web", "edge", "api"]);
    world.touch("web");
    assert_eq!(
        text(&world.plan(&[])),
        [
            "base: reuse ami-base, sealed image found; passed",
            "web: build, 1 input changed since ami-web; dry run",
            "edge: build, parent `web` changed; dry run",
            "api: reuse ami-api, sealed image found",
        ]
    );
    let plan = world.plan(&[]);
    let web = serde_json::to_value(&plan.nodes[1].reason).unwrap();
    assert_eq!(web["changes"][0]["path"], "ansible/roles/web/tasks/main.yml");
}

#[test]
fn a_dry_run_of_a_child_makes_its_parents_dry_run_even_where_the_parents_ami_is_there() {
    let mut world = world().built(&["base", "web", "edge", "api"]);
    world.touch("api");
    let plan = world.plan(&["api"]);
    assert_eq!(
        text(&plan),
        ["base for a child: reuse ami-base, sealed image found; dry run", "api: build, 1 input changed since ami-api; dry run"]
    );
    let world = world.passed(&["base"]);
    assert!(text(&world.plan(&["api"]))[1].ends_with("dry run"));
    assert_eq!(world.plan(&["api"]).nodes[1].parent, crate::plan::plan::PlannedParent::Node { node: node("base") });
}

#[test]
fn a_leaf_that_is_built_needs_none_of_its_ancestors() {
    let mut world = world().built(&["base", "web", "edge", "api"]);
    world.images().retain(|image| image.id != "ami-base");
    assert_eq!(text(&world.plan(&["edge"])), ["edge: reuse ami-edge, sealed image found"]);
    assert_eq!(text(&world.plan(&[]))[0], "base: nothing, not needed");
    assert_eq!(text(&world.plan(&["base"]))[0], "base: build, was built before, but its image is not there any more; dry run");
    world.touch("api");
    assert_eq!(
        text(&world.plan(&["api"])),
        [
            "base for a child: build, was built before, but its image is not there any more; dry run",
            "api: build, 1 input changed since ami-api; dry run",
        ]
    );
}

#[test]
fn an_emitted_stage_is_wanted_although_it_is_no_leaf() {
    let mut world = world().built(&["base", "web", "edge", "api"]);
    world.images().retain(|image| image.id != "ami-web");
    assert!(text(&world.plan(&[]))[1].starts_with("web: build"));
}

#[test]
fn an_image_without_seal_is_none_and_a_twin_is_told() {
    let mut world = world().built(&["base", "web", "edge", "api"]);
    let mut twin = world.images()[3].clone();
    twin.id = "ami-twin".to_owned();
    twin.created = "2026-11-21T00:00:00Z".to_owned();
    world.images().push(twin);
    let plan = world.plan(&[]);
    assert!(
        plan.warnings.iter().any(|w| w == "api: ami-twin has the same key as ami-api, which is older and is used"),
        "{:?}",
        plan.warnings
    );
    for image in world.images() {
        image.tags.remove(tags::KEY);
    }
    assert_eq!(world.plan(&[]).counts().build, 4);
}

#[test]
fn tags_that_differ_are_set_and_nothing_is_rebuilt() {
    let mut world = world().built(&["base", "web", "edge", "api"]);
    world.pipeline.tags.insert("team".to_owned(), "platform".to_owned());
    world.pipeline.stages[3].tags.insert("team".to_owned(), "api".to_owned());
    let plan = world.plan(&[]);
    assert_eq!((plan.counts().build, plan.counts().retag), (0, 4));
    let Action::Retag { set, .. } = &plan.nodes[3].action else { panic!("{plan:?}") };
    assert_eq!(set, &BTreeMap::from([("team".to_owned(), "api".to_owned())]));
    assert_eq!(plan.nodes[3].reason.to_string(), "tags differ: team");
}

#[test]
fn a_copy_region_rebuilds_nothing() {
    let mut world = world().built(&["base", "web", "edge", "api"]);
    world.pipeline.regions.push("us-west-2".to_owned());
    let plan = world.plan(&[]);
    assert_eq!(plan.counts().build, 0);
    assert!(plan.warnings.iter().any(|warning| warning.contains("us-west-2")), "{:?}", plan.warnings);
}

#[test]
fn a_revoked_image_blocks_it_and_what_stands_on_it_and_says_what_to_run() {
    let mut world = world().built(&["base"]);
    world.images()[0].tags.insert(tags::REVOKED.to_owned(), "bad openssl".to_owned());
    let plan = world.plan(&[]);
    assert_eq!(text(&plan)[0], "base: nothing, ami-base was revoked; `ovenbird update --rebuild base` asks for another");
    assert_eq!(text(&plan)[1], "web: nothing, parent `base` cannot be built");
    assert_eq!((plan.blocked().count(), plan.counts().build), (4, 0));
    // `update --rebuild base` reaches the children through the key.
    world.pins.stages.insert(name("base"), StagePin { generation: 1, freshness: None });
    let plan = world.plan(&[]);
    assert_eq!(text(&plan)[0], "base: build, rebuild asked for (generation 1); dry run");
    assert_eq!((plan.blocked().count(), plan.counts().build), (0, 4));
}

#[test]
fn an_unpinned_source_blocks_a_build_but_not_a_dry_run() {
    let mut world = world();
    world.pins.sources.clear();
    let plan = world.plan(&["web"]);
    assert_eq!(text(&plan)[0], "base for a child: nothing, not in the lock file: source debian x86_64; `ovenbird update` pins it");
    assert_eq!(plan.blocked().count(), 2);
    let plan = world.dry_run(&["web"]);
    assert_eq!(text(&plan), ["base for a child: nothing, not needed; dry run", "web: nothing, not needed; dry run"]);
    assert_eq!(plan.blocked().count(), 0);
}

#[test]
fn only_a_verdict_that_passed_with_the_present_verification_counts() {
    let mut world = world().passed(&["base", "web"]);
    let dry_runs = |world: &World| world.dry_run(&["web"]).nodes.iter().map(|n| n.dry_run == DryRunAction::Run).collect::<Vec<_>>();
    assert_eq!(dry_runs(&world), [false], "the parent is not looked at when nothing starts from it");
    world.pipeline.stages[1].verify = Some(PathBuf::from("ansible/verify/web.yml"));
    assert_eq!(dry_runs(&world), [false, true], "verified by nothing, or by another playbook");
    world.pipeline.stages[1].verify = None;
    for verdict in world.known.verdicts.values_mut() {
        verdict.passed = false;
    }
    assert_eq!(dry_runs(&world), [true, true]);
}

#[test]
fn a_dry_run_that_is_asked_for_again_starts_from_its_parents_verdict() {
    let world = world().passed(&["base", "web"]);
    let plan = world.try_plan(&Wishes { build: false, again: true, ..wishes(&["web"]) }).unwrap();
    let shown: Vec<_> = plan.nodes.iter().map(|planned| (planned.node.stage.as_str(), &planned.dry_run)).collect();
    assert!(matches!(&shown[..], [("base", DryRunAction::Passed { .. }), ("web", DryRunAction::Run)]), "{shown:?}");
}

#[test]
fn a_stage_that_cannot_be_dry_run_is_built_all_the_same() {
    let mut world = world();
    world.pipeline.stages[0].dry_run.enabled = false;
    let plan = world.plan(&["web"]);
    assert_eq!(plan.counts().build, 2);
    let why = |n: usize| match &plan.nodes[n].dry_run {
        DryRunAction::NotPossible { why } => why.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((why(0).as_str(), why(1).as_str()), ("switched off in its `dry_run` block", "its parent `base` has no dry run"));
}

#[test]
fn no_dry_run_skips_all_of_them() {
    let plan = world().try_plan(&Wishes { dry_run: false, ..wishes(&[]) }).unwrap();
    assert!(plan.nodes.iter().all(|node| node.dry_run == DryRunAction::Skip && node.action == Action::Build));
}

#[test]
fn a_partial_run_emits_only_when_asked_and_shows_what_a_block_lacks() {
    let world = world().built(&["base"]);
    assert!(!world.plan(&["web"]).emits[0].wanted);
    let plan = world.try_plan(&Wishes { emit: Some(true), ..wishes(&["web"]) }).unwrap();
    assert_eq!((plan.emits[0].wanted, plan.emits[0].missing.len()), (true, 0));
    let plan = world.try_plan(&Wishes { emit: Some(true), ..wishes(&["api"]) }).unwrap();
    assert_eq!((plan.emits[0].wanted, plan.emits[0].missing.as_slice()), (false, [node("web")].as_slice()));
    assert!(!world.try_plan(&Wishes { emit: Some(false), ..wishes(&[]) }).unwrap().emits[0].wanted);
}

#[test]
fn a_file_that_cannot_be_edited_is_known_before_anything_is_built() {
    let mut world = world();
    world.targets.values_mut().next().unwrap().problems.push(Problem::error("`web_ami_id` is set twice"));
    let Err(PlanError::Targets(problems)) = world.try_plan(&wishes(&[])) else { panic!("planned") };
    assert_eq!(problems.0[0].severity, Severity::Error);
    assert!(world.try_plan(&wishes(&["api"])).is_ok(), "a run that does not write it");
}

#[test]
fn an_unknown_stage_is_an_error_with_the_nearest_name() {
    let error = world().try_plan(&wishes(&["bsae"])).unwrap_err();
    let PlanError::UnknownStage { name, suggestion, stages } = error else { panic!("{error:?}") };
    assert_eq!((name.as_str(), suggestion.as_deref(), stages.len()), ("bsae", Some("base"), 4));
}

#[test]
fn a_saved_plan_fits_until_inputs_images_or_wishes_are_others() {
    let mut world = world().built(&["base"]);
    let saved: Plan = serde_json::from_str(&serde_json::to_string(&world.plan(&[])).unwrap()).unwrap();
    assert_eq!(saved.still_fits(&world.plan(&[])), Ok(()));
    assert_eq!(saved.still_fits(&world.plan(&["web"])).unwrap_err()[0], Misfit::Other("set of wishes"));
    let world2 = self::world().built(&["base", "web"]);
    assert_eq!(
        saved.still_fits(&world2.plan(&[])).unwrap_err()[0].to_string(),
        "what exists of `web` changed: planned was to build, now it would be to reuse an image"
    );
    world.touch("api");
    assert_eq!(saved.still_fits(&world.plan(&[])), Err(vec![Misfit::Inputs(node("api"))]));
}

#[test]
fn an_edited_plan_is_found_out() {
    let mut plan = world().plan(&[]);
    plan.nodes.remove(0);
    assert_eq!(plan.check().unwrap_err().to_string(), "`web` is built, but its parent has no image");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_can_be_executed(
        parents in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
        built in any::<u8>(), passed in any::<u8>(), spoilt in any::<u8>(), asked in any::<u8>(), build in any::<bool>(),
    ) {
        // Stage n stands on one of the stages before it, or on the source.
        let names: Vec<String> = (0..parents.len()).map(|n| format!("s{n}")).collect();
        let stages: Vec<(&str, &str)> = parents.iter().enumerate().map(|(n, parent)| {
            let parent = parent.index(n + 1);
            (names[n].as_str(), if parent == n { "" } else { names[parent].as_str() })
        }).collect();
        let bit = |bits: u8, n: usize| bits >> n & 1 == 1;
        let chosen = |bits: u8| names.iter().enumerate().filter(|(n, _)| bit(bits, *n)).map(|(_, name)| name.as_str()).collect::<Vec<_>>();
        let pipeline = testing::pipeline(&stages);
        let mut world = World { inputs: testing::inputs(&pipeline), pipeline, targets: BTreeMap::new(), ..world() };
        world = world.built(&chosen(built)).passed(&chosen(passed));
        for (n, image) in world.images().iter_mut().enumerate() {
            match (bit(spoilt, n), n % 3) {
                (true, 0) => image.state = ImageState::Pending,
                (true, 1) => drop(image.tags.insert(tags::REVOKED.to_owned(), "bad".to_owned())),
                (true, _) => drop(image.tags.insert(tags::KEY.to_owned(), StageKey(Digest::of(b"other")).to_string())),
                (false, _) => {}
            }
        }
        let plan = world.try_plan(&Wishes { build, ..wishes(&chosen(asked)) }).unwrap();
        prop_assert_eq!(plan.check(), Ok(()));
        prop_assert_eq!(plan.still_fits(&world.try_plan(&plan.wishes).unwrap()), Ok(()));
        // Who is asked for by name has its image afterwards, or a reason why not.
        for node in plan.nodes.iter().filter(|node| build && node.wanted && asked != 0) {
            prop_assert!(node.action != Action::Nothing || node.reason.blocks() || world.pipeline.stages.len() < 8 && chosen(asked).is_empty(), "{:?}", node);
        }
    }
}
