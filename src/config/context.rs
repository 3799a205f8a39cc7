//! [`Cx`]: what reading a file carries along; [`Table`]: one block, checked against the schema; the typed getters.
//!
//! Must not know what any attribute means. Invariant: a getter that returns `None` has either found nothing to read or has left a
//! problem that says why, so callers never report it again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block as HclBlock, Body, Structure};

use crate::config::pipeline::Kind;
use crate::config::schema::{self, Attributes, Block};
use crate::config::scope::{Allow, Lookup, Names};
use crate::config::words::{kind_text, labels_form, listed, meant, mismatch};
use crate::model::name::Name;
use crate::model::problem::{Problem, Problems, SourceText};
use crate::model::value::Value;
use crate::syntax::eval::{self, Unknown};
use crate::syntax::hcl::{quote, span_of};
use crate::syntax::number;

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// What reading one file carries along.
#[derive(Debug)]
pub(super) struct Cx {
    pub(super) source: Arc<SourceText>,
    pub(super) problems: Problems,
    pub(super) names: Names,
}

/// A block that was checked against its schema.
#[derive(Debug, Clone)]
pub(super) struct Table<'b> {
    /// `stage "web"` → ``stage `web` ``, for messages.
    pub(super) what: String,
    /// Its head, or the start of the file.
    pub(super) head: Range<usize>,
    /// Labels with their places.
    pub(super) labels: Vec<At<String>>,
    schema: &'static Block,
    body: &'b Body,
}

impl<'b> Table<'b> {
    /// The expression of an attribute.
    pub(super) fn expr(&self, name: &str) -> Option<&'b Expression> {
        debug_assert!(
            matches!(self.schema.attributes, Attributes::Any) || self.schema.attribute_names().contains(&name),
            "`{name}` is read and not in the schema of `{}`",
            self.schema.name
        );
        self.body.get_attribute(name).map(|a| &a.value)
    }

    /// Where the name of an attribute stands; the head, when it is not there.
    pub(super) fn key_span(&self, name: &str) -> Range<usize> {
        self.body.get_attribute(name).map_or_else(|| self.head.clone(), |a| span_of(&a.key))
    }

    /// Is there an unknown attribute that was probably meant to be this one.
    pub(super) fn misspells(&self, name: &str) -> bool {
        let known = self.schema.attribute_names();
        let unknown = self.body.attributes().map(|a| a.key.as_str()).filter(|key| !known.contains(key));
        unknown.filter_map(|key| schema::nearest(key, known.iter().copied())).any(|meant| meant == name)
    }

    /// Does the schema know this attribute.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.schema.kind(name).is_some()
    }

    /// Attributes in order: name, place of the name, expression.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&'b str, Range<usize>, &'b Expression)> + use<'b> {
        self.body.attributes().map(|a| (a.key.as_str(), span_of(&a.key), &a.value))
    }

    /// The first label; empty when it lacks (which is reported).
    pub(super) fn label(&self) -> At<String> {
        self.labels.first().cloned().unwrap_or_else(|| At { value: String::new(), span: self.head.clone() })
    }
}

impl Cx {
    pub(super) fn new(source: Arc<SourceText>) -> Self {
        Self { source, problems: Problems::default(), names: Names::default() }
    }

    /// Remembers an error at a place of this file.
    pub(super) fn error(&mut self, span: Range<usize>, summary: impl Into<String>, label: &str, help: Option<String>) {
        let problem = Problem::error(summary).at(&self.source, span, label);
        self.problems.push(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    /// The file itself as a table.
    pub(super) fn file<'b>(&mut self, body: &'b Body, schema: &'static Block) -> Table<'b> {
        let table = Table { what: schema.doc.to_owned(), head: 0..0, labels: Vec::new(), schema, body };
        self.check(&table);
        table
    }

    /// The blocks of one kind in `table`, each checked. Of those that were declared twice, the first.
    pub(super) fn blocks<'b>(&mut self, table: &Table<'b>, name: &'static str) -> Vec<Table<'b>> {
        let schema = table.schema.block(name).expect("the schema holds every block that is read");
        let mut seen: BTreeMap<Vec<String>, Range<usize>> = BTreeMap::new();
        let mut tables = Vec::new();
        for block in table.body.get_blocks(name) {
            let labels: Vec<At<String>> = block.labels.iter().map(|l| At { value: l.as_str().to_owned(), span: label_span(l) }).collect();
            let ident = span_of(&block.ident);
            let head = ident.start..labels.last().map_or(ident.end, |l| l.span.end);
            let quoted: Vec<String> = labels.iter().map(|l| format!("`{}`", l.value.escape_debug())).collect();
            let what = if quoted.is_empty() { format!("block `{name}`") } else { format!("{name} {}", quoted.join(" ")) };
            if labels.len() != schema.labels.len() {
                let (wanted, seen) = (schema.labels.len(), labels.len());
                let plural = if wanted == 1 { "" } else { "s" };
                let form = labels_form(schema);
                self.error(
                    head.clone(),
                    format!("`{name}` takes {wanted} label{plural}, here are {seen}"),
                    "",
                    Some(format!("write `{name}{form} {{ … }}`")),
                );
                if labels.len() < wanted {
                    continue;
                }
            }
            let key = if schema.many { labels.iter().map(|l| l.value.clone()).collect() } else { Vec::new() };
            if let Some(first) = seen.get(&key) {
                let problem = Problem::error(format!("{what} is declared twice")).at(&self.source, head, "second time").at(
                    &self.source,
                    first.clone(),
                    "first time",
                );
                self.problems.push(if schema.many { problem } else { problem.help(format!("there may be one `{name}` block here")) });
                continue;
            }
            seen.insert(key, head.clone());
            let table = Table { what, head, labels, schema, body: &block.body };
            self.check(&table);
            tables.push(table);
        }
        tables
    }

    /// The block of that kind in `table`, if there is one.
    pub(super) fn block<'b>(&mut self, table: &Table<'b>, name: &'static str) -> Option<Table<'b>> {
        self.blocks(table, name).into_iter().next()
    }

    fn check(&mut self, table: &Table<'_>) {
        for structure in table.body {
            match structure {
                Structure::Attribute(attribute) => self.check_attribute(table, attribute.key.as_str(), span_of(&attribute.key)),
                Structure::Block(block) => self.check_block(table, block),
            }
        }
        for attribute in table.schema.required() {
            // A misspelt one is reported as that.
            if !table.body.has_attribute(attribute.name) && !table.misspells(attribute.name) {
                self.error(
                    table.head.clone(),
                    format!("{} needs `{}`", table.what, attribute.name),
                    "",
                    Some(format!("`{}`: {}", attribute.name, attribute.doc)),
                );
            }
        }
    }

    fn check_attribute(&mut self, table: &Table<'_>, name: &str, span: Range<usize>) {
        let known = table.schema.attribute_names();
        if matches!(table.schema.attributes, Attributes::Any) || known.contains(&name) {
            return;
        }
        if let Some(block) = table.schema.block(name) {
            let form = labels_form(block);
            self.error(
                span,
                format!("`{name}` is a block, not an attribute"),
                "",
                Some(format!("write `{name}{form} {{ … }}`, without `=`")),
            );
            return;
        }
        let help = meant(name, &known).or_else(|| (!known.is_empty()).then(|| format!("it takes {}", listed(&known))));
        // What stands behind `value = ` in a secret is not shown: a place without width is printed without its line.
        let span = if std::ptr::eq(table.schema, &raw const schema::SECRET) { span.start..span.start } else { span };
        self.error(span, format!("unknown attribute `{name}` in {}", table.what), "", help);
    }

    fn check_block(&mut self, table: &Table<'_>, block: &HclBlock) {
        let name = block.ident.as_str();
        if table.schema.block(name).is_some() {
            return;
        }
        let span = span_of(&block.ident);
        if table.schema.attribute_names().contains(&name) {
            self.error(span, format!("`{name}` is an attribute, not a block"), "", Some(format!("write `{name} = …`")));
            return;
        }
        let known: Vec<&str> = table.schema.blocks.iter().map(|b| b.name).collect();
        let help = meant(name, &known).or_else(|| (!known.is_empty()).then(|| format!("blocks here are {}", listed(&known))));
        self.error(span, format!("unknown block `{name}` in {}", table.what), "", help);
    }

    /// The name in a block's first label, checked.
    pub(super) fn name(&mut self, table: &Table<'_>) -> Option<Name> {
        let label = table.label();
        match Name::new(&label.value) {
            Ok(name) => Some(name),
            Err(error) => {
                self.error(
                    label.span,
                    error.to_string(),
                    "",
                    Some("names stand in tags, file names, AMI names and Docker repositories".to_owned()),
                );
                None
            }
        }
    }

    /// Reduces an expression; what is not known becomes problems.
    pub(super) fn reduce(&mut self, expr: &Expression, allow: Allow) -> Option<At<Value>> {
        match eval::reduce(expr, &Lookup { names: &self.names, allow }) {
            Ok(value) => Some(At { value, span: span_of(expr) }),
            Err(unknowns) => {
                for Unknown { span, why, help, reported } in unknowns {
                    if !reported {
                        self.error(span, why, "", help);
                    }
                }
                None
            }
        }
    }

    /// An attribute's value, of the type in the schema.
    pub(super) fn value(&mut self, table: &Table<'_>, name: &str, allow: Allow) -> Option<At<Value>> {
        let value = self.reduce(table.expr(name)?, allow)?;
        let kind = table.schema.kind(name).expect("an attribute that takes a value has a kind");
        self.of_kind(name, kind, value)
    }

    /// Checks the type of a value.
    pub(super) fn of_kind(&mut self, name: &str, kind: Kind, found: At<Value>) -> Option<At<Value>> {
        match mismatch(kind, &found.value) {
            None => Some(found),
            Some(seen) => {
                let help = match (kind, &found.value) {
                    (Kind::String, Value::Number(text)) => Some(format!("write `\"{text}\"`")),
                    (Kind::String, Value::Bool(value)) => Some(format!("write `\"{value}\"`")),
                    (Kind::Number, Value::String(text)) if number::decimal(text).is_some() => {
                        Some(format!("write `{text}`, without quotes"))
                    }
                    (Kind::Bool, Value::String(text)) if text == "true" || text == "false" => {
                        Some(format!("write `{text}`, without quotes"))
                    }
                    (Kind::StringList, Value::String(text)) => Some(format!("write `[{}]`", quote(text))),
                    _ => None,
                };
                self.error(found.span, format!("`{name}` takes {}, here is {seen}", kind_text(kind)), "", help);
                None
            }
        }
    }

    /// A string attribute.
    pub(super) fn string(&mut self, table: &Table<'_>, name: &str) -> Option<At<String>> {
        let found = self.value(table, name, Allow::Literals)?;
        match found.value {
            Value::String(value) => Some(At { value, span: found.span }),
            _ => None,
        }
    }

    /// A bool attribute.
    pub(super) fn bool(&mut self, table: &Table<'_>, name: &str) -> Option<bool> {
        match self.value(table, name, Allow::Literals)?.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A list of strings, each with its own place where the list is written out. Empty when it is not there.
    pub(super) fn strings(&mut self, table: &Table<'_>, name: &str) -> Vec<At<String>> {
        let Some(expr) = table.expr(name) else { return Vec::new() };
        let items: Vec<At<Value>> = match expr {
            Expression::Array(items) => items.iter().filter_map(|item| self.reduce(item, Allow::Literals)).collect(),
            other => match self.value(table, name, Allow::Literals) {
                Some(At { value: Value::List(items), .. }) => items.into_iter().map(|value| At { value, span: span_of(other) }).collect(),
                _ => Vec::new(),
            },
        };
        let element = format!("{name}[…]");
        items
            .into_iter()
            .filter_map(|item| match self.of_kind(&element, Kind::String, item)? {
                At { value: Value::String(value), span } => Some(At { value, span }),
                At { .. } => None,
            })
            .collect()
    }

    /// A map of strings. Empty when it is not there. The place of an entry is its key where the map is written out.
    pub(super) fn string_map(&mut self, table: &Table<'_>, name: &str) -> BTreeMap<String, At<String>> {
        let Some(expr) = table.expr(name) else { return BTreeMap::new() };
        let Some(At { value: Value::Map(map), span }) = self.value(table, name, Allow::Literals) else { return BTreeMap::new() };
        let lookup = Lookup { names: &self.names, allow: Allow::Literals };
        let mut places: BTreeMap<String, Range<usize>> = BTreeMap::new();
        if let Expression::Object(object) = expr {
            for (key, _) in object {
                if let Ok(text) = eval::object_key(key, &lookup) {
                    places.insert(text, eval::key_span(key));
                }
            }
        }
        map.into_iter()
            .filter_map(|(key, value)| match value {
                Value::String(value) => {
                    let span = places.get(&key).unwrap_or(&span).clone();
                    Some((key, At { value, span }))
                }
                _ => None,
            })
            .collect()
    }
}

fn label_span(label: &hcl_edit::structure::BlockLabel) -> Range<usize> {
    match label {
        hcl_edit::structure::BlockLabel::Ident(name) => span_of(name),
        hcl_edit::structure::BlockLabel::String(text) => span_of(text),
    }
}
