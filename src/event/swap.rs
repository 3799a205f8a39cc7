//! What can happen in a swap, as past-tense facts.
//!
//! Gates tell theirs beside. Invariant: as in `event.rs`, each fact carries all that is needed to understand it.

use serde::{Deserialize, Serialize};

use crate::model::node::RunId;
use crate::model::swap::Colour;
use crate::plan::swap::State;
use crate::plan::swap_guard::Foreign;
use crate::plan::swap_steps::Step;

/// A fact of a swap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum SwapFact {
    /// First fact of every run of a swap.
    Started {
        /// Which run.
        run: RunId,
        /// The swap's name.
        swap: String,
        /// `swap next`, `swap run`, `swap rollback`.
        command: String,
        /// Pipeline's name.
        pipeline: String,
        /// Folder of logs and records.
        folder: String,
    },
    /// Where it stands, by the tfvars.
    Stood {
        /// State.
        state: State,
    },
    /// A step began.
    StepStarted {
        /// Which.
        step: Step,
        /// The colour that comes into service.
        new: Colour,
        /// What is written into the tfvars.
        diff: String,
    },
    /// Something that takes its time began: `plan`, `apply`, `push`, `unlock`, `wait`.
    PhaseStarted {
        /// What.
        phase: String,
        /// More about it; may be empty.
        detail: String,
    },
    /// The guard let a plan pass.
    Guarded {
        /// Resources that it changes, with their attributes.
        changes: Vec<String>,
    },
    /// The guard refused a plan, or something wins over the tfvars.
    Refused {
        /// What must not happen.
        foreign: Vec<Foreign>,
    },
    /// The values were written.
    Written {
        /// tfvars file.
        path: String,
        /// Commit that holds them; `None`: not recorded in git.
        commit: Option<String>,
        /// Is the commit at the upstream.
        pushed: bool,
    },
    /// A commit that could not be pushed was taken back, and the file is as it was.
    TakenBack {
        /// tfvars file.
        path: String,
        /// What git said.
        why: String,
    },
    /// Terraform applied a plan.
    Applied {
        /// How long it took.
        seconds: f64,
    },
    /// A step is done: written, applied, and its gate passed.
    StepFinished {
        /// Which.
        step: Step,
        /// State now.
        state: State,
        /// How long it took.
        seconds: f64,
    },
    /// Last fact of every run of a swap.
    Finished {
        /// State now, where the tfvars say one.
        state: Option<State>,
        /// How it ended: `done`, `nothing to do`, `rolled back`, `failed`, `refused`, `interrupted`.
        outcome: String,
        /// Why, where it did not end well; empty otherwise.
        message: String,
        /// Whole run.
        seconds: f64,
    },
}
