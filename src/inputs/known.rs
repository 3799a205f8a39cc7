//! [`Known`]: a value that stands somewhere as a literal, in YAML or in the pipeline file.
//!
//! Invariant: what is no literal is [`Known::Open`] with its reason, never left out.

use std::collections::BTreeMap;

use crate::model::value::Value;
use crate::syntax::yaml::{Kind, Node};

/// A value that stands somewhere, or the reason why it is not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    Text(String),
    List(Vec<Known>),
    Map(BTreeMap<String, Known>),
    Open(String),
    /// A path whose folder counts already: an item of `fileglob`. As a whole name it adds nothing; a part of it is not known.
    Counted,
    /// Each item of a loop over this; taken apart when it is asked for, because its variables may get more values until then.
    Each(Box<Known>),
    /// Each name that `first_found` tries, likewise.
    Alternatives(Box<Known>),
}

impl Known {
    /// A node with its templates left as text.
    pub(super) fn of(node: &Node) -> Self {
        match &node.kind {
            Kind::Scalar { .. } if node.tag.as_deref() == Some("!vault") => Self::Open("is encrypted".to_owned()),
            Kind::Scalar { text, .. } => Self::Text(text.clone()),
            Kind::Sequence(items) => Self::List(items.iter().map(|item| Self::of(item)).collect()),
            Kind::Mapping(_) => {
                let mut map = BTreeMap::new();
                for (key, value) in node.entries() {
                    if let Some(key) = key.text() {
                        map.entry(key.to_owned()).or_insert_with(|| Self::of(value));
                    }
                }
                Self::Map(map)
            }
        }
    }

    /// A value of the pipeline file.
    pub(super) fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Text(String::new()),
            Value::Bool(b) => Self::Text(b.to_string()),
            Value::Number(n) => Self::Text(n.clone()),
            Value::String(s) => Self::Text(s.clone()),
            Value::Template(_) => Self::Open("has a reference in it".to_owned()),
            Value::Ref(reference) => Self::Open(format!("is `{}`", reference.text())),
            Value::List(items) => Self::List(items.iter().map(Self::of_value).collect()),
            Value::Map(map) => Self::Map(map.iter().map(|(k, v)| (k.clone(), Self::of_value(v))).collect()),
        }
    }
}

/// A text for a message.
pub(super) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
