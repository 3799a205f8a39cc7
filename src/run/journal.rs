//! [`Journal`]: gives every event its number and time, and hands it to the one sink (reporters and the run's record).
//!
//! Must not decide or wait; the sink must not block. Invariant: numbers count from 0 without gaps, and the last event of a run is
//! `RunFinished`, also after an interrupt.

use tokio::time::Instant;

use crate::event::{Event, Stamped};
use crate::model::artifact::Leftover;

/// The run's one order.
pub struct Journal<'a> {
    sink: &'a mut dyn FnMut(&Stamped),
    seq: u64,
    started: Instant,
    left: Vec<Leftover>,
}

impl<'a> Journal<'a> {
    /// Time counts from now.
    pub fn new(sink: &'a mut dyn FnMut(&Stamped)) -> Self {
        Self { sink, seq: 0, started: Instant::now(), left: Vec::new() }
    }

    /// Puts an event into the order.
    pub fn say(&mut self, event: Event) {
        if let Event::Reconciled { left, .. } = &event {
            self.left.extend(left.iter().cloned());
        }
        (self.sink)(&Stamped { seq: self.seq, at: self.started.elapsed().as_secs_f64(), event });
        self.seq += 1;
    }

    /// What steps said that they left behind.
    pub fn left(&self) -> &[Leftover] {
        &self.left
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
