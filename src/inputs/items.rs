//! Values that are several: items of loops, alternatives of `first_found`, a text that stands for a list.
//!
//! Invariant: an item that is not known is an error with its reason, never left out.

use std::collections::BTreeSet;

use super::assigned::Variables;
use super::jinja::{self, Piece};
use super::known::{Known, one_line};
use super::reach::Scope;
use super::variables::MAX_DEPTH;

impl Variables {
    /// `lookup('first_found', x)`: every name that it tries; `None`: something else.
    pub(super) fn found_first(&self, text: &str, scope: &Scope, depth: usize) -> Option<Result<Vec<Known>, String>> {
        let [call] = <[jinja::Call; 1]>::try_from(jinja::calls(text)).ok()?;
        if call.plugin.as_deref() != Some("first_found") || !text.ends_with(')') || jinja::split(text, "(").len() != 1 {
            return None;
        }
        let mut names = Vec::new();
        for argument in call.arguments {
            match argument.split_once('=') {
                Some((name, _)) if matches!(name.trim(), "errors" | "skip" | "wantlist") => continue,
                Some((name, _)) if matches!(name.trim(), "files" | "paths") => return None,
                _ => {}
            }
            match self.taken_apart(&Known::Alternatives(Box::new(Known::Text(format!("{{{{ {argument} }}}}")))), scope, depth + 1) {
                Ok(more) => names.extend(more),
                Err(why) => return Some(Err(why)),
            }
        }
        Some(Ok(names))
    }

    pub(super) fn taken_apart(&self, value: &Known, scope: &Scope, depth: usize) -> Result<Vec<Known>, String> {
        if depth > MAX_DEPTH {
            return Err("is made of itself".to_owned());
        }
        match value {
            Known::Each(list) => self.items(list, scope, depth + 1),
            Known::Alternatives(value) => {
                let whole = match &**value {
                    Known::Text(text) => match jinja::pieces(text).as_deref() {
                        Some([Piece::Expression(expression)]) => self.expression(expression, scope, depth + 1)?,
                        _ => vec![Known::Text(text.clone())],
                    },
                    other => vec![other.clone()],
                };
                let mut names = Vec::new();
                for value in whole {
                    let value = self.seen_through(value, scope, depth + 1)?;
                    names.extend(super::task::alternatives(&value)?.into_iter().map(Known::Text));
                }
                Ok(names)
            }
            other => Ok(vec![other.clone()]),
        }
    }

    /// A text that is one whole expression stands for what that gives; where it may be several things, for none.
    pub(super) fn seen_through(&self, value: Known, scope: &Scope, depth: usize) -> Result<Known, String> {
        let Known::Text(text) = &value else { return Ok(value) };
        match jinja::pieces(text).as_deref() {
            Some([Piece::Expression(expression)]) => match <[Known; 1]>::try_from(self.expression(expression, scope, depth + 1)?) {
                Ok([one]) => self.seen_through(one, scope, depth + 1),
                Err(_) => Err(format!("`{expression}` may be several things")),
            },
            _ => Ok(value),
        }
    }

    /// The items of a loop.
    ///
    /// # Errors
    /// Why they cannot be known.
    pub(super) fn items(&self, value: &Known, scope: &Scope, depth: usize) -> Result<Vec<Known>, String> {
        if depth > MAX_DEPTH {
            return Err("is made of itself".to_owned());
        }
        let mut items = Vec::new();
        match value {
            Known::List(list) => {
                for item in list {
                    match item {
                        // `with_items` flattens one level; `loop` does not, and a list as an item has no name in it.
                        Known::List(inner) => items.extend(inner.iter().cloned()),
                        other => items.push(other.clone()),
                    }
                }
            }
            Known::Text(text) => match jinja::pieces(text).as_deref() {
                Some([Piece::Expression(expression)]) => {
                    for value in self.expression(expression, scope, depth + 1)? {
                        match self.seen_through(value, scope, depth + 1)? {
                            Known::Text(text) => items.extend(self.texts(&text, scope, depth + 1)?.into_iter().map(Known::Text)),
                            other => items.extend(self.items(&other, scope, depth + 1)?),
                        }
                    }
                }
                _ if !jinja::templated(text) => items.push(value.clone()),
                _ => return Err(format!("`{}` is not a literal", one_line(text))),
            },
            Known::Map(_) | Known::Counted => items.push(value.clone()),
            Known::Open(why) => return Err(why.clone()),
            Known::Each(_) | Known::Alternatives(_) => return Err("is a loop in a loop".to_owned()),
        }
        Ok(items)
    }

    /// May a text have `..` in it, by itself or by any value that its words have.
    pub(super) fn may_climb(&self, text: &str) -> bool {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![text.to_owned()]);
        while let Some(text) = waiting.pop() {
            if text.contains("..") {
                return true;
            }
            if !text.contains("{{") && !text.contains("{%") {
                continue;
            }
            for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()) {
                if seen.insert(word.to_owned()) {
                    self.ask(word).iter().flat_map(|values| values.iter()).for_each(|value| value.texts(&mut waiting));
                }
            }
        }
        false
    }
}
