//! `swap plan`: the diffs of the steps that are left, and what Terraform would do with the first of them.
//!
//! Writes nothing but a Terraform plan in a private folder. Invariant: what `next` would refuse is refused here, with the same table.

use std::time::Duration;

use serde::Serialize;

use crate::cli::args::SwapArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::survey::Survey;
use crate::cli::swap::Swapping;
use crate::cli::swap_goal::{self, Fitness};
use crate::cli::swap_run;
use crate::cli::world::World;
use crate::disk::atomic;
use crate::disk::swap_tfvars::{self, Found};
use crate::model::problem::Problems;
use crate::model::swap::Colour;
use crate::plan::swap::{State, stand};
use crate::plan::swap_guard::{Foreign, Wish, judge, waits};
use crate::plan::swap_steps::{Goal, Move, rest};
use crate::plan::terraform_plan::TerraformPlan;
use crate::ports::Traffic as _;
use crate::process::command::CommandLine;
use crate::process::spawn;
use crate::report::swap::{diff, table};
use crate::run::swap_work::Fit as _;
use crate::tools::terraform::{parse_plan, state_lock, unframed};

const PLAN: Duration = Duration::from_mins(15);

/// As JSON.
#[derive(Debug, Serialize)]
struct Document {
    swap: String,
    state: State,
    ami: String,
    steps: Vec<StepDocument>,
    changes: Vec<String>,
    refused: Vec<Foreign>,
}

#[derive(Debug, Serialize)]
struct StepDocument {
    step: String,
    describes: String,
    diff: String,
}

/// Shows.
///
/// # Errors
/// The tfvars are no state of a swap, or the guard refuses the first step (65).
pub async fn run(args: &SwapArgs, swapping: &Swapping, world: &World, output: Output) -> Result<Exit, Failure> {
    let spec = &swapping.spec;
    let mut found = swap_tfvars::read(spec, &swapping.tfvars()?)?;
    let reasons =
        |found: &Found, reasons: Vec<_>| Failure::Problems(Problems(reasons.iter().map(|reason| found.problem(reason)).collect()));
    let state = stand(spec, &found.values, found.marker.as_ref(), args.retire).map_err(|wrong| reasons(&found, wrong))?;
    let ami = swap_goal::ami(swapping, world, output).await?;
    // As things are: a step that is written and not applied comes first.
    let now = plan(swapping, None).await?;
    let mut foreign = judge(spec, &now, Wish::Settle(state), &found.values);
    foreign.extend(waits(spec, &now));
    let serving = match state {
        State::Steady { live } => serving(swapping, &now, live).await?,
        State::Started { .. } | State::Joined { .. } | State::Left { .. } => 1,
    };
    let goal = Goal { ami: ami.clone(), serving, run: "RUN".to_owned() };
    let moves = rest(spec, state, &found.values, found.marker.as_ref(), &goal);
    let mut changes = now.told();
    if let (Some(first), true) = (moves.first(), foreign.is_empty()) {
        let of = plan(swapping, Some((&found, first))).await?;
        foreign = judge(spec, &of, wish(first, state), &first.values);
        changes = of.told();
    }
    if let (State::Steady { .. }, false) = (state, moves.is_empty()) {
        let fitness = Fitness { swapping, state: &Survey::state(&swapping.loaded.pipeline, world).await? };
        fitness.fit(&ami).await.map_err(|halt| swap_run::failure(halt, None, &spec.name))?;
    }
    foreign.extend(swap_tfvars::shadows(&swapping.loaded.pipeline.root, spec)?);
    let mut steps = Vec::new();
    for step in &moves {
        let text = found.splice(spec, &step.values, step.marker.as_ref()).map_err(|problem| Failure::Problems(Problems(vec![problem])))?;
        let describes = step.step.describe(step.new_colour());
        steps.push(StepDocument { step: step.step.to_string(), describes, diff: found.diff(&text) });
        found = swap_tfvars::read(spec, text.as_bytes())?;
    }
    let document = Document { swap: spec.name.to_string(), state, ami, steps, changes, refused: foreign };
    if args.json {
        output.json(&document)?;
    } else {
        output.data(&document.render(output))?;
    }
    if document.refused.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Failure::data("Terraform would change what the step must not; nothing was written")
        .help("apply or take back what is not the swap's first"))
}

fn wish(step: &Move, state: State) -> Wish {
    Wish::Step(step.step, state.new_colour())
}

impl Document {
    fn render(&self, output: Output) -> String {
        let mut text = format!("{}  {}\n", self.swap, self.state);
        if self.steps.is_empty() {
            text.extend(["nothing to do: ", &self.ami, " serves already\n"]);
        }
        for step in &self.steps {
            text.extend(["\n", &step.describes, "\n", &diff(&step.diff, output.colour)]);
        }
        if !self.changes.is_empty() {
            text.push_str("\nTerraform would change now:\n");
            text.extend(self.changes.iter().map(|change| format!("  {change}\n")));
        }
        if !self.refused.is_empty() {
            text.extend([format!("\nrefused by the guard:\n{}", table(&self.refused, output.width))]);
        }
        text
    }
}

async fn serving(swapping: &Swapping, plan: &TerraformPlan, live: Colour) -> Result<u32, Failure> {
    let address = &swapping.spec.colour(live).group;
    let Some(name) = plan.before.get(address).and_then(|group| group.name.clone()) else {
        return Err(Failure::data(format!("`{address}` is not in Terraform's state"))
            .help("`group` in the swap block is the group's address as `terraform state list` shows it"));
    };
    let group = swapping.traffic.group(&name).await?;
    let serving = group.map_or(0, |group| group.in_service().count());
    Ok(u32::try_from(serving).unwrap_or(u32::MAX))
}

/// A Terraform plan of the tfvars as they are, or with a step's values over them. Takes the state's lock no longer than a plan does.
async fn plan(swapping: &Swapping, over: Option<(&Found, &Move)>) -> Result<TerraformPlan, Failure> {
    let scratch = tempfile::tempdir()?;
    let mut files = vec![swapping.loaded.pipeline.root.join(&swapping.spec.tfvars)];
    if let Some((found, step)) = over {
        let file = scratch.path().join("values.tfvars.json");
        atomic::write_with_mode(&file, 0o600, found.var_file(&step.values).as_bytes()).map_err(|e| Failure::chain(Exit::Failed, &e))?;
        files.push(file);
    }
    let out = scratch.path().join("plan");
    terraform(&swapping.terraform.plan(&out, &files, &[], 60)).await?;
    let shown = terraform(&swapping.terraform.show(&out)).await?;
    parse_plan(&shown, &swapping.spec.groups()).map_err(|e| Failure::chain(Exit::Failed, &e))
}

/// Runs Terraform: what it wrote to stdout.
async fn terraform(command: &CommandLine) -> Result<String, Failure> {
    let said = spawn::output(command, PLAN, 512 * 1024 * 1024).await.map_err(|e| Failure::chain(Exit::Unavailable, &e))?;
    if said.exit.success() {
        return Ok(said.stdout);
    }
    let text = if said.stderr.trim().is_empty() { said.stdout } else { said.stderr };
    if let Some(lock) = state_lock(&text) {
        return Err(Failure::new(Exit::Held, format!("the Terraform state is locked by {} ({})", lock.who, lock.operation)));
    }
    let lines: Vec<&str> = unframed(&text).collect();
    let last = lines[lines.len().saturating_sub(15)..].join("\n  | ");
    Err(Failure::failed(format!("terraform failed: {}\n  | {last}", said.exit)))
}
