//! Words for messages: what a value is, what was probably meant, how a list reads.
//!
//! Invariant: names stand in backticks, and nothing here depends on where it is said.

use crate::config::pipeline::Kind;
use crate::config::schema::{self, Attributes, Block, Takes};
use crate::model::value::Value;

/// ` "NAME" "ARCHITECTURE"`
pub(super) fn labels_form(block: &Block) -> String {
    block.labels.iter().flat_map(|label| [" \"", &label.to_uppercase(), "\""].map(str::to_owned)).collect()
}

/// What a value is instead of `kind`, or `None` when it fits. A value that is filled in later is a string.
pub(super) fn mismatch(kind: Kind, value: &Value) -> Option<String> {
    let is_text = |value: &Value| matches!(value, Value::String(_) | Value::Ref(_) | Value::Template(_));
    let odd = |items: Vec<&Value>| items.into_iter().find(|item| !is_text(item)).map(value_text);
    match (kind, value) {
        (Kind::Any, _) | (Kind::Number, Value::Number(_)) | (Kind::Bool, Value::Bool(_)) => None,
        (Kind::String, value) if is_text(value) => None,
        (Kind::StringList, Value::List(items)) => odd(items.iter().collect()).map(|seen| format!("{seen} in the list")),
        (Kind::StringMap, Value::Map(map)) => odd(map.values().collect()).map(|seen| format!("{seen} in the map")),
        _ => Some(value_text(value).to_owned()),
    }
}

/// A type, as people read it.
pub(super) fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "a string",
        Kind::Number => "a number",
        Kind::Bool => "true or false",
        Kind::StringList => "a list of strings",
        Kind::StringMap => "a map of strings",
        Kind::Any => "any value",
    }
}

/// What a value is, as people read it.
pub(super) fn value_text(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) | Value::Template(_) => "a string",
        Value::Ref(_) => "a reference",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}

/// ``did you mean `x`?``
pub(super) fn meant(seen: &str, known: &[&str]) -> Option<String> {
    schema::nearest(seen, known.iter().copied()).map(|name| format!("did you mean `{name}`?"))
}

/// `` `a`, `b` and `c` ``
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "none".to_owned(),
    }
}

/// The form of references that an attribute takes, for help.
pub(super) fn reference_form(schema: &Block, name: &str) -> &'static str {
    match &schema.attributes {
        Attributes::Table(table) => table.iter().find(|a| a.name == name).map_or("", |a| match a.takes {
            Takes::Reference(form) => form,
            Takes::Value(_) => "",
        }),
        Attributes::Kinds(_) | Attributes::Any => "",
    }
}
