//! The `emit` blocks: which ids go into which file under which name.
//!
//! Whether Terraform declares the names and whether the file can be edited is `disk::tfvars`' to say. Invariant: no file and no
//! name in a file is written by two lines.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use hcl_edit::expr::Expression;

use crate::config::context::{Cx, Table};
use crate::config::paths::Places;
use crate::config::pipeline::{Emit, EmitName, EmitValue, Stage};
use crate::config::stage::extension_is;
use crate::config::words::listed;
use crate::model::node::Architecture;
use crate::model::problem::Problem;

/// Reads the `emit` blocks.
pub(super) fn emits(cx: &mut Cx, tables: &[Table<'_>], places: &Places, stages: &[Stage]) -> Vec<Emit> {
    let mut emits: Vec<Emit> = Vec::new();
    let mut files: BTreeMap<PathBuf, Range<usize>> = BTreeMap::new();
    for table in tables {
        let path = path(cx, table, places);
        let names: Vec<EmitName> = table
            .attributes()
            .filter_map(|(name, span, expr)| value(cx, expr, stages).map(|value| EmitName { name: name.to_owned(), value, span }))
            .collect();
        if table.attributes().next().is_none() {
            cx.error(table.head.clone(), format!("{} writes nothing", table.what), "", Some("`web_ami_id = stage.web.id`".to_owned()));
        }
        let Some(path) = path else { continue };
        // `./a.tfvars` and `a.tfvars` are one file; the blocks' labels differ, so this is not found by their names.
        if let Some(first) = files.get(&path) {
            let problem = Problem::error(format!("two `emit` blocks write `{}`", path.display()))
                .at(&cx.source, table.head.clone(), "second")
                .at(&cx.source, first.clone(), "first");
            cx.problems.push(problem.help("put all names into one block: it is written only when all of its stages have their image"));
            continue;
        }
        files.insert(path.clone(), table.head.clone());
        emits.push(Emit { path, names, span: table.head.clone() });
    }
    emits
}

fn path(cx: &mut Cx, table: &Table<'_>, places: &Places) -> Option<PathBuf> {
    let label = table.label();
    let relative = places.relative(&label.value);
    let path = cx.path_or_problem(&label, relative)?;
    if !extension_is(&path, "tfvars") && !extension_is(&path, "json") {
        cx.error(
            label.span,
            format!("`{}` is not a file that Terraform reads values from", label.value),
            "",
            Some("`.tfvars`, `.tfvars.json` or `.json`".to_owned()),
        );
        return None;
    }
    let full = places.root.join(&path);
    if full.is_dir() {
        cx.error(label.span, format!("`{}` is a folder", label.value), "", None);
        return None;
    }
    let folder = full.parent().unwrap_or(&places.root);
    if !folder.is_dir() {
        let written = path.parent().map(|p| p.display().to_string()).unwrap_or_default();
        cx.error(
            label.span,
            format!("there is no folder `{written}` to write `{}` into", label.value),
            "",
            Some("an `emit` writes into a Terraform folder that is there".to_owned()),
        );
        return None;
    }
    // Through a link the write would land outside, so the file counts when it is there, and its folder in any case.
    let inside = places
        .stays_inside(folder, &label.value)
        .and_then(|()| if full.exists() { places.stays_inside(&full, &label.value) } else { Ok(()) });
    cx.path_or_problem(&label, inside.map(|()| path))
}

fn value(cx: &mut Cx, expr: &Expression, stages: &[Stage]) -> Option<EmitValue> {
    const FORM: &str = "stage.NAME.id, stage.NAME[\"arm64\"].id or stage.NAME.ids";
    let reference = cx.block_reference(expr, &["stage"], FORM)?;
    let stage = reference.name.clone();
    let offered = stages.iter().find(|s| s.name == stage).map(|s| s.architectures.clone()).unwrap_or_default();
    let (wanted, last) = match &reference.rest[..] {
        [architecture, last] if architecture.index => (Some(architecture), last),
        [last] if !last.index => (None, last),
        [] => {
            cx.error(reference.span, format!("`stage.{stage}` is not an id"), "", Some(format!("write `stage.{stage}.id`")));
            return None;
        }
        [first, ..] => {
            cx.error(first.span.clone(), format!("this takes {FORM}"), "", None);
            return None;
        }
    };
    let architecture = match wanted {
        None => offered.first().copied(),
        Some(segment) => match segment.text.parse::<Architecture>() {
            Ok(architecture) if offered.is_empty() || offered.contains(&architecture) => Some(architecture),
            Ok(other) => {
                let names = listed(&offered.iter().map(|a| a.as_str()).collect::<Vec<_>>());
                cx.error(
                    segment.span.clone(),
                    format!("stage `{stage}` is not built for `{other}`"),
                    "",
                    Some(format!("it is built for {names}")),
                );
                return None;
            }
            Err(error) => {
                cx.error(segment.span.clone(), error, "", None);
                return None;
            }
        },
    };
    // No architecture at all: the stage hangs on something that is reported.
    let architecture = architecture?;
    match last.text.as_str() {
        "id" => Some(EmitValue::Id { stage, architecture }),
        "ids" => Some(EmitValue::Ids { stage, architecture }),
        other => {
            cx.error(
                last.span.clone(),
                format!("a stage has no `{other}`"),
                "",
                Some("of a stage there are `id` and `ids` (map of region → id)".to_owned()),
            );
            None
        }
    }
}
