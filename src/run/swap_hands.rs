//! [`Work`]: the [`Hands`] of a swap in the real world: files, git, Terraform, AWS.
//!
//! Decides nothing that `run::swap` decides. Invariants: the tfvars are written only over the text that was read; what is about to be
//! done is remembered before it is done.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::gate::{GateChecks, GateStep};
use crate::config::swap_spec::SwapSpec;
use crate::disk::atomic;
use crate::disk::swap_memory::{self, Child, Memory};
use crate::disk::swap_tfvars::{self, Found};
use crate::event::Event;
use crate::event::swap::SwapFact;
use crate::model::digest::Digest;
use crate::model::gate::Verdict;
use crate::model::swap::Colour;
use crate::plan::swap::Values;
use crate::plan::swap_guard::{Foreign, Group, TerraformPlan};
use crate::plan::swap_steps::Move;
use crate::ports::{AwsError, Facts, Stop, Traffic};
use crate::run::swap_asks::{Earlier, Halt, HaltKind, Hands, Question, Way};
use crate::run::swap_gates;
use crate::run::swap_git::Git;
use crate::run::swap_terraform::{Runner, Told};
use crate::tools::git_record::Tracked;
use crate::tools::terraform::{Terraform, parse_plan, parse_state};

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
    runner: Runner,
    began: Instant,
    /// Saved plan and the Terraform that made it.
    planned: RefCell<Option<(PathBuf, Terraform)>>,
    /// Names of the groups on AWS, as Terraform's state has them.
    pub(super) groups: RefCell<BTreeMap<Colour, String>>,
    /// When the last change began: scaling activities before it are another story.
    pub(super) since: Cell<Timestamp>,
    plans: Cell<u32>,
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

    fn remember(&self, memory: &Memory) -> Result<(), Halt> {
        swap_memory::save(self.set.dot, self.set.spec.name.as_str(), memory).map_err(|e| Halt::new(HaltKind::Failed, e.to_string()))
    }

    /// Changes what is remembered, where something is.
    fn note(&self, change: impl FnOnce(&mut Memory)) {
        if let Some(mut memory) = self.memory() {
            change(&mut memory);
            if let Err(halt) = self.remember(&memory) {
                self.warn(halt.message);
            }
        }
    }

    async fn terraform(&self, what: &str, of: impl Fn(u64) -> crate::process::command::CommandLine) -> Result<(), Halt> {
        let (dot, name) = (self.set.dot, self.set.spec.name.as_str());
        let earlier = swap_memory::load_child(dot, name);
        let say = |detail: String| self.say(SwapFact::PhaseStarted { phase: "unlock".to_owned(), detail });
        let told = Told {
            waiting: &|lock| {
                let detail = format!("the state is locked by {} ({})", lock.who, lock.operation);
                self.say(SwapFact::PhaseStarted { phase: "wait".to_owned(), detail });
            },
            started: &|pid| {
                let child = Child { who: self.set.who.clone(), pid, started: self.now().to_string() };
                if let Err(error) = swap_memory::save_child(dot, name, &child) {
                    self.warn(error.to_string());
                }
            },
            earlier: earlier.as_ref(),
            broken: &|lock| say(format!("lock {} is of our own Terraform, which was killed", lock.id)),
        };
        self.runner.locked(what, of, &told).await
    }

    /// Terraform in the checkout as it was at the last step: the tools' own folders and a local state are those of the real one.
    async fn recorded(&self) -> Option<Terraform> {
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
}

/// A call to AWS that failed is no verdict.
pub(super) fn of_aws(error: &AwsError) -> Halt {
    let halt = Halt::new(HaltKind::Failed, error.to_string());
    let halt = halt.help("nothing was decided on it; `ovenbird swap NAME next` goes on from here");
    Halt { aws: Some(Box::new(error.clone())), ..halt }
}

#[async_trait(?Send)]
impl Hands for Work<'_> {
    async fn read(&self) -> Result<Found, Halt> {
        let path = self.set.root.join(&self.set.spec.tfvars);
        let bytes = std::fs::read(&path)
            .map_err(|error| Halt::new(HaltKind::Refused, format!("`{}` cannot be read: {error}", self.set.spec.tfvars.display())))?;
        swap_tfvars::read(self.set.spec, &bytes).map_err(|problems| {
            let halt = Halt::new(HaltKind::Refused, "the tfvars cannot be read for certain, and nothing was written");
            Halt { problems: Some(problems), ..halt }
        })
    }

    async fn check(&self, found: &Found, finish: bool, leniently: bool) -> Result<Earlier, Halt> {
        self.check_record(found, finish, leniently).await
    }

    async fn quiet(&self) -> Result<Vec<Foreign>, Halt> {
        let listed = swap_tfvars::shadows(self.set.root, self.set.spec);
        let mut foreign = listed.map_err(|e| Halt::new(HaltKind::Refused, format!("the environment's folder cannot be read: {e}")))?;
        for (application, group) in self.set.gates.values().filter_map(|gate| gate.codedeploy.as_ref()) {
            let running = self.set.traffic.deployments(application, group).await.map_err(|e| of_aws(&e))?;
            foreign.extend(running.into_iter().flatten().map(|deployment| Foreign {
                address: format!("codedeploy {application}/{group}"),
                attribute: deployment.id,
                change: format!("is {}: new instances would get the old revision", deployment.status),
            }));
        }
        foreign.dedup();
        Ok(foreign)
    }

    async fn fit(&self, ami: &str) -> Result<(), Halt> {
        self.set.fit.fit(ami).await
    }

    async fn serving(&self, colour: Colour) -> Result<u32, Halt> {
        let name = self.group(colour).await?;
        let group = self.set.traffic.group(&name).await.map_err(|e| of_aws(&e))?;
        let serving = group.map_or(0, |group| group.in_service().count());
        match u32::try_from(serving) {
            Ok(serving) if serving > 0 => Ok(serving),
            _ => {
                let message = format!("{colour} is in service and its group `{name}` has no instance in service");
                Err(Halt::new(HaltKind::Refused, message).help("nothing was written; a swap needs a colour that serves"))
            }
        }
    }

    async fn plan(&self, way: Way, over: Option<(&Found, &Values)>) -> Result<Option<TerraformPlan>, Halt> {
        self.planned.replace(None);
        let terraform = match way {
            Way::Whole | Way::Targeted => self.set.terraform.clone(),
            Way::Recorded => match self.recorded().await {
                Some(terraform) => terraform,
                None => return Ok(None),
            },
        };
        self.plans.set(self.plans.get() + 1);
        let number = self.plans.get();
        let mut files = vec![self.set.root.join(&self.set.spec.tfvars)];
        if let Some((found, values)) = over {
            let file = self.set.scratch.join(format!("{number:02}.tfvars.json"));
            let written = atomic::write_with_mode(&file, 0o600, found.var_file(values).as_bytes());
            written.map_err(|e| Halt::new(HaltKind::Failed, e.to_string()))?;
            files.push(file);
        }
        let groups = self.set.spec.groups();
        let targets = if way == Way::Targeted { groups.map(str::to_owned).to_vec() } else { Vec::new() };
        let out = self.set.scratch.join(format!("{number:02}.plan"));
        self.terraform("plan", |lock| terraform.plan(&out, &files, &targets, lock)).await?;
        let shown = self.runner.show(&terraform.show(&out)).await?;
        let plan = parse_plan(&shown, &groups).map_err(|e| Halt::new(HaltKind::Failed, e.to_string()))?;
        self.learn(&plan.before);
        self.planned.replace(Some((out, terraform)));
        Ok(Some(plan))
    }

    async fn write(&self, found: &Found, text: &str, step: &Move) -> Result<(), Halt> {
        let path = self.set.root.join(&self.set.spec.tfvars);
        let now = std::fs::read(&path).unwrap_or_default();
        if now != found.source.text.as_bytes() {
            let message = format!("`{}` was edited meanwhile, and was not written", self.set.spec.tfvars.display());
            return Err(
                Halt::new(HaltKind::Refused, message).help("nothing was applied; look at the edit, then run the same command again")
            );
        }
        self.remember(&Memory {
            run: self.set.run.clone(),
            step: step.step.to_string(),
            message: self.message(found, step),
            after: Digest::of(text.as_bytes()),
            applied: false,
            passed: false,
        })?;
        atomic::write(&path, text.as_bytes()).map_err(|e| Halt::new(HaltKind::Failed, e.to_string()))
    }

    async fn record(&self, found: &Found, text: &str, step: &Move) -> Result<(), Halt> {
        self.write_record(found, text, step).await
    }

    async fn apply(&self) -> Result<(), Halt> {
        let Some((plan, terraform)) = self.planned.take() else {
            return Err(Halt::new(HaltKind::Failed, "there is no plan to apply"));
        };
        self.say(SwapFact::PhaseStarted { phase: "apply".to_owned(), detail: String::new() });
        self.since.set(self.now());
        let began = Instant::now();
        let applied = self.terraform("apply", |lock| terraform.apply(&plan, lock)).await;
        if let (true, Some(git)) = (terraform.folder != self.set.terraform.folder, self.git()) {
            git.drop_tree(&self.set.scratch.join("tree")).await;
        }
        applied.map_err(|halt| {
            let help =
                "what is missing is applied by `ovenbird swap NAME next`, or goes back with `rollback`; `status` tells where it stands";
            if halt.help.is_none() { halt.help(help) } else { halt }
        })?;
        self.note(|memory| memory.applied = true);
        self.say(SwapFact::Applied { seconds: began.elapsed().as_secs_f64() });
        Ok(())
    }

    async fn arrive(&self, values: &Values) -> Result<(), Halt> {
        const LOOK_AGAIN: Duration = Duration::from_secs(5);
        let detail = "until the groups are as the tfvars say: `apply = \"external\"`".to_owned();
        self.say(SwapFact::PhaseStarted { phase: "wait".to_owned(), detail });
        self.since.set(self.now());
        let limit = self.set.gates.values().map(|gate| gate.timeout).max().unwrap_or(GateChecks::default().timeout);
        let began = Instant::now();
        loop {
            let mut missing = Vec::new();
            for colour in Colour::BOTH {
                missing.extend(swap_gates::missing(self, colour, values.of(colour)).await?);
            }
            if missing.is_empty() {
                self.note(|memory| memory.applied = true);
                self.say(SwapFact::Applied { seconds: began.elapsed().as_secs_f64() });
                return Ok(());
            }
            if began.elapsed() > limit {
                let message = format!("nobody has applied the step within {} s: {}", limit.as_secs(), missing.join("; "));
                return Err(Halt::new(HaltKind::Failed, message).help("when it is applied, `ovenbird swap NAME next` goes on"));
            }
            let mut stop = self.set.stop.clone();
            tokio::select! {
                biased;
                Ok(_) = stop.wait_for(|stop| *stop != Stop::No) => return Err(Halt::new(HaltKind::Interrupted, "interrupted")),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    async fn gate(&self, question: Question) -> Result<Verdict, Halt> {
        let found = self.read().await?;
        swap_gates::ask(self, question, &found.values).await
    }

    async fn passed(&self) {
        self.note(|memory| memory.passed = true);
    }

    fn stopped(&self) -> bool {
        *self.set.stop.borrow() != Stop::No
    }

    fn say(&self, fact: SwapFact) {
        self.set.facts.send(Event::Swap(fact)).unwrap_or(());
    }
}

impl Work<'_> {
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
    fn learn(&self, groups: &BTreeMap<String, Group>) {
        for colour in Colour::BOTH {
            if let Some(name) = groups.get(&self.set.spec.colour(colour).group).and_then(|group| group.name.clone()) {
                self.groups.borrow_mut().insert(colour, name);
            }
        }
    }
}
