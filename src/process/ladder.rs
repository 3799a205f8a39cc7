//! The polite stop: signals in the order in which Packer can still clean up behind itself.
//!
//! Decides no policy about *when*: a step asks. Invariant: Packer's processes are the last to be killed, and only the group that
//! we started and its descendants ever get a signal.
//!
//! SIGINT to the group (to Packer's pid alone it is ignored) → wait → SIGKILL of descendants that are not Packer, so that a hanging
//! ssh cannot hold Packer → wait → SIGTERM to Packer → short wait → SIGKILL of the group. A hurry (second Ctrl-C) skips every wait.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::spawn::{Exit, Group, Running, SpawnError};

/// How long each rung waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// After SIGINT. Five minutes while an AMI is being made: an interrupted `CreateImage` leaves an image without tags.
    pub interrupted: Duration,
    /// After SIGKILL of what is not Packer.
    pub alone: Duration,
    /// After SIGTERM.
    pub terminated: Duration,
}

impl Waits {
    /// While a machine is launched or provisioned.
    pub const USUAL: Self = Self { interrupted: Duration::from_mins(1), alone: Duration::from_mins(1), terminated: Duration::from_secs(5) };
    /// While the AMI is made.
    pub const IMAGE: Self = Self { interrupted: Duration::from_mins(5), ..Self::USUAL };
}

/// Stops `running` rung by rung and gives its end. `hurry` resolves when waiting is over for good.
///
/// # Errors
/// The child could not be awaited.
pub async fn stop(running: &mut Running, waits: Waits, mut hurry: Pin<&mut dyn Future<Output = ()>>) -> Result<Exit, SpawnError> {
    let group = running.group.clone();
    group.started().await;
    let mut hurried = false;
    let rungs: [(Rung, Duration); 3] = [
        (|group| _ = group.signal(Signal::SIGINT), waits.interrupted),
        (kill_all_but_packer, waits.alone),
        (terminate_packer, waits.terminated),
    ];
    for (act, wait) in rungs {
        act(&group);
        if hurried {
            continue;
        }
        tokio::select! {
            biased;
            exit = running.wait() => return exit,
            () = &mut hurry => hurried = true,
            () = tokio::time::sleep(wait) => {}
        }
    }
    group.signal(Signal::SIGKILL);
    running.wait().await
}

type Rung = fn(&Group);

fn kill_all_but_packer(group: &Group) {
    group.while_running(|leader| {
        for process in below(leader) {
            if process.pid != leader && !process.is_packer() {
                kill(process.pid, Signal::SIGKILL).unwrap_or(());
            }
        }
    });
}

fn terminate_packer(group: &Group) {
    group.while_running(|leader| {
        for process in below(leader) {
            if process.pid == leader || process.is_packer() {
                kill(process.pid, Signal::SIGTERM).unwrap_or(());
            }
        }
    });
}

/// Live processes of a group other than its leader.
pub(super) fn members(group: Pid) -> Vec<Pid> {
    processes().into_iter().filter(|p| p.group == group && p.pid != group && p.state != 'Z').map(|p| p.pid).collect()
}

/// The leader, its group and all descendants, also those that left the group.
fn below(leader: Pid) -> Vec<Process> {
    let all = processes();
    let mut found = vec![leader];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        for process in &all {
            let related = process.parent == parent || process.group == leader;
            if related && !found.contains(&process.pid) {
                found.push(process.pid);
            }
        }
    }
    all.into_iter().filter(|p| found.contains(&p.pid) && p.state != 'Z').collect()
}

#[derive(Debug, Clone)]
struct Process {
    pid: Pid,
    parent: Pid,
    group: Pid,
    state: char,
    name: String,
}

impl Process {
    /// Packer itself and its plugins, which run as `packer-plugin-…` and hold the clean-up.
    fn is_packer(&self) -> bool {
        self.name.starts_with("packer")
    }
}

/// Every process of this machine, from `/proc`; none where there is no `/proc`.
fn processes() -> Vec<Process> {
    let Ok(folder) = std::fs::read_dir("/proc") else { return Vec::new() };
    folder.flatten().filter_map(|entry| read_process(entry.file_name().to_str()?)).collect()
}

fn read_process(pid: &str) -> Option<Process> {
    let number: i32 = pid.parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name stands in parentheses and may hold spaces and parentheses itself.
    let (name, rest) = (stat.get(stat.find('(')? + 1..stat.rfind(')')?)?, stat.get(stat.rfind(')')? + 2..)?);
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let mut pid_field = || fields.next()?.parse().ok().map(Pid::from_raw);
    Some(Process { pid: Pid::from_raw(number), parent: pid_field()?, group: pid_field()?, state, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::command::CommandLine;
    use crate::process::spawn::start;

    const SHORT: Waits =
        Waits { interrupted: Duration::from_millis(300), alone: Duration::from_millis(300), terminated: Duration::from_millis(300) };

    /// Starts a script, waits until it has said `up`, stops it, and gives its end and its log.
    async fn stopped(script: &str, waits: Waits, hurry: impl Future<Output = ()>) -> (Exit, String) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let command = CommandLine::new("sh", "/").args(["-c", script]).env("PATH", "/usr/bin:/bin");
        let mut running = start(&command, log.reopen().unwrap());
        while !std::fs::read_to_string(log.path()).unwrap().contains("up") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::pin!(hurry);
        let exit = stop(&mut running, waits, hurry).await.unwrap();
        (exit, std::fs::read_to_string(log.path()).unwrap())
    }

    #[tokio::test]
    async fn one_interrupt_is_enough_for_a_child_that_cleans_up() {
        let script = "trap 'echo cleaned; exit 1' INT; echo up; while :; do sleep 0.05; done";
        let (exit, log) = stopped(script, Waits::USUAL, std::future::pending()).await;
        assert_eq!((exit, log.as_str()), (Exit::Code(1), "up\ncleaned\n"));
    }

    #[tokio::test]
    #[expect(unsafe_code, reason = "what a shell does for a job in the background")]
    async fn a_child_hears_the_interrupt_that_ovenbird_was_started_to_ignore() {
        use nix::sys::signal::{SigHandler, Signal, signal};
        // SAFETY: no handler is set. The other tests of this process do not hang on what the process itself does with SIGINT.
        let before = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) }.unwrap();
        let script = "trap 'echo cleaned; exit 1' INT; echo up; while :; do sleep 0.05; done";
        let stopped = stopped(script, Waits::USUAL, std::future::pending()).await;
        // SAFETY: what was there before.
        unsafe { signal(Signal::SIGINT, before) }.unwrap();
        assert_eq!(stopped, (Exit::Code(1), "up\ncleaned\n".to_owned()));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_grandchild_that_ignores_the_interrupt_is_killed_so_that_its_parent_can_clean_up() {
        // The leader waits for a child that ignores SIGINT, as Packer waits for a hanging ssh.
        let script = "trap : INT; (trap '' INT; echo up; exec sleep 60) & while kill -0 $! 2>/dev/null; do wait $!; done; echo cleaned";
        // Time to clean up, on a machine that has other things to do.
        let waits = Waits { alone: Duration::from_mins(8), ..SHORT };
        let (exit, log) = stopped(script, waits, std::future::pending()).await;
        assert_eq!((exit, log.as_str()), (Exit::Code(0), "up\nKilled\ncleaned\n"));
    }

    #[tokio::test]
    async fn what_ignores_everything_is_killed_in_the_end() {
        let script = "trap '' INT TERM; echo up; while :; do sleep 0.05; done";
        let (exit, _) = stopped(script, SHORT, std::future::pending()).await;
        assert_eq!(exit, Exit::Signal(9));
    }

    #[tokio::test]
    async fn a_hurry_skips_every_wait() {
        let script = "trap '' INT TERM; echo up; while :; do sleep 0.05; done";
        // One that is not skipped outlasts the run of the tests.
        let day = Duration::from_hours(24);
        let waits = Waits { interrupted: day, alone: day, terminated: day };
        let (exit, _) = stopped(script, waits, std::future::ready(())).await;
        assert_eq!(exit, Exit::Signal(9));
    }
}
