//! `ovenbird plan`: prints what a build would do, and why.
//!
//! Invariant: the value that is printed, serialised and saved is the value that `build` executes.

use std::mem::ManuallyDrop;

use serde_json::json;

use crate::cli::args::{Common, PlanArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::planning::Planning;
use crate::cli::project::{self, Project};
use crate::cli::survey::Survey;
use crate::cli::update;
use crate::cli::world::World;
use crate::disk::atomic;
use crate::plan::plan::{Action, Plan, PlannedNode, Wishes};
use crate::plan::verification::VerifyAction;
use crate::report::plan_text;

/// Plans and prints.
///
/// # Errors
/// Whatever keeps a plan from being made.
pub async fn run(args: &PlanArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    let loaded = project::load_files(common, world, output, false)?;
    let pipeline = loaded.pipeline.clone();
    // Before the survey is opened: what it needs to trust a server is some hundred certificates.
    let reading = Project::reading(loaded, world);
    let survey = Survey::open(&pipeline, world).await?;
    // The process ends with this command: to free a large tree name by name would take as long as to key it.
    let mut project = ManuallyDrop::new(survey.beside(reading, output).await?);
    let wishes = Wishes { stages: project.stages_named(&args.stages)?, build: true, dry_run: !args.no_dry_run, again: false, emit: None };
    update::fill_missing(&mut project, Some(&survey.catalog), common, world, output).await?;
    let planning = ManuallyDrop::new(Planning::make(&project, world, Some(&survey), &survey.state, &wishes, output).await?);
    let plan = &planning.plan;
    if let Some(file) = &args.out {
        let file = world.absolute(file);
        let text = serde_json::to_string_pretty(plan).map_err(|e| Failure::chain(Exit::Failed, &e))?;
        atomic::write(&file, text.as_bytes()).map_err(|e| Failure::chain(Exit::Failed, &e))?;
    }
    if args.json {
        output.json(plan)?;
    } else if args.matrix.is_some() {
        output.data(&format!("{}\n", matrix(plan)))?;
    } else {
        output.data(&plan_text::render(plan, world.started, output.colour, world.stdout_tty.then_some(output.width)))?;
    }
    if plan.blocked().next().is_some() {
        return Ok(Exit::Data);
    }
    Ok(if args.detailed_exitcode && plan.has_work() { Exit::Work } else { Exit::Done })
}

/// `strategy.matrix` of GitHub Actions: a job a node that is built or verified. Children of nodes that are built come in a later run.
fn matrix(plan: &Plan) -> serde_json::Value {
    let built: Vec<_> = plan.nodes.iter().filter(|n| n.action == Action::Build || n.verification.runs()).collect();
    let include: Vec<_> = built
        .iter()
        .map(|n| {
            json!({
                "stage": n.node.stage,
                "architecture": n.node.architecture,
                "key": n.stage_key,
                "reason": reason(n),
            })
        })
        .collect();
    json!({ "include": include })
}

fn reason(planned: &PlannedNode) -> String {
    match &planned.verification {
        VerifyAction::Run { because, .. } if planned.action != Action::Build => because.to_string(),
        _ => planned.reason.to_string(),
    }
}
