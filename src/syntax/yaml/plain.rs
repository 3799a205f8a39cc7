//! The first parser: block lists and mappings of scalars that stand on one line each, which is nearly all that people write.
//!
//! A twentieth of a YAML parser, for a twentieth of its time: a plan reads thousands of such files. Must not guess: whatever is not
//! surely of that form (anchors, tags, blocks of text, flow collections, several lines, tabs, anything but ASCII, anything wrong)
//! makes it say nothing, and the whole text goes to a real parser. Invariant: what it says is what that parser would say, node by node.

use std::sync::Arc;

use super::{Builder, Node, Step};

/// Longer texts are left to the real parser, as are longer lines and deeper nesting: limits are its business.
const MAX_TEXT: usize = 256 * 1024;
const MAX_LINE: usize = 512;
const MAX_DEPTH: usize = 32;

/// What `text` holds, or nothing.
pub(super) fn parse(text: &str) -> Option<Vec<Arc<Node>>> {
    let usual = |byte: &u8| matches!(byte, b'\n' | b' '..=b'~');
    if text.len() > MAX_TEXT || !text.as_bytes().iter().all(usual) {
        return None;
    }
    let mut reading = Reading { text, builder: Builder::default(), open: Vec::new(), waiting: None };
    let (mut at, mut line, mut begun) = (0, 0, false);
    for content in text.split('\n') {
        line += 1;
        let start = at;
        at += content.len() + 1;
        let trimmed = content.trim_ascii_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if content.len() > MAX_LINE || content.starts_with("...") {
            return None;
        }
        if content.starts_with("---") {
            if content != "---" || begun || !reading.is_fresh() {
                return None;
            }
            begun = true;
            continue;
        }
        let indent = content.len() - trimmed.len();
        reading.line(Place { at: start + indent, column: indent, line, end: start + content.len() })?;
    }
    if reading.is_fresh() {
        return (!begun).then(Vec::new);
    }
    reading.close_below(0)?;
    Some(reading.builder.documents)
}

/// Where something stands; `end`: of its line.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: usize,
    column: usize,
    line: usize,
    end: usize,
}

/// A list or a mapping that goes on, by the column of its entries.
#[derive(Debug, Clone, Copy)]
struct Level {
    column: usize,
    mapping: bool,
}

struct Reading<'t> {
    text: &'t str,
    builder: Builder,
    open: Vec<Level>,
    /// A key or a dash has nothing behind it on its line; what it stands for follows.
    waiting: Option<Level>,
}

impl<'t> Reading<'t> {
    fn is_fresh(&self) -> bool {
        self.open.is_empty() && self.builder.documents.is_empty()
    }

    fn rest(&self, place: Place) -> &'t str {
        &self.text[place.at..place.end]
    }

    fn step(&mut self, step: Step, line: usize, span: std::ops::Range<usize>) -> Option<()> {
        self.builder.step(step, None, None, line, span).ok()
    }

    /// A line that is no comment.
    fn line(&mut self, place: Place) -> Option<()> {
        let dash = is_dash(self.rest(place));
        if let Some(level) = self.waiting.take() {
            // The list of a key may stand in the key's own column.
            if place.column > level.column || place.column == level.column && level.mapping && dash {
                return self.node(place);
            }
            return None;
        }
        if self.open.is_empty() {
            return if self.is_fresh() { self.node(place) } else { None };
        }
        self.close_below(place.column + 1)?;
        let top = *self.open.last()?;
        if top.column == place.column && !top.mapping && !dash {
            self.close()?;
        }
        let top = *self.open.last()?;
        if top.column != place.column || top.mapping == dash {
            return None;
        }
        self.entry(place)
    }

    /// A list or a mapping begins.
    fn node(&mut self, place: Place) -> Option<()> {
        let mapping = !is_dash(self.rest(place));
        if self.open.len() >= MAX_DEPTH {
            return None;
        }
        if mapping {
            key_end(self.rest(place))?;
        }
        self.step(Step::Open { mapping }, place.line, 0..0)?;
        self.open.push(Level { column: place.column, mapping });
        self.entry(place)
    }

    /// An entry of the innermost list or mapping.
    fn entry(&mut self, place: Place) -> Option<()> {
        let rest = self.rest(place);
        let level = *self.open.last()?;
        let used = if level.mapping {
            let end = key_end(rest)?;
            self.step(scalar(&rest[..end]), place.line, place.at..place.at + end)?;
            end + 1
        } else {
            1
        };
        let blanks = rest[used..].len() - rest[used..].trim_ascii_start().len();
        let value = Place { at: place.at + used + blanks, column: place.column + used + blanks, ..place };
        let text = self.rest(value);
        if text.is_empty() || text.starts_with('#') {
            self.waiting = Some(level);
            return Some(());
        }
        if !level.mapping && (is_dash(text) || key_end(text).is_some()) {
            return self.node(value);
        }
        self.value(value)
    }

    /// A scalar behind a key or a dash, or a collection of nothing.
    fn value(&mut self, place: Place) -> Option<()> {
        let rest = self.rest(place);
        let bytes = rest.as_bytes();
        let quote = bytes[0];
        let (length, step) = match quote {
            b'"' | b'\'' => {
                let inside = memchr::memchr(quote, &bytes[1..])?;
                let text = &rest[1..=inside];
                if quote == b'"' && text.contains('\\') || bytes.get(inside + 2) == Some(&quote) {
                    return None;
                }
                (inside + 2, Step::Scalar { text: text.into(), plain: false })
            }
            b'[' | b'{' => {
                if !(rest.starts_with("[]") || rest.starts_with("{}")) {
                    return None;
                }
                (2, Step::Open { mapping: quote == b'{' })
            }
            _ => {
                let end = memchr::memmem::find(bytes, b" #").unwrap_or(bytes.len());
                let text = rest[..end].trim_ascii_end();
                if !begins_plainly(text) || text.ends_with(':') || memchr::memmem::find(text.as_bytes(), b": ").is_some() {
                    return None;
                }
                (text.len(), scalar(text))
            }
        };
        let behind = &rest[length..];
        let comment = behind.trim_ascii_start();
        if !(comment.is_empty() || comment.starts_with('#') && comment.len() < behind.len()) {
            return None;
        }
        let empty = matches!(step, Step::Open { .. });
        let span = if empty { 0..0 } else { place.at..place.at + length };
        self.step(step, place.line, span)?;
        if empty { self.step(Step::Close, place.line, 0..0) } else { Some(()) }
    }

    fn close(&mut self) -> Option<()> {
        self.open.pop()?;
        self.step(Step::Close, 0, 0..0)
    }

    /// Closes what stands in `column` or to the right of it.
    fn close_below(&mut self, column: usize) -> Option<()> {
        if self.waiting.is_some() {
            return None;
        }
        while self.open.last().is_some_and(|level| level.column >= column) {
            self.close()?;
        }
        Some(())
    }
}

fn scalar(text: &str) -> Step {
    Step::Scalar { text: text.into(), plain: true }
}

fn is_dash(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// May a text without quotes begin so: with what has no meaning of its own at the beginning.
fn begins_plainly(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || matches!(first, b'_' | b'/' | b'.' | b'$' | b'(' | b'+' | b'~' | b'=' | b'^'))
}

/// Offset of the colon behind a key without quotes.
fn key_end(text: &str) -> Option<usize> {
    if !begins_plainly(text) {
        return None;
    }
    let bytes = text.as_bytes();
    let end = memchr::memchr_iter(b':', bytes).find(|at| matches!(bytes.get(at + 1), None | Some(b' ')))?;
    let key = &bytes[..end];
    (!key.ends_with(b" ") && memchr::memmem::find(key, b" #").is_none()).then_some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::syntax::yaml::with_granit;

    /// What it says is what the real parser says; true when it said something.
    fn agrees(text: &str) -> bool {
        let Some(said) = super::parse(text) else { return false };
        let Ok(known) = with_granit(text) else { panic!("the real parser refuses {text:?}, and it said {said:#?}") };
        assert_eq!(said, known, "{text}");
        true
    }

    const TASKS: &str = "---\n# of the role\n- name: Packages of install\n  ansible.builtin.apt:\n    name: \"{{ x }}\"\n    state: present   # always\n\
        \x20 register: x_installed\n\n- name: Parts\n  copy:\n    src: '{{ item }}.conf'\n    mode: \"0644\"\n  loop:\n    - f1\n    - f2\n  when:\n  - a | bool\n\
        \x20 - b == \"Debian\"\n- block:\n    - debug:\n        msg: http://x:80/y, it's {a}\n  rescue: []\n  vars: {}\n  tags: [] # none\n";

    #[test]
    fn what_people_mostly_write_is_read() {
        for text in [
            TASKS,
            "",
            "# nothing\n\n",
            "a: 1",
            "- a\n- b",
            "-   a: b\n    c: d\n-\n  e: f\n- - g\n  - h: ''\n    i: \"\"\n",
            "a:\n- b\n-  c\nd:\n  e: f\n",
        ] {
            assert!(agrees(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_the_real_parser() {
        for text in [
            "a: &b c",
            "a: *b",
            "a: !t b",
            "a: |\n  b",
            "a: >\n  b",
            "a: [b]",
            "a: b\n  c",
            "a:\n  b",
            "- a\n  b",
            "a: b: c",
            "a: b:",
            "a\tb: c",
            "ä: b",
            "a: \"b\\n\"",
            "a: 'it''s'",
            "\"a\": b",
            "? a",
            "a: b\n c: d",
            "a: b\n---\nc: d",
            "a: b\n...",
            "%YAML 1.1\n---\na: b",
            "a",
            "- a\nb: c",
            "a: b\r\n",
            "a: - b",
            "a: \"b\" c",
            "a: \"b",
            "a: \"b\"#c",
            "--- a",
            "-a: b",
            "a: `b`",
            "a: @b",
            "a : b",
            "a: b\n- c",
            "  a: b\nc: d",
            "---\n",
        ] {
            assert!(!agrees(text), "{text:?}");
        }
    }

    #[test]
    fn on_every_file_of_this_repository_both_say_the_same() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let (mut waiting, mut files, mut read) = (vec![root.join("ansible"), root.join("tests"), root.join("examples")], 0, 0);
        while let Some(folder) = waiting.pop() {
            for path in folder.read_dir().into_iter().flatten().map(|entry| entry.unwrap().path()) {
                if path.is_dir() && !path.is_symlink() {
                    waiting.push(path);
                } else if path.extension().is_some_and(|end| end == "yml" || end == "yaml") {
                    let Ok(text) = std::fs::read_to_string(&path) else { continue };
                    files += 1;
                    read += usize::from(agrees(&text));
                }
            }
        }
        assert!(read * 4 > files, "{read} of {files}");
    }

    proptest! {
        #[test]
        fn on_any_text_both_say_the_same(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "\n", "\n", "\n", "\n  ", "\n  ", "\n    ", "\n ", "- ", "- ", "-", "a", "b c", "key", ": ", ": ", ":", ":\n", "#", " # x", "\"", "'", "''", "[]", "{}", "[",
                    "{", "x,y", "|", ">", "&a ", "*a", "!t ", "~", "...", "---", "\n---\n", "?", "? ", "%", "=", "<<", "0", ".", "/p/q", "(", "$", "@", "`", "\\", "\t", "ä", "null", " ",
                ]),
                0..24,
            )
        ) {
            agrees(&parts.concat());
        }

        #[test]
        fn on_what_people_write_with_a_few_changes_both_say_the_same(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0..4_usize, proptest::sample::select(vec!["", " ", "\n", "- ", ":", "#", "'", "\"", "a", "  "])), 0..4)
        ) {
            let mut text = TASKS.to_owned();
            for (at, taken, put) in changes {
                let at = at.index(text.len());
                let end = (at + taken).min(text.len());
                text.replace_range(at..end, put);
            }
            agrees(&text);
        }
    }
}
