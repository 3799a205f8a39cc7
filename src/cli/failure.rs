//! [`Failure`]: every way in which a command ends other than well; message, help and exit code in one place.
//!
//! Walks error chains and renders problems; nobody else prints an error. Invariant: what was changed already, if anything,
//! stands in the first line.

use std::fmt::Write as _;

use crate::model::problem::Problems;
use crate::ports::AwsError;
use crate::report::problems;

/// Exit codes, as the documentation and `--help` list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// A stage, step or gate failed.
    Failed,
    /// There is work; only with `--check` or `--detailed-exitcode`.
    Work,
    /// Something is left behind, listed.
    Left,
    /// Wrong usage.
    Usage,
    /// The pipeline or an input is wrong; nothing touched.
    Data,
    /// A tool or service is missing or outside its constraint; nothing touched.
    Unavailable,
    /// Another run holds the lock.
    Held,
    /// Interrupted and cleaned up.
    Interrupted {
        /// SIGTERM or SIGHUP rather than SIGINT.
        terminated: bool,
    },
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Work => 2,
            Self::Left => 4,
            Self::Usage => 64,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Held => 75,
            Self::Interrupted { terminated: false } => 130,
            Self::Interrupted { terminated: true } => 143,
        }
    }
}

/// Why a command ended.
#[derive(Debug)]
pub enum Failure {
    /// Problems in files, with carets.
    Problems(Problems),
    /// One message.
    Message {
        /// Exit code.
        exit: Exit,
        /// Lowercase fragment, no final period.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// Everything was said already.
    Said(Exit),
    /// The reader of our output went away; nothing is said.
    BrokenPipe,
}

impl Failure {
    /// A message with its exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Message { exit, message: message.into(), help: None }
    }

    /// The pipeline, an input or a saved plan is wrong.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Exit::Data, message)
    }

    /// Wrong usage.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A tool or service is missing.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unavailable, message)
    }

    /// Something went wrong while working.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// An error with its chain, as one message.
    pub fn chain(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            write!(message, ": {next}").expect("writing to a String cannot fail");
            cause = next.source();
        }
        Self::Message { exit, message, help: None }
    }

    /// Its message, the first line of it.
    pub fn first_line(&self) -> String {
        match self {
            Self::Message { message, .. } => message.lines().next().unwrap_or_default().to_owned(),
            Self::Problems(_) | Self::Said(_) | Self::BrokenPipe => String::new(),
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Message { exit, message, .. } => Self::Message { exit, message, help: Some(text.into()) },
            other => other,
        }
    }

    /// Exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Problems(_) => Exit::Data,
            Self::Message { exit, .. } | Self::Said(exit) => *exit,
            Self::BrokenPipe => Exit::Done,
        }
    }

    /// What a person reads on stderr; empty when everything was said.
    pub fn render(&self, colour: bool, width: usize) -> String {
        match self {
            Self::Problems(all) => problems::render(all, colour, width),
            Self::Message { message, help, .. } => {
                let (red, bold, off) = if colour { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
                let mut text = format!("{red}error{off}{bold}: {message}{off}\n");
                if let Some(help) = help {
                    for (at, line) in help.lines().enumerate() {
                        let head = if at == 0 { "  help: " } else { "        " };
                        writeln!(text, "{head}{line}").expect("writing to a String cannot fail");
                    }
                }
                text
            }
            Self::Said(_) | Self::BrokenPipe => String::new(),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

impl From<AwsError> for Failure {
    /// A look-up that failed: nothing was decided on it.
    fn from(error: AwsError) -> Self {
        let mut message = match &error.changed {
            Some(changed) => format!("{changed}; then {error}"),
            None => error.to_string(),
        };
        if let Some(id) = &error.request_id {
            write!(message, " (request {id})").expect("writing to a String cannot fail");
        }
        let help = crate::aws::errors::help(&error);
        Self::Message { exit: Exit::Unavailable, message, help }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::BrokenPipe } else { Self::chain(Exit::Failed, &error) }
    }
}
