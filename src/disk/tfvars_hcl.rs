//! `.tfvars`: HCL, edited by byte splice.
//!
//! Values that are there are replaced where they stand; names that are not come at the end, aligned with the last lines where they
//! fit. Invariant: no byte outside of the values changes, except that a missing last line end is added before something is appended.

use std::collections::BTreeMap;
use std::sync::Arc;

use hcl_edit::expr::{Expression, ObjectKey};

use crate::disk::tfvars::{Held, Present};
use crate::model::problem::{Problem, SourceText};
use crate::plan::known::EmitNewValue;
use crate::syntax::hcl::{self, Edit};

/// The names of the file, in order.
pub(super) fn read(source: &Arc<SourceText>) -> Result<Vec<Present>, Problem> {
    let body = hcl::parse(source)?;
    if let Some(block) = body.blocks().next() {
        let name = block.ident.as_str();
        return Err(Problem::error(format!("`{name}` is a block, and a tfvars file holds only `name = value`"))
            .at(source, hcl::span_of(&block.ident), "")
            .help("is this Terraform code?"));
    }
    Ok(hcl::attributes(&body)
        .map(|found| Present { name: found.name.to_owned(), held: held(found.value), span: found.value_span })
        .collect())
}

fn held(value: &Expression) -> Held {
    match value {
        Expression::Null(_) => Held::Null,
        Expression::String(text) => Held::Text(text.as_str().to_owned()),
        Expression::Object(object) => {
            let entry = |(key, value): (&ObjectKey, &hcl_edit::expr::ObjectValue)| {
                let key = match key {
                    ObjectKey::Ident(name) => name.as_str().to_owned(),
                    ObjectKey::Expression(Expression::String(text)) => text.as_str().to_owned(),
                    ObjectKey::Expression(_) => return None,
                };
                match value.expr() {
                    Expression::String(text) => Some((key, text.as_str().to_owned())),
                    _ => None,
                }
            };
            let map: Option<BTreeMap<String, String>> = object.iter().map(entry).collect();
            // A key that stands there twice (as a name and as a string) would be lost.
            map.filter(|map| map.len() == object.len())
                .map_or(Held::Other("a map with a key twice or with other things than strings"), Held::Map)
        }
        Expression::Bool(_) => Held::Other("a bool"),
        Expression::Number(_) => Held::Other("a number"),
        Expression::Array(_) => Held::Other("a list"),
        Expression::StringTemplate(_) => Held::Other("a string with an interpolation"),
        Expression::HeredocTemplate(_) => Held::Other("a heredoc"),
        _ => Held::Other("an expression"),
    }
}

/// The edited text.
pub(super) fn edit(source: &Arc<SourceText>, held: &[Present], values: &BTreeMap<String, EmitNewValue>) -> Result<String, Problem> {
    let eol = line_end(&source.text);
    let mut edits = Vec::new();
    for found in held {
        let Some(value) = values.get(&found.name) else { continue };
        if !found.held.is(value) {
            edits.push(Edit { name: found.name.clone(), value: new_value(source, found, value, eol)? });
        }
    }
    let text = if edits.is_empty() { source.text.clone() } else { hcl::splice(source, &edits)? };
    let absent: Vec<(&String, &EmitNewValue)> = values.iter().filter(|(name, _)| held.iter().all(|found| found.name != **name)).collect();
    Ok(append(text, &absent, eol))
}

fn line_end(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        Some(_) | None => "\n",
    }
}

/// HCL of the new value in the style of the old one.
fn new_value(source: &Arc<SourceText>, found: &Present, value: &EmitNewValue, eol: &str) -> Result<String, Problem> {
    let ids = match value {
        EmitNewValue::Id(id) => return Ok(hcl::quote(id)),
        EmitNewValue::Ids(ids) => ids,
    };
    let old = &source.text[found.span.clone()];
    let Held::Map(map) = &found.held else { return Ok(object(ids, true, eol)) };
    if map.keys().eq(ids.keys()) {
        return Ok(replace_in_map(old, ids));
    }
    // Ids and regions hold none of these, so what is found is a comment.
    if ["#", "//", "/*"].iter().any(|mark| old.contains(mark)) {
        return Err(Problem::error(format!("`{}` gets other regions, and comments in it would be lost", found.name)).at(
            source,
            found.span.clone(),
            "",
        ));
    }
    Ok(object(ids, map.is_empty() || old.contains('\n'), eol))
}

/// Same regions: only the ids change, each where it stands.
fn replace_in_map(old: &str, ids: &BTreeMap<String, String>) -> String {
    // As an attribute of its own the map parses alone; spans then start behind the `m=`.
    const HEAD: &str = "m=";
    let alone = Arc::new(SourceText { path: std::path::PathBuf::new(), text: format!("{HEAD}{old}\n") });
    let Ok(body) = hcl::parse(&alone) else { return object(ids, old.contains('\n'), "\n") };
    let mut text = old.to_owned();
    let Some(Expression::Object(map)) = hcl::attributes(&body).next().map(|found| found.value) else { return text };
    let mut spans: Vec<_> = map
        .iter()
        .filter_map(|(key, value)| {
            let key = match key {
                ObjectKey::Ident(name) => name.as_str(),
                ObjectKey::Expression(Expression::String(text)) => text.as_str(),
                ObjectKey::Expression(_) => return None,
            };
            Some((hcl::span_of(value.expr()), ids.get(key)?))
        })
        .collect();
    spans.sort_by_key(|(span, _)| span.start);
    for (span, id) in spans.into_iter().rev() {
        text.replace_range(span.start - HEAD.len()..span.end - HEAD.len(), &hcl::quote(id));
    }
    text
}

fn object(ids: &BTreeMap<String, String>, lines: bool, eol: &str) -> String {
    let width = ids.keys().map(|region| hcl::quote(region).len()).max().unwrap_or(0);
    if !lines {
        let entries: Vec<String> = ids.iter().map(|(region, id)| format!("{} = {}", hcl::quote(region), hcl::quote(id))).collect();
        return format!("{{ {} }}", entries.join(", "));
    }
    let entries: Vec<String> =
        ids.iter().map(|(region, id)| format!("  {:width$} = {}{eol}", hcl::quote(region), hcl::quote(id))).collect();
    format!("{{{eol}{}}}", entries.concat())
}

/// `terraform fmt` aligns neighbouring lines, and a blank line ends the group: so what does not fit starts a group of its own.
fn append(mut text: String, absent: &[(&String, &EmitNewValue)], eol: &str) -> String {
    if absent.is_empty() {
        return text;
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(eol);
    }
    let longest = |ids: bool| {
        let names = absent.iter().filter(|(_, value)| matches!(value, EmitNewValue::Ids(_)) == ids);
        names.map(|(name, _)| name.len()).max()
    };
    if let Some(longest) = longest(false) {
        let width = match last_line_width(&text) {
            Some(width) if longest <= width => width,
            Some(_) | None => {
                blank_line(&mut text, eol);
                longest
            }
        };
        for (name, value) in absent {
            if let EmitNewValue::Id(id) = value {
                text.extend([&format!("{name:width$} = {}", hcl::quote(id)), eol]);
            }
        }
    }
    for (name, value) in absent {
        if let EmitNewValue::Ids(ids) = value {
            blank_line(&mut text, eol);
            text.extend([&format!("{name} = {}", object(ids, true, eol)), eol]);
        }
    }
    text
}

fn blank_line(text: &mut String, eol: &str) {
    if !text.is_empty() && !text.ends_with(&format!("{eol}{eol}")) {
        text.push_str(eol);
    }
}

/// Width of the names in the group that the last line belongs to; `None`: the last line is no `name = value`.
fn last_line_width(text: &str) -> Option<usize> {
    let line = text.lines().next_back()?;
    let (name, rest) = line.split_once('=')?;
    let trimmed = name.trim_end();
    let plain = !trimmed.is_empty() && trimmed.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    let aligned = name.len() > trimmed.len() && rest.starts_with(' ') && !rest.trim_start().starts_with(['{', '[', '<']);
    (plain && aligned).then(|| name.len() - 1)
}
