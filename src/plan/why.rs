//! [`Chain`]: why an input is in, outermost reason first.
//!
//! Shared and not copied: every task of every role has one, most are never shown, and fifty stages reach the same role by fifty. So a
//! chain is a link to what stood before it, and becomes text when somebody asks. Invariant: what is in a chain never changes.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// Why an input is in: outermost first (`ansible/web.yml:7` → `role nginx` → `whole role`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Why {
    /// What was named there, as people read it: `role nginx`, `playbook`, `group_vars beside the playbook` ….
    pub what: String,
    /// File and line that named it; `None`: named by the pipeline file or by convention.
    pub via: Option<String>,
}

/// Reasons, each because of the one before it.
#[derive(Clone, Default)]
pub struct Chain(Option<Arc<Part>>);

enum Part {
    Next { outer: Chain, what: String, via: Option<Place> },
    Joined { outer: Chain, inner: Chain },
}

/// What named something.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of a file, or how an earlier call has written the place.
    pub file: String,
    /// 1-based; `None`: the file as a whole, or the line is in its name.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

impl Chain {
    /// One reason, which nothing in a file names.
    pub fn of(what: impl Into<String>) -> Self {
        Self::default().then(what, None)
    }

    /// One more reason.
    #[must_use]
    pub fn then(&self, what: impl Into<String>, via: Option<Place>) -> Self {
        Self(Some(Arc::new(Part::Next { outer: self.clone(), what: what.into(), via })))
    }

    /// This chain, because of another one.
    #[must_use]
    pub fn behind(&self, outer: &Self) -> Self {
        match (&outer.0, &self.0) {
            (None, _) => self.clone(),
            (_, None) => outer.clone(),
            (Some(_), Some(_)) => Self(Some(Arc::new(Part::Joined { outer: outer.clone(), inner: self.clone() }))),
        }
    }

    /// Every reason, outermost first.
    pub fn links(&self) -> Vec<(&str, Option<&Place>)> {
        let (mut links, mut waiting) = (Vec::new(), vec![self]);
        while let Some(Self(part)) = waiting.pop() {
            match part.as_deref() {
                None => {}
                Some(Part::Next { outer, what, via }) => {
                    links.push((what.as_str(), via.as_ref()));
                    waiting.push(outer);
                }
                Some(Part::Joined { outer, inner }) => waiting.extend([outer, inner]),
            }
        }
        links.reverse();
        links
    }

    /// As text.
    pub fn whys(&self) -> Vec<Why> {
        self.links().into_iter().map(|(what, via)| Why { what: what.to_owned(), via: via.map(Place::to_string) }).collect()
    }

    /// The innermost place.
    pub fn place(&self) -> Option<String> {
        self.links().into_iter().rev().find_map(|(_, via)| via.map(Place::to_string))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whys().fmt(f)
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        self.whys() == other.whys()
    }
}

impl Eq for Chain {}

impl Serialize for Chain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.whys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_told_outermost_first_however_it_was_put_together() {
        let at = |file: &str, line| Some(Place { file: file.to_owned(), line: Some(line) });
        let role = Chain::of("playbook").then("role nginx", at("ansible/web.yml", 3));
        let found = Chain::default().then("tasks more.yml", at("tasks/main.yml", 2)).then("template a.j2", None);
        let whole = found.behind(&role).then("variables b.yml", at("tasks/more.yml", 9));
        let told: Vec<String> = whole.whys().into_iter().map(|why| format!("{} {}", why.what, why.via.unwrap_or_default())).collect();
        let expected = [
            "playbook ",
            "role nginx ansible/web.yml:3",
            "tasks more.yml tasks/main.yml:2",
            "template a.j2 ",
            "variables b.yml tasks/more.yml:9",
        ];
        assert_eq!(told, expected);
        assert_eq!(whole.place().as_deref(), Some("tasks/more.yml:9"));
        assert_eq!((found.behind(&Chain::default()), Chain::default().behind(&role)), (found.clone(), role));
        assert_eq!(serde_json::to_value(Chain::of("playbook")).unwrap(), serde_json::json!([{ "what": "playbook", "via": null }]));
    }
}
