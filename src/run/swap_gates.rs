//! What a gate asks after each step of a swap, and whether a group is as the values say.
//!
//! The waiting itself is `run::gate`'s. Invariant: a colour counts as healthy only by instances of its own group, on the load
//! balancer that the tfvars put it on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::gate::{GateChecks, GateStep};
use crate::model::gate::Verdict;
use crate::model::swap::Colour;
use crate::model::traffic::LoadBalancer;
use crate::plan::swap::{Side, State, Values};
use crate::run::gate::{self, Gate, Surroundings, Want};
use crate::run::swap_asks::{Halt, HaltKind, Question};
use crate::run::swap_work::{Work, of_aws};

fn step_of(state: State) -> GateStep {
    match state {
        State::Started { .. } => GateStep::Start,
        State::Joined { .. } => GateStep::Join,
        State::Left { .. } => GateStep::Leave,
        State::Steady { .. } => GateStep::Finish,
    }
}

/// Waits for a gate. Learns the groups' names from the last plan.
pub(super) async fn ask(work: &Work<'_>, question: Question, values: &Values) -> Result<Verdict, Halt> {
    let set = &work.set;
    let (live, test) = (set.spec.live.load_balancer(), set.spec.test.load_balancer());
    let names = [work.group(Colour::Blue).await?, work.group(Colour::Green).await?];
    let name = |colour: Colour| match colour {
        Colour::Blue => names[0].clone(),
        Colour::Green => names[1].clone(),
    };
    let healthy = |colour: Colour, on: &LoadBalancer| {
        let side = values.of(colour);
        Want::Healthy { group: name(colour), on: on.clone(), at_least: side.min_size.max(1), image: Some(side.ami_id.clone()) }
    };
    let checks = |step: GateStep| set.gates.get(&step).cloned().unwrap_or_default();
    // What people ask of the new colour says nothing of the old one.
    let bare = |step: GateStep| GateChecks { timeout: checks(step).timeout, ..GateChecks::default() };
    let (step, wants, mut checks) = match question {
        Question::State(state, _) => {
            let wants = match state {
                State::Started { new } => vec![healthy(new, &test)],
                State::Joined { new } => vec![healthy(new, &live)],
                State::Left { new } => vec![Want::Drained { group: name(new.other()), from: live.clone() }, healthy(new, &live)],
                State::Steady { live: new } => vec![Want::Gone { group: name(new.other()) }, healthy(new, &live)],
            };
            (step_of(state), wants, checks(step_of(state)))
        }
        Question::Serves(colour) => {
            // Which AMI it runs does not matter now: it served before.
            let mut want = healthy(colour, &live);
            if let Want::Healthy { image, .. } = &mut want {
                *image = None;
            }
            (GateStep::Join, vec![want], bare(GateStep::Join))
        }
        Question::Gone(colour) => (GateStep::Finish, vec![Want::Gone { group: name(colour) }], bare(GateStep::Finish)),
    };
    if matches!(question, Question::State(_, true)) {
        // It has soaked; a look is enough.
        checks.soak = Duration::ZERO;
        checks.error_rate = None;
    }
    let colour = colour_of(question);
    let variables = [
        ("OVENBIRD_SWAP", set.spec.name.to_string()),
        ("OVENBIRD_STEP", step.as_str().to_owned()),
        ("OVENBIRD_COLOUR", colour.to_string()),
        ("OVENBIRD_AMI", values.of(colour).ami_id.clone()),
    ];
    let variables: BTreeMap<String, String> = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let log = set.logs.join(format!("gate-{}.log", step.as_str()));
    let around = Surroundings {
        traffic: set.traffic,
        facts: &set.facts,
        stop: set.stop.clone(),
        log: &log,
        root: set.root,
        env: set.env,
        now: work.now(),
    };
    let gate = Gate { step, wants, checks, since: work.since.get(), variables };
    gate::wait(&gate, &around).await.map_err(|halt| match &halt {
        gate::Halt::Stopped => Halt::new(HaltKind::Interrupted, "interrupted while a gate waited"),
        gate::Halt::Aws(error) => of_aws(error),
        gate::Halt::Command(error) => Halt::new(HaltKind::Failed, format!("{halt}: {}", error.in_full())),
        gate::Halt::Probe { .. } => Halt::new(HaltKind::Failed, halt.to_string()),
    })
}

/// The colour that a question is about. Once the swap is done it is the one that serves: the other has nothing left to ask.
fn colour_of(question: Question) -> Colour {
    match question {
        Question::State(State::Steady { live }, _) => live,
        Question::State(State::Started { new } | State::Joined { new } | State::Left { new }, _) => new,
        Question::Serves(colour) | Question::Gone(colour) => colour,
    }
}

/// What of a colour's group is not yet as the values say.
pub(super) async fn missing(work: &Work<'_>, colour: Colour, side: &Side) -> Result<Vec<String>, Halt> {
    let name = work.group(colour).await?;
    let Some(group) = work.set.traffic.group(&name).await.map_err(|e| of_aws(&e))? else {
        return Ok(vec![format!("there is no group `{name}`")]);
    };
    let mut missing = Vec::new();
    if (group.min, group.max) != (side.min_size, side.max_size) {
        missing.push(format!("`{name}` has the sizes {}/{}, not {}/{}", group.min, group.max, side.min_size, side.max_size));
    }
    for of in [&work.set.spec.live, &work.set.spec.test] {
        let wanted = side.elb_name == of.value;
        if group.load_balancers.contains(&of.load_balancer()) != wanted {
            missing.push(format!("`{name}` is {}on `{}`", if wanted { "not yet " } else { "still " }, of.value));
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gates_command_is_told_of_the_colour_that_comes_into_service_at_every_step() {
        let new = Colour::Green;
        for state in [State::Started { new }, State::Joined { new }, State::Left { new }, State::Steady { live: new }] {
            assert_eq!(colour_of(Question::State(state, false)), new, "{state}");
        }
    }
}
