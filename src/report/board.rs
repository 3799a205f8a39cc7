//! [`Board`]: what stands on the terminal: lines that are finished, and a line for each step that is running.
//!
//! Pure: events and the time go in, lines come out; `terminal.rs` draws them. Invariant: no running line is wider than the
//! terminal, in columns, and there are never more of them than fit.

use crate::event::{Event, Stamped, StepId};
use crate::report::gate::Waiting;
use crate::report::lines::{Detail, lines};
use crate::report::plain::prefixed;
use crate::report::style::{Text, Tone};
use crate::report::summary::Summary;

/// Where the names of steps begin, behind `done`, `FAILED` ….
const INDENT: usize = 12;

#[derive(Debug)]
struct Running {
    step: StepId,
    since: f64,
    last: Option<f64>,
    phase: String,
    task: String,
}

#[derive(Debug, Default)]
pub(super) struct Board {
    running: Vec<Running>,
    gate: Option<Waiting>,
    summary: Summary,
}

impl Board {
    /// Lines that are finished with this event, to stand above the running ones.
    pub(super) fn apply(&mut self, stamped: &Stamped, width: usize) -> Vec<Text> {
        let event = &stamped.event;
        self.summary.note(event);
        Waiting::note(&mut self.gate, stamped);
        match event {
            Event::StepStarted { step, last_seconds, .. } => self.running.push(Running {
                step: step.clone(),
                since: stamped.at,
                last: *last_seconds,
                phase: String::new(),
                task: String::new(),
            }),
            Event::PhaseStarted { step, phase } => {
                if let Some(running) = self.find(step) {
                    running.phase.clone_from(phase);
                    running.task.clear();
                }
            }
            Event::TaskStarted { step, task, .. } => {
                if let Some(running) = self.find(step) {
                    running.task.clone_from(task);
                }
            }
            Event::StepFinished { step, .. } => self.running.retain(|r| r.step != *step),
            _ => {}
        }
        match event {
            Event::LinesReceived { .. } | Event::Reconciled { .. } => prefixed(event),
            Event::RunFinished { .. } => self.summary.lines(width),
            _ => lines(event, Detail::Results).into_iter().flat_map(|line| line.folded(width, INDENT)).collect(),
        }
    }

    fn find(&mut self, step: &StepId) -> Option<&mut Running> {
        self.running.iter_mut().find(|r| r.step == *step)
    }

    /// The running steps, oldest first, `now` in seconds of the run's clock.
    pub(super) fn running(&self, now: f64, width: usize, height: usize) -> Vec<Text> {
        // One column is left free: a terminal wraps a line that fills it, and the next drawing would start one line too low.
        let width = width.saturating_sub(1);
        let room = height.saturating_sub(2).max(1);
        let shown = if self.running.len() > room { room - 1 } else { self.running.len() };
        let names = self.running.iter().take(shown).map(|r| Text::plain(r.step.to_string()).width()).max().unwrap_or(0);
        let mut lines: Vec<Text> = self.running.iter().take(shown).map(|r| r.line(now, names.min(width / 3), width)).collect();
        if let Some(gate) = &self.gate {
            lines.extend(gate.lines(now, width, room.saturating_sub(shown)));
        }
        if shown < self.running.len() {
            lines.push(Text::new().add(Tone::Dim, format!("  … and {} more", self.running.len() - shown)).fit(width));
        }
        lines
    }
}

impl Running {
    fn line(&self, now: f64, names: usize, width: usize) -> Text {
        let time = clock(now - self.since);
        let time = self.last.map_or_else(|| time.clone(), |last| format!("{time} / {}", clock(last)));
        let end = Text::new().add(Tone::Dim, time);
        let mut head = Text::plain("  ").join(Text::new().add(Tone::Strong, self.step.to_string()).fit(names)).pad_to(names + 4);
        if !self.phase.is_empty() {
            head = head.add(Tone::Good, &self.phase).add(Tone::Plain, "  ");
        }
        head = head.add(Tone::Plain, &self.task);
        let room = width.saturating_sub(end.width() + 2);
        if room < 12 {
            return head.fit(width);
        }
        head.fit(room).pad_to(room + 2).join(end)
    }
}

/// `0:41`, `1:02:03`.
pub(super) fn clock(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and no run lasts 500 million years")]
    let whole = seconds.max(0.0) as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole % 3600 / 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}
