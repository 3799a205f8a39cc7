//! `swap next`, `swap run` and `swap rollback`: wires the mover to lock, reporter, signals and exit code.
//!
//! Invariant: a signal is heard at any time, stops Terraform in its own order, and rolls nothing back.

use tokio::sync::{mpsc, watch};

use crate::aws::errors::help;
use crate::cli::args::{SwapAction, SwapArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::running::{self, Shown};
use crate::cli::survey::Survey;
use crate::cli::swap::{Swapping, who};
use crate::cli::swap_goal::{self, Fitness};
use crate::cli::world::World;
use crate::disk::swap_tfvars;
use crate::event::Event;
use crate::event::swap::SwapFact;
use crate::inputs::environment;
use crate::model::gate::FailedGate;
use crate::model::name::Name;
use crate::model::swap::Colour;
use crate::plan::swap::State;
use crate::ports::Stop;
use crate::run::journal::Journal;
use crate::run::swap::{Ended, Mover};
use crate::run::swap_asks::{Halt, HaltKind};
use crate::run::swap_work::{Setting, Work};

/// Moves.
///
/// # Errors
/// Every way in which it ends other than well.
pub async fn run(command: &'static str, args: &SwapArgs, swapping: Swapping, world: &World, output: Output) -> Result<Exit, Failure> {
    let pipeline = &swapping.loaded.pipeline;
    let mut begun = running::begin(&pipeline.dir, command, args.no_wait, world, output).await?;
    let ready = async {
        let state = Survey::state(pipeline, world).await?;
        let ami = match args.action {
            SwapAction::Rollback => String::new(),
            SwapAction::Status | SwapAction::Plan | SwapAction::Next | SwapAction::Run => swap_goal::ami(&swapping, world, output).await?,
        };
        Ok((state, ami))
    };
    let (state, ami) = begun.prepare(Box::pin(ready), output).await?;
    let run = begun.run.clone();
    let scratch = begun.folder.temp("swap")?;
    let (facts, mut said) = mpsc::unbounded_channel();
    let (halt, halted) = watch::channel(Stop::No);
    let fitness = Fitness { swapping: &swapping, state: &state };
    let dot = pipeline.dir.join(".ovenbird");
    let env = environment::passed(&world.environment);
    let work = Work::new(Setting {
        spec: &swapping.spec,
        gates: &swapping.swap.gates,
        root: &pipeline.root,
        dot: &dot,
        run: run.to_string(),
        logs: begun.folder.path().join("logs"),
        scratch,
        terraform: swapping.terraform.clone(),
        tracked: swapping.tracked.clone(),
        env: &env,
        traffic: &swapping.traffic,
        fit: &fitness,
        facts,
        stop: halted,
        no_wait: args.no_wait,
        started: world.started,
        who: who(world),
    });
    let mover = Mover { spec: &swapping.spec, hands: &work, run: run.to_string(), ami: ami.clone(), retire: args.retire };
    let started = SwapFact::Started {
        run: run.clone(),
        swap: swapping.spec.name.to_string(),
        command: command.to_owned(),
        pipeline: pipeline.name.to_string(),
        folder: begun.folder.path().display().to_string(),
    };
    let shown = Shown { progress: args.progress, json: args.json, verbose: args.verbose };
    let moving = async |signals: &mut mpsc::UnboundedReceiver<String>, journal: &mut Journal<'_>| {
        journal.say(Event::Swap(started));
        let going = async {
            match args.action {
                SwapAction::Rollback => mover.rollback().await,
                SwapAction::Next => mover.forward(false).await,
                SwapAction::Run | SwapAction::Status | SwapAction::Plan => mover.forward(true).await,
            }
        };
        tokio::pin!(going);
        let (mut signal, mut listening) = (None::<String>, true);
        let ended = loop {
            tokio::select! {
                biased;
                came = signals.recv(), if listening => match came {
                    Some(name) => {
                        let again = signal.is_some();
                        halt.send_replace(if again { Stop::Now } else { Stop::Polite });
                        signal.get_or_insert_with(|| name.clone());
                        journal.say(Event::Interrupted { signal: name, again });
                    }
                    None => listening = false,
                },
                Some(event) = said.recv() => journal.say(event),
                ended = &mut going => break ended,
            }
        };
        while let Ok(event) = said.try_recv() {
            journal.say(event);
        }
        let (state, outcome, message) = told(&ended);
        journal.say(Event::Swap(SwapFact::Finished { state, outcome: outcome.to_owned(), message, seconds: journal.seconds() }));
        (ended, signal)
    };
    let (ended, signal) = running::report_on(begun, shown, world, output, moving).await?;
    if let Ok(Ended::Done(now @ State::Steady { live }) | Ended::Nothing(now @ State::Steady { live }, _)) = &ended
        && args.action != SwapAction::Rollback
        && let Some(serving) = serving(&swapping, *live)
    {
        // Not the AMI that was asked for: a swap that was under way goes to its own end first.
        remember(&state, &swapping.spec.name, &serving, *now, output).await;
        let more = if serving == ami { String::new() } else { format!("; {ami} is newer, and takes another run") };
        output.say(&format!("{live} serves {serving}{more}\n"));
    }
    exit(ended, signal.as_deref(), &swapping.spec.name)
}

/// AMI of a colour, by the tfvars as they are now.
fn serving(swapping: &Swapping, colour: Colour) -> Option<String> {
    let found = swap_tfvars::read(&swapping.spec, &swapping.tfvars().ok()?).ok()?;
    Some(found.values.of(colour).ami_id.clone())
}

/// What a swap that requires this one asks for.
async fn remember(state: &crate::store::State, swap: &Name, ami: &str, now: State, output: Output) {
    if let Err(error) = state.put_swapped(swap, ami, &now).await {
        output.warn(&format!("that {ami} went through could not be recorded: {error}; a swap that requires this one will refuse it"));
    }
}

/// State, outcome and reason, for the last fact.
fn told(ended: &Result<Ended, Halt>) -> (Option<State>, &'static str, String) {
    let why = |failed: &FailedGate| failed.message.clone();
    match ended {
        Ok(Ended::Done(state)) => (Some(*state), "done", String::new()),
        Ok(Ended::Nothing(state, _)) => (Some(*state), "nothing to do", String::new()),
        Ok(Ended::RolledBack(failed, state)) => (Some(*state), "rolled back", why(failed)),
        Ok(Ended::Stays(failed, state, second)) => {
            let second = if second.is_empty() { String::new() } else { format!("; and on the way back: {second}") };
            (Some(*state), "failed", format!("{}{second}", why(failed)))
        }
        Err(halt) => {
            let outcome = match halt.kind {
                HaltKind::Refused => "refused",
                HaltKind::Interrupted => "interrupted",
                HaltKind::Unavailable | HaltKind::Held | HaltKind::Failed => "stopped",
            };
            (None, outcome, halt.message.clone())
        }
    }
}

fn exit(ended: Result<Ended, Halt>, signal: Option<&str>, name: &Name) -> Result<Exit, Failure> {
    match ended {
        Ok(Ended::Done(_) | Ended::Nothing(..)) => Ok(Exit::Done),
        Ok(Ended::RolledBack(failed, state)) => {
            let message = format!("rolled back to `{}`, because the gate failed: {}", state.name(), failed.message);
            Err(Failure::failed(message).help(after(state, name)))
        }
        Ok(Ended::Stays(failed, state, second)) => {
            let second = if second.is_empty() { String::new() } else { format!("; and on the way back: {second}") };
            let message = format!("it stays `{}`, because the gate failed: {}{second}", state.name(), failed.message);
            Err(Failure::failed(message).help(after(state, name)))
        }
        Err(halt) => Err(failure(halt, signal, name)),
    }
}

fn after(state: State, name: &Name) -> String {
    match state {
        State::Steady { .. } => format!("`ovenbird swap {name} status` shows where it stands"),
        State::Started { new } => {
            format!("{new} stays on test to be looked at; `ovenbird swap {name} rollback` takes it down, `next` tries again")
        }
        State::Joined { .. } | State::Left { .. } => {
            format!("`ovenbird swap {name} status` shows where it stands; `next` looks at the gate again, `rollback` goes back")
        }
    }
}

/// A halt as a way out.
pub(super) fn failure(mut halt: Halt, signal: Option<&str>, name: &Name) -> Failure {
    halt.help = halt.help.map(|help| help.replace("swap NAME", &format!("swap {name}")));
    if let Some(problems) = halt.problems {
        return Failure::Problems(problems);
    }
    let exit = match halt.kind {
        HaltKind::Refused => Exit::Data,
        HaltKind::Unavailable => Exit::Unavailable,
        HaltKind::Held => Exit::Held,
        HaltKind::Failed => Exit::Failed,
        HaltKind::Interrupted => return Failure::Said(Exit::Interrupted { terminated: signal.is_some_and(|name| name != "SIGINT") }),
    };
    let mut message = halt.message;
    if let Some(tail) = &halt.tail {
        let lines = tail.lines.iter().map(|line| format!("\n  | {line}"));
        let log = tail.log.iter().map(|log| format!("\n  log {log}"));
        message.extend(lines.chain(log));
    }
    let failure = Failure::new(exit, message);
    // What AWS wants first, then what ovenbird does next.
    let helps: Vec<String> = halt.aws.and_then(|error| help(&error)).into_iter().chain(halt.help).collect();
    if helps.is_empty() { failure } else { failure.help(helps.join("; ")) }
}
