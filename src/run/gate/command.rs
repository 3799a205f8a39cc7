//! The user's own check: a command that succeeds, or is a verdict.
//!
//! Invariant: it is bounded by the gate's time-out, what it writes goes to the log, and nothing of it outlives the gate.

use std::io::Write as _;
use std::time::Duration;

use crate::model::gate::{FailedGate, Why};
use crate::ports::Stop;
use crate::process::command::CommandLine;
use crate::process::ladder::{self, Waits};
use crate::process::spawn::{self, SpawnError};
use crate::process::tail;
use crate::run::gate::{Halt, Waiting, clock};
use crate::run::scratch;

/// What it has at least, when the instances took nearly all of the time.
const LEAST: Duration = Duration::from_mins(1);
/// A check holds nothing that takes long to clean up.
const WAITS: Waits = Waits { interrupted: Duration::from_secs(10), alone: Duration::from_secs(1), terminated: Duration::from_secs(1) };
const LAST_LINES: usize = 15;

impl Waiting<'_> {
    pub(super) fn command_name(&self) -> String {
        format!("command {}", self.gate.checks.command.first().map_or("", String::as_str))
    }

    /// `None`: it succeeded.
    pub(super) async fn command(&self) -> Result<Option<FailedGate>, Halt> {
        let [program, arguments @ ..] = &*self.gate.checks.command else { return Ok(None) };
        // `./smoke.sh` is meant from the folder that it runs in, and not from where ovenbird was called.
        let program = if program.contains('/') { self.around.root.join(program).into_os_string() } else { program.into() };
        let command = CommandLine::new(program, self.around.root).args(arguments).envs(self.around.env).envs(&self.gate.variables);
        let file = |source| SpawnError::File { program: command.name(), source };
        let mut log = scratch::open_log(self.around.log).map_err(file)?;
        writeln!(log, "$ {command}").map_err(file)?;
        let limit = self.gate.checks.timeout.saturating_sub(self.begun.elapsed()).max(LEAST);
        let mut running = spawn::start(&command, log);
        let mut stop = self.around.stop.clone();
        let ended = tokio::select! {
            biased;
            exit = running.wait() => Ended::Exited(exit?),
            Ok(_) = stop.wait_for(|stop| *stop != Stop::No) => Ended::Stopped,
            () = tokio::time::sleep(limit) => Ended::TooLong,
        };
        let what = match ended {
            Ended::Exited(exit) if exit.success() => return Ok(None),
            Ended::Exited(exit) => format!("`{}` ended with {exit}", command.name()),
            Ended::Stopped | Ended::TooLong => {
                let hurry = async {
                    if stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::pin!(hurry);
                ladder::stop(&mut running, WAITS, hurry).await?;
                if matches!(ended, Ended::Stopped) {
                    return Err(Halt::Stopped);
                }
                format!("`{}` did not end within {}", command.name(), clock(limit))
            }
        };
        // Without the line that says what was run.
        let lines = tail::last_lines(self.around.log, LAST_LINES);
        let begun = lines.iter().rposition(|line| *line == format!("$ {command}")).map_or(0, |at| at + 1);
        let last_lines = lines[begun..].to_vec();
        Ok(Some(FailedGate { last_lines, ..FailedGate::new(Why::CommandFailed, what) }))
    }
}

enum Ended {
    Exited(spawn::Exit),
    Stopped,
    TooLong,
}
