//! Writing to stdout and stderr: data to stdout, words to stderr, a broken pipe ends quietly.
//!
//! Invariant: no command prints by another way, except a running reporter, which owns the terminal while it lives.

use std::io::Write as _;

use crate::cli::args::ColorChoice;
use crate::cli::failure::Failure;
use crate::cli::world::World;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Colour on stdout.
    pub colour: bool,
    /// Colour on stderr.
    pub colour_err: bool,
    /// Columns to fit into.
    pub width: usize,
}

impl Output {
    /// By the wish, the terminal, and `NO_COLOR`, `CLICOLOR_FORCE`, `TERM`, `COLUMNS`.
    pub fn new(choice: ColorChoice, world: &World) -> Self {
        let auto = |tty: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                world.var("NO_COLOR").is_none()
                    && (world.var("CLICOLOR_FORCE").is_some_and(|v| v != "0") || (tty && world.var("TERM").is_none_or(|t| t != "dumb")))
            }
        };
        let columns = if world.stdout_tty { console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns)) } else { None };
        let width = columns.or_else(|| world.var("COLUMNS")?.parse().ok()).unwrap_or(100).clamp(40, 400);
        Self { colour: auto(world.stdout_tty), colour_err: auto(world.stderr_tty), width }
    }

    /// Data, on stdout.
    ///
    /// # Errors
    /// [`Failure::BrokenPipe`] when nobody reads any more.
    pub fn data(self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::failed(format!("stdout cannot be written: {error}")),
        })
    }

    /// JSON, on stdout, pretty.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub fn json(self, value: &impl serde::Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value).map_err(|e| Failure::failed(format!("cannot be written as JSON: {e}")))?;
        text.push('\n');
        self.data(&text)
    }

    /// Words, on stderr; whether anybody reads them does not matter.
    pub fn say(self, text: &str) {
        drop(std::io::stderr().lock().write_all(text.as_bytes()));
    }

    /// Problems with their carets, on stderr.
    pub fn problems(self, problems: &crate::model::problem::Problems) {
        self.say(&crate::report::problems::render(problems, self.colour_err, self.width));
    }

    /// A warning, on stderr.
    pub fn warn(self, message: &str) {
        let (yellow, off) = if self.colour_err { ("\x1b[1;33m", "\x1b[0m") } else { ("", "") };
        self.say(&format!("{yellow}warning{off}: {message}\n"));
    }
}
