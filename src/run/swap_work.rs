//! [`Work`]: a run of a swap with all that it works with, and what it remembers on the way.
//!
//! How it does what a swap asks for stands in `swap_hands.rs`, `swap_record.rs` and `swap_gates.rs`. Invariant: what cannot be asked
//! of AWS is an error that stops the run, never a verdict.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::gate::{GateChecks, GateStep};
use crate::config::swap_spec::SwapSpec;
use crate::disk::swap_memory::{self, Child, Memory};
use crate::event::Event;
use crate::event::swap::SwapFact;
use crate::model::swap::Colour;
use crate::plan::terraform_plan::Group;
use crate::ports::{AwsError, Facts, Stop, Traffic};
use crate::process::command::CommandLine;
use crate::run::swap_asks::{Halt, HaltKind, Hands as _};
use crate::run::swap_git::Git;
use crate::run::swap_terraform::{Runner, Told};
use crate::tools::git_record::Tracked;
use crate::tools::terraform::{Terraform, parse_state};

/// What a run of a swap works with.
pub struct Setting<'a> {
    /// The swap.
    pub spec: &'a SwapSpec,
    /// Its gates.
    pub gates: &'a BTreeMap<GateStep, GateChecks>,
    /// Root of the checkout.
    pub root: &'a Path,
    /// `.ovenbird/`
    pub dot: &'a Path,
    /// This run.
    pub run: String,
    /// Where logs go.
    pub logs: PathBuf,
    /// Private folder for plans and values, removed with the run.
    pub scratch: PathBuf,
    /// Terraform.
    pub terraform: Terraform,
    /// The tfvars in git; `None`: not recorded.
    pub tracked: Option<Tracked>,
    /// Environment of a gate's command.
    pub env: &'a BTreeMap<String, String>,
    /// What serves.
    pub traffic: &'a dyn Traffic,
    /// May an AMI come into service.
    pub fit: &'a dyn Fit,
    /// Where facts go.
    pub facts: Facts,
    /// How far the run has been stopped.
    pub stop: watch::Receiver<Stop>,
    /// Give up where somebody else holds the state.
    pub no_wait: bool,
    /// The wall clock at the start.
    pub started: Timestamp,
    /// `user@host`, as Terraform writes it into its lock.
    pub who: String,
}

/// Says whether an AMI may come into service.
#[async_trait(?Send)]
pub trait Fit {
    /// The first reason why not.
    async fn fit(&self, ami: &str) -> Result<(), Halt>;
}

/// Does what a swap asks for.
pub struct Work<'a> {
    pub(super) set: Setting<'a>,
    pub(super) runner: Runner,
    began: Instant,
    /// Saved plan and the Terraform that made it.
    pub(super) planned: RefCell<Option<(PathBuf, Terraform)>>,
    /// Names of the groups on AWS, as Terraform's state has them.
    pub(super) groups: RefCell<BTreeMap<Colour, String>>,
    /// When the last change began: scaling activities before it are another story.
    pub(super) since: Cell<Timestamp>,
    pub(super) plans: Cell<u32>,
}

impl<'a> Work<'a> {
    /// With everything that it needs.
    pub fn new(set: Setting<'a>) -> Self {
        let runner = Runner {
            terraform: set.terraform.clone(),
            logs: set.logs.clone(),
            stop: set.stop.clone(),
            no_wait: set.no_wait,
            count: Cell::new(0),
        };
        let since = Cell::new(set.started);
        let (planned, groups, plans) = (RefCell::default(), RefCell::default(), Cell::new(0));
        Self { set, runner, began: Instant::now(), planned, groups, since, plans }
    }

    /// The wall clock, by the run's own: it cannot jump.
    pub(super) fn now(&self) -> Timestamp {
        self.set.started + SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX)
    }

    pub(super) fn git(&self) -> Option<Git<'_>> {
        self.set.tracked.as_ref().map(|tracked| Git { tracked, path: self.path() })
    }

    /// The tfvars, as shown.
    pub(super) fn path(&self) -> String {
        self.set.spec.tfvars.display().to_string()
    }

    pub(super) fn warn(&self, message: impl Into<String>) {
        self.set.facts.send(Event::Warned { message: message.into() }).unwrap_or(());
    }

    pub(super) fn memory(&self) -> Option<Memory> {
        swap_memory::load(self.set.dot, self.set.spec.name.as_str())
    }

    pub(super) fn remember(&self, memory: &Memory) -> Result<(), Halt> {
        swap_memory::save(self.set.dot, self.set.spec.name.as_str(), memory).map_err(|e| Halt::new(HaltKind::Failed, e.to_string()))
    }

    /// Changes what is remembered, where something is.
    pub(super) fn note(&self, change: impl FnOnce(&mut Memory)) {
        if let Some(mut memory) = self.memory() {
            change(&mut memory);
            if let Err(halt) = self.remember(&memory) {
                self.warn(halt.message);
            }
        }
    }

    pub(super) async fn terraform(&self, what: &str, of: impl Fn(u64) -> CommandLine) -> Result<(), Halt> {
        let (dot, name) = (self.set.dot, self.set.spec.name.as_str());
        let earlier = swap_memory::load_children(dot, name);
        let say = |detail: String| self.say(SwapFact::PhaseStarted { phase: "unlock".to_owned(), detail });
        let children = |change: &dyn Fn(&mut Vec<Child>)| {
            let mut children = swap_memory::load_children(dot, name);
            change(&mut children);
            if let Err(error) = swap_memory::save_children(dot, name, &children) {
                self.warn(error.to_string());
            }
        };
        let told = Told {
            waiting: &|lock| {
                let detail = format!("the state is locked by {} ({})", lock.who, lock.operation);
                self.say(SwapFact::PhaseStarted { phase: "wait".to_owned(), detail });
            },
            started: &|pid| {
                let child = Child { who: self.set.who.clone(), pid, started: self.now().to_string() };
                children(&|all| all.push(child.clone()));
            },
            // Who got the lock has seen that none was left.
            ended: &|pid, well| children(&|all| all.retain(|child| !well && child.pid != pid)),
            earlier: &earlier,
            broken: &|lock| say(format!("lock {} is of our own Terraform, which was killed", lock.id)),
        };
        self.runner.locked(what, of, &told).await
    }

    /// Terraform in the checkout as it was at the last step: the tools' own folders and a local state are those of the real one.
    pub(super) async fn recorded(&self) -> Option<Terraform> {
        let git = self.git()?;
        let commit = git.last_step(self.set.spec.name.as_str()).await?;
        let tree = self.set.scratch.join("tree");
        if tree.exists() {
            git.drop_tree(&tree).await;
        }
        let folder = git.tree(&commit, &tree).await?;
        let real = &self.set.terraform.folder;
        for name in [".terraform", ".terraform.lock.hcl", "terraform.tfstate", "terraform.tfstate.d"] {
            if real.join(name).exists() && !folder.join(name).exists() {
                std::os::unix::fs::symlink(real.join(name), folder.join(name)).ok()?;
            }
        }
        Some(Terraform { folder, ..self.set.terraform.clone() })
    }

    /// A colour's group on AWS. A way back asks for it before there is a plan: then Terraform's state tells.
    pub(super) async fn group(&self, colour: Colour) -> Result<String, Halt> {
        if self.groups.borrow().is_empty() {
            let said = self.runner.show(&self.set.terraform.show_state()).await?;
            let state = parse_state(&said, &self.set.spec.groups()).map_err(|e| Halt::new(HaltKind::Failed, e.to_string()))?;
            self.learn(&state);
        }
        self.groups.borrow().get(&colour).cloned().ok_or_else(|| {
            let address = &self.set.spec.colour(colour).group;
            Halt::new(HaltKind::Refused, format!("`{address}` is not in Terraform's state"))
                .help("`group` in the swap block is the group's address as `terraform state list` shows it")
        })
    }

    /// Names of the groups on AWS.
    pub(super) fn learn(&self, groups: &BTreeMap<String, Group>) {
        for colour in Colour::BOTH {
            if let Some(name) = groups.get(&self.set.spec.colour(colour).group).and_then(|group| group.name.clone()) {
                self.groups.borrow_mut().insert(colour, name);
            }
        }
    }
}

/// A call to AWS that failed is no verdict.
pub(super) fn of_aws(error: &AwsError) -> Halt {
    let halt = Halt::new(HaltKind::Failed, error.to_string());
    let halt = halt.help("nothing was decided on it; `ovenbird swap NAME next` goes on from here");
    Halt { aws: Some(Box::new(error.clone())), ..halt }
}
