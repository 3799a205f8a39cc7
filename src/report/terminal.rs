//! The terminal's one owner while a run lasts: draws the [`Board`] with indicatif.
//!
//! Lives in the feed's thread and may block there (Ctrl-S). Invariant: finished lines are written in one piece a tick, not one by
//! one (33 bytes a line against 964, measured), and the running lines never flicker through them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::event::Stamped;
use crate::report::board::Board;
use crate::report::feed::Screen;
use crate::report::style::{Text, width};

/// Finished lines that are written together at most.
const BATCH: usize = 200;

/// Where it draws: size, and how finished lines are written while the running ones are out of the way.
pub(super) trait Surface: Send + 'static {
    /// Columns and rows, now.
    fn size(&self) -> (usize, usize);
    /// Writes whole lines.
    fn write(&self, text: &str) -> io::Result<()>;
    /// For indicatif.
    fn device(&self) -> Box<dyn TermLike>;
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

    fn device(&self) -> Box<dyn TermLike> {
        Box::new(self.0.clone())
    }
}

/// Ends each running line by itself. indicatif fills a line with spaces up to the edge and lets the terminal wrap to the next one;
/// to the terminal all of them are then one long line, and it folds that anew whenever its width changes.
#[derive(Debug)]
struct EachLine {
    device: Box<dyn TermLike>,
    /// A line stands there that has not got its end: the last one must not, or the screen scrolls.
    open: AtomicBool,
}

impl EachLine {
    fn moved(&self) -> &dyn TermLike {
        self.open.store(false, Ordering::Relaxed);
        &*self.device
    }
}

impl TermLike for EachLine {
    fn width(&self) -> u16 {
        self.device.width()
    }
    fn height(&self) -> u16 {
        self.device.height()
    }
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.moved().move_cursor_up(n)
    }
    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.moved().move_cursor_down(n)
    }
    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.moved().move_cursor_right(n)
    }
    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.moved().move_cursor_left(n)
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.moved().write_line(text)
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        // The filling up to the edge: no line of the board is blank, and none reaches the edge.
        if text.bytes().all(|b| b == b' ') {
            self.open.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if self.open.swap(false, Ordering::Relaxed) {
            self.device.write_str("\n")?;
        }
        self.device.write_str(text)
    }
    fn clear_line(&self) -> io::Result<()> {
        self.moved().clear_line()
    }
    fn flush(&self) -> io::Result<()> {
        self.device.flush()
    }
}

pub(super) struct Terminal<S> {
    surface: S,
    colour: bool,
    board: Board,
    bars: MultiProgress,
    shown: Vec<ProgressBar>,
    /// What stands on those lines, and the columns that there were then.
    drawn: (Vec<String>, usize),
    /// Finished lines that are not written yet.
    waiting: Vec<Text>,
    /// The run's clock at the last event, and when that was.
    clock: (f64, Instant),
}

impl<S: Surface> Terminal<S> {
    pub(super) fn new(surface: S, colour: bool) -> Self {
        let device = EachLine { device: surface.device(), open: AtomicBool::new(false) };
        // Bars change at our ticks only, all of them together; the limit must not swallow the last of a tick.
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(Box::new(device), 60));
        let (shown, waiting, drawn) = (Vec::new(), Vec::new(), (Vec::new(), 0));
        Self { surface, colour, board: Board::default(), bars, shown, drawn, waiting, clock: (0.0, Instant::now()) }
    }

    /// A terminal that became narrower has folded the running lines: they take more rows than indicatif will go back. Takes them
    /// away, and leaves the cursor where as many rows as it drew would end. A terminal that cuts instead of folding (xterm) loses
    /// that many finished lines; the summary tells them again.
    fn unfold(&mut self) -> io::Result<()> {
        let (columns, _) = self.surface.size();
        let (lines, then) = &self.drawn;
        if columns < *then && !lines.is_empty() {
            let up: usize = lines.iter().map(|line| rows(line, columns)).sum::<usize>() - 1;
            let up = if up > 0 { format!("\x1b[{up}A") } else { String::new() };
            self.surface.write(&format!("\r{up}\x1b[J{}", "\n".repeat(lines.len() - 1)))?;
            self.drawn.1 = columns;
            self.drawn.0.fill(String::new());
        }
        Ok(())
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        self.unfold()?;
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
        self.unfold()?;
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
        self.drawn = (lines.iter().map(|line| line.render(false)).collect(), columns);
        Ok(())
    }
}

/// Rows that a line takes where it is folded; a wide character is not cut in two.
fn rows(line: &str, columns: usize) -> usize {
    let (mut rows, mut at) = (1, 0);
    for c in line.chars() {
        let wide = width(c.encode_utf8(&mut [0; 4]));
        if at + wide > columns {
            (rows, at) = (rows + 1, 0);
        }
        at += wide;
    }
    rows
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
