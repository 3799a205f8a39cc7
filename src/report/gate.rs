//! A gate as people see it: what it waits for while it waits, and what it said.
//!
//! Pure. Invariant: what is missing is always shown before what holds, so that a small terminal cuts away what nobody waits for.

use crate::event::{Event, Stamped};
use crate::model::gate::{Condition, Verdict, Why};
use crate::report::board::clock;
use crate::report::lines::verb;
use crate::report::style::{Text, Tone};

/// Lines that stay. `steps`: also what changed while it waited, for a log.
pub(super) fn lines(event: &Event, steps: bool) -> Vec<Text> {
    match event {
        Event::GateStarted { gate, timeout, soak } if steps => {
            let soak = if *soak > 0.0 { format!(", then a soak of {}", clock(*soak)) } else { String::new() };
            vec![head(gate).add(Tone::Plain, format!("waits at most {}{soak}", clock(*timeout)))]
        }
        Event::GateLooked { gate, conditions, changed, .. } if steps => {
            let news = conditions.iter().filter(|condition| changed.contains(&condition.name));
            news.map(|condition| {
                let (tone, word) = word(condition);
                head(gate).add(tone, word).add(Tone::Plain, format!("  {}: {}", condition.name, condition.detail))
            })
            .collect()
        }
        Event::GateFinished { gate, verdict: Verdict::Passed, seconds } => {
            vec![verb(Tone::Good, "passed").add(Tone::Strong, format!("gate {gate}")).add(Tone::Dim, format!("  {}", clock(*seconds)))]
        }
        Event::GateFinished { gate, verdict: Verdict::Failed(failed), seconds } => {
            let mut lines = vec![
                verb(Tone::Bad, "FAILED")
                    .add(Tone::Strong, format!("gate {gate}"))
                    .add(Tone::Plain, format!("  {}: {}", name(failed.why), failed.message))
                    .add(Tone::Dim, format!("  {}", clock(*seconds))),
            ];
            // A time-out's message names them already.
            let told = |condition: &&Condition| !failed.message.contains(&condition.detail);
            lines.extend(
                failed
                    .missing
                    .iter()
                    .filter(told)
                    .map(|missing| verb(Tone::Warn, "missing").add(Tone::Plain, format!("{}: {}", missing.name, missing.detail))),
            );
            lines.extend(failed.last_lines.iter().map(|line| verb(Tone::Plain, "").add(Tone::Dim, "| ").add(Tone::Plain, line)));
            lines
        }
        _ => Vec::new(),
    }
}

/// The kind of trouble, in words.
fn name(why: Why) -> &'static str {
    match why {
        Why::LaunchFailed => "launch failed",
        Why::Unstable => "unstable",
        Why::DeploymentFailed => "deployment failed",
        Why::CommandFailed => "command failed",
        Why::ErrorRate => "error rate",
        Why::NoCapacity => "too few instances",
        Why::NotHealthy => "not healthy",
        Why::NotDeployed => "not deployed",
        Why::ProbeFailed => "probe failed",
        Why::ProbeHangs => "probe hangs",
        Why::ProbeTls => "TLS refused",
        Why::NotDrained => "not drained",
        Why::StillRunning => "still running",
        Why::Restless => "restless",
    }
}

fn head(gate: &str) -> Text {
    Text::new().add(Tone::Dim, format!("gate {gate} | "))
}

fn word(condition: &Condition) -> (Tone, &'static str) {
    if condition.holds { (Tone::Good, "ok   ") } else { (Tone::Warn, "waits") }
}

/// A gate that waits now.
#[derive(Debug)]
pub(super) struct Waiting {
    gate: String,
    since: f64,
    timeout: f64,
    soak: f64,
    conditions: Vec<Condition>,
    /// When all of it began to hold, on the run's clock.
    held: Option<f64>,
}

impl Waiting {
    /// Takes note of an event.
    pub(super) fn note(now: &mut Option<Self>, stamped: &Stamped) {
        match &stamped.event {
            Event::GateStarted { gate, timeout, soak } => {
                let (since, timeout, soak) = (stamped.at, *timeout, *soak);
                *now = Some(Self { gate: gate.clone(), since, timeout, soak, conditions: Vec::new(), held: None });
            }
            Event::GateLooked { conditions, soaked, .. } => {
                if let Some(waiting) = now {
                    waiting.conditions.clone_from(conditions);
                    waiting.held = soaked.map(|soaked| stamped.at - soaked);
                }
            }
            Event::GateFinished { .. } | Event::RunFinished { .. } => *now = None,
            _ => {}
        }
    }

    /// The gate with its clock, then what it waits for, at most `most` lines.
    pub(super) fn lines(&self, now: f64, width: usize, most: usize) -> Vec<Text> {
        let (time, phase) = match self.held {
            Some(held) if self.soak > 0.0 => (format!("{} / {}", clock(now - held), clock(self.soak)), "soak"),
            _ => (format!("{} / {}", clock(now - self.since), clock(self.timeout)), "waits"),
        };
        let end = Text::new().add(Tone::Dim, time);
        let head = Text::plain("  ").add(Tone::Strong, format!("gate {}", self.gate)).add(Tone::Good, format!("  {phase}"));
        let room = width.saturating_sub(end.width() + 2);
        let mut lines = vec![if room < 12 { head.fit(width) } else { head.fit(room).pad_to(room + 2).join(end) }];
        let names = self.conditions.iter().map(|condition| Text::plain(&condition.name).width()).max().unwrap_or(0).min(width / 2);
        let missing = self.conditions.iter().filter(|condition| !condition.holds);
        let holding = self.conditions.iter().filter(|condition| condition.holds);
        lines.extend(missing.chain(holding).map(|condition| {
            let (tone, word) = word(condition);
            let line = Text::plain("    ").add(tone, word).add(Tone::Plain, "  ");
            line.join(Text::plain(&condition.name).fit(names)).pad_to(names + 13).add(Tone::Dim, &condition.detail).fit(width)
        }));
        lines.truncate(most.max(1));
        lines
    }
}
