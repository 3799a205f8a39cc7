//! `ovenbird.lock`, read and written.
//!
//! One block an entry, sorted, a blank line between: two branches that move different pins merge without a conflict, and a diff
//! shows what moved. Must not decide which pin is right. Invariant: `read(write(pins)) == pins`, and what is not understood is an
//! error, never dropped at the next write.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::config::context::{At, Cx, Table};
use crate::config::lock::{GalaxyPin, Pins, SourcePin, StagePin};
use crate::config::schema;
use crate::config::scope::Allow;
use crate::config::source::architecture;
use crate::model::digest::Digest;
use crate::model::problem::{Problem, Problems, SourceText};
use crate::model::value::Value;
use crate::syntax::hcl;

/// Format that is written, and the newest that is read. 1: the first.
pub const FORMAT: u64 = 1;

/// Text → pins.
///
/// # Errors
/// Every problem in it.
pub fn read(source: &Arc<SourceText>) -> Result<Pins, Problems> {
    let one = |problem| Problems(vec![problem]);
    conflict(source).map_err(one)?;
    newer(source).map_err(one)?;
    let body = hcl::parse(source).map_err(one)?;
    let mut cx = Cx::new(Arc::clone(source));
    let top = cx.file(&body, &schema::LOCK_FILE);
    let mut pins = Pins::default();
    if let Some(found) = number(&mut cx, &top, "format")
        && found.value != FORMAT
    {
        cx.error(found.span, format!("lock file has format {}, this ovenbird reads {FORMAT}", found.value), "", None);
    }
    for table in cx.blocks(&top, "source") {
        let name = cx.name(&table);
        let machine = table.labels.get(1).and_then(|label| architecture(&mut cx, label));
        let mut text = |name: &str| cx.string(&table, name).map(|found| found.value);
        let (region, id, ami) = (text("region"), text("id"), text("name"));
        let pinned = day(&mut cx, &table, "pinned");
        if let (Some(name), Some(machine), Some(region), Some(id), Some(ami), Some(pinned)) = (name, machine, region, id, ami, pinned) {
            pins.sources.insert((name, machine), SourcePin { region, id, name: ami, pinned });
        }
    }
    for table in cx.blocks(&top, "stage") {
        let name = cx.name(&table);
        let generation = number(&mut cx, &table, "generation").map_or(0, |found| found.value);
        let freshness = day(&mut cx, &table, "freshness");
        let pin = StagePin { generation, freshness };
        if let Some(name) = name
            && pin != StagePin::default()
        {
            pins.stages.insert(name, pin);
        }
    }
    for table in cx.blocks(&top, "galaxy") {
        let (requirements, content) = (digest(&mut cx, &table, "requirements"), digest(&mut cx, &table, "content"));
        let versions = cx.string_map(&table, "versions").into_iter().map(|(key, found)| (key, found.value)).collect();
        if let (Some(requirements), Some(content)) = (requirements, content) {
            pins.galaxy.insert(table.label().value, GalaxyPin { requirements, versions, content });
        }
    }
    if cx.problems.has_errors() { Err(cx.problems) } else { Ok(pins) }
}

/// What git leaves of a merge that it could not do.
fn conflict(source: &Arc<SourceText>) -> Result<(), Problem> {
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let text = line.trim_end();
        if text.starts_with("<<<<<<<") || text.starts_with(">>>>>>>") || text == "=======" || text.starts_with("|||||||") {
            return Err(Problem::error("lock file holds an unresolved merge conflict")
                .at(source, at..at + text.len(), "git's mark")
                .help("resolve it, or delete the block and run `ovenbird update`: what is missing is pinned again"));
        }
        at += line.len();
    }
    Ok(())
}

/// A newer format may be anything, so it is looked for before the text is parsed.
fn newer(source: &Arc<SourceText>) -> Result<(), Problem> {
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let value = line.trim_start().strip_prefix("format").and_then(|rest| rest.trim_start().strip_prefix('='));
        if let Some(format) = value.and_then(|v| v.trim().parse::<u64>().ok()) {
            if format <= FORMAT {
                return Ok(());
            }
            return Err(Problem::error(format!("lock file has format {format}, this ovenbird reads up to {FORMAT}"))
                .at(source, at..at + line.trim_end().len(), "written by a newer ovenbird")
                .help("use the ovenbird that wrote it, or a newer one"));
        }
        at += line.len();
    }
    Ok(())
}

fn number(cx: &mut Cx, table: &Table<'_>, name: &str) -> Option<At<u64>> {
    let found = cx.value(table, name, Allow::Literals)?;
    let Value::Number(text) = &found.value else { return None };
    match text.parse() {
        Ok(value) => Some(At { value, span: found.span }),
        Err(_) => {
            cx.error(found.span, format!("`{name}` takes a whole number, here is `{text}`"), "", None);
            None
        }
    }
}

fn digest(cx: &mut Cx, table: &Table<'_>, name: &str) -> Option<Digest> {
    let found = cx.string(table, name)?;
    found.value.parse().map_err(|error| cx.error(found.span, format!("{error}"), "", None)).ok()
}

fn day(cx: &mut Cx, table: &Table<'_>, name: &str) -> Option<String> {
    let found = cx.string(table, name)?;
    if found.value.len() == 10 && found.value.parse::<jiff::civil::Date>().is_ok() {
        return Some(found.value);
    }
    cx.error(found.span, format!("`{}` is not a day", found.value.escape_debug()), "", Some("`2026-11-22`".to_owned()));
    None
}

/// Pins → text.
pub fn write(pins: &Pins) -> String {
    let mut text = String::from("# Written by ovenbird; commit it. `ovenbird update` moves what is pinned here.\n");
    let mut line = |args: std::fmt::Arguments<'_>| text.write_fmt(args).expect("writing to a String cannot fail");
    line(format_args!("format = {FORMAT}\n"));
    for (path, pin) in &pins.galaxy {
        line(format_args!("\ngalaxy {} {{\n", hcl::quote(path)));
        line(format_args!("  requirements = \"{}\"\n  content      = \"{}\"\n", pin.requirements, pin.content));
        if pin.versions.is_empty() {
            line(format_args!("  versions     = {{}}\n"));
        } else {
            line(format_args!("  versions = {{\n"));
            for (name, version) in &pin.versions {
                line(format_args!("    {} = {}\n", hcl::quote(name), hcl::quote(version)));
            }
            line(format_args!("  }}\n"));
        }
        line(format_args!("}}\n"));
    }
    for ((name, architecture), pin) in &pins.sources {
        line(format_args!("\nsource \"{name}\" \"{architecture}\" {{\n"));
        for (attribute, value) in [("region", &pin.region), ("id    ", &pin.id), ("name  ", &pin.name), ("pinned", &pin.pinned)] {
            line(format_args!("  {attribute} = {}\n", hcl::quote(value)));
        }
        line(format_args!("}}\n"));
    }
    for (name, pin) in pins.stages.iter().filter(|(_, pin)| **pin != StagePin::default()) {
        line(format_args!("\nstage \"{name}\" {{\n"));
        if let Some(freshness) = &pin.freshness {
            line(format_args!("  freshness  = {}\n", hcl::quote(freshness)));
        }
        if pin.generation > 0 {
            line(format_args!("  generation = {}\n", pin.generation));
        }
        line(format_args!("}}\n"));
    }
    text
}
