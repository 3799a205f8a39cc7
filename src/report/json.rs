//! One event a line, for programs. What [`crate::event`] says is the format.
//!
//! Invariant: each line is a whole JSON object with `seq`, `at` and `event`; facts are never left out, lines of output may be, and
//! then the next `lines_received` of the step counts them.

use std::io::{self, Write};

use crate::event::Stamped;
use crate::report::feed::Screen;

pub(super) struct Json<W>(pub(super) W);

impl<W: Write + Send + 'static> Screen for Json<W> {
    fn show(&mut self, events: &[Stamped]) -> io::Result<()> {
        let mut text = Vec::new();
        for event in events {
            serde_json::to_writer(&mut text, event)?;
            text.push(b'\n');
        }
        self.0.write_all(&text)?;
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Sink, failing_run};

    #[test]
    fn what_is_written_reads_back_as_the_same_run() {
        let run = failing_run();
        let sink = Sink::default();
        Json(sink.clone()).show(&run).expect("memory");
        let back: Vec<Stamped> = sink.text().lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
        assert_eq!(back, run);
    }
}
