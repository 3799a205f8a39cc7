//! The `stage` blocks, one at a time; what needs more than one stage is in `lineage`.
//!
//! Invariant: a stage says how it is provisioned in exactly one way, and every file that it names is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::context::{At, Cx, Table};
use crate::config::paths::{Places, Wanted};
use crate::config::pipeline::{Builder, DryRunSettings, ParentRef, Recipe, Stage};
use crate::config::schema;
use crate::config::scope::Allow;
use crate::config::settings::{builder, duration, known_value, one_of, tags_of};
use crate::config::source::architecture;
use crate::config::words::reference_form;
use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::model::problem::Problem;
use crate::model::value::{Reference, Value};

/// A stage before its parent is known: [`Stage::architectures`] is empty where it follows the parent.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) stage: Stage,
    /// The expression of `from`; `None` when it is wrong (and [`Stage::from`] is a placeholder).
    pub(super) from: Option<At<ParentRef>>,
    /// Its architectures with their places, when they are written.
    pub(super) architectures: Vec<At<Architecture>>,
}

/// Reads one stage. `under` is the pipeline's builder.
pub(super) fn stage(cx: &mut Cx, table: &Table<'_>, places: &Places, under: &Builder) -> Option<Draft> {
    let from = table.expr("from").and_then(|expr| {
        let form = reference_form(&schema::STAGE, "from");
        cx.block_reference(expr, &["source", "stage"], form)?.parent(cx)
    });
    let architectures = architectures(cx, table);
    let recipe = recipe(cx, table, places);
    let galaxy = files(cx, table, places, "galaxy", "galaxy requirement file");
    let freshness_days = cx.string(table, "freshness").and_then(|found| freshness(cx, &found));
    let groups = groups(cx, table);
    let vars = values(cx, table, "vars");
    let ansible_arguments = cx.strings(table, "ansible_arguments").into_iter().map(|a| a.value).collect();
    let verify = cx.string(table, "verify").and_then(|found| cx.existing(places, &found, Wanted::File, "playbook"));
    let dry_run = dry_run(cx, table);
    let image = image(cx, table);
    let inputs = cx.strings(table, "inputs");
    let inputs = cx.globs(places, inputs);
    let ignore = cx.strings(table, "ignore");
    let ignore = cx.globs(places, ignore);
    let ami_name = ami_name(cx, table);
    let tags = tags_of(cx, table);
    let builder = builder(cx, table, under);
    let name = Name::new(&table.label().value).ok()?;
    // Placeholders stand only where a problem was left, and with a problem no pipeline leaves this room.
    let placeholder = || Recipe::Playbook { playbook: PathBuf::new(), template: PathBuf::new() };
    let stage = Stage {
        from: from.as_ref().map_or_else(|| ParentRef::Stage(name.clone()), |f| f.value.clone()),
        architectures: architectures.iter().map(|a| a.value).collect(),
        recipe: recipe.unwrap_or_else(placeholder),
        name,
        galaxy,
        freshness_days,
        groups,
        vars,
        ansible_arguments,
        verify,
        dry_run,
        image,
        inputs,
        ignore,
        ami_name,
        tags,
        builder,
        span: table.head.clone(),
    };
    Some(Draft { stage, from, architectures })
}

fn architectures(cx: &mut Cx, table: &Table<'_>) -> Vec<At<Architecture>> {
    let mut found: Vec<At<Architecture>> = Vec::new();
    let written = cx.strings(table, "architectures");
    if written.is_empty() && table.expr("architectures").is_some_and(|e| e.as_array().is_some_and(hcl_edit::expr::Array::is_empty)) {
        cx.error(table.key_span("architectures"), "`architectures` is empty", "", Some("leave it out to follow the parent".to_owned()));
    }
    for text in written {
        if let Some(value) = architecture(cx, &text) {
            if found.iter().any(|f| f.value == value) {
                cx.error(text.span, format!("architecture `{value}` is in the list twice"), "", None);
            } else {
                found.push(At { value, span: text.span });
            }
        }
    }
    found.sort_by_key(|a| a.value);
    found
}

fn recipe(cx: &mut Cx, table: &Table<'_>, places: &Places) -> Option<Recipe> {
    let written = |name: &str| table.expr(name).is_some();
    match (written("playbook"), written("template")) {
        (true, true) => {
            cx.error(
                table.key_span("template"),
                format!("{} has both `playbook` and `template`", table.what),
                "",
                Some("`playbook` goes through the project's packer folder; an existing template runs its own".to_owned()),
            );
            None
        }
        (false, false) if table.misspells("playbook") || table.misspells("template") => None,
        (false, false) => {
            cx.error(
                table.head.clone(),
                format!("{} has neither `playbook` nor `template`", table.what),
                "",
                Some(
                    "say what provisions it: `playbook = \"ansible/….yml\"`, or `template = \"packer/…\"` for an existing Packer template"
                        .to_owned(),
                ),
            );
            None
        }
        (true, false) => {
            misplaced(cx, table, &["only", "dry_run_only", "packer_vars", "var_files"], "only with `template`");
            let playbook = cx.string(table, "playbook").and_then(|found| cx.existing(places, &found, Wanted::File, "playbook"));
            let template = own_template(cx, table, places);
            Some(Recipe::Playbook { playbook: playbook?, template: template? })
        }
        (false, true) => {
            misplaced(
                cx,
                table,
                &["packer", "groups", "vars", "ansible_arguments"],
                "only with `playbook`; an existing template gets `packer_vars` and `var_files`",
            );
            let template = cx.string(table, "template").and_then(|found| foreign_template(cx, places, &found));
            let names = |cx: &mut Cx, name: &str| cx.strings(table, name).into_iter().map(|n| n.value).collect();
            let (only, dry_run_only) = (names(cx, "only"), names(cx, "dry_run_only"));
            let packer_vars = values(cx, table, "packer_vars");
            let var_files = files(cx, table, places, "var_files", "variable file");
            Some(Recipe::Template { template: template?, only, dry_run_only, packer_vars, var_files })
        }
    }
}

fn misplaced(cx: &mut Cx, table: &Table<'_>, names: &[&str], why: &str) {
    for name in names.iter().filter(|name| table.expr(name).is_some()) {
        cx.error(table.key_span(name), format!("`{name}` has no effect in {}", table.what), "", Some(format!("`{name}` works {why}")));
    }
}

/// The project's own template: `packer`, or the folder beside the pipeline file.
fn own_template(cx: &mut Cx, table: &Table<'_>, places: &Places) -> Option<PathBuf> {
    let found = cx.string(table, "packer");
    if found.is_none() && table.expr("packer").is_some() {
        return None;
    }
    let written = found.unwrap_or_else(|| At { value: "packer".to_owned(), span: table.key_span("playbook") });
    let help = "`ovenbird init` writes the folder `packer`; `packer = \"…\"` picks another one, `template = \"…\"` an existing template";
    match places.existing(&written.value, Wanted::Folder, "folder") {
        Ok(folder) if holds_hcl(&places.root.join(&folder)) => Some(folder),
        Ok(_) => {
            cx.error(written.span, format!("folder `{}` holds no `*.pkr.hcl`", written.value), "", Some(help.to_owned()));
            None
        }
        Err(error) => {
            cx.error(written.span, format!("no Packer template for this playbook: {error}"), "", Some(help.to_owned()));
            None
        }
    }
}

fn foreign_template(cx: &mut Cx, places: &Places, found: &At<String>) -> Option<PathBuf> {
    let path = cx.existing(places, found, Wanted::Either, "Packer template")?;
    let full = places.root.join(&path);
    if full.is_dir() {
        if holds_hcl(&full) {
            return Some(path);
        }
        cx.error(
            found.span.clone(),
            format!("folder `{}` holds no `*.pkr.hcl`", found.value),
            "",
            Some("name the JSON template itself".to_owned()),
        );
        return None;
    }
    let name = found.value.to_lowercase();
    if name.ends_with(".pkr.hcl") || extension_is(&path, "json") {
        return Some(path);
    }
    cx.error(
        found.span.clone(),
        format!("`{}` is not a Packer template", found.value),
        "",
        Some("Packer reads `*.pkr.hcl`, `*.pkr.json`, `*.json` and folders".to_owned()),
    );
    None
}

fn holds_hcl(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.filter_map(Result::ok).any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.ends_with(".pkr.hcl") || name.ends_with(".pkr.json")
        })
    })
}

/// Is this the file's extension.
pub(super) fn extension_is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn files(cx: &mut Cx, table: &Table<'_>, places: &Places, name: &str, what: &'static str) -> Vec<PathBuf> {
    let written = cx.strings(table, name);
    written.into_iter().filter_map(|found| cx.existing(places, &found, Wanted::File, what)).collect()
}

fn values(cx: &mut Cx, table: &Table<'_>, name: &str) -> BTreeMap<String, Value> {
    let Some(found) = cx.value(table, name, Allow::Secrets) else { return BTreeMap::new() };
    let Value::Map(map) = found.value else {
        let seen = crate::config::words::value_text(&found.value);
        cx.error(found.span, format!("`{name}` takes a map, here is {seen}"), "", Some(format!("`{name} = {{ key = value }}`")));
        return BTreeMap::new();
    };
    for key in map.keys() {
        let fits = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !fits {
            cx.error(found.span.clone(), format!("`{}` is not the name of a variable", key.escape_debug()), "", None);
        }
    }
    map
}

fn freshness(cx: &mut Cx, found: &At<String>) -> Option<u32> {
    let days = duration(&found.value).filter(|seconds| seconds % 86_400 == 0).and_then(|seconds| u32::try_from(seconds / 86_400).ok());
    if days.is_none() {
        cx.error(
            found.span.clone(),
            format!("`freshness` takes whole days, here is `{}`", found.value.escape_debug()),
            "",
            Some("`\"7d\"` or `\"2w\"`".to_owned()),
        );
    }
    days
}

fn groups(cx: &mut Cx, table: &Table<'_>) -> Vec<String> {
    let mut groups = Vec::new();
    for found in cx.strings(table, "groups") {
        let fits = found.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && found.value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if fits {
            groups.push(found.value);
        } else {
            cx.error(
                found.span,
                format!("`{}` is not the name of an inventory group", found.value.escape_debug()),
                "",
                Some("letters, digits and `_`, first a letter".to_owned()),
            );
        }
    }
    groups
}

fn dry_run(cx: &mut Cx, table: &Table<'_>) -> DryRunSettings {
    let mut settings = DryRunSettings { skip_tags: Vec::new(), idempotent: true, enabled: true };
    if let Some(block) = cx.block(table, "dry_run") {
        settings.skip_tags = cx.strings(&block, "skip_tags").into_iter().map(|t| t.value).collect();
        settings.idempotent = cx.bool(&block, "idempotent").unwrap_or(true);
        settings.enabled = cx.bool(&block, "enabled").unwrap_or(true);
    }
    settings
}

fn image(cx: &mut Cx, table: &Table<'_>) -> BTreeMap<String, Value> {
    let mut image = BTreeMap::new();
    if let Some(block) = cx.block(table, "image") {
        for (name, _, _) in block.attributes() {
            if let Some(found) = known_value(cx, &block, name) {
                if name == "imds_support" {
                    one_of(cx, name, &found, &["v2.0"]);
                }
                image.insert(name.to_owned(), found.value);
            }
        }
    }
    image
}

fn ami_name(cx: &mut Cx, table: &Table<'_>) -> Option<Value> {
    let found = cx.value(table, "name", Allow::References)?;
    let pieces = match &found.value {
        Value::Template(pieces) => pieces.as_slice(),
        one => std::slice::from_ref(one),
    };
    let literal: String = pieces.iter().filter_map(|p| if let Value::String(text) = p { Some(text.as_str()) } else { None }).collect();
    let odd = literal.chars().find(|c| !(c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(*c)));
    let only_literal = pieces.iter().all(|p| matches!(p, Value::String(_)));
    if let Some(odd) = odd {
        cx.error(
            found.span,
            format!("an AMI name may not hold `{}`", odd.escape_debug()),
            "",
            Some("letters, digits and ( ) [ ] space . / - ' @ _".to_owned()),
        );
        return None;
    }
    if literal.len() > 128 || (only_literal && literal.len() < 3) {
        cx.error(found.span, format!("an AMI name has 3 to 128 characters, here are {}", literal.len()), "", None);
        return None;
    }
    if !found.value.references().contains(&&Reference::ArtifactName) {
        let problem = Problem::warning("`name` is the same for every build").at(&cx.source, found.span.clone(), "");
        cx.problems.push(problem.help("EC2 has one image a name: the second build would be refused; put `${artifact.name}` in it"));
    }
    Some(found.value)
}
