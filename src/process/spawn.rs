//! Starting, signalling and reaping children; the only place that knows duct.
//!
//! Must not interpret output. Invariants: a child is started and awaited by one and the same blocking closure (its parent-death
//! signal fires when the *thread* that started it ends); its group id is cleared under the group's lock before it is reaped, and
//! signals are sent only under that lock, so that no signal ever reaches a stranger that got the number later.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::process::command::CommandLine;

/// A child that could not be started or awaited.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program is not there or may not be executed.
    #[error("`{program}` could not be started")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Its end could not be awaited.
    #[error("waiting for `{program}` failed")]
    Wait {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A short command took longer than it may.
    #[error("`{program}` did not end within {} s", limit.as_secs())]
    TimedOut {
        /// Its name.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// A file for its output.
    #[error("no file for the output of `{program}`")]
    File {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
}

impl SpawnError {
    /// With what the system said, on one line.
    pub fn in_full(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Exit status.
    Code(i32),
    /// Killed by a signal.
    Signal(i32),
}

impl Exit {
    /// Status 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupState {
    Starting,
    Running(Pid),
    Ended,
}

/// A child's process group, for signals.
#[derive(Debug, Clone)]
pub struct Group {
    state: Arc<Mutex<GroupState>>,
    changed: Arc<Notify>,
}

impl Group {
    fn new() -> Self {
        Self { state: Arc::new(Mutex::new(GroupState::Starting)), changed: Arc::new(Notify::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, GroupState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: GroupState) {
        *self.lock() = state;
        self.changed.notify_waiters();
    }

    /// Resolves once the child runs, or is known never to run any more.
    pub async fn started(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if *self.lock() != GroupState::Starting {
                return;
            }
            changed.await;
        }
    }

    /// Sends `signal` to every process of the group; `false` when it has ended.
    pub fn signal(&self, signal: Signal) -> bool {
        match *self.lock() {
            GroupState::Running(pid) => killpg(pid, signal).is_ok(),
            GroupState::Starting | GroupState::Ended => false,
        }
    }

    /// Runs `act` with the leader's pid while it cannot be reaped; nothing when it has ended.
    pub(super) fn while_running(&self, act: impl FnOnce(Pid)) {
        let state = self.lock();
        if let GroupState::Running(pid) = *state {
            act(pid);
        }
    }

    /// The leader's pid while it runs.
    pub fn leader(&self) -> Option<i32> {
        match *self.lock() {
            GroupState::Running(pid) => Some(pid.as_raw()),
            GroupState::Starting | GroupState::Ended => None,
        }
    }
}

/// A child that was started.
#[derive(Debug)]
pub struct Running {
    /// For signals.
    pub group: Group,
    program: String,
    ended: JoinHandle<Result<Exit, SpawnError>>,
}

impl Running {
    /// Waits for the child to be reaped. May be dropped and called again, but not after it gave a result.
    ///
    /// # Errors
    /// The child could not be started or awaited.
    pub async fn wait(&mut self) -> Result<Exit, SpawnError> {
        (&mut self.ended)
            .await
            .unwrap_or_else(|joined| Err(SpawnError::Wait { program: self.program.clone(), source: io::Error::other(joined.to_string()) }))
    }
}

/// Starts `command` with both outputs into `log`.
pub fn start(command: &CommandLine, log: File) -> Running {
    launch(command, log, None)
}

fn launch(command: &CommandLine, stdout: File, stderr: Option<File>) -> Running {
    let group = Group::new();
    let program = command.name();
    let ended = tokio::task::spawn_blocking({
        let (command, group) = (command.clone(), group.clone());
        move || {
            let result = run(&command, &group, stdout, stderr);
            group.set(GroupState::Ended);
            result
        }
    });
    Running { group, program, ended }
}

fn run(command: &CommandLine, group: &Group, stdout: File, stderr: Option<File>) -> Result<Exit, SpawnError> {
    let program = command.name();
    // A file for both, never `stderr_to_stdout`: duct applies outer redirections first, so that one would mean our own stdout.
    let stderr = match stderr {
        Some(file) => file,
        None => stdout.try_clone().map_err(|source| SpawnError::File { program: program.clone(), source })?,
    };
    let expression = duct::cmd(&command.program, &command.args)
        .full_env(&command.env)
        .dir(&command.cwd)
        .stdin_null()
        .stdout_file(stdout)
        .stderr_file(stderr)
        .unchecked()
        .before_spawn(|child| {
            super::group::own_group(child);
            Ok(())
        });
    let handle = expression.start().map_err(|source| SpawnError::Start { program: program.clone(), source })?;
    let pid = handle.pids().first().copied().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    if let Some(pid) = pid {
        group.set(GroupState::Running(pid));
        wait_unreaped(pid, &handle).map_err(|source| SpawnError::Wait { program: program.clone(), source })?;
        end_orphans(pid);
    }
    let output = {
        let mut state = group.lock();
        *state = GroupState::Ended;
        handle.wait().map_err(|source| SpawnError::Wait { program, source })?
    };
    Ok(exit_of(output.status))
}

pub(super) fn exit_of(status: impl std::os::unix::process::ExitStatusExt + Copy) -> Exit {
    status.signal().map_or_else(|| Exit::Code(status.into_raw() >> 8), Exit::Signal)
}

/// Waits until the child has ended, and leaves it a zombie: its number stays its own until the group id is cleared.
#[cfg(target_os = "linux")]
fn wait_unreaped(pid: Pid, _handle: &duct::Handle) -> io::Result<()> {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    loop {
        match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return other.map(drop).map_err(Into::into),
        }
    }
}

/// Elsewhere nix has no `waitid`; `ps` shows a zombie as `Z`, duct would reap it. So the lock covers the reaping only roughly.
#[cfg(not(target_os = "linux"))]
fn wait_unreaped(_pid: Pid, handle: &duct::Handle) -> io::Result<()> {
    handle.wait().map(drop)
}

/// When only Packer's outer process was killed, the inner one goes on building with nobody to hear from it. While the leader is a
/// zombie the group's number is still ours: what is left in it is interrupted, given time for its own clean-up, then killed.
fn end_orphans(group: Pid) {
    const POLITE: u32 = 600;
    for tenth in 0..POLITE + 50 {
        if crate::process::ladder::members(group).is_empty() {
            return;
        }
        let signal = match tenth {
            0 => Some(Signal::SIGINT),
            POLITE => Some(Signal::SIGKILL),
            _ => None,
        };
        if let Some(signal) = signal {
            killpg(group, signal).unwrap_or(());
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// What a short command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// At most `limit` bytes of stdout, lossily as UTF-8.
    pub stdout: String,
    /// The same of stderr.
    pub stderr: String,
}

/// Runs a short command: at most `time` (its group is killed then), at most `limit` bytes of each output are read.
///
/// # Errors
/// It could not be started, or took too long.
pub async fn output(command: &CommandLine, time: Duration, limit: u64) -> Result<Output, SpawnError> {
    let program = command.name();
    let file = || tempfile::tempfile().map_err(|source| SpawnError::File { program: program.clone(), source });
    let (stdout, stderr) = (file()?, file()?);
    let again = |file: &File| file.try_clone().map_err(|source| SpawnError::File { program: program.clone(), source });
    let mut running = launch(command, again(&stdout)?, Some(again(&stderr)?));
    let Ok(exit) = tokio::time::timeout(time, running.wait()).await else {
        running.group.signal(Signal::SIGKILL);
        drop(running.wait().await);
        return Err(SpawnError::TimedOut { program, limit: time });
    };
    let read = |mut file: File| -> io::Result<String> {
        file.rewind()?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let read = |file| read(file).map_err(|source| SpawnError::File { program: program.clone(), source });
    Ok(Output { exit: exit?, stdout: read(stdout)?, stderr: read(stderr)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> CommandLine {
        CommandLine::new("sh", "/").args(["-c", script]).env("PATH", "/usr/bin:/bin")
    }

    #[tokio::test]
    async fn both_outputs_are_read_and_bounded_and_the_environment_is_what_was_given() {
        let done = output(&sh("echo out; echo err >&2; env; exit 3").env("A", "b"), Duration::from_secs(10), 1 << 16).await.unwrap();
        assert_eq!(done.exit, Exit::Code(3));
        assert!(done.stdout.starts_with("out\n") && done.stdout.contains("A=b\n"), "{}", done.stdout);
        assert!(!done.stdout.contains("CARGO"), "{}", done.stdout);
        assert_eq!(done.stderr, "err\n");
        let done = output(&sh("yes | head -c 100000"), Duration::from_secs(10), 10).await.unwrap();
        assert_eq!(done.stdout.len(), 10);
    }

    #[tokio::test]
    async fn what_a_child_says_on_stderr_is_in_its_log_in_order() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut running = start(&sh("echo one; echo two >&2; echo three"), log.reopen().unwrap());
        assert_eq!(running.wait().await.unwrap(), Exit::Code(0));
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "one\ntwo\nthree\n");
    }

    #[tokio::test]
    async fn a_short_command_that_hangs_is_killed_with_its_children() {
        let error = output(&sh("sleep 60 & wait"), Duration::from_millis(200), 10).await.unwrap_err();
        assert!(matches!(error, SpawnError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error_with_its_name() {
        let error = output(&CommandLine::new("no-such-program", "/"), Duration::from_secs(1), 10).await.unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` could not be started");
    }

    #[tokio::test]
    async fn the_child_leads_its_own_group_and_the_group_is_gone_after_the_end() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut running = start(&sh("ps -o pgid= -p $$; sleep 60"), log.reopen().unwrap());
        running.group.started().await;
        let leader = running.group.leader().expect("it runs");
        assert!(running.group.signal(Signal::SIGTERM));
        assert_eq!(running.wait().await.unwrap(), Exit::Signal(15));
        assert!(!running.group.signal(Signal::SIGTERM), "an ended group takes no signal");
        let said = std::fs::read_to_string(log.path()).unwrap();
        assert!(said.is_empty() || said.trim() == leader.to_string(), "{said} {leader}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_outlives_the_leader_in_its_group_is_interrupted_before_the_wait_ends() {
        let log = tempfile::NamedTempFile::new().unwrap();
        // A shell cannot trap a signal that its background job began by ignoring; Python can.
        let python = "import os, signal, sys
def clean(*_):
    os.write(1, b'cleaned\\n')
    sys.exit()
signal.signal(signal.SIGINT, clean)
os.write(1, b'up\\n')
os.kill(os.getppid(), signal.SIGKILL)
while True:
    signal.pause()";
        let mut running = start(&sh("python3 -c \"$SCRIPT\" & wait").env("SCRIPT", python), log.reopen().unwrap());
        assert_eq!(running.wait().await.unwrap(), Exit::Signal(9));
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "up\ncleaned\n");
    }
}
