//! The edge: command line, environment, terminal; one file a command, which wires adapters, runs and reports.
//!
//! The only room that reads `std::env` and the clock and that prints. Invariant: every way out goes through
//! [`failure::Failure`] or an [`failure::Exit`]; nothing below decides on an exit code.

pub mod args;
pub mod build;
pub mod client;
pub mod doctor;
pub mod dry_run;
pub mod emit;
pub mod examine;
pub mod explain;
pub mod failure;
pub mod found;
pub mod galaxy;
pub mod history;
pub mod images;
pub mod init;
pub mod inputs;
pub mod launching;
pub mod output;
pub mod plan;
pub mod planning;
pub mod project;
pub mod running;
pub mod signals;
pub mod survey;
pub mod swap;
pub mod swap_goal;
pub mod swap_plan;
pub mod swap_run;
pub mod swap_status;
mod swap_verified;
pub mod toolcheck;
pub mod update;
pub mod validate;
pub mod world;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use failure::{Exit, Failure};
use output::Output;
use world::World;

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors; a closed pipe is nobody's fault.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() });
        }
    };
    let world = match World::read() {
        Ok(world) => world,
        Err(error) => {
            drop(std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("error: the working folder cannot be read: {error}\n").as_bytes(),
            ));
            return ExitCode::from(Exit::Failed.code());
        }
    };
    let output = Output::new(cli.common.color, &world);
    let result = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::from).and_then(|runtime| {
        let result = runtime.block_on(tokio::task::LocalSet::new().run_until(run(&cli, &world, output)));
        // A blocked read of a child's log must not keep a finished command alive.
        runtime.shutdown_background();
        result
    });
    let exit = result.unwrap_or_else(|failure| {
        output.say(&failure.render(output.colour_err, output.width));
        failure.exit()
    });
    ExitCode::from(exit.code())
}

async fn run(cli: &Cli, world: &World, output: Output) -> Result<Exit, Failure> {
    let common = &cli.common;
    match &cli.command {
        Command::Init(args) => init::run(args, world, output),
        Command::Validate(args) => validate::run(args, common, world, output),
        Command::Update(args) => update::run(args, common, world, output).await,
        Command::Plan(args) => plan::run(args, common, world, output).await,
        Command::DryRun(args) => dry_run::run(args, common, world, output).await,
        Command::Build(args) => build::run(args, common, world, output).await,
        Command::Emit(args) => emit::run(args, common, world, output).await,
        Command::Swap(args) => swap::run(args, common, world, output).await,
        Command::Images(args) => images::run(args, common, world, output).await,
        Command::Inputs(args) => inputs::run(args, common, world, output),
        Command::Explain(args) => explain::run(args, common, world, output).await,
        Command::Doctor(args) => doctor::run(args, common, world, output).await,
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "ovenbird", &mut script);
            output.data(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Done)
        }
    }
}
