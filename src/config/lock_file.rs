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
    if let Ok(value) = text.parse() {
        return Some(At { value, span: found.span });
    }
    cx.error(found.span, format!("`{name}` takes a whole number, here is `{text}`"), "", None);
    None
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
///
/// # Panics
/// Never: writing to a `String` cannot fail.
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
            let pad = if pin.generation > 0 { " " } else { "" };
            line(format_args!("  freshness{pad} = {}\n", hcl::quote(freshness)));
        }
        if pin.generation > 0 {
            line(format_args!("  generation = {}\n", pin.generation));
        }
        line(format_args!("}}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::name::Name;
    use crate::model::node::Architecture;

    fn source(text: &str) -> Arc<SourceText> {
        Arc::new(SourceText { path: "ovenbird.lock".into(), text: text.to_owned() })
    }

    fn name() -> impl Strategy<Value = Name> {
        "[a-z][a-z0-9]{0,9}(_[a-z0-9]{1,5})?".prop_map(|text| Name::new(&text).expect("a name by construction"))
    }

    fn day() -> impl Strategy<Value = String> {
        (2000_u16..2100, 1_u8..13, 1_u8..29).prop_map(|(year, month, day)| format!("{year}-{month:02}-{day:02}"))
    }

    /// Anything that can stand in a quoted string, the characters that have to be escaped often.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![".{0,20}", "[\"\\\\${%}\n\r\t\u{1}é ]{0,12}"].prop_map(|text: String| text.replace('\0', ""))
    }

    fn pins() -> impl Strategy<Value = Pins> {
        let machine = prop_oneof![Just(Architecture::X86_64), Just(Architecture::Arm64)];
        let source = (text(), text(), text(), day()).prop_map(|(region, id, name, pinned)| SourcePin { region, id, name, pinned });
        let stage = (any::<u64>(), proptest::option::of(day()))
            .prop_map(|(generation, freshness)| StagePin { generation, freshness })
            .prop_filter("a stage without pins has no entry", |pin| *pin != StagePin::default());
        let digest = any::<[u8; 32]>().prop_map(Digest::from_bytes);
        let galaxy = (digest.clone(), proptest::collection::btree_map(text(), text(), 0..4), digest)
            .prop_map(|(requirements, versions, content)| GalaxyPin { requirements, versions, content });
        (
            proptest::collection::btree_map((name(), machine), source, 0..4),
            proptest::collection::btree_map(name(), stage, 0..4),
            proptest::collection::btree_map(text(), galaxy, 0..3),
        )
            .prop_map(|(sources, stages, galaxy)| Pins { sources, stages, galaxy })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_reads_back_equal(pins in pins()) {
            let written = write(&pins);
            let back = read(&source(&written));
            prop_assert_eq!(back, Ok(pins.clone()), "{}", written);
            prop_assert_eq!(&write(&pins), &written);
        }
    }

    #[test]
    fn an_entry_is_a_block_with_a_blank_line_before_it() {
        let digest = Digest::of(b"x");
        let pins = Pins {
            stages: BTreeMap::from([(
                Name::new("base").expect("name"),
                StagePin { generation: 2, freshness: Some("2026-11-22".to_owned()) },
            )]),
            galaxy: BTreeMap::from([(
                "ansible/requirements.yml".to_owned(),
                GalaxyPin {
                    requirements: digest,
                    content: digest,
                    versions: BTreeMap::from([("collection community.general".to_owned(), "10.1.0".to_owned())]),
                },
            )]),
            ..Pins::default()
        };
        insta::assert_snapshot!(write(&pins), @r#"
        # Written by ovenbird; commit it. `ovenbird update` moves what is pinned here.
        format = 1

        galaxy "ansible/requirements.yml" {
          requirements = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
          content      = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
          versions = {
            "collection community.general" = "10.1.0"
          }
        }

        stage "base" {
          freshness  = "2026-11-22"
          generation = 2
        }
        "#);
    }
}
