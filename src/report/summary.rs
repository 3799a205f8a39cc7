//! [`Summary`]: the end of a run: a table of AMIs, each failure with tool, task, last lines and log, and what is left behind.
//!
//! Gathers from events, so that a recorded run ends in the same words. Invariant: nothing that failed or is left is ever cut away;
//! what is true now stands before what to do.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets};

use crate::event::{Event, Failure, Outcome, StepId, StepKind};
use crate::model::artifact::Leftover;
use crate::model::node::NodeId;
use crate::report::lines::thing;
use crate::report::style::{Text, Tone, clean, count, seconds};

/// What is gathered.
#[derive(Debug, Default)]
pub(super) struct Summary {
    order: Vec<NodeId>,
    rows: BTreeMap<NodeId, Row>,
    failures: Vec<(StepId, Failure)>,
    ended: Option<Ended>,
}

#[derive(Debug, Default)]
struct Row {
    artifact: String,
    how: &'static str,
    seconds: Option<f64>,
}

#[derive(Debug)]
struct Ended {
    counts: [(usize, &'static str); 4],
    seconds: f64,
    left: Vec<Leftover>,
}

impl Summary {
    /// Takes note of an event.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::RunStarted { nodes, .. } => self.order.clone_from(nodes),
            Event::NodeReused { node, artifact } => self.row(node, artifact, "reused", None),
            Event::ImageAdopted { node, image } => self.row(node, image, "adopted", None),
            Event::StepFinished { step, outcome: Outcome::Succeeded { artifact, .. }, seconds } => {
                let how = match step.kind {
                    StepKind::DryRun => "dry run",
                    StepKind::Build => "built",
                    StepKind::Retag => "retagged",
                    StepKind::Verify => return self.verified(&step.node, artifact, *seconds),
                };
                self.row(&step.node, artifact, how, Some(*seconds));
            }
            Event::StepFinished { step, outcome: Outcome::Failed(failure), .. } => self.failures.push((step.clone(), failure.clone())),
            Event::RunFinished { succeeded, failed, not_run, reused, seconds, left } => {
                let counts = [(*succeeded, "done"), (*reused, "reused"), (*failed, "failed"), (*not_run, "not run")];
                self.ended = Some(Ended { counts, seconds: *seconds, left: left.clone() });
            }
            _ => {}
        }
    }

    fn row(&mut self, node: &NodeId, artifact: &str, how: &'static str, took: Option<f64>) {
        // Another run's image, found when the step looked again: the step's own end must not call it built.
        if self.rows.get(node).is_some_and(|row| row.how == "adopted" && row.artifact == artifact) {
            return;
        }
        // Tags are put right beside the checks, and may be later.
        let how =
            if how == "retagged" && self.rows.get(node).is_some_and(|row| row.how == "verified") { "retagged, verified" } else { how };
        self.rows.insert(node.clone(), Row { artifact: clean(artifact), how, seconds: took });
    }

    /// A row says what became of the image before, too.
    fn verified(&mut self, node: &NodeId, artifact: &str, took: f64) {
        let row = self.rows.entry(node.clone()).or_default();
        row.how = match row.how {
            "built" => "built, verified",
            "adopted" => "adopted, verified",
            "retagged" => "retagged, verified",
            _ => "verified",
        };
        row.artifact = clean(artifact);
        row.seconds = Some(row.seconds.unwrap_or_default() + took);
    }

    /// Everything, or nothing before the run's last event.
    pub(super) fn lines(&self, width: usize) -> Vec<Text> {
        let Some(ended) = &self.ended else { return Vec::new() };
        let mut lines = vec![Text::new()];
        if !self.rows.is_empty() {
            lines.extend(self.table(width).lines().map(Text::plain));
            lines.push(Text::new());
        }
        for (step, failure) in &self.failures {
            lines.extend(failed(step, failure));
            lines.push(Text::new());
        }
        let bad = ended.counts[2].0 + ended.counts[3].0 > 0 || !ended.left.is_empty();
        let told: Vec<_> = ended.counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let told = if told.is_empty() { "nothing to do".to_owned() } else { told.join(", ") };
        let tone = if bad { Tone::Bad } else { Tone::Good };
        lines.push(Text::new().add(tone, told).add(Tone::Plain, format!(" in {}", seconds(ended.seconds))));
        lines.extend(left(&ended.left, bad));
        lines
    }

    fn table(&self, width: usize) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        table.set_header(["stage", "", "image", "time"]);
        let place = |node: &NodeId| self.order.iter().position(|other| other == node);
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(node, _)| place(node).unwrap_or(usize::MAX));
        for (node, row) in rows {
            table.add_row([node.to_string(), row.how.to_owned(), row.artifact.clone(), row.seconds.map(seconds).unwrap_or_default()]);
        }
        table.trim_fmt()
    }
}

/// What went wrong with a step, for people.
pub(super) fn failed(step: &StepId, failure: &Failure) -> Vec<Text> {
    let mut lines = vec![Text::new().add(Tone::Bad, "error").add(Tone::Strong, format!(": {step} failed: {}", failure.message))];
    let mut fact = |name: &str, value: &str| lines.push(Text::new().add(Tone::Dim, format!("  {name:<6}")).add(Tone::Plain, value));
    fact("tool", &failure.tool);
    if let Some(task) = &failure.task {
        fact("task", task);
    }
    if let Some(log) = &failure.log {
        fact("log", log);
    }
    if !failure.last_lines.is_empty() {
        lines.push(Text::new().add(Tone::Dim, "  last lines"));
        lines.extend(failure.last_lines.iter().map(|line| Text::new().add(Tone::Dim, "  | ").add(Tone::Plain, line)));
    }
    if let Some(help) = &failure.help {
        lines.push(Text::new().add(Tone::Good, "  help").add(Tone::Plain, format!(": {help}")));
    }
    lines
}

/// What is left in the account: nothing (said only after trouble), or exactly what and the command that removes it.
fn left(left: &[Leftover], trouble: bool) -> Vec<Text> {
    if left.is_empty() {
        return if trouble { vec![Text::plain("nothing is left behind")] } else { Vec::new() };
    }
    let mut lines =
        vec![Text::new().add(Tone::Bad, format!("{} left behind", count(left.len(), "thing"))).add(Tone::Plain, "; remove with:")];
    for thing_left in left {
        lines.push(Text::plain(format!("  {}", thing_left.remove_with)).add(Tone::Dim, format!("  # {}", thing(thing_left))));
    }
    lines
}
