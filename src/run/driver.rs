//! The one loop of a run: starts the steps that may start, puts everything that happens into one order, and passes signals on.
//!
//! Only this loop reads the steps' facts. Must not know what a step does, nor print. Invariants: a step's facts all stand before
//! its `StepFinished`; the loop ends only when no step runs any more, interrupted or not.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::event::{Event, Failure, Outcome, StepId, StepKind};
use crate::model::artifact::Leftover;
use crate::model::node::NodeId;
use crate::plan::plan::{Action, DryRunAction, Plan, PlannedParent};
use crate::ports::{Launch, Ready, Stop};
use crate::run::journal::Journal;
use crate::run::queue::{Ended, Queue};

/// How a plan is carried out.
pub struct Settings<'a> {
    /// Steps at once, at least 1.
    pub jobs: usize,
    /// After a failure go on with what does not need the failed step.
    pub keep_going: bool,
    /// Seconds that a step took last time.
    pub seconds: &'a dyn Fn(&StepId) -> Option<f64>,
    /// Where a step's log is, for people.
    pub log: &'a dyn Fn(&StepId) -> String,
}

/// What became of a plan.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// AMIs of nodes in the pipeline's region: reused, retagged, adopted and built.
    pub images: BTreeMap<NodeId, String>,
    /// Nodes whose AMI passed its verification in this run.
    pub verified: BTreeSet<NodeId>,
    /// Docker images of dry runs that passed, in this run or earlier.
    pub docker: BTreeMap<NodeId, String>,
    /// Steps that did what they were for.
    pub succeeded: usize,
    /// Nodes that needed nothing.
    pub reused: usize,
    /// Steps that failed, in the order in which they did.
    pub failures: Vec<(StepId, Failure)>,
    /// Steps that were cancelled or not run, with the step that is to blame, if one is.
    pub not_run: Vec<(StepId, Option<StepId>)>,
    /// First signal that came.
    pub interrupted: Option<String>,
}

impl Results {
    /// The last fact of the run; said by whoever writes the files for Terraform, after that.
    pub fn finished(&self, journal: &mut Journal<'_>) -> Vec<Leftover> {
        let left = journal.left().to_vec();
        journal.say(Event::RunFinished {
            succeeded: self.succeeded,
            failed: self.failures.len(),
            not_run: self.not_run.len(),
            reused: self.reused,
            seconds: journal.seconds(),
            left: left.clone(),
        });
        left
    }
}

/// Carries `plan` out. `signals` gives names of signals (`SIGINT` …); the first stops politely, the next at once.
pub async fn drive(
    plan: &Plan,
    settings: &Settings<'_>,
    launch: &dyn Launch,
    signals: &mut mpsc::UnboundedReceiver<String>,
    journal: &mut Journal<'_>,
) -> Results {
    let mut results = found(plan, journal);
    let mut queue = Queue::new(plan, settings.keep_going, settings.seconds);
    let (facts, mut said) = mpsc::unbounded_channel::<Event>();
    let (halt, halted) = watch::channel(Stop::No);
    let mut running = FuturesUnordered::new();
    let mut listening = true;
    loop {
        while let Some(step) = queue.start_next(settings.jobs) {
            journal.say(Event::StepStarted { step: step.clone(), log: (settings.log)(&step), last_seconds: (settings.seconds)(&step) });
            let ready = ready(plan, &step.node, &results);
            let started = Instant::now();
            let launched = launch.launch(step.clone(), ready, facts.clone(), halted.clone());
            running.push(async move { (step, launched.await, started.elapsed().as_secs_f64()) });
        }
        if running.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            signal = signals.recv(), if listening => match signal {
                Some(signal) => {
                    let again = results.interrupted.is_some();
                    queue.close();
                    halt.send_replace(if again { Stop::Now } else { Stop::Polite });
                    results.interrupted.get_or_insert_with(|| signal.clone());
                    journal.say(Event::Interrupted { signal, again });
                }
                None => listening = false,
            },
            Some(event) = said.recv() => journal.say(event),
            Some((step, outcome, seconds)) = running.next() => {
                while let Ok(event) = said.try_recv() {
                    journal.say(event);
                }
                journal.say(Event::StepFinished { step: step.clone(), outcome: outcome.clone(), seconds });
                let how = note(&mut results, &step, outcome);
                for blocked in queue.ended(&step, how) {
                    journal.say(Event::StepBlocked { step: blocked.step.clone(), by: blocked.by.clone() });
                    results.not_run.push((blocked.step, Some(blocked.by)));
                }
            }
        }
    }
    let culprit = queue.culprit().cloned();
    for step in queue.never_started() {
        if let Some(by) = culprit.clone() {
            journal.say(Event::StepBlocked { step: step.clone(), by });
        }
        results.not_run.push((step, culprit.clone()));
    }
    results
}

/// What is there before the first step.
fn found(plan: &Plan, journal: &mut Journal<'_>) -> Results {
    let mut results = Results::default();
    for planned in &plan.nodes {
        let passed = match &planned.dry_run {
            DryRunAction::Passed { image } => {
                results.docker.insert(planned.node.clone(), image.clone());
                Some(image)
            }
            DryRunAction::Run | DryRunAction::NotPossible { .. } | DryRunAction::Skip => None,
        };
        let artifact = match &planned.action {
            Action::Reuse { image } => {
                results.images.insert(planned.node.clone(), image.id.clone());
                // One that is verified first is not finished with: its step says what becomes of it.
                Some(&image.id).filter(|_| !planned.verification.runs())
            }
            Action::Retag { image, .. } => {
                results.images.insert(planned.node.clone(), image.id.clone());
                None
            }
            Action::Nothing => passed,
            Action::Build => None,
        };
        if let Some(artifact) = artifact {
            results.reused += 1;
            journal.say(Event::NodeReused { node: planned.node.clone(), artifact: artifact.clone() });
        }
    }
    results
}

fn ready(plan: &Plan, node: &NodeId, results: &Results) -> Ready {
    let parent = plan.nodes.iter().find(|planned| planned.node == *node).and_then(|planned| match &planned.parent {
        PlannedParent::Node { node } => Some(node),
        PlannedParent::Source { .. } => None,
    });
    Ready {
        parent_image: parent.and_then(|parent| results.images.get(parent).cloned()),
        parent_docker: parent.and_then(|parent| results.docker.get(parent).cloned()),
        image: results.images.get(node).cloned(),
    }
}

/// Files an outcome and says what it means for the steps behind it.
fn note(results: &mut Results, step: &StepId, outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Succeeded { artifact, .. } => {
            results.succeeded += 1;
            if step.kind == StepKind::Verify {
                results.verified.insert(step.node.clone());
            }
            let known = if step.kind == StepKind::DryRun { &mut results.docker } else { &mut results.images };
            known.insert(step.node.clone(), artifact);
            Ended::Done
        }
        Outcome::NotPossible { .. } => Ended::Done,
        Outcome::Failed(failure) => {
            results.failures.push((step.clone(), failure));
            Ended::Failed
        }
        Outcome::Cancelled => {
            results.not_run.push((step.clone(), None));
            Ended::Cancelled
        }
    }
}

#[cfg(test)]
mod tests;
