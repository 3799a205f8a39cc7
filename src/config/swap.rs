//! The `swap` blocks: parsed and checked, every setting by its path in [`Swap::settings`]; the gates stand in `gate.rs`.
//!
//! Must not decide anything about a swap. Invariant: what is in `settings` has the type that the schema says.

use std::collections::BTreeMap;

use crate::config::context::{At, Cx, Table};
use crate::config::gate;
use crate::config::paths::{Places, Wanted};
use crate::config::pipeline::Swap;
use crate::config::schema_swap;
use crate::config::scope::Allow;
use crate::config::settings::{known_value, one_of};
use crate::config::swap_spec::SwapSpec;
use crate::config::words::reference_form;
use crate::model::name::Name;
use crate::model::problem::Problem;
use crate::model::value::Value;

/// Reads the `swap` blocks. Their names are declared already.
pub(super) fn swaps(cx: &mut Cx, tables: &[Table<'_>], places: &Places) -> Vec<Swap> {
    let swaps: Vec<Swap> = tables.iter().filter_map(|table| swap(cx, table, places)).collect();
    for start in &swaps {
        let mut path = vec![&start.name];
        let mut at = start.requires.as_ref();
        while let Some(next) = at {
            if path[0] == next {
                let names: Vec<&str> = path.iter().chain([&next]).map(|n| n.as_str()).collect();
                // Each swap of a circle finds it; the first one by name says it.
                if path.iter().min() == Some(&next) {
                    let problem = Problem::error(format!("swaps require each other in a circle: {}", names.join(" → ")));
                    cx.problems.push(problem.at(&cx.source, start.span.clone(), ""));
                }
                break;
            }
            if path.contains(&next) {
                break;
            }
            path.push(next);
            at = swaps.iter().find(|s| s.name == *next).and_then(|s| s.requires.as_ref());
        }
    }
    swaps
}

fn swap(cx: &mut Cx, table: &Table<'_>, places: &Places) -> Option<Swap> {
    let mut reference = |name: &'static str, kind: &'static str| {
        let expr = table.expr(name)?;
        Some(cx.block_reference(expr, &[kind], reference_form(&schema_swap::SWAP, name))?.bare(cx)?.name)
    };
    let stage = reference("stage", "stage");
    let requires = reference("requires", "swap");
    let directory = cx.string(table, "directory").and_then(|found| cx.existing(places, &found, Wanted::Folder, "Terraform folder"));
    let tfvars = cx.string(table, "tfvars").and_then(|found| {
        let bad = found.value.contains('/') || found.value.contains('\\') || !found.value.ends_with(".tfvars");
        if bad {
            cx.error(
                found.span,
                format!("`tfvars` takes the name of a `.tfvars` file in `directory`, here is `{}`", found.value.escape_debug()),
                "",
                None,
            );
            return None;
        }
        if let Some(directory) = &directory
            && !places.root.join(directory).join(&found.value).is_file()
        {
            cx.error(found.span, format!("there is no file `{}` in `{}`", found.value, directory.display()), "", None);
            return None;
        }
        Some(found.value)
    });
    let mut settings = BTreeMap::new();
    for name in ["live", "test"] {
        load_balancer(cx, table, name, &mut settings);
    }
    for (name, allowed) in [("record", ["git", "none"]), ("apply", ["terraform", "external"])] {
        if let Some(found) = cx.value(table, name, Allow::Literals) {
            one_of(cx, name, &found, &allowed);
            settings.insert(name.to_owned(), found.value);
        }
    }
    if let Some(block) = cx.block(table, "terraform") {
        keep(cx, &block, "terraform", &mut settings);
        if let Some(found) = cx.value(&block, "command", Allow::Literals) {
            one_of(cx, "command", &found, &["terraform", "tofu"]);
        }
    }
    for colour in ["blue", "green"] {
        let Some(block) = cx.block(table, colour) else {
            cx.error(
                table.head.clone(),
                format!("{} needs a `{colour}` block", table.what),
                "",
                Some(format!("`{colour} {{ group = \"aws_autoscaling_group.{colour}\" }}`")),
            );
            continue;
        };
        keep(cx, &block, colour, &mut settings);
        for (key, At { span, .. }) in cx.string_map(&block, "variables") {
            let known = ["ami_id", "min_size", "max_size", "elb_name"];
            if !known.contains(&key.as_str()) {
                let help = crate::config::words::meant(&key, &known)
                    .unwrap_or_else(|| format!("there are {}", crate::config::words::listed(&known)));
                cx.error(span, format!("there is no variable `{key}` of a colour"), "", Some(help));
            }
        }
    }
    let gates = gate::gates(cx, table, places);
    let name = Name::new(&table.label().value).ok()?;
    let swap = Swap { name, stage: stage?, requires, directory: directory?, tfvars: tfvars?, settings, gates, span: table.head.clone() };
    for wrong in SwapSpec::of(&swap).err().unwrap_or_default() {
        cx.error(table.head.clone(), wrong, "", None);
    }
    Some(swap)
}

/// Puts every attribute of a block into `settings`, as `prefix.name`.
fn keep(cx: &mut Cx, block: &Table<'_>, prefix: &str, settings: &mut BTreeMap<String, Value>) {
    for (name, _, _) in block.attributes() {
        if let Some(found) = known_value(cx, block, name) {
            settings.insert(format!("{prefix}.{name}"), found.value);
        }
    }
}

/// A name, or `{ value, target_group }`.
fn load_balancer(cx: &mut Cx, table: &Table<'_>, name: &str, settings: &mut BTreeMap<String, Value>) {
    let Some(found) = cx.value(table, name, Allow::Literals) else { return };
    let fits = match &found.value {
        Value::String(text) => !text.is_empty(),
        Value::Map(map) => {
            map.keys().map(String::as_str).eq(["target_group", "value"]) && map.values().all(|value| matches!(value, Value::String(_)))
        }
        _ => false,
    };
    if !fits {
        let help = "`\"elb-prd\"`, or `{ value = \"…\", target_group = \"arn:…\" }` for an ALB".to_owned();
        cx.error(found.span, format!("`{name}` takes the name of a load balancer"), "", Some(help));
        return;
    }
    settings.insert(name.to_owned(), found.value);
}
