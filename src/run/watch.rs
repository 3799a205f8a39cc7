//! One child of a step: its log, the reports that it writes, its stop.
//!
//! Must not judge what a report says. Invariant: it returns when the child has been reaped and everything that it wrote has been
//! read and sent on.

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::event::{Event, StepId};
use crate::ports::{Facts, Stop};
use crate::process::command::CommandLine;
use crate::process::ladder::{self, Waits};
use crate::process::spawn::{self, Exit, SpawnError};
use crate::process::tail::{self, Tail};
use crate::run::scratch;
use crate::tools::ansible_report::{self, Line, Pass};

/// What a step's children share.
#[derive(Debug, Clone)]
pub(super) struct Watch<'a> {
    /// Which step.
    pub(super) step: &'a StepId,
    /// Where facts go.
    pub(super) facts: &'a Facts,
    /// The step's log.
    pub(super) log: &'a Path,
    /// Taken off the paths of tasks.
    pub(super) root: &'a str,
    /// How far the run has been stopped.
    pub(super) stop: watch::Receiver<Stop>,
}

/// A report file that the child writes, and the phase that it stands for.
#[derive(Debug)]
pub(super) struct Report {
    /// The file; made before the child starts.
    pub(super) path: PathBuf,
    /// `provision`, `idempotence`, `verify`.
    pub(super) phase: &'static str,
    /// What it said.
    pub(super) pass: Pass,
    /// Seconds from its first line to its last.
    pub(super) seconds: f64,
}

impl Report {
    /// A report of which nothing is known yet.
    pub(super) fn new(path: PathBuf, phase: &'static str) -> Self {
        Self { path, phase, pass: Pass::default(), seconds: 0.0 }
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    /// By itself.
    Exited(Exit),
    /// It was stopped, or was never started because the run had been.
    Stopped,
}

impl Watch<'_> {
    /// Sends a fact. The driver outlives every step, so nobody is missing at the other end.
    pub(super) fn say(&self, event: Event) {
        self.facts.send(event).unwrap_or(());
    }

    /// Says that a phase began.
    pub(super) fn phase(&self, phase: &str) {
        self.say(Event::PhaseStarted { step: self.step.clone(), phase: phase.to_owned() });
    }

    /// Has the run been stopped?
    pub(super) fn stopped(&self) -> bool {
        *self.stop.borrow() != Stop::No
    }

    /// Runs a child to its end.
    ///
    /// # Errors
    /// It could not be started, awaited, or its files not be read.
    pub(super) async fn run(&self, command: &CommandLine, reports: &mut [Report]) -> Result<Finished, SpawnError> {
        if self.stopped() {
            return Ok(Finished::Stopped);
        }
        let file = |source| SpawnError::File { program: command.name(), source };
        let mut log = scratch::open_log(self.log).map_err(file)?;
        writeln!(log, "$ {command}").map_err(file)?;
        let mut tails = Vec::new();
        for report in reports.iter() {
            tails.push(Tail::complete(&report.path).map_err(file)?);
        }
        let (reaped, ended) = watch::channel(false);
        let child = async {
            let finished = self.to_end(command, log).await;
            reaped.send_replace(true);
            finished
        };
        let reading = reports.iter_mut().zip(tails).map(|(report, tail)| {
            let mut ended = ended.clone();
            let mut begun = None;
            let ended = async move { _ = ended.wait_for(|reaped| *reaped).await.is_ok() };
            tail::follow(tail, ended, move |batch| {
                for line in batch.lines.iter().filter_map(|line| ansible_report::parse(line)) {
                    let begun = *begun.get_or_insert_with(tokio::time::Instant::now);
                    self.report(report, &line);
                    report.seconds = begun.elapsed().as_secs_f64();
                }
            })
        });
        let (finished, read) = tokio::join!(child, futures_util::future::join_all(reading));
        read.into_iter().collect::<std::io::Result<()>>().map_err(file)?;
        finished
    }

    async fn to_end(&self, command: &CommandLine, log: std::fs::File) -> Result<Finished, SpawnError> {
        let mut running = spawn::start(command, log);
        let mut stop = self.stop.clone();
        let exit = tokio::select! {
            biased;
            exit = running.wait() => Some(exit?),
            Ok(_) = stop.wait_for(|stop| *stop != Stop::No) => None,
        };
        if let Some(exit) = exit {
            // On a terminal Ctrl-C reaches us and not the child; but a child that died of a signal while the stop was on its way
            // was stopped all the same.
            return Ok(if self.stopped() { Finished::Stopped } else { Finished::Exited(exit) });
        }
        let waits = if image_is_made(self.log) { Waits::IMAGE } else { Waits::USUAL };
        let hurry = async {
            if stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(hurry);
        ladder::stop(&mut running, waits, hurry).await?;
        Ok(Finished::Stopped)
    }

    fn report(&self, report: &mut Report, line: &Line) {
        report.pass.add(line, self.root);
        match line {
            Line::Start { .. } => self.phase(report.phase),
            Line::Task(task) => {
                let place = ansible_report::place(task, self.root);
                self.say(Event::TaskStarted { step: self.step.clone(), task: place.task, place: place.place });
            }
            Line::Result(result) => {
                let place = ansible_report::place(&result.task, self.root);
                self.say(Event::TaskFinished {
                    step: self.step.clone(),
                    task: place.task,
                    place: place.place,
                    status: result.status,
                    seconds: result.seconds,
                });
            }
            Line::Play { .. } | Line::NoHosts | Line::Stats {} => {}
        }
    }
}

/// Is Packer waiting for an AMI just now? Interrupting that leaves an untagged image, so it is given more time.
fn image_is_made(log: &Path) -> bool {
    let lines = tail::last_lines(log, 50);
    let last = |words: &[&str]| lines.iter().rposition(|line| words.iter().any(|word| line.contains(word)));
    let made = last(&[": Creating AMI ", ": AMI: ami-", ": Waiting for AMI"]);
    made > last(&[": Terminating the source AWS instance", "ovenbird: "])
}

/// Sends the lines of a log on until `ended` resolves, and says that it was read to its end.
pub(super) async fn follow_log(step: &StepId, facts: &Facts, log: &Path, ended: impl Future<Output = ()>) {
    /// Lines a look; ten looks a second are more than anybody reads.
    const WINDOW: usize = 100;
    let send = |event| facts.send(event).unwrap_or(());
    let result = match Tail::for_screen(log, WINDOW) {
        Ok(tail) => {
            tail::follow(tail, ended, |batch| {
                send(Event::LinesReceived { step: step.clone(), lines: batch.lines, dropped: batch.dropped });
            })
            .await
        }
        Err(error) => {
            ended.await;
            Err(error)
        }
    };
    if let Err(error) = result {
        send(Event::Warned { message: format!("{step}: log `{}` cannot be read: {error}", log.display()) });
    }
    send(Event::OutputEnded { step: step.clone() });
}
