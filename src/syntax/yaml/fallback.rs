//! The second parser: libyaml, which Ansible itself uses, as a port that may panic.
//!
//! Invariant: a panic of it is an answer like any other, and nobody reads of it.

use std::sync::Arc;

use super::{Builder, Node, Refusal, Step, YamlError};

/// What libyaml makes of a text; the outer error: it panicked.
pub(super) fn parse(text: &str) -> std::thread::Result<Result<Vec<Arc<Node>>, Refusal>> {
    quietly(|| with_libyaml(text))
}

/// [`std::panic::catch_unwind`], without the panic's message on somebody's terminal: it is an answer here, no fault.
fn quietly<T>(run: impl FnOnce() -> T + std::panic::UnwindSafe) -> std::thread::Result<T> {
    thread_local! {
        static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                told(panic);
            }
        }));
    });
    QUIET.set(true);
    let result = std::panic::catch_unwind(run);
    QUIET.set(false);
    result
}

fn with_libyaml(text: &str) -> Result<Vec<Arc<Node>>, Refusal> {
    use libyaml_safer::{EventData, ScalarStyle as Style};
    let mut bytes = text.as_bytes();
    let mut parser = libyaml_safer::Parser::new();
    parser.set_input_string(&mut bytes);
    let mut builder = Builder::default();
    loop {
        let event = parser.parse().map_err(|error| {
            let line = error.problem_mark().map_or(1, |mark| line_of(mark.line));
            Refusal::Syntax(YamlError { message: error.problem().to_owned(), line })
        })?;
        let line = line_of(event.start_mark.line);
        match event.data {
            EventData::Scalar { anchor, tag, value, style, .. } => {
                builder.step(Step::Scalar { text: value.into(), plain: style == Style::Plain }, anchor, tag, line, 0..0)?;
            }
            EventData::SequenceStart { anchor, tag, .. } => builder.step(Step::Open { mapping: false }, anchor, tag, line, 0..0)?,
            EventData::MappingStart { anchor, tag, .. } => builder.step(Step::Open { mapping: true }, anchor, tag, line, 0..0)?,
            EventData::SequenceEnd | EventData::MappingEnd => builder.step(Step::Close, None, None, line, 0..0)?,
            EventData::Alias { anchor } => builder.step(Step::Alias(anchor), None, None, line, 0..0)?,
            EventData::DocumentEnd { .. } => builder.step(Step::EndOfDocument, None, None, line, 0..0)?,
            EventData::StreamEnd => return Ok(builder.documents),
            EventData::StreamStart { .. } | EventData::DocumentStart { .. } => {}
        }
    }
}

fn line_of(zero_based: u64) -> usize {
    usize::try_from(zero_based).unwrap_or(usize::MAX).saturating_add(1)
}
