//! A gate: waits until the world shows what a step was for, and says [`Verdict`].
//!
//! Looks, never changes anything. The loop is here; `look` reads groups and load balancers, `probe` asks by HTTP, `command` runs the
//! user's own check. Invariants: only what was seen of the world makes a [`Verdict::Failed`] (a call to AWS that fails is a [`Halt`]:
//! nobody knows then whether the new colour is good, and rolling back would be a guess); nothing waits longer than the gate's
//! time-out and soak.
//!
//! In this order: the groups and load balancers, `CodeDeploy`, the probes; when all of that holds at once, the user's command, once;
//! when that succeeded, the soak, through which everything must go on to hold. What stops holding starts the soak again.

mod command;
mod errors;
mod look;
mod probe;
#[cfg(test)]
mod probe_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::gate::{GateChecks, GateStep};
use crate::event::Event;
use crate::model::gate::{Condition, FailedGate, Verdict, Why};
use crate::model::traffic::LoadBalancer;
use crate::ports::{AwsError, Facts, Stop, Traffic};
use crate::process::spawn::SpawnError;
use crate::run::gate::errors::Errors;
use crate::run::gate::look::Memory;
use crate::run::gate::probe::Probing;

/// What must be true of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Every instance in service is healthy on the load balancer, and there are enough of them.
    Healthy {
        /// Name of the group.
        group: String,
        /// Where.
        on: LoadBalancer,
        /// In service at least; at least 1.
        at_least: u32,
        /// AMI that each must run; `None`: not asked.
        image: Option<String>,
    },
    /// None of its instances is registered there any more.
    Drained {
        /// Name of the group.
        group: String,
        /// Where.
        from: LoadBalancer,
    },
    /// It has no instance, and none of it runs any more.
    Gone {
        /// Name of the group.
        group: String,
    },
}

/// What is waited for.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Of which step.
    pub step: GateStep,
    /// What the step itself asks for.
    pub wants: Vec<Want>,
    /// What the pipeline file asks for.
    pub checks: GateChecks,
    /// Scaling activities that began earlier are another story: just before the apply; on a second look, now.
    pub since: Timestamp,
    /// For the user's command: `OVENBIRD_…` variables.
    pub variables: BTreeMap<String, String>,
}

/// What a gate works with.
pub struct Surroundings<'a> {
    /// What serves.
    pub traffic: &'a dyn Traffic,
    /// Where facts go.
    pub facts: &'a Facts,
    /// How far the run has been stopped.
    pub stop: watch::Receiver<Stop>,
    /// Log of the user's command.
    pub log: &'a Path,
    /// Folder that the command runs in, and that paths are relative to.
    pub root: &'a Path,
    /// Environment of the command.
    pub env: &'a BTreeMap<String, String>,
    /// The wall clock, now.
    pub now: Timestamp,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The run was stopped.
    #[error("stopped")]
    Stopped,
    /// AWS could not be asked.
    #[error(transparent)]
    Aws(Box<AwsError>),
    /// The user's command could not be started.
    #[error("the gate's command could not be run")]
    Command(#[from] SpawnError),
    /// A probe could not be set up: its file of authorities cannot be read.
    #[error("probe `{probe}` cannot be asked: {why}")]
    Probe {
        /// Its name.
        probe: String,
        /// Why.
        why: String,
    },
}

impl From<AwsError> for Halt {
    fn from(error: AwsError) -> Self {
        Self::Aws(Box::new(error))
    }
}

/// First pause between two looks; later a tenth of the time that has passed, up to [`LONGEST`]. A gate that opens at once is seen
/// at once, and one that takes a quarter of an hour does not use up the account's API rate.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);

/// Waits until everything holds, or never will.
///
/// # Errors
/// See [`Halt`].
pub async fn wait(gate: &Gate, around: &Surroundings<'_>) -> Result<Verdict, Halt> {
    let say = |event| around.facts.send(event).unwrap_or(());
    let begun = Instant::now();
    let probing = Probing::new(&gate.checks.probes, around.root)?;
    let (timeout, soak) = (gate.checks.timeout.as_secs_f64(), gate.checks.soak.as_secs_f64());
    say(Event::GateStarted { gate: gate.step.as_str().to_owned(), timeout, soak });
    let verdict = tokio::select! {
        never = probing.forever() => match never {},
        verdict = Waiting::new(gate, around, &probing, begun).verdict() => verdict?,
    };
    say(Event::GateFinished { gate: gate.step.as_str().to_owned(), verdict: verdict.clone(), seconds: begun.elapsed().as_secs_f64() });
    Ok(verdict)
}

/// Why a condition that never came to hold is a verdict.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) condition: Condition,
    pub(super) why: Why,
}

impl Seen {
    fn new(name: impl Into<String>, holds: bool, detail: impl Into<String>, why: Why) -> Self {
        Self { condition: Condition { name: name.into(), holds, detail: detail.into() }, why }
    }
}

/// One gate while it waits.
struct Waiting<'a> {
    gate: &'a Gate,
    around: &'a Surroundings<'a>,
    probing: &'a Probing<'a>,
    begun: Instant,
    memory: Memory,
    errors: Errors,
    said: Vec<Condition>,
    /// The command has succeeded.
    commanded: bool,
    /// Since when the probes may count: groups and load balancers hold.
    settled: bool,
    /// Since when everything holds.
    held: Option<Instant>,
    /// Everything held at least once.
    once: bool,
}

impl<'a> Waiting<'a> {
    fn new(gate: &'a Gate, around: &'a Surroundings<'a>, probing: &'a Probing<'a>, begun: Instant) -> Self {
        let commanded = gate.checks.command.is_empty();
        let (memory, errors) = (Memory::default(), Errors::new(gate));
        Self { gate, around, probing, begun, memory, errors, said: Vec::new(), commanded, settled: false, held: None, once: false }
    }

    /// The wall clock, by the run's own: it cannot jump.
    fn now(&self) -> Timestamp {
        self.around.now + SignedDuration::try_from(self.begun.elapsed()).unwrap_or(SignedDuration::MAX)
    }

    async fn verdict(mut self) -> Result<Verdict, Halt> {
        loop {
            let stop = self.around.stop.clone();
            let mut seen = match unless(stop, self.memory.look(self.gate, self.around.traffic)).await?? {
                Ok(seen) => seen,
                Err(failed) => return Ok(self.failed(failed)),
            };
            let settled = seen.iter().all(|seen| seen.condition.holds);
            if settled && !self.settled {
                // What was answered while the step was still under way came from somebody else: on live from the old colour.
                self.probing.begin();
            }
            self.settled = settled;
            seen.extend(self.probing.seen());
            let holds = seen.iter().all(|seen| seen.condition.holds);
            if holds && !self.commanded {
                seen.push(Seen::new(self.command_name(), false, "running", Why::CommandFailed));
                self.say(&seen);
                if let Some(failed) = self.command().await? {
                    return Ok(self.failed(failed));
                }
                self.commanded = true;
                continue;
            }
            if let Some(verdict) = self.soak(&mut seen, holds).await? {
                return Ok(verdict);
            }
            let pause = (self.begun.elapsed() / 10).clamp(SHORTEST, LONGEST);
            unless(self.around.stop.clone(), tokio::time::sleep(pause)).await?;
        }
    }

    /// Everything holds or not: how far is the soak, is time up.
    async fn soak(&mut self, seen: &mut Vec<Seen>, holds: bool) -> Result<Option<Verdict>, Halt> {
        let soak = self.gate.checks.soak;
        if !holds {
            self.held = None;
            self.say(seen);
            return Ok((self.begun.elapsed() >= self.gate.checks.timeout).then(|| self.timed_out(seen)));
        }
        let fresh = self.held.is_none();
        let held = *self.held.get_or_insert_with(Instant::now);
        self.once = true;
        if fresh {
            self.errors.begin(self.probing, self.now());
        }
        let now = self.now();
        let counted = self.errors.look(self.around.traffic, self.probing, now);
        if let Some(failed) = unless(self.around.stop.clone(), counted).await?? {
            self.say(seen);
            return Ok(Some(self.failed(failed)));
        }
        if !soak.is_zero() {
            seen.extend(self.errors.seen());
            // Without the seconds that have passed: a line for each look would say nothing new. The terminal counts by itself.
            seen.push(Seen::new("soak", held.elapsed() >= soak, clock(soak), Why::Restless));
        }
        self.say(seen);
        if held.elapsed() >= soak {
            return Ok(Some(Verdict::Passed));
        }
        // Time that began again too often: the soak may not stretch the gate for ever.
        Ok((self.begun.elapsed() >= self.gate.checks.timeout + soak + soak).then(|| self.timed_out(seen)))
    }

    fn say(&mut self, seen: &[Seen]) {
        let conditions: Vec<Condition> = seen.iter().map(|seen| seen.condition.clone()).collect();
        if conditions != self.said {
            let changed = conditions.iter().filter(|now| !self.said.contains(now)).map(|now| now.name.clone()).collect();
            self.said.clone_from(&conditions);
            let soaked = self.held.map(|held| held.elapsed().as_secs_f64());
            let gate = self.gate.step.as_str().to_owned();
            self.around.facts.send(Event::GateLooked { gate, conditions, changed, soaked }).unwrap_or(());
        }
    }

    fn timed_out(&self, seen: &[Seen]) -> Verdict {
        let missing: Vec<&Seen> = seen.iter().filter(|seen| !seen.condition.holds).collect();
        let limit = clock(self.gate.checks.timeout);
        let (why, message) = match missing.first() {
            Some(first) if first.why != Why::Restless => {
                let still = missing.iter().map(|seen| format!("{}: {}", seen.condition.name, seen.condition.detail));
                let again = if self.once { ", though everything had held before" } else { "" };
                (first.why, format!("not within {limit}{again}: {}", still.collect::<Vec<_>>().join("; ")))
            }
            _ => (Why::Restless, format!("everything held, but never for the whole soak of {}", clock(self.gate.checks.soak))),
        };
        let missing = missing.into_iter().map(|seen| seen.condition.clone()).collect();
        Verdict::Failed(FailedGate { missing, ..FailedGate::new(why, message) })
    }

    /// With what did not hold when it was last looked.
    fn failed(&self, failed: FailedGate) -> Verdict {
        let missing = self.said.iter().filter(|condition| !condition.holds && failed.why != Why::CommandFailed);
        let missing = missing.cloned().collect();
        Verdict::Failed(FailedGate { missing, ..failed })
    }
}

/// What `work` gives, unless the run is stopped before. Not for the user's command: that has to be stopped too.
async fn unless<T>(mut stop: watch::Receiver<Stop>, work: impl Future<Output = T>) -> Result<T, Halt> {
    tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|stop| *stop != Stop::No) => Err(Halt::Stopped),
        done = work => Ok(done),
    }
}

/// `0:41`, `15:00`, `1:02:03`.
fn clock(time: Duration) -> String {
    let whole = time.as_secs();
    let (hours, minutes, seconds) = (whole / 3600, whole % 3600 / 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}
