//! Prefixed lines for a log: CI, a pipe, a dumb terminal.
//!
//! Invariant: each line is whole, and those of a step begin with it, so that `grep 'build web |'` gives one step's story.

use std::io::{self, Write};

use crate::event::{Event, Stamped, StepId};
use crate::report::feed::Screen;
use crate::report::lines::{Detail, lines};
use crate::report::style::{Text, Tone};
use crate::report::summary::Summary;

pub(super) struct Plain<W> {
    pub(super) out: W,
    pub(super) colour: bool,
    pub(super) width: usize,
    summary: Summary,
}

impl<W: Write> Plain<W> {
    pub(super) fn new(out: W, colour: bool, width: usize) -> Self {
        Self { out, colour, width, summary: Summary::default() }
    }
}

/// Whose event it is, for the prefix. An end says its step itself.
pub(super) fn prefix(event: &Event) -> Option<&StepId> {
    match event {
        Event::StepStarted { step, .. }
        | Event::PhaseStarted { step, .. }
        | Event::TaskStarted { step, .. }
        | Event::TaskFinished { step, .. }
        | Event::LinesReceived { step, .. }
        | Event::OutputEnded { step }
        | Event::Reconciled { step, .. } => Some(step),
        Event::RunStarted { .. }
        | Event::NodeReused { .. }
        | Event::ImageAdopted { .. }
        | Event::ImageSealed { .. }
        | Event::StepFinished { .. }
        | Event::StepBlocked { .. }
        | Event::Emitted { .. }
        | Event::EmitSkipped { .. }
        | Event::Swap(_)
        | Event::GateStarted { .. }
        | Event::GateLooked { .. }
        | Event::GateFinished { .. }
        | Event::Interrupted { .. }
        | Event::Warned { .. }
        | Event::RunFinished { .. } => None,
    }
}

/// Lines of an event, prefixed.
pub(super) fn prefixed(event: &Event) -> Vec<Text> {
    let head = prefix(event).map_or_else(Text::new, |step| Text::new().add(Tone::Dim, format!("{step} | ")));
    lines(event, Detail::Steps).into_iter().map(|line| head.clone().join(line)).collect()
}

impl<W: Write + Send + 'static> Screen for Plain<W> {
    fn show(&mut self, events: &[Stamped]) -> io::Result<()> {
        let mut text = String::new();
        for Stamped { event, .. } in events {
            self.summary.note(event);
            let end = matches!(event, Event::RunFinished { .. }).then(|| self.summary.lines(self.width));
            for line in prefixed(event).into_iter().chain(end.into_iter().flatten()) {
                text.push_str(&line.render(self.colour));
                text.push('\n');
            }
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}
