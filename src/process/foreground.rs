//! A command in the terminal's own hands: `docker exec -it` for `dry-run --shell`.
//!
//! The one child that gets no process group of its own: the terminal's Ctrl-C is for it. Invariant: nothing else of ours runs
//! meanwhile.

use crate::process::command::CommandLine;
use crate::process::spawn::{Exit, SpawnError, exit_of};

/// Runs `command` with this process's terminal and waits for it.
///
/// # Errors
/// It could not be started.
pub async fn run(command: &CommandLine) -> Result<Exit, SpawnError> {
    let name = command.name();
    let expression = duct::cmd(command.program.clone(), command.args.clone()).full_env(command.env.clone()).dir(&command.cwd).unchecked();
    let ended = tokio::task::spawn_blocking(move || expression.run()).await.expect("waiting for a child does not panic");
    match ended {
        Ok(output) => Ok(exit_of(output.status)),
        Err(source) => Err(SpawnError::Start { program: name, source }),
    }
}
