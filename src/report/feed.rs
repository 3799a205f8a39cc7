//! [`Feed`]: events on their way from the driver to a [`Screen`] that has a thread of its own.
//!
//! A terminal that was stopped by Ctrl-S, or a reader that does not read, must not stop the driver from seeing signals. So facts
//! queue without bound (they are few), lines of output up to [`LINES`] (they are millions). Invariants: [`Feed::send`] never
//! waits; facts arrive in order and none is lost; lines that are dropped are counted in the next ones of their step.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::event::{Event, Stamped, StepId};

/// Lines of output that wait at most: some 2 MB.
const LINES: usize = 10_000;
/// How often a screen may draw.
const TICK: Duration = Duration::from_millis(100);
/// A reader that takes nothing for this long when all is over does not get the rest.
const PATIENCE: Duration = Duration::from_mins(1);
/// The same after a signal: somebody wants to be gone.
const PATIENCE_INTERRUPTED: Duration = Duration::from_secs(2);

/// Where events become visible. Lives in the feed's thread; may block as long as it likes.
pub(super) trait Screen: Send + 'static {
    /// Shows some events, at least one, in order. An error ends it.
    fn show(&mut self, events: &[Stamped]) -> io::Result<()>;
    /// About ten times a second.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// After the last event.
    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Stamped>,
    lines: usize,
    dropped: BTreeMap<StepId, u64>,
    ended: bool,
    /// The screen is gone (broken pipe) or has shown everything.
    done: bool,
    /// Batches taken: a sign of life.
    taken: u64,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    /// A screen that panicked must not take the run with it.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The driver's end.
#[derive(Debug)]
pub(super) struct Feed {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    interrupted: bool,
}

impl Feed {
    pub(super) fn start(mut screen: impl Screen) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let work = move || {
            // Quiet on purpose: who closed the pipe does not want to hear about it.
            drop(show_all(&mut screen, &theirs));
            theirs.lock().done = true;
            theirs.changed.notify_all();
        };
        let thread = std::thread::Builder::new().name("report".to_owned()).spawn(work).ok();
        if thread.is_none() {
            shared.lock().done = true;
        }
        Self { shared, thread, interrupted: false }
    }

    pub(super) fn send(&mut self, event: &Stamped) {
        self.interrupted |= matches!(event.event, Event::Interrupted { .. });
        let mut queue = self.shared.lock();
        if queue.done {
            return;
        }
        let mut event = event.clone();
        if let Event::LinesReceived { step, lines, dropped } = &mut event.event {
            if queue.lines + lines.len() > LINES {
                let lost = *dropped + lines.len() as u64;
                *queue.dropped.entry(step.clone()).or_default() += lost;
                return;
            }
            queue.lines += lines.len();
            *dropped += queue.dropped.remove(step).unwrap_or_default();
        }
        queue.events.push_back(event);
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Waits until everything is shown, as long as somebody reads.
    pub(super) fn end(mut self) {
        let patience = if self.interrupted { PATIENCE_INTERRUPTED } else { PATIENCE };
        let mut queue = self.shared.lock();
        queue.ended = true;
        self.shared.changed.notify_all();
        let (mut taken, mut since) = (queue.taken, Instant::now());
        while !queue.done && since.elapsed() < patience {
            queue = self.shared.changed.wait_timeout(queue, patience).unwrap_or_else(PoisonError::into_inner).0;
            if queue.taken != taken {
                (taken, since) = (queue.taken, Instant::now());
            }
        }
        let done = queue.done;
        drop(queue);
        if let Some(thread) = self.thread.take().filter(|_| done) {
            drop(thread.join());
        }
    }
}

fn show_all(screen: &mut impl Screen, shared: &Shared) -> io::Result<()> {
    let mut drawn = Instant::now();
    loop {
        let mut queue = shared.lock();
        if queue.events.is_empty() && !queue.ended {
            let wait = TICK.saturating_sub(drawn.elapsed());
            queue = shared.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let batch: Vec<Stamped> = queue.events.drain(..).collect();
        queue.lines = 0;
        queue.taken += 1;
        let last = queue.ended;
        drop(queue);
        shared.changed.notify_all();
        if !batch.is_empty() {
            screen.show(&batch)?;
        }
        if drawn.elapsed() >= TICK {
            screen.tick()?;
            drawn = Instant::now();
        }
        if last {
            return screen.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::report::testing::{lines, stamped, step, warned};

    /// Takes its first batch only when told, like a terminal after Ctrl-S.
    struct Stopped {
        go: mpsc::Receiver<()>,
        seen: Arc<Mutex<Vec<Stamped>>>,
        fails: bool,
    }

    impl Screen for Stopped {
        fn show(&mut self, events: &[Stamped]) -> io::Result<()> {
            self.go.recv().ok();
            self.seen.lock().expect("no panic").extend_from_slice(events);
            if self.fails { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        }
    }

    #[test]
    fn a_stopped_terminal_loses_lines_but_no_fact_and_holds_nobody_up() {
        let (go, gate) = mpsc::channel();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut feed = Feed::start(Stopped { go: gate, seen: Arc::clone(&seen), fails: false });
        let web = step("web");
        for seq in 0..3 * LINES as u64 {
            feed.send(&stamped(seq, lines(&web, &["one", "two"])));
            if seq % 100 == 0 {
                feed.send(&stamped(seq, warned("a fact")));
            }
        }
        drop(go);
        feed.send(&stamped(1, lines(&web, &["last"])));
        feed.end();
        let seen = seen.lock().expect("no panic");
        assert_eq!(seen.iter().filter(|e| matches!(e.event, Event::Warned { .. })).count(), 3 * LINES / 100);
        let (mut shown, mut dropped) = (0, 0);
        for event in seen.iter() {
            if let Event::LinesReceived { lines, dropped: lost, .. } = &event.event {
                shown += lines.len() as u64;
                dropped += lost;
            }
        }
        assert!(shown < 3 * LINES as u64, "{shown} lines were kept");
        // What was dropped and followed by nothing is in the log only, so the sum may miss the tail.
        assert!(shown + dropped <= 6 * LINES as u64 + 1);
    }

    #[test]
    fn a_broken_pipe_ends_quietly() {
        let (go, gate) = mpsc::channel();
        drop(go);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut feed = Feed::start(Stopped { go: gate, seen: Arc::clone(&seen), fails: true });
        for seq in 0..10 {
            feed.send(&stamped(seq, warned("a fact")));
        }
        feed.end();
        assert!(!seen.lock().expect("no panic").is_empty());
    }
}
