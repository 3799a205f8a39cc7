//! `ovenbird build`: plans, dry-runs what has not passed, builds, and writes the ids.
//!
//! Wires only. Invariant: what is carried out is the plan that `ovenbird plan` would have printed at that moment, or the saved one
//! that still fits.

use std::collections::BTreeMap;

use crate::cli::args::{BuildArgs, Common};
use crate::cli::failure::{Exit, Failure};
use crate::cli::launching::{Gathered, Records};
use crate::cli::output::Output;
use crate::cli::planning::Planning;
use crate::cli::project::Project;
use crate::cli::survey::{self, Survey};
use crate::cli::world::World;
use crate::cli::{emit, galaxy, running, toolcheck, update};
use crate::config::pipeline::{Emit, Tool};
use crate::event::Event;
use crate::model::node::NodeId;
use crate::plan;
use crate::plan::plan::{Plan, PlannedEmit, Wishes};
use crate::plan::verification::lineage;
use crate::run::driver::Results;
use crate::run::journal::Journal;
use crate::run::step::Steps;

/// Builds.
///
/// # Errors
/// Whatever keeps the run from starting; what happens in it is the exit code.
pub async fn run(args: &BuildArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    let saved = args.plan.as_ref().map(|file| read_plan(&world.absolute(file))).transpose()?;
    let mut project = Project::read(common, world, output, true)?;
    let wishes = if let Some(plan) = &saved {
        plan.wishes.clone()
    } else {
        let emit = args.emit.then_some(true);
        Wishes { stages: project.stages_named(&args.stages)?, build: true, dry_run: !args.no_dry_run, again: false, emit }
    };
    let dir = project.pipeline().dir.clone();
    let mut begun = running::begin(&dir, "build", args.running.no_wait, world, output).await?;
    if begun.waited {
        project = Project::read(common, world, output, true)?;
    }
    let ready = async {
        let asked = Survey::open(project.pipeline(), world).await?;
        update::fill_missing(&mut project, Some(&asked.catalog), common, world, output).await?;
        let mut planning = Planning::make(&project, world, Some(&asked), &asked.state, &wishes, output).await?;
        if let Some(saved) = &saved {
            saved.still_fits(&planning.plan).map_err(|misfits| {
                let all: Vec<String> = misfits.iter().map(ToString::to_string).collect();
                Failure::data(format!("the saved plan no longer fits: {}", all.join("; ")))
                    .help("make a new one with `ovenbird plan --out FILE`")
            })?;
        }
        running::refuse_blocked(&planning.plan)?;
        if survey::fetch(&planning.plan, &planning.docker, project.pipeline(), world, output).await? {
            planning = Planning::make(&project, world, Some(&asked), &asked.state, &wishes, output).await?;
        }
        running::warn(&planning.plan, output);
        let (counts, mut tools, mut plugins) = (planning.plan.counts(), BTreeMap::new(), Vec::new());
        if counts.build + counts.dry_run + counts.verify > 0 {
            let stages = running::stages_that_run(&planning.plan);
            tools = toolcheck::check(project.pipeline(), &stages, counts.dry_run > 0, world).await?;
            if counts.build > 0 {
                plugins = toolcheck::plugins(&tools, project.pipeline(), world).await;
            }
            galaxy::ensure(&project, &stages, world).await?;
        }
        Ok((asked, planning, tools, plugins))
    };
    let (survey, planning, tools, plugins) = begun.prepare(Box::pin(ready), output).await?;

    let gathered = Gathered::of(&project, world, planning.plan.counts().build > 0).await?;
    let records = Records::new(&project, world, &survey.state, &planning);
    let (run, folder) = (begun.run.clone(), begun.folder.path().to_path_buf());
    let steps = Steps {
        catalog: Some(&survey.catalog),
        ec2_endpoint: gathered.ec2_endpoint.clone(),
        packer: tools.get(&Tool::Packer).map(|packer| packer.version.clone()),
        plugins,
        ..gathered.steps(&planning.plan, &run, &folder, &records)
    };
    let emits = |results: &Results, journal: &mut Journal<'_>| write_emits(&project, &planning.plan, results, journal);
    running::carry_out(begun, &planning.plan, &steps, &args.running, world, output, emits).await
}

fn read_plan(file: &std::path::Path) -> Result<Plan, Failure> {
    let shown = file.display();
    let text = std::fs::read(file).map_err(|e| Failure::data(format!("plan `{shown}` cannot be read: {e}")))?;
    serde_json::from_slice(&text)
        .map_err(|e| Failure::data(format!("`{shown}` is no saved plan: {e}")).help("`ovenbird plan --out FILE` writes one"))
}

/// Nodes that keep a block from being written: what it names, and what that stands on.
fn unverified(project: &Project, plan: &Plan, emit: &Emit, planned: &PlannedEmit, results: &Results) -> Vec<NodeId> {
    let mut found = planned.unverified.clone();
    for named in plan::emit::nodes(emit) {
        for node in lineage(&project.graph, &named) {
            let runs = plan.node(node).is_some_and(|planned| planned.verification.runs());
            if runs && !results.verified.contains(node) && !found.contains(node) {
                found.push(node.clone());
            }
        }
    }
    found
}

/// Every block that the plan says is written; one that lacks an image, or one that was verified, is said, not written.
fn write_emits(project: &Project, plan: &Plan, results: &Results, journal: &mut Journal<'_>) -> Result<(), Failure> {
    let pipeline = project.pipeline();
    let ids: BTreeMap<_, _> = results.images.clone();
    let mut first = None;
    for emit in &pipeline.emits {
        let path = emit.path.display().to_string();
        let Some(planned) = plan.emits.iter().find(|planned| planned.path == path && planned.wanted) else { continue };
        let unverified = unverified(project, plan, emit, planned, results);
        if !unverified.is_empty() {
            let missing = plan::emit::nodes(emit).into_iter().filter(|node| !ids.contains_key(node)).collect();
            journal.say(Event::EmitSkipped { path, missing, unverified });
            continue;
        }
        match emit::write(pipeline, emit, &ids) {
            Ok(event) => journal.say(event),
            Err(failure) => {
                let message = format!("`{path}` was not written");
                journal.say(Event::Warned { message });
                first.get_or_insert(failure);
            }
        }
    }
    first.map_or(Ok(()), Err)
}
