//! The eight values of a swap and its marker in a tfvars file: [`read`], [`Found::splice`] all of them at once, [`shadows`].
//!
//! Decides nothing about a swap. Invariants: whatever cannot be read for certain is a problem with its place, all of them at once; a
//! splice changes the eight values and the marker's line and no other byte, and its result is read back before it is handed out.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use hcl_edit::expr::Expression;

use crate::config::swap_spec::SwapSpec;
use crate::disk::terraform_folder::loaded_by_itself;
use crate::disk::tfvars;
use crate::model::problem::{Problem, Problems, SourceText};
use crate::model::swap::{Colour, Field};
use crate::plan::swap::{Irregular, MARKER_HEAD, Marker, Side, Values};
use crate::plan::swap_guard::Foreign;
use crate::syntax::hcl::{self, Edit};

/// A value where it stands.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    name_span: Range<usize>,
    span: Range<usize>,
    /// A number in quotes stays in quotes.
    quoted: bool,
}

/// A tfvars file of a swap.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file.
    pub source: Arc<SourceText>,
    /// The eight values.
    pub values: Values,
    /// The marker, where there is one.
    pub marker: Option<Marker>,
    places: BTreeMap<(Colour, Field), Place>,
    /// Line of the marker with its line end.
    marker_line: Option<Range<usize>>,
}

/// Reads the file, shown as `spec.tfvars`.
///
/// # Errors
/// Everything that cannot be read for certain.
pub fn read(spec: &SwapSpec, bytes: &[u8]) -> Result<Found, Problems> {
    let source = hcl::decode(spec.tfvars.clone(), bytes).map_err(one)?;
    if let Some(span) = hcl::first_crlf(&source) {
        let help = format!(
            "git may convert line ends, and then another file is committed than was planned: `sed -i 's/\\r$//' {}`",
            source.path.display()
        );
        return Err(one(Problem::error("file has CR LF line ends").at(&source, span, "first one").help(help)));
    }
    let body = hcl::parse(&source).map_err(one)?;
    let mut problems = Problems::default();
    if let Some(block) = body.blocks().next() {
        let name = block.ident.as_str();
        let problem = Problem::error(format!("`{name}` is a block, and a tfvars file holds only `name = value`"));
        problems.push(problem.at(&source, hcl::span_of(&block.ident), "").help("is this Terraform code?"));
    }
    let mut places = BTreeMap::new();
    let mut texts = BTreeMap::new();
    for (colour, field, name) in spec.variables() {
        let Some(found) = hcl::attributes(&body).find(|attribute| attribute.name == name) else {
            let problem = Problem::error(format!("`{name}` is not set, and is one of the eight values of swap `{}`", spec.name));
            problems.push(problem.at(&source, 0..0, "").help("the swap block's `variables` maps other names"));
            continue;
        };
        match value(field, found.value) {
            Ok((text, quoted)) => {
                let place = Place { name: name.to_owned(), name_span: found.name_span, span: found.value_span, quoted };
                places.insert((colour, field), place);
                texts.insert((colour, field), text);
            }
            Err(what) => {
                let wanted = if field.is_size() { "a whole number" } else { "a string" };
                let problem = Problem::error(format!("`{name}` holds {what}, and {wanted} is edited"));
                problems.push(problem.at(&source, found.value_span, "").help("write the value itself here"));
            }
        }
    }
    let spans: Vec<Range<usize>> = hcl::attributes(&body).map(|a| a.name_span.start..a.value_span.end).collect();
    let lines = marker_lines(&source.text, &spans);
    let mut marker = None;
    match lines.as_slice() {
        [] => {}
        [line] => {
            let text = source.text[line.clone()].trim();
            marker = Marker::parse(text);
            if marker.is_none() {
                problems.push(irregular(&source, &Irregular::MarkerUnreadable(text.to_owned()), vec![line.clone()]));
            }
        }
        several => problems.push(irregular(&source, &Irregular::MarkerTwice(several.len()), several.to_vec())),
    }
    if problems.has_errors() {
        return Err(problems);
    }
    let side = |colour: Colour| Side {
        ami_id: texts[&(colour, Field::AmiId)].clone(),
        min_size: texts[&(colour, Field::MinSize)].parse().expect("a size was read as a number"),
        max_size: texts[&(colour, Field::MaxSize)].parse().expect("a size was read as a number"),
        elb_name: texts[&(colour, Field::ElbName)].clone(),
    };
    let values = Values { blue: side(Colour::Blue), green: side(Colour::Green) };
    Ok(Found { source, values, marker, places, marker_line: lines.into_iter().next() })
}

fn one(problem: Problem) -> Problems {
    Problems(vec![problem])
}

/// The text of a value and whether it is in quotes; or what it is instead.
fn value(field: Field, expression: &Expression) -> Result<(String, bool), &'static str> {
    let (text, quoted) = match expression {
        Expression::String(text) => (text.as_str().to_owned(), true),
        Expression::Number(number) => (number.value().to_string(), false),
        Expression::Null(_) => return Err("null"),
        Expression::Bool(_) => return Err("a bool"),
        Expression::Array(_) => return Err("a list"),
        Expression::Object(_) => return Err("a map"),
        Expression::StringTemplate(_) => return Err("a string with an interpolation"),
        Expression::HeredocTemplate(_) => return Err("a heredoc"),
        _ => return Err("an expression"),
    };
    match (field.is_size(), quoted) {
        (false, false) => Err("a number"),
        (false, true) => Ok((text, true)),
        // `02`, `2.0` and `+2` are left alone: what Terraform makes of them is not for us to guess.
        (true, _) if text.parse::<u32>().is_ok_and(|n| n.to_string() == text) => Ok((text, quoted)),
        (true, true) => Err("a string that is no whole number"),
        (true, false) => Err("a number that is not whole or too large"),
    }
}

/// Whole lines with comments that begin as a marker does; not what stands inside of values or other comments.
fn marker_lines(text: &str, values: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if let Some(value) = values.iter().find(|value| value.contains(&at)) {
            at = value.end;
            continue;
        }
        let rest = &text[at..];
        let end = rest.find('\n').map_or(text.len(), |n| at + n + 1);
        if rest.starts_with("/*") {
            at = rest.find("*/").map_or(text.len(), |n| at + n + 2);
        } else if rest.starts_with('#') || rest.starts_with("//") {
            let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
            if rest.starts_with(MARKER_HEAD) {
                // Behind a value it is no line of its own, and is not ours: it is shown as unreadable, not removed.
                found.push(if text[start..at].trim().is_empty() { start..end } else { at..end });
            }
            at = end;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

fn irregular(source: &Arc<SourceText>, what: &Irregular, spans: Vec<Range<usize>>) -> Problem {
    let problem = Problem::error(what.to_string()).help(what.help());
    if spans.is_empty() {
        return problem.at(source, 0..0, "");
    }
    spans.into_iter().fold(problem, |problem, span| {
        let end = source.text[..span.end].trim_end().len().max(span.start);
        problem.at(source, span.start..end, "")
    })
}

impl Found {
    /// An irregular standing with the lines that it is about.
    pub fn problem(&self, what: &Irregular) -> Problem {
        let of_values =
            what.fields().into_iter().filter_map(|key| self.places.get(&key)).map(|place| place.name_span.start..place.span.end);
        let mut spans: Vec<_> = of_values.collect();
        if spans.is_empty() {
            spans.extend(self.marker_line.clone());
        }
        irregular(&self.source, what, spans)
    }

    /// The file with these values and this marker. Equal values keep their bytes.
    ///
    /// # Errors
    /// The result would not be what was asked for.
    pub fn splice(&self, spec: &SwapSpec, values: &Values, marker: Option<&Marker>) -> Result<String, Problem> {
        let mut edits = Vec::new();
        for ((colour, field), place) in &self.places {
            let wanted = values.text(*colour, *field);
            if wanted != self.values.text(*colour, *field) {
                let value = if place.quoted { hcl::quote(&wanted) } else { wanted };
                edits.push(Edit { name: place.name.clone(), value });
            }
        }
        let text = if edits.is_empty() { self.source.text.clone() } else { hcl::splice(&self.source, &edits)? };
        let text = if marker == self.marker.as_ref() { text } else { with_marker(spec, &text, marker) };
        let wrong = || Problem::error("the values cannot be edited safely").at(&self.source, 0..0, "");
        let back = read(spec, text.as_bytes()).map_err(|_| wrong())?;
        let same = back.values == *values && back.marker.as_ref() == marker && self.kept(&text, &back);
        if same { Ok(text) } else { Err(wrong()) }
    }

    /// Is everything but the values and the marker as it was.
    fn kept(&self, text: &str, after: &Self) -> bool {
        self.without(&self.source.text) == after.without(text)
    }

    /// The text with its values blanked and its marker gone.
    fn without(&self, text: &str) -> String {
        let mut cuts: Vec<Range<usize>> = self.places.values().map(|place| place.span.clone()).chain(self.marker_line.clone()).collect();
        cuts.sort_by_key(|cut| cut.start);
        let mut kept = String::with_capacity(text.len());
        let mut at = 0;
        for cut in cuts {
            kept.push_str(&text[at..cut.start]);
            at = cut.end;
        }
        kept + &text[at..]
    }

    /// The values as a variable file for Terraform, in the types that the file has.
    pub fn var_file(&self, values: &Values) -> String {
        let value = |((colour, field), place): (&(Colour, Field), &Place)| {
            let text = values.text(*colour, *field);
            let number = text.parse::<u32>().ok().filter(|_| !place.quoted);
            (place.name.clone(), number.map_or(serde_json::Value::String(text), Into::into))
        };
        serde_json::Value::Object(self.places.iter().map(value).collect()).to_string()
    }

    /// What an edit changes, as a unified diff.
    pub fn diff(&self, new: &str) -> String {
        tfvars::diff(&self.source.path, Some(self.source.text.as_bytes()), new.as_bytes())
    }
}

/// The old marker's line goes, the new one comes above the first of the eight values.
fn with_marker(spec: &SwapSpec, text: &str, marker: Option<&Marker>) -> String {
    let Ok(found) = read(spec, text.as_bytes()) else { return text.to_owned() };
    let mut text = text.to_owned();
    let mut first = found.places.values().map(|place| place.name_span.start).min().unwrap_or(0);
    if let Some(line) = found.marker_line {
        first -= if line.end <= first { line.len() } else { 0 };
        text.replace_range(line, "");
    }
    if let Some(marker) = marker {
        let start = text[..first].rfind('\n').map_or(0, |n| n + 1);
        text.insert_str(start, &format!("{marker}\n"));
    }
    text
}

/// Files of the folder, other than the swap's own, that Terraform loads by itself and that set one of the eight variables: what
/// somebody applies without naming the file would be theirs.
///
/// # Errors
/// The folder cannot be listed.
pub fn shadows(root: &Path, spec: &SwapSpec) -> io::Result<Vec<Foreign>> {
    let own = spec.tfvars.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut found = Vec::new();
    for file in loaded_by_itself(&root.join(&spec.directory))?.into_iter().filter(|file| file != own) {
        let path = spec.directory.join(&file);
        // A file that cannot be read is one that Terraform refuses by itself.
        let Ok(bytes) = std::fs::read(root.join(&path)) else { continue };
        let Ok(names) = tfvars::names(&path, &bytes) else { continue };
        let ours = spec.variables().map(|(_, _, name)| name).filter(|name| names.iter().any(|found| found == name));
        found.extend(ours.map(|name| Foreign {
            address: path.display().to_string(),
            attribute: name.to_owned(),
            change: format!("is set in it, too, and Terraform reads it by itself, unlike `{}`", spec.tfvars.display()),
        }));
    }
    Ok(found)
}

#[cfg(test)]
#[path = "swap_tfvars_tests.rs"]
mod tests;
