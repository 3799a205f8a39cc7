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
            Kind::Scalar { text, plain } => match node.tag.as_deref() {
                Some("!vault" | "!vault-encrypted") => Self::Open("is encrypted".to_owned()),
                Some("!unsafe") if super::jinja::templated(text) => Self::Open("is a text with braces that is no template".to_owned()),
                None if !*plain => Self::Text(text.to_string()),
                Some("!" | "!unsafe" | "tag:yaml.org,2002:str") => Self::Text(text.to_string()),
                None => printed(text).map_or_else(|| Self::Open(format!("is `{}`, no text", one_line(text))), Self::Text),
                Some(tag) => Self::Open(format!("is what `{}` makes of it", one_line(tag))),
            },
            Kind::Sequence(items) => Self::List(items.iter().map(|item| Self::of(item)).collect()),
            Kind::Mapping(pairs) => {
                let mut own: Vec<&str> = pairs.iter().filter_map(|(key, _)| key.text()).filter(|key| *key != "<<").collect();
                let count = own.len();
                own.sort_unstable();
                own.dedup();
                if own.len() != count || own.iter().any(|key| super::jinja::templated(key)) {
                    return Self::Open("has a key twice, or one that is a template".to_owned());
                }
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

    /// Every text in it.
    pub(super) fn texts(&self, found: &mut Vec<String>) {
        match self {
            Self::Text(text) => found.push(text.clone()),
            Self::List(items) => items.iter().for_each(|item| item.texts(found)),
            Self::Map(map) => map.values().for_each(|item| item.texts(found)),
            Self::Each(inner) | Self::Alternatives(inner) => inner.texts(found),
            Self::Open(_) | Self::Counted => {}
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

/// A plain scalar as Ansible writes it into a name: YAML 1.1 makes numbers and truth values of some (`1.10` becomes `1.1`, `yes`
/// becomes `True`). `None`: its text form is not worth knowing.
fn printed(text: &str) -> Option<String> {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return None,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Some("True".to_owned()),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Some("False".to_owned()),
        _ => {}
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Some(text.to_owned());
    }
    if digits(rest) {
        // A leading zero is octal, and two of them are somebody's version.
        return (rest == "0" || !rest.starts_with('0')).then(|| format!("{}{rest}", if rest == "0" { "" } else { sign }));
    }
    if let Some((whole, part)) = rest.split_once('.')
        && (digits(whole) || whole.is_empty())
        && (digits(part) || part.is_empty())
        && !(whole.is_empty() && part.is_empty())
    {
        let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
        let short = |t: &str| if t.is_empty() { "0".to_owned() } else { t.to_owned() };
        // Beyond this Python writes what the machine's numbers make of it.
        return (whole.len() + part.len() <= 15 && !(whole.is_empty() && part.starts_with("0000")))
            .then(|| format!("{sign}{}.{}", short(whole), short(part)));
    }
    // Hexadecimal, binary, with `_`, exponents, base 60, infinity: numbers all of them. A date or a version of three parts is not.
    let odd = rest.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'_' | b'x' | b'.' | b'+' | b'-' | b':'))
        && (rest.contains(['_', ':', 'x']) || rest.starts_with("0b") || rest.contains(['e', 'E']) && rest.contains('.'))
        || matches!(rest.to_lowercase().as_str(), ".inf" | ".nan");
    // A date with a time is written otherwise.
    let moment = rest.len() > 10 && rest.get(4..5) == Some("-") && rest.contains(':') && rest.contains(['T', 't', ' ']);
    (!odd && !moment).then(|| text.to_owned())
}

/// A text for a message.
pub(super) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_is_written_as_ansible_writes_it() {
        let all = [("1.10", "1.1"), ("7.4", "7.4"), ("8", "8"), ("1.", "1.0"), (".5", "0.5"), ("yes", "True"), ("Debian", "Debian")];
        for (yaml, text) in all.into_iter().chain([("1.2.3", "1.2.3"), ("2026-11-22", "2026-11-22"), ("-3", "-3"), ("12-slim", "12-slim")])
        {
            assert_eq!(printed(yaml).as_deref(), Some(text), "{yaml}");
        }
        for yaml in ["0644", "0x1f", "1_000", "12:30", "0b11", "2026-11-22T10:00:00Z", "1.5e+3", "~", ".inf"] {
            assert_eq!(printed(yaml), None, "{yaml}");
        }
    }
}
