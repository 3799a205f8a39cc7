//! [`Problem`]: something wrong in a file, with the place; [`Problems`]: all that was found at once.
//!
//! Rendering (carets, colour) is `cli/`'s and `report/`'s. Invariant: a span is a byte range inside its [`SourceText`].

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A file that was read, kept for carets. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// As shown to people: relative to the root where it lies inside.
    pub path: PathBuf,
    /// The text that spans point into.
    pub text: String,
}

impl SourceText {
    /// 1-based line and column (in characters) of a byte offset.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        // Every line of a template is asked for, for each stage that has it.
        let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub source: Arc<SourceText>,
    /// Byte range in it.
    pub span: Range<usize>,
    /// What is said under the caret; may be empty.
    pub label: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth saying, nothing is refused.
    Warning,
    /// Refused, exit 65.
    Error,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// One lowercase line without a final period.
    pub summary: String,
    /// Where; the first is the main one. Empty only where a file cannot be read at all (then the summary names it).
    pub places: Vec<Place>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// An error without a place yet.
    pub fn error(summary: impl Into<String>) -> Self {
        Self { severity: Severity::Error, summary: summary.into(), places: Vec::new(), help: None }
    }

    /// A warning without a place yet.
    pub fn warning(summary: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, summary: summary.into(), places: Vec::new(), help: None }
    }

    /// Adds a place.
    #[must_use]
    pub fn at(mut self, source: &Arc<SourceText>, span: Range<usize>, label: impl Into<String>) -> Self {
        self.places.push(Place { source: Arc::clone(source), span, label: label.into() });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All that was found. As an error it holds at least one [`Severity::Error`].
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{} found", count(.0.len()))]
pub struct Problems(pub Vec<Problem>);

fn count(n: usize) -> String {
    if n == 1 { "1 problem".to_owned() } else { format!("{n} problems") }
}

impl Problems {
    /// Remembers one more.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Is there an error among them.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|p| p.severity == Severity::Error)
    }
}
