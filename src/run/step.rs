//! [`Steps`]: one step from start to finish. The real [`Launch`].
//!
//! Owns what every kind of step shares: log, private folder, the end of its output. What a dry run, a build and a verification do
//! stands in `dry_run.rs`, `keep.rs`, `build.rs`, `verify.rs`, what they hand to their children in `children.rs`. Invariant: when the outcome is given
//! back nothing of the step runs any more, its private folder is gone, and what it left elsewhere has been reported.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use crate::config::pipeline::{Pipeline, Stage};
use crate::event::{Event, Failure, Outcome, StepId, StepKind};
use crate::model::artifact::{Leftover, LeftoverKind};
use crate::model::digest::{Digest, DryRunKey, StageKey};
use crate::model::name::Name;
use crate::model::node::{NodeId, RunId};
use crate::model::verdict::Verdict;
use crate::model::verification::Verification;
use crate::plan::difference::Change;
use crate::plan::inputs::StageInputs;
use crate::plan::plan::{Action, Plan, PlannedNode};
use crate::ports::{AwsError, Catalog, Facts, Launch, Ready, Stop};
use crate::process::spawn::{Exit, SpawnError};
use crate::process::tail;
use crate::run::scratch::{self, Scratch};
use crate::run::watch::{Watch, follow_log};
use crate::tools::ansible::Configured;
use crate::tools::ansible_report::Pass;
use crate::tools::docker::Cgroup;
use crate::tools::git::Head;
use crate::tools::packer_log;

/// Keys of a node from its inputs as they are now.
#[derive(Debug, Default)]
pub struct Rekeyed {
    /// Key of its AMI.
    pub stage_key: Option<StageKey>,
    /// Key of its dry run.
    pub dry_run_key: Option<DryRunKey>,
    /// Key of the planned image's checks, as they are now.
    pub verify_key: Option<Digest>,
    /// What differs from the plan's inputs.
    pub changes: Vec<Change>,
}

impl Rekeyed {
    /// The changes in brackets, the first three by name; nothing when there are none.
    pub(super) fn told(&self) -> String {
        let mut named: Vec<String> = self.changes.iter().take(3).map(ToString::to_string).collect();
        if self.changes.len() > 3 {
            named.push(format!("{} more", self.changes.len() - 3));
        }
        if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
    }
}

/// What a step asks of the one who knows the checkout and the state.
#[async_trait(?Send)]
pub trait Ledger {
    /// Reads the inputs of a node again and gives its keys now.
    async fn rekey(&self, node: &NodeId) -> Result<Rekeyed, String>;
    /// Keeps a verdict that passed.
    async fn remember(&self, verdict: &Verdict) -> Result<(), String>;
    /// An image was sealed; its manifest is kept.
    async fn sealed(&self, node: &NodeId, key: &StageKey) -> Result<(), String>;
    /// Keeps what the checks of an image found.
    async fn verified(&self, verification: &Verification) -> Result<(), String>;
}

/// What steps need to know; all of it was decided before the first one starts.
pub struct Steps<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// What is done.
    pub plan: &'a Plan,
    /// This run.
    pub run: &'a RunId,
    /// `.ovenbird/runs/<id>`, absolute.
    pub folder: &'a Path,
    /// Complete environment of a stage's children, by the allow-list.
    pub environment: &'a BTreeMap<Name, BTreeMap<String, String>>,
    /// What can change each stage, as the keys were made from it.
    pub inputs: &'a BTreeMap<Name, StageInputs>,
    /// What the user configured about Ansible's plugins, by stage.
    pub configured: &'a BTreeMap<Name, Configured>,
    /// Variables that the stage's own template declares, by stage; a foreign template has no entry.
    pub declared: &'a BTreeMap<Name, BTreeSet<String>>,
    /// Values of secrets.
    pub secrets: &'a BTreeMap<Name, String>,
    /// EC2; `None` in a command that never calls AWS.
    pub catalog: Option<&'a dyn Catalog>,
    /// Another EC2 than Amazon's.
    pub ec2_endpoint: Option<String>,
    /// Keys and verdicts.
    pub ledger: &'a dyn Ledger,
    /// Version of Packer, as far as it was asked.
    pub packer: Option<String>,
    /// Packer's plugins that are installed: source and version.
    pub plugins: Vec<(String, String)>,
    /// What is checked out.
    pub head: Option<Head>,
    /// `--keep`: containers stay, and the next dry run converges in them.
    pub keep: bool,
    /// Layout of control groups, asked for once.
    pub engine: Engine,
}

/// What the Docker engine said about itself, asked for at most once a run.
#[derive(Debug, Default)]
pub struct Engine(pub(super) OnceCell<(Cgroup, String)>);

/// One step while it runs.
pub(super) struct Current<'a> {
    pub(super) steps: &'a Steps<'a>,
    pub(super) watch: Watch<'a>,
    pub(super) scratch: &'a Scratch,
    pub(super) planned: &'a PlannedNode,
    pub(super) stage: &'a Stage,
    pub(super) ready: Ready,
}

#[async_trait(?Send)]
impl Launch for Steps<'_> {
    async fn launch(&self, step: StepId, ready: Ready, facts: Facts, halted: watch::Receiver<Stop>) -> Outcome {
        let log = scratch::log_path(self.folder, &step);
        let scratch = match scratch::open_log(&log).and_then(|_| Scratch::create(self.folder, &step)) {
            Ok(scratch) => scratch,
            Err(error) => {
                return Outcome::Failed(plain("ovenbird", format!("run folder `{}` cannot be written: {error}", self.folder.display())));
            }
        };
        let (done, ended) = oneshot::channel::<()>();
        let root = self.pipeline.root.display().to_string();
        let watch = Watch { step: &step, facts: &facts, log: &log, root: &root, stop: halted };
        let body = async {
            let outcome = self.carry_out(&watch, &scratch, ready).await;
            drop(done);
            outcome
        };
        let ended = async { ended.await.unwrap_or(()) };
        let (outcome, ()) = tokio::join!(body, follow_log(&step, &facts, &log, ended));
        let id = scratch.path("").display().to_string();
        if let Err(error) = scratch.remove() {
            watch.say(Event::Warned { message: format!("{step}: `{id}` could not be removed: {error}") });
            let remove_with = format!("rm -r {}", crate::process::command::quoted(&id));
            let left = vec![Leftover { kind: LeftoverKind::File, id, region: "local".to_owned(), remove_with }];
            watch.say(Event::Reconciled { step: step.clone(), removed: Vec::new(), left });
        }
        outcome
    }
}

impl Steps<'_> {
    async fn carry_out(&self, watch: &Watch<'_>, scratch: &Scratch, ready: Ready) -> Outcome {
        let node = &watch.step.node;
        let planned = self.plan.nodes.iter().find(|planned| planned.node == *node).expect("only steps of the plan are launched");
        let stage = self.pipeline.stage(&node.stage).expect("the plan is of this pipeline");
        let current = Current { steps: self, watch: watch.clone(), scratch, planned, stage, ready };
        let outcome = match watch.step.kind {
            StepKind::DryRun if current.keeps() => current.kept_dry_run().await,
            StepKind::DryRun => current.dry_run().await,
            StepKind::Build => current.build().await,
            StepKind::Retag => current.retag().await,
            StepKind::Verify => current.verify().await,
        };
        outcome.unwrap_or_else(|stopped| match stopped {
            Halt::Cancelled => Outcome::Cancelled,
            Halt::Failed(failure) => Outcome::Failed(*failure),
        })
    }
}

/// Why a step does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    Cancelled,
    Failed(Box<Failure>),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<AwsError> for Halt {
    fn from(error: AwsError) -> Self {
        let message = match &error.changed {
            Some(changed) => format!("{changed}; {error}"),
            None => error.to_string(),
        };
        plain("ec2", message).into()
    }
}

/// A failure without log or task.
pub(super) fn plain(tool: &str, message: String) -> Failure {
    Failure { message, tool: tool.to_owned(), task: None, last_lines: Vec::new(), log: None, help: None }
}

impl Current<'_> {
    /// Does the container of this step stay? Of a parent that had to run first it does not: nobody asked for it by name.
    pub(super) fn keeps(&self) -> bool {
        self.steps.keep && self.planned.wanted
    }

    /// A failure of a tool: with the task that failed, the log's last lines and where it is.
    pub(super) fn failed(&self, tool: &str, message: String, pass: Option<&Pass>) -> Halt {
        let failed = pass.and_then(|pass| pass.failed.as_ref());
        Failure {
            message,
            tool: tool.to_owned(),
            task: failed.map(|(place, _)| place.to_string()),
            last_lines: if failed.is_some() { up_to_failure(self.watch.log) } else { tail::last_lines(self.watch.log, 15) },
            log: Some(self.watch.log.display().to_string()),
            help: None,
        }
        .into()
    }

    /// Packer ended badly, and no task of Ansible is to blame.
    pub(super) fn packer_ended(&self, exit: Exit, pass: Option<&Pass>) -> Halt {
        let lines = tail::last_lines(self.watch.log, 100);
        let why = packer_log::why(&lines).map(|why| format!(": {why}")).unwrap_or_default();
        self.failed("packer", format!("packer ended with {exit}{why}"), pass)
    }

    pub(super) fn not_started(error: &SpawnError) -> Halt {
        let mut failure = plain("ovenbird", error.in_full());
        failure.help = matches!(error, SpawnError::Start { .. }).then(|| "`ovenbird doctor` says which tools are missing".to_owned());
        failure.into()
    }

    pub(super) fn unwritable(&self, error: &std::io::Error) -> Halt {
        plain("ovenbird", format!("a file of the run in `{}` cannot be written: {error}", self.steps.folder.display())).into()
    }

    pub(super) fn check_stop(&self) -> Result<(), Halt> {
        if self.watch.stopped() { Err(Halt::Cancelled) } else { Ok(()) }
    }

    /// What the log names. Not on the driver's thread: a log of a gigabyte takes seconds.
    pub(super) async fn named(&self) -> Result<packer_log::Named, Halt> {
        let log = self.watch.log.to_owned();
        let read = tokio::task::spawn_blocking(move || packer_log::read(&log, 0)).await;
        let read = read.unwrap_or_else(|joined| Err(std::io::Error::other(joined)));
        read.map_err(|error| plain("ovenbird", format!("log `{}` cannot be read: {error}", self.watch.log.display())).into())
    }

    async fn retag(&self) -> Result<Outcome, Halt> {
        let catalog = self.catalog()?;
        let Action::Retag { image, set } = &self.planned.action else {
            return Err(plain("ovenbird", "the plan holds no tags to set".to_owned()).into());
        };
        self.check_stop()?;
        catalog.tag(image, set).await?;
        Ok(Outcome::Succeeded { artifact: image.id.clone(), tasks: 0, changed: 0, notes: Vec::new() })
    }

    pub(super) fn catalog(&self) -> Result<&dyn Catalog, Halt> {
        self.steps.catalog.ok_or_else(|| plain("ovenbird", "this command makes no call to AWS".to_owned()).into())
    }
}

/// What a task said when it failed, in one line.
pub(super) fn task_failed(pass: &Pass) -> String {
    let said =
        pass.failed.as_ref().and_then(|(_, message)| message.as_deref()).and_then(|text| text.lines().find(|l| !l.trim().is_empty()));
    said.map_or_else(|| "a task failed".to_owned(), |line| format!("a task failed: {}", tail::cleaned(line.trim().as_bytes())))
}

/// The last lines before Ansible's recap and Packer's farewell, which say nothing about why.
fn up_to_failure(log: &Path) -> Vec<String> {
    let mut lines = tail::last_lines(log, 400);
    if let Some(at) = lines.iter().rposition(|line| line.contains("fatal: [") || line.contains("failed: [")) {
        lines.truncate(at + 1);
    }
    lines.split_off(lines.len().saturating_sub(15))
}

/// What a run of Ansible must have done, whatever its exit status: Packer makes an image of a playbook that matched no host.
pub(super) fn judge(pass: &Pass, must_run: bool) -> Result<(), String> {
    came_to_its_end(pass)?;
    if pass.tasks == 0 && (must_run || pass.started > 0) {
        return Err("no task was executed".to_owned());
    }
    Ok(())
}

/// The same of a second pass: there may be no task in it, when all say of themselves that they always change something.
pub(super) fn came_to_its_end(pass: &Pass) -> Result<(), String> {
    if !pass.no_hosts.is_empty() {
        let plays = pass.no_hosts.join(", ");
        return Err(format!("no host matched in play {plays}: the machine being built is in the groups that `groups` of the stage names"));
    }
    if pass.started > 0 && pass.ended < pass.started {
        return Err("ansible-playbook did not come to its end".to_owned());
    }
    Ok(())
}
