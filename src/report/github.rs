//! GitHub Actions: a group a finished step, failures and warnings as annotations.
//!
//! Steps run side by side and groups cannot interleave, so a step's lines wait until it ends; what shows meanwhile is one line a
//! beginning. Invariant: no text of a tool stands at the beginning of a line, where GitHub would take it for a command.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};

use crate::event::{Event, Failure, Outcome, Stamped, StepId};
use crate::model::gate::Verdict;
use crate::report::feed::Screen;
use crate::report::lines::{Detail, lines};
use crate::report::plain::{prefix, prefixed};
use crate::report::style::clean;
use crate::report::summary::Summary;

/// Lines that a step's group holds at most; the first ones are in the log only.
const GROUP: usize = 5_000;

pub(super) struct Github<W> {
    out: W,
    colour: bool,
    width: usize,
    waiting: BTreeMap<StepId, (VecDeque<String>, usize)>,
    summary: Summary,
}

impl<W: Write> Github<W> {
    pub(super) fn new(out: W, colour: bool, width: usize) -> Self {
        Self { out, colour, width, waiting: BTreeMap::new(), summary: Summary::default() }
    }

    fn one(&mut self, event: &Event, text: &mut String) {
        self.summary.note(event);
        let mut say = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        if let (Some(step), false) = (prefix(event), matches!(event, Event::StepStarted { .. })) {
            let (held, lost) = self.waiting.entry(step.clone()).or_default();
            for line in prefixed(event) {
                if held.len() == GROUP {
                    held.pop_front();
                    *lost += 1;
                }
                held.push_back(line.render(self.colour));
            }
            return;
        }
        match event {
            Event::StepStarted { .. } => {
                for line in prefixed(event) {
                    say(&line.render(self.colour));
                }
            }
            Event::StepFinished { step, outcome, .. } => {
                let (held, lost) = self.waiting.remove(step).unwrap_or_default();
                if !held.is_empty() {
                    say(&format!("::group::{step}"));
                    if lost > 0 {
                        say(&format!("… {lost} lines before these are in the log only"));
                    }
                    for line in &held {
                        say(line);
                    }
                    say("::endgroup::");
                }
                for line in lines(event, Detail::Steps) {
                    say(&line.render(self.colour));
                }
                if let Outcome::Failed(failure) = outcome {
                    say(&annotation(step, failure));
                }
            }
            Event::GateFinished { gate, verdict: Verdict::Failed(failed), .. } => {
                for line in lines(event, Detail::Steps) {
                    say(&line.render(self.colour));
                }
                say(&format!("::error title={}::{}", property(&format!("gate {gate} failed")), data(&failed.message)));
            }
            Event::Warned { message } => say(&format!("::warning::{}", data(message))),
            Event::RunFinished { .. } => self.summary.lines(self.width).iter().for_each(|line| say(&line.render(self.colour))),
            _ => lines(event, Detail::Steps).iter().for_each(|line| say(&line.render(self.colour))),
        }
    }
}

impl<W: Write + Send + 'static> Screen for Github<W> {
    fn show(&mut self, events: &[Stamped]) -> io::Result<()> {
        let mut text = String::new();
        for event in events {
            self.one(&event.event, &mut text);
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// The failure at the task's file and line, where it has one, so that it shows in the pull request.
fn annotation(step: &StepId, failure: &Failure) -> String {
    let place = failure.task.as_deref().and_then(|task| task.rsplit_once('(')?.1.strip_suffix(')')?.rsplit_once(':'));
    let place = place.filter(|(_, line)| line.parse::<u32>().is_ok());
    let place = place.map(|(file, line)| format!("file={},line={line},", property(file))).unwrap_or_default();
    let task = failure.task.as_deref().map(|task| format!(": {task}")).unwrap_or_default();
    format!("::error {place}title={}::{}", property(&format!("{step} failed")), data(&format!("{}{task}", failure.message)))
}

fn data(text: &str) -> String {
    clean(text).replace('%', "%25")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
