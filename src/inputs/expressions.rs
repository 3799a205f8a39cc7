//! What an expression of Jinja does without naming a file: tests and filters that look at this machine, look-up functions that are
//! handed on, names that a template gives to values of its own.
//!
//! Text in, findings out; evaluates nothing. Invariant: a name that a statement binds is never taken for the variable of that name.

use std::collections::BTreeSet;

use super::jinja::{balanced, quoted, short_of, split, start_of};

/// Tests that look at this machine's files, and filters that do.
const FILE_TESTS: &[&str] = &[
    "abs_file",
    "directory",
    "exists",
    "file",
    "is_dir",
    "is_file",
    "is_link",
    "is_mount",
    "is_same_file",
    "link",
    "link_exists",
    "mount",
    "same_file",
    "vaulted_file",
];
const FILE_FILTERS: &[&str] = &["expandvars", "fileglob", "realpath"];

fn part_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Places of `word` where it stands as a name of its own: what is before, what is behind, and the 0-based line.
fn standing<'t>(text: &'t str, word: &'static str) -> impl Iterator<Item = (&'t str, &'t str, usize)> {
    super::jinja::places(text, word).filter_map(move |at| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let apart = !before.ends_with(|c| part_of_name(c) || c == '.') && !after.starts_with(part_of_name);
        apart.then(|| (before, after, before.matches('\n').count()))
    })
}

/// May a text have anything that one of the searches here or in [`super::jinja`] looks for: a statement, a filter, a test, a look-up.
/// By one pass over its bytes: most texts are a variable or two, and to search each for twenty words is most of reading a task.
pub(super) fn may_do_anything(text: &str) -> bool {
    let mut before = [0_u8; 2];
    for byte in text.bytes() {
        // `{%`, `|`, `is`, `look`, `query`, `q`, `)(`, `](`, `#jinja2:`.
        let found = match byte {
            b'|' | b'q' | b'#' => true,
            b'%' => before[1] == b'{',
            b's' => before[1] == b'i',
            b'k' => before == *b"oo",
            b'(' => matches!(before[1], b')' | b']'),
            _ => false,
        };
        if found {
            return true;
        }
        before = [before[1], byte];
    }
    false
}

/// The name that a text begins with, without the prefix that means the same as none.
fn leading(text: &str) -> &str {
    let text = text.trim_start();
    // Byte by byte as long as it goes: every filter of every template is met here.
    let plain = text.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))).unwrap_or(text.len());
    let end = match text.as_bytes().get(plain) {
        Some(byte) if !byte.is_ascii() => text.find(|c: char| !part_of_name(c) && c != '.').unwrap_or(text.len()),
        Some(_) | None => plain,
    };
    short_of(&text[..end])
}

/// A filter or test of Ansible's own that looks at files (`x | fileglob`, `x is exists`, `select('exists')`), with the 0-based line.
pub(super) fn asks_for_files(text: &str) -> Option<(&'static str, usize)> {
    let find = |names: &'static [&'static str], word: &str| names.iter().find(|name| **name == word).copied();
    let mut by_name = false;
    for at in super::jinja::places(text, "|") {
        let filter = leading(&text[at + 1..]);
        if let Some(name) = find(FILE_FILTERS, filter) {
            return Some((name, text[..at].matches('\n').count()));
        }
        by_name |= ["select", "reject", "map"].iter().any(|word| filter.starts_with(word));
    }
    for (_, after, line) in standing(text, "is") {
        let after = after.trim_start();
        let after = after.strip_prefix("not").filter(|rest| !rest.starts_with(part_of_name)).unwrap_or(after);
        if let Some(name) = find(FILE_TESTS, leading(after)) {
            return Some((name, line));
        }
    }
    if !by_name {
        return None;
    }
    // By their names as texts: the first argument of these, the second where the first is an attribute.
    for (filter, place, names) in [
        ("select", 0, FILE_TESTS),
        ("reject", 0, FILE_TESTS),
        ("selectattr", 1, FILE_TESTS),
        ("rejectattr", 1, FILE_TESTS),
        ("map", 0, FILE_FILTERS),
    ] {
        for (before, after, line) in standing(text, filter) {
            let Some(inside) = after.trim_start().strip_prefix('(').and_then(|rest| balanced(start_of(rest))) else { continue };
            if !before.trim_end().ends_with('|') {
                continue;
            }
            let Some(argument) = split(inside, ",").get(place).map(|argument| argument.trim()).filter(|argument| !argument.is_empty())
            else {
                continue;
            };
            let asking = match quoted(argument) {
                Some(name) => find(names, short_of(name)),
                None => (!argument.contains('=')).then_some(filter),
            };
            if let Some(name) = asking {
                return Some((name, line));
            }
        }
    }
    None
}

/// The line of a look-up function that is handed on instead of called (`{% set f = lookup %}`, `(lookup if x else query)(…)`).
pub(super) fn renamed(text: &str) -> Option<usize> {
    // Without braces it is an expression only where somebody calls what is no name; else it is prose.
    let calls_anything = text.contains(")(") || text.contains("](");
    for name in ["lookup", "query", "q"] {
        for (before, after, line) in standing(text, name) {
            let latest = |one: &str, other: &str| before.rfind(one).max(before.rfind(other));
            if !(latest("{{", "{%") > latest("}}", "%}") || calls_anything && latest("{{", "{%").is_none()) {
                continue;
            }
            let (before, after) = (before.trim_end(), after.trim_start());
            let behind =
                |words: &[&str]| words.iter().any(|word| before.strip_suffix(word).is_some_and(|rest| !rest.ends_with(part_of_name)));
            let follows = |words: &[&str]| words.contains(&leading(after));
            let from = before.ends_with(['=', '(', '[', ',', ':']) || behind(&["if", "else", "and", "or", "not", "in"]);
            let to = after.starts_with(['%', '}', ')', ']', ',', '|']) || follows(&["if", "else", "and", "or"]);
            if from && to {
                return Some(line);
            }
        }
    }
    None
}

/// Names that the statements of a template bind: what they stand for is not the variable of that name.
pub(super) fn bound(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut bind = |text: &str| {
        for part in text.split([',', '(', ')']) {
            let part = part.split('=').next().unwrap_or(part);
            let part = part.rsplit(" as ").next().unwrap_or(part).trim();
            let name = part.split('.').next().unwrap_or(part).trim_start_matches('*');
            if !name.is_empty() && name.chars().all(part_of_name) {
                names.insert(name.to_owned());
            }
        }
    };
    for at in super::jinja::places(text, "{%") {
        let statement = text[at + 2..].trim_start_matches(['-', '+']).trim_start();
        let statement = start_of(statement).split("%}").next().unwrap_or_default();
        let (word, rest) = statement.split_at(statement.find(|c: char| !part_of_name(c)).unwrap_or(statement.len()));
        match word {
            "set" => bind(rest.split('=').next().unwrap_or(rest).split('|').next().unwrap_or_default()),
            "for" => {
                bind(rest.split(" in ").next().unwrap_or_default());
                bind("loop");
            }
            "macro" | "call" => {
                // Defaults are taken for names too, which binds more.
                bind(rest);
                bind("varargs,kwargs,caller");
            }
            "with" => split(rest, ",").into_iter().for_each(&mut bind),
            "import" => bind(rest.rsplit(" as ").next().unwrap_or_default()),
            "from" => bind(rest.split_once("import").map_or("", |(_, names)| names)),
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_that_may_do_nothing_does_nothing(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{{ ", " }}", "x", "_", ".", " ", "\n", "lookup", "look", "query", "q", "(", ")", "[", "]", "'a'", "is", "i", "s", " not ", "exists", "|", "%", "{%", "%}",
                    "include", "set a = ", "select", "map", "#jinja2:", "a.b.c", "os", "disk", ",",
                ]),
                0..8,
            )
        ) {
            use crate::inputs::jinja;
            let text = parts.concat();
            if !may_do_anything(&text) {
                prop_assert!(!text.starts_with("#jinja2:") && bound(&text).is_empty() && jinja::included(&text).is_empty());
                prop_assert!(jinja::calls(&text).is_empty() && jinja::qualified(&text).is_empty());
                prop_assert_eq!((asks_for_files(&text), renamed(&text)), (None, None));
            }
        }
    }

    #[test]
    fn what_looks_at_files_is_seen_in_every_spelling() {
        for text in [
            "x is exists",
            "(x)is not directory",
            "x\nis\nnot ansible.builtin.file",
            "x is vaulted_file",
            "y | fileglob",
            "y|realpath",
            "a | select('exists')",
            "a | rejectattr('path', \"is_link\")",
            "a | map( 'realpath' )",
            "a | select(name)",
        ] {
            assert!(asks_for_files(text).is_some(), "{text}");
        }
        for text in ["this is it", "x is defined", "a | select('defined')", "a | map(attribute='file')", "a | map('basename')", "select(x)"]
        {
            assert_eq!(asks_for_files(text), None, "{text}");
        }
    }

    #[test]
    fn a_function_that_is_handed_on_is_seen_and_a_variable_is_not() {
        for text in [
            "{% set f = lookup %}",
            "{{ (lookup if x else q)('file', 'a') }}",
            "(x and lookup)('file')",
            "[query][0]('file', 'a')",
            "{{ [lookup] }}",
        ] {
            assert!(renamed(text).is_some(), "{text}");
        }
        for text in ["{{ lookup('file', 'a') }}", "{{ q.name }}", "the (lookup) of it", "{{ x['query'] }}", "{{ query }}"] {
            assert_eq!(renamed(text), None, "{text}");
        }
    }

    #[test]
    fn every_statement_that_binds_is_known() {
        let text = "{% set a, b = x %}{%- for (c, d) in y %}{% macro m(e, f='z') %}{% with g = 1, h = i %}{% import 'x' as j %}\
                    {% from 'x' import k as l, n %}{% call(o) m() %}{% set p %}{% set ns.q = 1 %}{{ r }}";
        let bound = bound(text);
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "j", "l", "n", "o", "p", "ns", "loop"] {
            assert!(bound.contains(name), "{name}");
        }
        assert!(!bound.contains("r") && !bound.contains("x") && !bound.contains("k"));
    }
}
