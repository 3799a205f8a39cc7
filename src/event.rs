//! Everything that can happen in a run, as past-tense facts.
//!
//! Owned, serialisable both ways: a recorded run replays through the same reporters. Invariant: facts carry their counts and
//! names; no reporter has to remember what an earlier one said to understand this one.

pub mod swap;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::artifact::Leftover;
use crate::model::gate::{Condition, Verdict};
use crate::model::node::{NodeId, RunId};

/// A fact with its place in the run's one order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Counts from 0 without gaps.
    pub seq: u64,
    /// Seconds since the run started.
    pub at: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Provision in Docker.
    DryRun,
    /// Make the AMI.
    Build,
    /// Change tags of an AMI that is kept.
    Retag,
    /// Check an instance of a finished AMI.
    Verify,
}

impl StepKind {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DryRun => "dry-run",
            Self::Build => "build",
            Self::Retag => "retag",
            Self::Verify => "verify",
        }
    }
}

/// A step: a node and what is done for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId {
    /// For which node.
    pub node: NodeId,
    /// What.
    pub kind: StepKind,
}

impl std::fmt::Display for StepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{} {}", self.kind.as_str(), self.node))
    }
}

/// How a task of Ansible ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    /// Nothing to do.
    Ok,
    /// Changed something.
    Changed,
    /// Failed and stopped the play.
    Failed,
    /// Failed, and the play says to go on.
    Ignored,
    /// Not run.
    Skipped,
    /// Host not reached.
    Unreachable,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// First fact of every run.
    RunStarted {
        /// Which run.
        run: RunId,
        /// `build`, `dry-run`, `emit`.
        command: String,
        /// Pipeline's name.
        pipeline: String,
        /// AMIs to build.
        to_build: usize,
        /// Dry runs to make.
        to_dry_run: usize,
        /// AMIs whose tags alone differ.
        #[serde(default)]
        to_retag: usize,
        /// AMIs to verify, those that are built first among them.
        #[serde(default)]
        to_verify: usize,
        /// AMIs that are used as they are.
        to_reuse: usize,
        /// Nodes of the plan, parents first: the order of every table.
        #[serde(default)]
        nodes: Vec<NodeId>,
        /// Folder of logs and records.
        folder: String,
    },
    /// A node needs nothing.
    NodeReused {
        /// Which.
        node: NodeId,
        /// AMI id, or Docker image of a dry run that passed earlier.
        artifact: String,
    },
    /// A step began.
    StepStarted {
        /// Which.
        step: StepId,
        /// Its log file.
        log: String,
        /// Seconds it took last time.
        last_seconds: Option<f64>,
    },
    /// A step entered a phase: `launch`, `provision`, `idempotence`, `verify`, `image`, `seal` ….
    PhaseStarted {
        /// Which step.
        step: StepId,
        /// Phase.
        phase: String,
    },
    /// Ansible began a task.
    TaskStarted {
        /// Which step.
        step: StepId,
        /// Task name, role first where there is one.
        task: String,
        /// `file:line`.
        place: String,
    },
    /// Ansible ended a task.
    TaskFinished {
        /// Which step.
        step: StepId,
        /// Task name.
        task: String,
        /// `file:line`.
        place: String,
        /// How.
        status: TaskStatus,
        /// How long.
        seconds: f64,
    },
    /// Lines of output. May be dropped from the screen, never from the log.
    LinesReceived {
        /// Which step.
        step: StepId,
        /// Lines without line ends or control characters.
        lines: Vec<String>,
        /// Lines dropped before these.
        dropped: u64,
    },
    /// The step's log was read to its end.
    OutputEnded {
        /// Which step.
        step: StepId,
    },
    /// Another run made the image meanwhile; it is used.
    ImageAdopted {
        /// Which node.
        node: NodeId,
        /// AMI id.
        image: String,
    },
    /// An image got its key tag.
    ImageSealed {
        /// Which node.
        node: NodeId,
        /// AMI id.
        image: String,
        /// What really made it, with versions: `packer`, `ansible-core`, `python`, `jinja2`, collections.
        #[serde(default)]
        tools: BTreeMap<String, String>,
    },
    /// What a step left was looked for.
    Reconciled {
        /// Which step.
        step: StepId,
        /// Strays that were removed.
        removed: Vec<Leftover>,
        /// Strays that could not be removed.
        left: Vec<Leftover>,
    },
    /// A step ended.
    StepFinished {
        /// Which.
        step: StepId,
        /// How.
        outcome: Outcome,
        /// How long.
        seconds: f64,
    },
    /// A step will not run.
    StepBlocked {
        /// Which.
        step: StepId,
        /// The step that failed or was cancelled.
        by: StepId,
    },
    /// A file for Terraform was looked at, and written where it differed.
    Emitted {
        /// File, relative to the root.
        path: String,
        /// Names whose value changed: old and new value.
        changed: BTreeMap<String, (Option<String>, String)>,
    },
    /// An emit block was not written.
    EmitSkipped {
        /// File.
        path: String,
        /// Nodes without image.
        missing: Vec<NodeId>,
        /// Nodes whose image did not pass its verification.
        #[serde(default)]
        unverified: Vec<NodeId>,
    },
    /// A fact of a swap.
    Swap(swap::SwapFact),
    /// A gate began to wait.
    GateStarted {
        /// `start`, `join`, `leave`, `finish`.
        gate: String,
        /// Seconds until everything must hold.
        timeout: f64,
        /// Seconds through which it must then go on to hold; 0: not at all.
        soak: f64,
    },
    /// A gate looked, and saw something else than the last time.
    GateLooked {
        /// Which.
        gate: String,
        /// Everything that it waits for, in order.
        conditions: Vec<Condition>,
        /// Names of those that are not as they were.
        changed: Vec<String>,
        /// Seconds for which all of it has held.
        soaked: Option<f64>,
    },
    /// A gate said its verdict.
    GateFinished {
        /// Which.
        gate: String,
        /// What.
        #[serde(flatten)]
        verdict: Verdict,
        /// How long it took.
        seconds: f64,
    },
    /// A signal came.
    Interrupted {
        /// `SIGINT` ….
        signal: String,
        /// The second one: waits are skipped.
        again: bool,
    },
    /// Something a person should know.
    Warned {
        /// One line.
        message: String,
    },
    /// Last fact of every run.
    RunFinished {
        /// Steps that succeeded.
        succeeded: usize,
        /// Steps that failed.
        failed: usize,
        /// Steps that were blocked or cancelled.
        not_run: usize,
        /// Nodes that were reused.
        reused: usize,
        /// Whole run.
        seconds: f64,
        /// What is left behind.
        left: Vec<Leftover>,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it was for.
    Succeeded {
        /// AMI id or Docker image.
        artifact: String,
        /// Tasks that Ansible ran.
        tasks: u32,
        /// Tasks that changed something.
        changed: u32,
        /// Whole sentences to be shown below it: what a container did not exercise, which container is kept.
        notes: Vec<String>,
    },
    /// It cannot be done for this stage (a foreign template without a Docker source); the build goes on.
    NotPossible {
        /// Why.
        why: String,
    },
    /// It failed.
    Failed(Failure),
    /// It was stopped.
    Cancelled,
}

/// Why a step failed, as a person needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What is true now, or what went wrong: one lowercase line.
    pub message: String,
    /// `packer`, `ansible`, `docker`, `ec2`, `ovenbird`.
    pub tool: String,
    /// Task that failed, `name (file:line)`.
    pub task: Option<String>,
    /// Last lines of output, at most 15.
    pub last_lines: Vec<String>,
    /// Log file.
    pub log: Option<String>,
    /// What to do.
    pub help: Option<String>,
}
