//! Runs Terraform for a swap: plan, show, apply; with a log each, a polite stop, and a state that somebody else may hold.
//!
//! What the plan means is the guard's. Invariants: Terraform is interrupted, never killed; a lock is broken only when it is that of
//! a Terraform of ours on this machine whose process is gone.

use std::cell::Cell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;

use crate::disk::swap_memory::Child;
use crate::ports::Stop;
use crate::process::command::CommandLine;
use crate::process::spawn::{self, Exit, SpawnError};
use crate::run::swap_asks::{Halt, HaltKind, Tail};
use crate::tools::terraform::{StateLock, Terraform, state_lock, unframed};

/// How long somebody else may hold the state: an apply of some size.
const LOCK: u64 = 600;
/// A plan as JSON; a large environment has some ten megabytes.
const SHOWN: u64 = 512 * 1024 * 1024;
const LAST_LINES: usize = 15;
/// Terraform's own word for a lock that it could not give back.
const NOT_RELEASED: &str = "Error releasing the state lock";

/// Runs Terraform.
pub(super) struct Runner {
    pub(super) terraform: Terraform,
    /// Where logs go.
    pub(super) logs: PathBuf,
    pub(super) stop: watch::Receiver<Stop>,
    pub(super) no_wait: bool,
    /// Counts logs.
    pub(super) count: Cell<u32>,
}

/// What Terraform may tell while it works.
pub(super) struct Told<'a> {
    /// It waits for the state.
    pub(super) waiting: &'a dyn Fn(&StateLock),
    /// Its process, before it takes the lock.
    pub(super) started: &'a dyn Fn(i32),
    /// It ended by itself and gave its lock back, so that a lock that is met later is another's; did it end well.
    pub(super) ended: &'a dyn Fn(i32, bool),
    /// Children of earlier runs of ours that may have left a lock.
    pub(super) earlier: &'a [Child],
    /// A lock was broken.
    pub(super) broken: &'a dyn Fn(&StateLock),
}

impl Runner {
    /// Runs a command that takes the state's lock. `of` makes it for a time to wait.
    pub(super) async fn locked(&self, what: &str, of: impl Fn(u64) -> CommandLine, told: &Told<'_>) -> Result<(), Halt> {
        let mut wait = 0;
        let mut broken = false;
        loop {
            let (log, failed) = self.logged(what, &of(wait), told).await?;
            let Some(halt) = failed else { return Ok(()) };
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let Some(lock) = state_lock(&said) else { return Err(halt) };
            if !broken && told.earlier.iter().any(|child| left_by(child, &lock)) {
                (told.broken)(&lock);
                let (_, failed) = self.logged("force-unlock", &self.terraform.unlock(&lock.id), told).await?;
                if let Some(halt) = failed {
                    return Err(halt);
                }
                broken = true;
            } else if wait == 0 && !self.no_wait {
                (told.waiting)(&lock);
                wait = LOCK;
            } else {
                let message = format!("the Terraform state is locked by {} ({}, since {})", lock.who, lock.operation, lock.created);
                let help = format!("`terraform force-unlock {}` breaks the lock of a run that is dead; nothing was applied", lock.id);
                return Err(Halt { tail: halt.tail, ..Halt::new(HaltKind::Held, message).help(help) });
            }
        }
    }

    /// Runs a command with a log of its own; gives the log, and why it failed.
    async fn logged(&self, what: &str, command: &CommandLine, told: &Told<'_>) -> Result<(PathBuf, Option<Halt>), Halt> {
        self.count.set(self.count.get() + 1);
        let path = self.logs.join(format!("{:02}-terraform-{what}.log", self.count.get()));
        let wrong = |error: std::io::Error| Halt::new(HaltKind::Failed, format!("`{}` cannot be written: {error}", path.display()));
        let mut running = spawn::start(command, File::create(&path).map_err(wrong)?);
        running.group.started().await;
        let pid = running.group.leader();
        if let Some(pid) = pid {
            (told.started)(pid);
        }
        let mut stop = self.stop.clone();
        let mut asked = Stop::No;
        let exit = loop {
            tokio::select! {
                biased;
                exit = running.wait() => break exit.map_err(|error| self.not_started(&error))?,
                Ok(now) = stop.wait_for(|now| *now > asked) => {
                    asked = *now;
                    // Once it ends in its own order, twice at once; it writes its state either way.
                    running.group.signal(Signal::SIGINT);
                }
            }
        };
        let kept = matches!(exit, Exit::Signal(_)) || std::fs::read_to_string(&path).unwrap_or_default().contains(NOT_RELEASED);
        if let (Some(pid), false) = (pid, kept) {
            (told.ended)(pid, exit.success());
        }
        if asked != Stop::No {
            return Err(Halt::new(HaltKind::Interrupted, format!("terraform {what} was interrupted")));
        }
        Ok((path.clone(), (!exit.success()).then(|| failed(what, &exit.to_string(), &path))))
    }

    /// `show -json`: what it said.
    pub(super) async fn show(&self, command: &CommandLine) -> Result<String, Halt> {
        let output = spawn::output(command, Duration::from_mins(5), SHOWN).await.map_err(|error| self.not_started(&error))?;
        if output.exit.success() {
            return Ok(output.stdout);
        }
        let tail = Some(Box::new(Tail { lines: last_lines(&output.stderr), log: None }));
        Err(Halt { tail, ..Halt::new(HaltKind::Failed, format!("terraform show failed: {}", output.exit)) })
    }

    fn not_started(&self, error: &SpawnError) -> Halt {
        let halt = Halt::new(HaltKind::Unavailable, error.in_full());
        halt.help(format!("`{}` has to be on PATH; `ovenbird doctor` looks", self.terraform.program.display()))
    }
}

fn failed(what: &str, exit: &str, log: &Path) -> Halt {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let halt = Halt::new(HaltKind::Failed, format!("terraform {what} failed: {exit}"));
    let not_ready = ["terraform init", "tofu init", "Module not installed", "Required plugins are not installed"];
    let halt = if not_ready.iter().any(|text| said.contains(text)) {
        halt.help("`terraform init` in the environment's folder first")
    } else {
        halt
    };
    Halt { tail: Some(Box::new(Tail { lines: last_lines(&said), log: Some(log.display().to_string()) })), ..halt }
}

fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = unframed(text).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Is `lock` one that `child` took and left: same user and machine, taken soon after its start (it is the first thing that Terraform
/// does, and waited for no longer than [`LOCK`]), and its process is gone.
fn left_by(child: &Child, lock: &StateLock) -> bool {
    let alive = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.pid), None).is_ok();
    // `2026-11-22 11:00:00.1 +0000 UTC`; a minute for the clocks.
    let created =
        lock.created.split_once(" +0000").and_then(|(time, _)| format!("{}Z", time.replacen(' ', "T", 1)).parse::<jiff::Timestamp>().ok());
    let after = match (created, child.started.parse::<jiff::Timestamp>()) {
        (Some(created), Ok(started)) => {
            let after = created.as_second() - started.as_second();
            (-60..=i64::try_from(LOCK).unwrap_or(i64::MAX) + 60).contains(&after)
        }
        _ => false,
    };
    !alive && after && !lock.id.is_empty() && lock.who == child.who
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_of_a_dead_terraform_of_ours_is_broken() {
        let mine = Child { who: "ci@here".to_owned(), pid: i32::MAX, started: "2026-11-22T11:00:00Z".to_owned() };
        let lock = StateLock {
            id: "9b0c".to_owned(),
            who: "ci@here".to_owned(),
            operation: "OperationTypeApply".to_owned(),
            created: "2026-11-22 11:00:01.5 +0000 UTC".to_owned(),
        };
        assert!(left_by(&mine, &lock));
        let alive = i32::try_from(std::process::id()).unwrap();
        assert!(!left_by(&Child { pid: alive, ..mine.clone() }, &lock), "its process lives");
        assert!(!left_by(&mine, &StateLock { who: "ci@there".to_owned(), ..lock.clone() }), "another machine's");
        let before = "2026-11-22 10:00:01 +0000 UTC".to_owned();
        assert!(!left_by(&mine, &StateLock { created: before, ..lock.clone() }), "taken before ours began");
        let later = "2026-11-22 11:30:01 +0000 UTC".to_owned();
        assert!(!left_by(&mine, &StateLock { created: later, ..lock.clone() }), "taken when ours had been at work for long");
        assert!(!left_by(&mine, &StateLock { created: "soon".to_owned(), ..lock }), "a time that cannot be read");
    }

    #[test]
    fn the_end_of_what_terraform_said_is_shown_without_its_frame() {
        let said = "\n╷\n│ Error: Module not installed\n│ \n│   on main.tf line 1\n╵\n";
        assert_eq!(last_lines(said), ["Error: Module not installed", "on main.tf line 1"]);
    }
}
