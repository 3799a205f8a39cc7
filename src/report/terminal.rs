//! The terminal's one owner while a run lasts: draws the [`Board`] with indicatif.
//!
//! Lives in the feed's thread and may block there (Ctrl-S). Invariant: finished lines are written in one piece a tick, not one by
//! one (33 bytes a line against 964, measured), and the running lines never flicker through them.

use std::io;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::Stamped;
use crate::report::board::Board;
use crate::report::feed::Screen;
use crate::report::style::Text;

/// Finished lines that are written together at most.
const BATCH: usize = 200;

/// Where it draws: size, and how finished lines are written while the running ones are out of the way.
pub(super) trait Surface: Send + 'static {
    /// Columns and rows, now.
    fn size(&self) -> (usize, usize);
    /// Writes whole lines.
    fn write(&self, text: &str) -> io::Result<()>;
    /// For indicatif.
    fn target(&self) -> ProgressDrawTarget;
}

/// The real one.
pub(super) struct Stdout(console::Term);

impl Stdout {
    pub(super) fn new() -> Self {
        Self(console::Term::stdout())
    }
}

impl Surface for Stdout {
    fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.0.size_checked().unwrap_or((24, 80));
        (usize::from(columns).max(20), usize::from(rows).max(2))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        use io::Write as _;
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn target(&self) -> ProgressDrawTarget {
        // Bars change at our ticks only, all of them together; the limit must not swallow the last of a tick.
        ProgressDrawTarget::term(self.0.clone(), 60)
    }
}

pub(super) struct Terminal<S> {
    surface: S,
    colour: bool,
    board: Board,
    bars: MultiProgress,
    shown: Vec<ProgressBar>,
    /// Finished lines that are not written yet.
    waiting: Vec<Text>,
    /// The run's clock at the last event, and when that was.
    clock: (f64, Instant),
}

impl<S: Surface> Terminal<S> {
    pub(super) fn new(surface: S, colour: bool) -> Self {
        let bars = MultiProgress::with_draw_target(surface.target());
        Self { surface, colour, board: Board::default(), bars, shown: Vec::new(), waiting: Vec::new(), clock: (0.0, Instant::now()) }
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        for lines in self.waiting.chunks(BATCH) {
            let text: String = lines.iter().map(|line| line.render(self.colour) + "\n").collect();
            self.bars.suspend(|| self.surface.write(&text))?;
        }
        self.waiting.clear();
        Ok(())
    }

    fn draw(&mut self) -> io::Result<()> {
        let (columns, rows) = self.surface.size();
        let now = self.clock.0 + self.clock.1.elapsed().as_secs_f64();
        let lines = self.board.running(now, columns, rows);
        while self.shown.len() > lines.len() {
            if let Some(bar) = self.shown.pop() {
                bar.finish_and_clear();
                self.bars.remove(&bar);
            }
        }
        self.write_waiting()?;
        for (at, line) in lines.iter().enumerate() {
            if at == self.shown.len() {
                let style = ProgressStyle::with_template("{msg}").expect("a constant template");
                self.shown.push(self.bars.add(ProgressBar::new_spinner().with_style(style)));
            }
            self.shown[at].set_message(line.render(self.colour));
        }
        Ok(())
    }
}

impl<S: Surface> Screen for Terminal<S> {
    fn show(&mut self, events: &[Stamped]) -> io::Result<()> {
        let (columns, _) = self.surface.size();
        for event in events {
            self.clock = (event.at, Instant::now());
            self.waiting.extend(self.board.apply(event, columns));
            if self.waiting.len() >= BATCH {
                self.write_waiting()?;
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        self.draw()
    }

    fn close(&mut self) -> io::Result<()> {
        self.draw()?;
        self.bars.clear()
    }
}
