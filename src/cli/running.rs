//! A run from lock to exit code: what `build`, `dry-run` and `swap` share.
//!
//! Wires the driver to lock, run folder, reporter and signals. Invariant: the lock is taken before the plan is made, so two runs
//! never decide on the same state; signals are heard from before the lock on, so a waiting run can be stopped.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::cli::args::{Progress, RunningArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::signals;
use crate::cli::world::World;
use crate::disk::lock::{Holder, LockError, RunLock};
use crate::disk::run_folder::{self, RunFolder};
use crate::event::{Event, Stamped, StepId};
use crate::model::artifact::Leftover;
use crate::model::name::Name;
use crate::model::node::RunId;
use crate::plan::plan::{Action, DryRunAction, Plan, PlannedNode};
use crate::ports::Launch;
use crate::report::choose::{self, ReporterKind, Surroundings};
use crate::report::{self, Style};
use crate::run::driver::{self, Results, Settings};
use crate::run::journal::Journal;

/// A run that holds the lock.
pub struct Begun {
    /// Which.
    pub run: RunId,
    /// `build` or `dry-run`.
    pub command: &'static str,
    /// Its folder.
    pub folder: RunFolder,
    /// Another run had the lock first: what was read of the checkout before may be as old as that run is long.
    pub waited: bool,
    _unrecorded: Unrecorded,
    dot: PathBuf,
    signals: mpsc::UnboundedReceiver<String>,
    lock: RunLock,
}

/// Takes the folder away again when the run ends before its first step.
struct Unrecorded(RunFolder);

impl Drop for Unrecorded {
    fn drop(&mut self) {
        // An empty folder too many is worth no error beside the one that ends the run.
        self.0.discard_unrecorded().ok();
    }
}

/// Takes the lock and makes the run's folder.
///
/// # Errors
/// Another run holds the lock and `--no-wait` was given (75); a signal came while waiting; the folder cannot be made.
pub async fn begin(dir: &std::path::Path, command: &'static str, no_wait: bool, world: &World, output: Output) -> Result<Begun, Failure> {
    let dot = dir.join(".ovenbird");
    let run = world.new_run();
    let me = Holder { pid: std::process::id(), run: run.to_string(), command: command.to_owned() };
    let mut signals = signals::listen()?;
    let mut waited = false;
    let taken = if no_wait {
        RunLock::acquire(&dot, &me)
    } else {
        let tell = |holder: Option<&Holder>| {
            waited = true;
            let who = holder.map_or_else(|| "another run".to_owned(), ToString::to_string);
            output.say(&format!("waiting for {who}\n"));
        };
        unless_interrupted(&mut signals, output, async { Ok(RunLock::wait(&dot, &me, tell).await) }).await?
    };
    let lock = taken.map_err(|e| match &e {
        LockError::Held(_) => {
            Failure::new(Exit::Held, format!("the lock of this checkout is {e}")).help("leave out `--no-wait` to wait for it")
        }
        LockError::Io { .. } => Failure::chain(Exit::Failed, &e),
    })?;
    let folder = RunFolder::create(&dot, &run).map_err(|e| Failure::chain(Exit::Failed, &e))?;
    Ok(Begun { run, command, _unrecorded: Unrecorded(folder.clone()), folder, waited, dot, signals, lock })
}

impl Begun {
    /// What is found out before the first step, which may wait long for EC2, Docker or a galaxy server. A signal ends it: nothing
    /// that would have to be cleaned up runs yet.
    ///
    /// # Errors
    /// Its own, or that it was interrupted.
    pub async fn prepare<T>(&mut self, work: impl Future<Output = Result<T, Failure>>, output: Output) -> Result<T, Failure> {
        unless_interrupted(&mut self.signals, output, work).await
    }
}

async fn unless_interrupted<T>(
    signals: &mut mpsc::UnboundedReceiver<String>,
    output: Output,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        signal = signals.recv() => {
            let signal = signal.unwrap_or_default();
            output.say(&format!("{signal}: ended before anything was started\n"));
            Err(Failure::Said(Exit::Interrupted { terminated: signal != "SIGINT" }))
        }
        done = work => done,
    }
}

/// How many steps at once where nobody says: dry runs share this machine's cores, AMIs mostly wait for EC2.
fn jobs(args: &RunningArgs, plan: &Plan) -> usize {
    args.jobs.map_or_else(|| plan.nodes.len().clamp(1, 16), usize::from)
}

/// Carries the plan out; `after` is called when no step runs any more and may say more facts (emits).
///
/// # Errors
/// What `after` gives; everything that steps did is reported before.
pub async fn carry_out(
    begun: Begun,
    plan: &Plan,
    launch: &dyn Launch,
    args: &RunningArgs,
    world: &World,
    output: Output,
    after: impl FnOnce(&Results, &mut Journal<'_>) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let plan_json = serde_json::to_vec_pretty(plan).map_err(|e| Failure::chain(Exit::Failed, &e))?;
    begun.folder.write_plan(&plan_json).map_err(|e| Failure::chain(Exit::Failed, &e))?;
    let last = run_folder::last_seconds(&begun.dot);
    let seconds = |step: &StepId| last.get(&(step.kind.as_str().to_owned(), step.node.clone())).copied();
    let folder = begun.folder.clone();
    let log = |step: &StepId| folder.log(&step.to_string()).display().to_string();
    let settings = Settings { jobs: jobs(args, plan), keep_going: args.keep_going, seconds: &seconds, log: &log };
    let started = Event::RunStarted {
        run: begun.run.clone(),
        command: begun.command.to_owned(),
        pipeline: plan.pipeline.clone(),
        to_build: plan.counts().build,
        to_dry_run: plan.counts().dry_run,
        to_retag: plan.counts().retag,
        to_verify: plan.counts().verify,
        to_reuse: plan.counts().reuse - plan.counts().retag,
        nodes: plan.nodes.iter().map(|planned| planned.node.clone()).collect(),
        folder: begun.folder.path().display().to_string(),
    };
    let shown = Shown { progress: args.progress, json: args.json, verbose: args.verbose };
    let work = async |signals: &mut mpsc::UnboundedReceiver<String>, journal: &mut Journal<'_>| {
        journal.say(started);
        let results = driver::drive(plan, &settings, launch, signals, journal).await;
        let ended = if results.interrupted.is_some() { Ok(()) } else { after(&results, journal) };
        let left = results.finished(journal);
        (results, left, ended)
    };
    let (results, left, ended) = report_on(begun, shown, world, output, work).await?;
    ended?;
    Ok(exit(&results, &left))
}

/// How a run is shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// By terminal and environment, or as asked.
    pub progress: Progress,
    /// One event a line.
    pub json: bool,
    /// The tools' output too.
    pub verbose: bool,
}

/// Does `work` while its facts are shown and recorded, then cleans up and lets the lock go.
///
/// # Errors
/// The record cannot be begun.
pub async fn report_on<T>(
    mut begun: Begun,
    shown: Shown,
    world: &World,
    output: Output,
    work: impl AsyncFnOnce(&mut mpsc::UnboundedReceiver<String>, &mut Journal<'_>) -> T,
) -> Result<T, Failure> {
    let around = Surroundings { stdout_tty: world.stdout_tty, environment: &world.environment };
    let asked = match shown.progress {
        Progress::Auto => None,
        Progress::Terminal => Some(ReporterKind::Terminal),
        Progress::Plain => Some(ReporterKind::Plain),
        Progress::Github => Some(ReporterKind::Github),
    };
    let kind = choose::choose(shown.json, asked, around);
    let colour = choose::colour(kind, around) && (output.colour || kind == ReporterKind::Github);
    let mut record = begun.folder.record()?;
    let mut reporter = report::open(Style { here: &world.cwd, kind, colour, width: output.width, verbose: shown.verbose });
    let mut unwritten = None;
    let done = {
        let mut sink = |event: &Stamped| {
            // Lines are in the step's own log; the record keeps facts.
            if !matches!(event.event, Event::LinesReceived { .. }) {
                let written = serde_json::to_string(event).map_err(std::io::Error::from).and_then(|json| record.append(&json));
                if let (Err(error), None) = (written, &unwritten) {
                    unwritten = Some(error);
                }
            }
            reporter.event(event);
        };
        let mut journal = Journal::new(&mut sink);
        work(&mut begun.signals, &mut journal).await
    };
    reporter.finish();
    if let Err(error) = begun.folder.clear_temp() {
        output.warn(&format!("temporary files below `{}` cannot be removed: {error}", begun.folder.path().display()));
    }
    if let Some(error) = unwritten {
        output.warn(&format!("the record of this run is not complete: {error}"));
    }
    drop(begun.lock);
    Ok(done)
}

fn exit(results: &Results, left: &[Leftover]) -> Exit {
    match (&results.interrupted, left.is_empty(), results.failures.is_empty()) {
        (_, false, _) => Exit::Left,
        (Some(signal), true, _) => Exit::Interrupted { terminated: signal != "SIGINT" },
        (None, true, false) => Exit::Failed,
        (None, true, true) => Exit::Done,
    }
}

/// Refuses a plan in which something that is wanted cannot be done.
///
/// # Errors
/// Exit 65, with every such node and its reason.
pub fn refuse_blocked(plan: &Plan) -> Result<(), Failure> {
    let blocked: Vec<String> = plan.blocked().map(|planned| format!("{}: {}", planned.node, planned.reason)).collect();
    if blocked.is_empty() {
        return Ok(());
    }
    Err(Failure::data(format!("the plan cannot be carried out: {}", blocked.join("; ")))
        .help("nothing was started; `ovenbird plan` shows all of it"))
}

/// Says the plan's warnings, and once of each stage why it has no dry run: the run goes on without it.
pub fn warn(plan: &Plan, output: Output) {
    let without = plan.nodes.iter().filter(|planned| planned.wanted && planned.action.image().is_none());
    for planned in without {
        if let DryRunAction::NotPossible { why } = &planned.dry_run {
            output.warn(&format!("{}: a dry run is not possible: {why}", planned.node));
        }
    }
    for warning in &plan.warnings {
        output.warn(warning);
    }
}

/// Stages of which something runs.
pub fn stages_that_run(plan: &Plan) -> BTreeSet<Name> {
    let runs =
        |planned: &&PlannedNode| planned.action == Action::Build || planned.dry_run == DryRunAction::Run || planned.verification.runs();
    plan.nodes.iter().filter(runs).map(|planned| planned.node.stage.clone()).collect()
}
