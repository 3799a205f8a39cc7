//! `.tfvars.json` and `.json`: edited by byte splice, keeping layout and order of keys.
//!
//! `serde_json` says whether the text is JSON, a scanner of our own where each member stands. Invariant: no byte outside of the
//! values changes, except the comma before what is appended.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::disk::tfvars::{Held, Present};
use crate::model::problem::{Problem, SourceText};
use crate::plan::known::EmitNewValue;

/// A member of an object.
struct Member {
    name: String,
    name_span: Range<usize>,
    value: Range<usize>,
}

/// The names of the file, in order.
pub(super) fn read(source: &Arc<SourceText>) -> Result<Vec<Present>, Problem> {
    let json: Json = serde_json::from_str(&source.text).map_err(|error| not_json(source, &error))?;
    if !json.is_object() {
        return Err(Problem::error("its top is not an object").at(source, 0..0, "").help("`{ \"name\": \"value\" }`"));
    }
    let members = members(&source.text, 0);
    for (n, member) in members.iter().enumerate() {
        if let Some(first) = members[..n].iter().find(|earlier| earlier.name == member.name) {
            return Err(Problem::error(format!("`{}` is set twice", member.name)).at(source, member.name_span.clone(), "second").at(
                source,
                first.name_span.clone(),
                "first",
            ));
        }
    }
    Ok(members
        .into_iter()
        .map(|member| Present { held: held(&source.text, &member.value, &json[&member.name]), name: member.name, span: member.value })
        .collect())
}

fn not_json(source: &Arc<SourceText>, error: &serde_json::Error) -> Problem {
    let start: usize = source.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let mut at = (start + error.column().saturating_sub(1)).min(source.text.len());
    while !source.text.is_char_boundary(at) {
        at -= 1;
    }
    let text = error.to_string();
    let why = text.split(" at line ").next().unwrap_or_default();
    Problem::error(format!("not JSON: {why}")).at(source, at..at, "")
}

fn held(text: &str, span: &Range<usize>, json: &Json) -> Held {
    match json {
        Json::Null => Held::Null,
        Json::String(text) => Held::Text(text.clone()),
        Json::Object(map) => {
            let strings: Option<BTreeMap<String, String>> =
                map.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
            // serde_json keeps the last of two equal keys, and says nothing.
            let once = members(text, span.start).len() == map.len();
            strings.filter(|_| once).map_or(Held::Other("a map with a key twice or with other things than strings"), Held::Map)
        }
        Json::Bool(_) => Held::Other("a bool"),
        Json::Number(_) => Held::Other("a number"),
        Json::Array(_) => Held::Other("a list"),
    }
}

/// The edited text.
pub(super) fn edit(source: &Arc<SourceText>, held: &[Present], values: &BTreeMap<String, EmitNewValue>) -> String {
    let text = &source.text;
    if text.trim().is_empty() {
        let style = Style { eol: "\n", indent: Some("  ".to_owned()), colon: ": ".to_owned() };
        return format!("{}\n", style.object(&values.iter().map(|(name, value)| (name.as_str(), value)).collect::<Vec<_>>()));
    }
    let members = members(text, 0);
    let style = Style::of(text, &members);
    let mut replacements: Vec<(Range<usize>, String)> = Vec::new();
    for found in held {
        let Some(value) = values.get(&found.name) else { continue };
        if !found.held.is(value) {
            replacements.extend(replace(text, found, value, &style));
        }
    }
    let absent: Vec<(&str, &EmitNewValue)> = values
        .iter()
        .filter(|(name, _)| held.iter().all(|found| found.name != **name))
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    if !absent.is_empty() {
        replacements.push(match members.last() {
            Some(last) => {
                let separator = format!(",{}", style.separator());
                let new: String = absent.iter().map(|(name, value)| separator.clone() + &style.member(name, value)).collect();
                (last.value.end..last.value.end, new)
            }
            None => (object_span(text), style.object(&absent)),
        });
    }
    replacements.sort_by_key(|(span, _)| (span.start, span.end));
    let mut result = text.clone();
    for (span, new) in replacements.into_iter().rev() {
        result.replace_range(span, &new);
    }
    result
}

/// Where what changes: of a map with the same regions only the ids.
fn replace(text: &str, found: &Present, value: &EmitNewValue, style: &Style) -> Vec<(Range<usize>, String)> {
    if let (EmitNewValue::Ids(ids), Held::Map(map)) = (value, &found.held)
        && map.keys().eq(ids.keys())
    {
        let inner = members(text, found.span.start);
        return inner.into_iter().filter_map(|member| Some((member.value, quote(ids.get(&member.name)?)))).collect();
    }
    vec![(found.span.clone(), style.value(value))]
}

fn quote(text: &str) -> String {
    Json::String(text.to_owned()).to_string()
}

/// How the file is laid out.
struct Style {
    eol: &'static str,
    /// Blanks before a member; `None`: all in one line.
    indent: Option<String>,
    /// Between name and value.
    colon: String,
}

impl Style {
    fn of(text: &str, members: &[Member]) -> Self {
        let eol = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let Some(last) = members.last() else { return Self { eol, indent: Some("  ".to_owned()), colon: ": ".to_owned() } };
        let before = &text[..last.name_span.start];
        let line = before.rfind('\n').map(|at| &before[at + 1..]);
        let indent = line.filter(|line| line.chars().all(char::is_whitespace)).map(str::to_owned);
        Self { eol, indent, colon: text[last.name_span.end..last.value.start].to_owned() }
    }

    fn separator(&self) -> String {
        self.indent.as_ref().map_or_else(|| " ".to_owned(), |indent| format!("{}{indent}", self.eol))
    }

    fn member(&self, name: &str, value: &EmitNewValue) -> String {
        format!("{}{}{}", quote(name), self.colon, self.value(value))
    }

    /// At the depth of a member of the file's own object.
    fn value(&self, value: &EmitNewValue) -> String {
        let ids = match value {
            EmitNewValue::Id(id) => return quote(id),
            EmitNewValue::Ids(ids) => ids,
        };
        let entries: Vec<String> = ids.iter().map(|(region, id)| format!("{}{}{}", quote(region), self.colon, quote(id))).collect();
        match &self.indent {
            None => format!("{{{}}}", entries.join(", ")),
            Some(indent) => {
                let inner = format!("{}{indent}{indent}", self.eol);
                format!("{{{inner}{}{}{indent}}}", entries.join(&format!(",{inner}")), self.eol)
            }
        }
    }

    fn object(&self, members: &[(&str, &EmitNewValue)]) -> String {
        let members: Vec<String> = members.iter().map(|(name, value)| self.member(name, value)).collect();
        let separator = self.separator();
        format!("{{{separator}{}{}}}", members.join(&format!(",{separator}")), self.eol)
    }
}

/// The file's own object.
fn object_span(text: &str) -> Range<usize> {
    text.find('{').unwrap_or(0)..text.rfind('}').map_or(text.len(), |at| at + 1)
}

/// Members of the object that starts at or after `from`. The text is JSON, so nothing has to be checked again.
fn members(text: &str, from: usize) -> Vec<Member> {
    let bytes = text.as_bytes();
    let mut members = Vec::new();
    let mut at = from + bytes[from..].iter().position(|b| *b == b'{').map_or(0, |n| n + 1);
    loop {
        at = skip_blanks(bytes, at);
        if bytes.get(at) != Some(&b'"') {
            return members;
        }
        let name_span = at..end_of_string(bytes, at);
        let name = serde_json::from_str(&text[name_span.clone()]).expect("the text is JSON");
        // Over the colon.
        let start = skip_blanks(bytes, skip_blanks(bytes, name_span.end) + 1);
        let end = end_of_value(bytes, start);
        members.push(Member { name, name_span, value: start..end });
        at = skip_blanks(bytes, end);
        if bytes.get(at) != Some(&b',') {
            return members;
        }
        at += 1;
    }
}

fn skip_blanks(bytes: &[u8], from: usize) -> usize {
    from + bytes[from..].iter().take_while(|b| b.is_ascii_whitespace()).count()
}

fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn end_of_value(bytes: &[u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    loop {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            _ if depth > 0 => at += 1,
            // A number or a word.
            _ => at += bytes[at..].iter().take_while(|b| !matches!(b, b',' | b'}' | b']') && !b.is_ascii_whitespace()).count(),
        }
        if depth == 0 {
            return at;
        }
    }
}
