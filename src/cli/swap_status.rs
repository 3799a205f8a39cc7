//! `swap status`: asks tfvars, Terraform's state and AWS, and shows them side by side.
//!
//! Changes nothing, takes no lock. Invariant: what cannot be asked is said in its place, and the rest is shown all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::args::SwapArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::swap::Swapping;
use crate::cli::world::World;
use crate::disk::lock;
use crate::disk::swap_memory;
use crate::disk::swap_tfvars::{self, Found};
use crate::model::digest::Digest;
use crate::model::problem::Problems;
use crate::model::swap::Colour;
use crate::model::traffic::Health;
use crate::plan::swap::{State, Values, stand};
use crate::plan::swap_guard::side;
use crate::plan::terraform_plan::Group;
use crate::ports::Traffic as _;
use crate::process::spawn;
use crate::report::swap_status::{Live, LiveSide, Status, differences};
use crate::tools::git_record::parse_standing;
use crate::tools::terraform::{parse_state, unframed};

/// A local state or a remote one, whose backend may be slow.
const SHOW: Duration = Duration::from_mins(3);

/// Shows.
///
/// # Errors
/// The tfvars are not there; an irregular standing is shown, and is exit 65.
pub async fn run(args: &SwapArgs, swapping: &Swapping, _world: &World, output: Output) -> Result<Exit, Failure> {
    let spec = &swapping.spec;
    let found = swap_tfvars::read(spec, &swapping.tfvars()?);
    let mut problems = Problems::default();
    let mut state = None;
    match &found {
        Err(wrong) => problems.0.extend(wrong.0.clone()),
        Ok(found) => match stand(spec, &found.values, found.marker.as_ref(), args.retire) {
            Ok(stands) => state = Some(stands),
            Err(reasons) => problems.0.extend(reasons.iter().map(|reason| found.problem(reason))),
        },
    }
    let found = found.ok();
    let groups = groups(swapping).await;
    let aws = match &groups {
        Ok(groups) => live(swapping, groups).await,
        Err(_) => Err("the groups' names stand in Terraform's state".to_owned()),
    };
    let terraform = groups.and_then(|groups| values(swapping, &groups));
    let tfvars = found.as_ref().map(|found| found.values.clone());
    let named = tfvars.as_ref().map(|values| differences(values, terraform.as_ref().ok(), aws.as_ref().ok()));
    let says = match state {
        Some(state) => vec![state.to_string()],
        None => problems.0.iter().map(|problem| problem.summary.clone()).collect(),
    };
    let status = Status {
        swap: spec.name.to_string(),
        state,
        says,
        marker: found.as_ref().and_then(|found| Some(found.marker.as_ref()?.to_string())),
        tfvars,
        terraform,
        aws,
        differences: named.unwrap_or_default(),
        notes: notes(swapping, found.as_ref()).await,
        next: next(state, &spec.name.to_string()),
    };
    if args.json {
        output.json(&status)?;
    } else {
        output.data(&status.render(output.colour, output.width))?;
    }
    if state.is_none() {
        return Err(Failure::Problems(problems));
    }
    Ok(Exit::Done)
}

/// Both groups of Terraform's state.
async fn groups(swapping: &Swapping) -> Result<BTreeMap<Colour, Group>, String> {
    let said = spawn::output(&swapping.terraform.show_state(), SHOW, 512 * 1024 * 1024).await.map_err(|e| e.in_full())?;
    if !said.exit.success() {
        return Err(unframed(&said.stderr).take(3).collect::<Vec<_>>().join(" "));
    }
    let spec = &swapping.spec;
    let mut found = parse_state(&said.stdout, &spec.groups()).map_err(|e| e.to_string())?;
    let of = |colour: Colour| {
        let address = &spec.colour(colour).group;
        found.remove(address).map(|group| (colour, group)).ok_or_else(|| format!("`{address}` is not in its state"))
    };
    Colour::BOTH.map(of).into_iter().collect()
}

fn values(swapping: &Swapping, groups: &BTreeMap<Colour, Group>) -> Result<Values, String> {
    let of = |colour: Colour| groups.get(&colour).map(|group| side(&swapping.spec, group)).ok_or("a group is missing");
    Ok(Values { blue: of(Colour::Blue)?, green: of(Colour::Green)? })
}

async fn live(swapping: &Swapping, groups: &BTreeMap<Colour, Group>) -> Result<Live, String> {
    let of = |colour: Colour| groups.get(&colour).and_then(|group| group.name.clone()).ok_or("a group has no name yet");
    let (blue, green) = (of(Colour::Blue)?, of(Colour::Green)?);
    Ok(Live { blue: live_side(swapping, &blue).await?, green: live_side(swapping, &green).await? })
}

async fn live_side(swapping: &Swapping, name: &str) -> Result<LiveSide, String> {
    let group = swapping.traffic.group(name).await.map_err(|e| e.to_string())?.ok_or_else(|| format!("there is no group `{name}`"))?;
    let serving: Vec<&str> = group.in_service().map(|i| i.id.as_str()).collect();
    let mut amis: Vec<String> = group.instances.iter().filter_map(|i| i.image.clone()).collect();
    amis.sort();
    amis.dedup();
    let others = group.instances.iter().filter(|i| !i.in_service()).map(|i| format!("{} {}", i.id, i.lifecycle));
    let mut side = LiveSide {
        amis,
        min_size: group.min,
        max_size: group.max,
        elb_names: Vec::new(),
        in_service: serving.len(),
        others: others.chain(group.outside.iter().map(|id| format!("{id} outside of its group"))).collect(),
        health: Vec::new(),
    };
    for of in [&swapping.spec.live, &swapping.spec.test] {
        let balancer = of.load_balancer();
        if !group.load_balancers.contains(&balancer) {
            continue;
        }
        side.elb_names.push(of.value.clone());
        let targets = swapping.traffic.targets(&balancer).await.map_err(|e| e.to_string())?.unwrap_or_default();
        let healthy = targets.iter().filter(|t| t.health == Health::Healthy && serving.contains(&t.instance.as_str())).count();
        side.health.push((of.value.clone(), healthy, serving.len()));
    }
    Ok(side)
}

/// What is under way, and what a run that was killed left.
async fn notes(swapping: &Swapping, found: Option<&Found>) -> Vec<String> {
    let dot = swapping.loaded.pipeline.dir.join(".ovenbird");
    let mut notes = Vec::new();
    if let Some(holder) = lock::held(&dot) {
        notes.push(format!("under way: {holder}"));
    }
    let memory = swap_memory::load(&dot, swapping.spec.name.as_str());
    let memory = memory.filter(|memory| found.is_some_and(|found| memory.after == Digest::of(found.source.text.as_bytes())));
    if let Some(memory) = &memory {
        let step = &memory.step;
        match (memory.applied, memory.passed) {
            (false, _) => notes.push(format!("step {step} was written by run {} and is not known to be applied", memory.run)),
            (true, false) => notes.push(format!("step {step} was applied by run {}, and its gate has not passed yet", memory.run)),
            (true, true) => {}
        }
    }
    if let Some(tracked) = &swapping.tracked
        && let Ok(said) = spawn::output(&tracked.status(), Duration::from_secs(20), 1 << 20).await
        && said.exit.success()
    {
        let standing = parse_standing(&said.stdout);
        let path = swapping.spec.tfvars.display();
        if standing.untracked {
            notes.push(format!("`{path}` is not in git"));
        } else if standing.modified {
            notes.push(format!("`{path}` has changes that are not committed"));
        }
        if let Some(upstream) = standing.upstream.filter(|upstream| upstream.ahead + upstream.behind > 0) {
            notes.push(format!("{} commits are not pushed, {} not pulled, as of the last fetch", upstream.ahead, upstream.behind));
        }
    }
    notes
}

fn next(state: Option<State>, name: &str) -> String {
    match state {
        None => "nothing is written to an irregular file; what is wrong with it stands below".to_owned(),
        Some(State::Steady { .. }) => format!("`ovenbird swap {name} plan` shows the steps, `run` takes them"),
        Some(_) => format!("`ovenbird swap {name} next` or `run` goes on, `rollback` goes back"),
    }
}
