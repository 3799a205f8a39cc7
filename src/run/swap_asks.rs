//! What a swap asks of the world ([`Hands`]), and why it stops without a verdict ([`Halt`]).
//!
//! No behaviour: the order is `run::swap`'s, the doing `run::swap_hands`'s; a model of the world stands in for it in tests. Invariant:
//! a [`Halt`] is never a reason to roll back.

use async_trait::async_trait;

use crate::disk::swap_tfvars::Found;
use crate::event::swap::SwapFact;
use crate::model::gate::Verdict;
use crate::model::problem::Problems;
use crate::model::swap::Colour;
use crate::plan::swap::{State, Values};
use crate::plan::swap_guard::Foreign;
use crate::plan::swap_steps::Move;
use crate::plan::terraform_plan::TerraformPlan;
use crate::ports::AwsError;

/// Why a swap stopped. No verdict: nothing is rolled back.
#[derive(Debug, Clone)]
pub struct Halt {
    /// Which kind.
    pub kind: HaltKind,
    /// What is true now, or what went wrong: one lowercase line.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What the guard found.
    pub foreign: Vec<Foreign>,
    /// Problems with their places.
    pub problems: Option<Problems>,
    /// The end of what a tool said.
    pub tail: Option<Box<Tail>>,
    /// The call to AWS that failed.
    pub aws: Option<Box<AwsError>>,
}

/// The end of what a tool said.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    /// Last lines.
    pub lines: Vec<String>,
    /// Its log.
    pub log: Option<String>,
}

/// Kinds of [`Halt`], by exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltKind {
    /// The files, the plan or git do not allow it; nothing was touched.
    Refused,
    /// A tool or service is missing; nothing was touched.
    Unavailable,
    /// Somebody else holds the state.
    Held,
    /// A step failed.
    Failed,
    /// A signal came.
    Interrupted,
}

impl Halt {
    /// With a message.
    pub fn new(kind: HaltKind, message: impl Into<String>) -> Self {
        let (help, problems, tail, aws) = (None, None, None, None);
        Self { kind, message: message.into(), help, foreign: Vec::new(), problems, tail, aws }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn foreign(message: impl Into<String>, foreign: Vec<Foreign>) -> Self {
        Self { foreign, ..Self::new(HaltKind::Refused, message) }
    }
}

/// How Terraform is asked for a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As anybody would.
    Whole,
    /// Only the two groups (and what they depend on).
    Targeted,
    /// With the code that the last step was applied with.
    Recorded,
}

/// What a gate is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Is this state, reached forward, good. `seen`: it has been, soak and all.
    State(State, bool),
    /// Is this colour healthy on live.
    Serves(Colour),
    /// Does nothing of this colour run.
    Gone(Colour),
}

/// Whether a step that was begun earlier is on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Earlier {
    /// The tfvars are as ovenbird wrote them, and it is not known to have been applied.
    pub written: bool,
    /// The state's gate passed.
    pub passed: bool,
}

/// Everything that a swap does to the world or asks of it.
#[async_trait(?Send)]
pub trait Hands {
    /// Reads the tfvars.
    async fn read(&self) -> Result<Found, Halt>;
    /// Looks whether the tfvars are unmodified and up to date in git. With `finish`, what an earlier run of a swap wrote and did not
    /// record is recorded now. `leniently`, for a way back: what only delays is said and passed over.
    async fn check(&self, found: &Found, finish: bool, leniently: bool) -> Result<Earlier, Halt>;
    /// Does nothing stand against a forward step: a running deployment, a file that wins over the tfvars.
    async fn quiet(&self) -> Result<Vec<Foreign>, Halt>;
    /// May this AMI come into service; the first reason why not.
    async fn fit(&self, ami: &str) -> Result<(), Halt>;
    /// Instances of a colour that serve now.
    async fn serving(&self, colour: Colour) -> Result<u32, Halt>;
    /// Plans, with the tfvars as they are or with these values over them. `None`: this way is not to be had.
    async fn plan(&self, way: Way, over: Option<(&Found, &Values)>) -> Result<Option<TerraformPlan>, Halt>;
    /// Writes the new text over `found`, if that is still what stands there.
    async fn write(&self, found: &Found, text: &str, step: &Move) -> Result<(), Halt>;
    /// Commits and pushes what was written; takes it back when that is refused, unless on a way back.
    async fn record(&self, found: &Found, text: &str, step: &Move) -> Result<(), Halt>;
    /// Applies the last plan.
    async fn apply(&self) -> Result<(), Halt>;
    /// Waits until somebody else has applied it: the groups are as the values say.
    async fn arrive(&self, values: &Values) -> Result<(), Halt>;
    /// Waits for a gate.
    async fn gate(&self, question: Question) -> Result<Verdict, Halt>;
    /// Remembers that the state's gate passed.
    async fn passed(&self);
    /// Has a signal come.
    fn stopped(&self) -> bool;
    /// Tells a fact.
    fn say(&self, fact: SwapFact);
}
