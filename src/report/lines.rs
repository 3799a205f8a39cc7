//! [`lines`]: what happened, as people read it; shared by all reporters for people.
//!
//! Colour is a [`Tone`] here, never a code. Invariant: a line says who, what and how much by itself; nothing has to be remembered
//! from an earlier one.

use crate::event::{Event, Outcome, TaskStatus};
use crate::model::artifact::Leftover;
use crate::model::node::NodeId;
use crate::report::gate;
use crate::report::style::{Text, Tone, count, seconds};
use crate::report::swap;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What is left standing above the running steps on a terminal: beginnings and tasks are seen below it.
    Results,
    /// Phases and tasks too: the only trace in a log.
    Steps,
}

/// Lines for an event, without prefix. Empty: nothing for people.
pub(super) fn lines(event: &Event, detail: Detail) -> Vec<Text> {
    let steps = detail == Detail::Steps;
    match event {
        Event::RunStarted { command, pipeline, to_build, to_dry_run, to_retag, to_verify, to_reuse, folder, .. } => {
            let wanted = [
                (*to_dry_run, "to dry-run"),
                (*to_build, "to build"),
                (*to_retag, "to retag"),
                (*to_verify, "to verify"),
                (*to_reuse, "to reuse"),
            ];
            let wanted: Vec<_> = wanted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
            let wanted = if wanted.is_empty() { "nothing to do".to_owned() } else { wanted.join(", ") };
            let head = Text::new().add(Tone::Strong, format!("{command} {pipeline}")).add(Tone::Plain, format!(": {wanted}"));
            vec![head, verb(Tone::Dim, "logs").add(Tone::Dim, folder)]
        }
        Event::NodeReused { node, artifact } => {
            vec![verb(Tone::Dim, "reused").add(Tone::Strong, node.to_string()).add(Tone::Plain, format!("  {artifact}"))]
        }
        Event::StepStarted { log, last_seconds, .. } if steps => {
            let last = last_seconds.map(|s| format!(" (last time {})", seconds(s))).unwrap_or_default();
            vec![Text::plain(format!("started{last}, log {log}"))]
        }
        Event::PhaseStarted { phase, .. } if steps => vec![Text::new().add(Tone::Strong, phase)],
        Event::TaskFinished { task, place, status, seconds: took, .. } if steps && *status != TaskStatus::Skipped => {
            vec![status_word(*status).add(Tone::Plain, format!(": {task} ({place}), {}", seconds(*took)))]
        }
        Event::LinesReceived { lines, dropped, .. } => {
            let lost =
                (*dropped > 0).then(|| Text::new().add(Tone::Dim, format!("… {} are in the log only", count(usize(*dropped), "line"))));
            lost.into_iter().chain(lines.iter().map(Text::plain)).collect()
        }
        Event::ImageAdopted { node, image } => {
            vec![
                verb(Tone::Good, "adopted")
                    .add(Tone::Strong, node.to_string())
                    .add(Tone::Plain, format!("  {image}, made by another run meanwhile")),
            ]
        }
        Event::ImageSealed { node, image, .. } if steps => {
            vec![verb(Tone::Good, "sealed").add(Tone::Strong, node.to_string()).add(Tone::Plain, format!("  {image}"))]
        }
        Event::Reconciled { removed, left, .. } => {
            let removed = removed.iter().map(|l| Text::new().add(Tone::Warn, "removed stray ").add(Tone::Plain, thing(l)));
            removed.chain(left.iter().map(|l| Text::new().add(Tone::Bad, "left behind ").add(Tone::Plain, thing(l)))).collect()
        }
        Event::StepFinished { step, outcome, seconds: took } => finished(&step.to_string(), outcome, *took),
        Event::StepBlocked { step, by } => {
            vec![verb(Tone::Warn, "not run").add(Tone::Strong, step.to_string()).add(Tone::Plain, format!("  needs {by}"))]
        }
        Event::Emitted { path, changed } if changed.is_empty() => {
            vec![verb(Tone::Dim, "unchanged").add(Tone::Plain, path)]
        }
        Event::Emitted { path, changed } => changed
            .iter()
            .map(|(name, (old, new))| {
                let old = old.as_deref().filter(|old| !old.is_empty()).map(|old| format!(" (was {old})")).unwrap_or_default();
                verb(Tone::Good, "wrote")
                    .add(Tone::Strong, name)
                    .add(Tone::Plain, format!(" = {new}"))
                    .add(Tone::Dim, old)
                    .add(Tone::Plain, format!(" in {path}"))
            })
            .collect(),
        Event::EmitSkipped { path, missing, unverified } => {
            let line = |what: &str, nodes: &[NodeId]| {
                let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
                verb(Tone::Warn, "not written").add(Tone::Plain, format!("{path}: {what} {}", nodes.join(", ")))
            };
            let missing = (!missing.is_empty()).then(|| line("no image of", missing));
            missing.into_iter().chain((!unverified.is_empty()).then(|| line("no verification of", unverified))).collect()
        }
        Event::Swap(fact) => swap::lines(fact, steps),
        Event::GateStarted { .. } | Event::GateLooked { .. } | Event::GateFinished { .. } => gate::lines(event, steps),
        Event::Interrupted { signal, again: false } => {
            vec![verb(Tone::Warn, signal).add(Tone::Plain, "stopping and cleaning up; once more skips the waits")]
        }
        Event::Interrupted { signal, again: true } => vec![verb(Tone::Warn, signal).add(Tone::Plain, "stopping at once")],
        Event::Warned { message } => vec![Text::new().add(Tone::Warn, "warning").add(Tone::Plain, format!(": {message}"))],
        Event::StepStarted { .. }
        | Event::PhaseStarted { .. }
        | Event::TaskStarted { .. }
        | Event::TaskFinished { .. }
        | Event::ImageSealed { .. }
        | Event::OutputEnded { .. }
        | Event::RunFinished { .. } => Vec::new(),
    }
}

fn finished(step: &str, outcome: &Outcome, took: f64) -> Vec<Text> {
    let took = seconds(took);
    match outcome {
        Outcome::Succeeded { artifact, tasks, changed, notes } => {
            let ran = if *tasks > 0 { format!("{}, {changed} changed, ", count(*tasks as usize, "task")) } else { String::new() };
            let head = verb(Tone::Good, "done")
                .add(Tone::Strong, step)
                .add(Tone::Plain, format!("  {artifact}"))
                .add(Tone::Dim, format!("  {ran}{took}"));
            let notes = notes.iter().map(|note| verb(Tone::Plain, "").add(Tone::Dim, note));
            std::iter::once(head).chain(notes).collect()
        }
        Outcome::NotPossible { why } => {
            vec![verb(Tone::Warn, "skipped").add(Tone::Strong, step).add(Tone::Plain, format!("  not possible: {why}"))]
        }
        Outcome::Failed(failure) => {
            let what = failure.task.as_ref().map_or_else(|| failure.message.clone(), |task| format!("{}: {task}", failure.message));
            vec![
                verb(Tone::Bad, "FAILED").add(Tone::Strong, step).add(Tone::Plain, format!("  {what}")).add(Tone::Dim, format!("  {took}")),
            ]
        }
        Outcome::Cancelled => vec![verb(Tone::Warn, "cancelled").add(Tone::Strong, step).add(Tone::Dim, format!("  {took}"))],
    }
}

/// The thing and how to remove it.
pub(super) fn thing(left: &Leftover) -> String {
    format!("{} {} ({})", kind(left), left.id, left.region)
}

fn kind(left: &Leftover) -> &'static str {
    use crate::model::artifact::LeftoverKind as Kind;
    match left.kind {
        Kind::Instance => "instance",
        Kind::Image => "image",
        Kind::Snapshot => "snapshot",
        Kind::Volume => "volume",
        Kind::KeyPair => "key pair",
        Kind::SecurityGroup => "security group",
        Kind::Container => "container",
        Kind::File => "file",
    }
}

/// The first word of a line, right-aligned so that names stand below each other.
pub(super) fn verb(tone: Tone, word: &str) -> Text {
    Text::plain(" ".repeat(11_usize.saturating_sub(word.len()))).add(tone, word).add(Tone::Plain, " ")
}

fn status_word(status: TaskStatus) -> Text {
    let (tone, word) = match status {
        TaskStatus::Ok => (Tone::Dim, "ok"),
        TaskStatus::Changed => (Tone::Warn, "changed"),
        TaskStatus::Failed => (Tone::Bad, "FAILED"),
        TaskStatus::Ignored => (Tone::Warn, "failed, ignored"),
        TaskStatus::Skipped => (Tone::Dim, "skipped"),
        TaskStatus::Unreachable => (Tone::Bad, "UNREACHABLE"),
    };
    Text::new().add(tone, word)
}

fn usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
