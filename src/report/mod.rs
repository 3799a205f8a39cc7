//! What people and programs read of a run: the one room that knows colour, bars and carets.
//!
//! Must not decide anything, and must not open files. Invariant: without colour, no control code leaves this room.

mod board;
pub mod choose;
mod feed;
mod gate;
mod github;
pub mod images_text;
mod json;
mod lines;
mod plain;
pub mod plan_text;
pub mod problems;
pub mod style;
mod summary;
pub mod swap;
pub mod swap_status;
mod terminal;

#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use crate::event::swap::SwapFact;
use crate::event::{Event, Outcome, Stamped};
use crate::report::choose::ReporterKind;
use crate::report::feed::Feed;

/// Takes a run's events in their order and shows them.
pub trait Reporter {
    /// One event. Never blocks on whoever reads.
    fn event(&mut self, event: &Stamped);
    /// No more events: shows what is left, as long as somebody reads.
    fn finish(self: Box<Self>);
}

/// How a run is shown.
#[derive(Debug, Clone, Copy)]
pub struct Style<'a> {
    /// Folder that people look from: paths below it are shown relative to it.
    pub here: &'a Path,
    /// By [`choose::choose`].
    pub kind: ReporterKind,
    /// By [`choose::colour`].
    pub colour: bool,
    /// Columns, where it is no terminal that is asked itself.
    pub width: usize,
    /// The tools' output too.
    pub verbose: bool,
}

/// A reporter on stdout, which it owns until it is finished.
pub fn open(style: Style<'_>) -> Box<dyn Reporter> {
    let Style { here, kind, colour, width, verbose } = style;
    let feed = match kind {
        ReporterKind::Terminal => Feed::start(terminal::Terminal::new(terminal::Stdout::new(), colour)),
        ReporterKind::Plain => Feed::start(plain::Plain::new(io::stdout(), colour, width)),
        ReporterKind::Github => Feed::start(github::Github::new(io::stdout(), colour, width)),
        ReporterKind::Json => Feed::start(json::Json(io::stdout())),
    };
    // Programs get everything; people see the last lines of what failed, and the log has the rest.
    // Programs get whole paths.
    let here = (kind != ReporterKind::Json).then(|| format!("{}/", here.display()));
    Box::new(OnStdout { feed, output: verbose || kind == ReporterKind::Json, here })
}

struct OnStdout {
    feed: Feed,
    output: bool,
    /// With its slash; taken off paths.
    here: Option<String>,
}

/// The event with paths as they are from `here`; `None`: it has none that lies below.
fn seen_from(here: &str, event: &Event) -> Option<Event> {
    let mut event = event.clone();
    let path = match &mut event {
        Event::RunStarted { folder, .. } | Event::Swap(SwapFact::Started { folder, .. }) => Some(folder),
        Event::StepStarted { log, .. } => Some(log),
        Event::StepFinished { outcome: Outcome::Failed(failure), .. } => failure.log.as_mut(),
        _ => None,
    }?;
    *path = path.strip_prefix(here)?.to_owned();
    Some(event)
}

impl Reporter for OnStdout {
    fn event(&mut self, event: &Stamped) {
        if self.output || !matches!(event.event, Event::LinesReceived { .. }) {
            match self.here.as_ref().and_then(|here| seen_from(here, &event.event)) {
                Some(seen) => self.feed.send(&Stamped { event: seen, ..*event }),
                None => self.feed.send(event),
            }
        }
    }

    fn finish(self: Box<Self>) {
        self.feed.end();
    }
}
