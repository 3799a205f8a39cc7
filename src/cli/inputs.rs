//! `ovenbird inputs STAGE`: the files in the key, each with why it is in.
//!
//! Reads only the disk. Invariant: lists exactly the trees that the manifest digests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;

use crate::cli::args::{Common, InputsArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::project::Project;
use crate::cli::world::World;
use crate::plan::inputs::{Entry, StageInputs, Tree};
use crate::plan::why::{Chain, Place};
use crate::report::style::count;

/// Lists, or answers `--why`.
///
/// # Errors
/// No such stage, or the path is no input (exit 65).
pub fn run(args: &InputsArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    let project = Project::read(common, world, output, false)?;
    let name = project.stage_named(&args.stage)?;
    let inputs = project.inputs.get(&name).expect("every stage's inputs were read");
    if let Some(path) = &args.why {
        return why(path, inputs, args, world, &project, output);
    }
    if args.json {
        output.json(&as_json(inputs))?;
    } else {
        output.data(&as_text(inputs))?;
    }
    Ok(Exit::Done)
}

/// `ansible/roles/nginx` + `tasks/main.yml`; a file is a tree of one entry, named "".
fn full(tree: &str, entry: &str) -> String {
    if entry.is_empty() { tree.to_owned() } else { format!("{tree}/{entry}") }
}

fn chain(why: &Chain) -> String {
    let link = |(what, via): (&str, Option<&Place>)| via.map_or_else(|| what.to_owned(), |via| format!("{what} via {via}"));
    let parts: Vec<String> = why.links().into_iter().map(link).collect();
    parts.join(" · ")
}

fn files(tree: &Tree) -> usize {
    tree.values().filter(|e| matches!(e, Entry::File { .. } | Entry::Link { .. })).count()
}

fn as_text(inputs: &StageInputs) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        text.write_fmt(args).expect("writing to a String cannot fail");
        text.push('\n');
    };
    let alone = verification_alone(inputs);
    for (trees, title) in [(&inputs.trees, None), (&alone, Some("of the verification alone"))] {
        if trees.values().all(|tree| all_absent(tree)) {
            continue;
        }
        if let Some(title) = title {
            line(format_args!("\n{title}:"));
        }
        for (name, tree) in trees.iter().filter(|(_, tree)| !all_absent(tree)) {
            let why = inputs.why.get(name).map(chain).unwrap_or_default();
            line(format_args!("{name}  ({why})"));
            for (entry, what) in tree.iter().filter(|(entry, what)| !entry.is_empty() && **what != Entry::Absent) {
                line(format_args!("    {entry}{}", mark(what)));
            }
            if let Some(what) = tree.get("").filter(|e| !matches!(e, Entry::File { .. })) {
                line(format_args!("    {}", mark(what).trim_start()));
            }
        }
    }
    let absent = absent(inputs);
    if !absent.is_empty() {
        line(format_args!("\nnot there; each counts when it appears:"));
        for name in absent {
            line(format_args!("    {name}"));
        }
    }
    if !inputs.environment.is_empty() {
        line(format_args!("\nenvironment: {}", inputs.environment.keys().cloned().collect::<Vec<_>>().join(", ")));
    }
    line(format_args!("\nansible.cfg: {}", inputs.ansible_config.as_deref().unwrap_or("none in force")));
    for place in &inputs.imprecise {
        line(format_args!("imprecise: {} taken whole, {} ({})", place.taken, place.because, place.place));
    }
    for note in &inputs.notes {
        line(format_args!("note: {note}"));
    }
    let ignored: Vec<String> = inputs.ignored.iter().filter(|(_, n)| **n > 0).map(|(p, n)| format!("{p} ({n})")).collect();
    if !ignored.is_empty() {
        line(format_args!("left out: {}", ignored.join(", ")));
    }
    let total: usize = inputs.trees.values().map(|tree| files(tree)).sum();
    let places = inputs.trees.values().filter(|tree| !all_absent(tree)).count();
    line(format_args!("{} in {}", count(total, "file"), count(places, "place")));
    text
}

/// What the verification reads and the image does not: most of its closure (`ansible.cfg`, `group_vars`, plugins) is the image's too.
fn verification_alone(inputs: &StageInputs) -> BTreeMap<String, Arc<Tree>> {
    let mut alone = inputs.verify_trees.clone();
    for (name, tree) in &mut alone {
        if let Some(common) = inputs.trees.get(name) {
            Arc::make_mut(tree).retain(|entry, what| common.get(entry) != Some(what));
        }
    }
    alone.retain(|_, tree| !tree.is_empty());
    alone
}

fn all_absent(tree: &Tree) -> bool {
    tree.values().all(|entry| *entry == Entry::Absent)
}

/// Paths that were looked for and are not there, the stage's own and its verification's.
fn absent(inputs: &StageInputs) -> BTreeSet<String> {
    let trees = inputs.trees.iter().chain(&inputs.verify_trees);
    trees.flat_map(|(name, tree)| tree.iter().filter(|(_, what)| **what == Entry::Absent).map(|(entry, _)| full(name, entry))).collect()
}

fn mark(entry: &Entry) -> String {
    match entry {
        Entry::File { executable: true, .. } => "  (executable)".to_owned(),
        Entry::File { .. } => String::new(),
        Entry::Link { target, .. } => format!("  → {target}"),
        Entry::EmptyFolder => "  (empty folder)".to_owned(),
        Entry::Special { what } => format!("  ({what}: not read)"),
        Entry::Absent => "  (absent; counts when it appears)".to_owned(),
    }
}

fn as_json(inputs: &StageInputs) -> serde_json::Value {
    json!({
        "trees": inputs.trees,
        "verify_trees": inputs.verify_trees,
        "why": inputs.why,
        "environment": inputs.environment.keys().collect::<Vec<_>>(),
        "ansible_config": inputs.ansible_config,
        "imprecise": inputs.imprecise,
        "ignored": inputs.ignored,
        "notes": inputs.notes,
    })
}

fn why(path: &str, inputs: &StageInputs, args: &InputsArgs, world: &World, project: &Project, output: Output) -> Result<Exit, Failure> {
    let root = &project.pipeline().root;
    let wanted =
        [Some(path.trim_start_matches("./").trim_end_matches('/').to_owned()), relative(&world.absolute(std::path::Path::new(path)), root)];
    let mut found = Vec::new();
    for (trees, verification) in [(&inputs.trees, false), (&verification_alone(inputs), true)] {
        for (name, tree) in trees {
            for (entry, what) in tree.iter() {
                let whole = folder_of_tree(&wanted, name, tree, entry);
                if whole || wanted.iter().flatten().any(|w| *w == full(name, entry)) {
                    let why = inputs.why.get(name).cloned().unwrap_or_default();
                    let path = if whole { name.clone() } else { full(name, entry) };
                    found.push((path, name.clone(), verification, what.clone(), why));
                }
            }
        }
    }
    if found.is_empty() {
        let others: Vec<String> = project.inputs.iter().filter(|(_, i)| holds(i, &wanted)).map(|(name, _)| format!("`{name}`")).collect();
        let of = if others.is_empty() { String::new() } else { format!("it is one of {}; ", others.join(", ")) };
        return Err(Failure::data(format!("`{path}` is no input of stage `{}`", args.stage)).help(format!(
            "{of}if something reads it here, add it to the stage's `inputs`; `ovenbird inputs {}` lists what is in",
            args.stage
        )));
    }
    if args.json {
        let rows: Vec<_> = found
            .iter()
            .map(|(path, tree, verification, entry, why)| json!({ "path": path, "tree": tree, "verification": verification, "entry": entry, "why": why }))
            .collect();
        output.json(&rows)?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for (path, tree, verification, entry, why) in found {
        let of = if verification { "the verification of " } else { "" };
        writeln!(text, "{path}{}\n  in {of}`{}` as a part of {tree}", mark(&entry), args.stage).expect("writing to a String cannot fail");
        for (what, via) in why.links() {
            let via = via.map(|v| format!(" ({v})")).unwrap_or_default();
            writeln!(text, "  because of {what}{via}").expect("writing to a String cannot fail");
        }
    }
    output.data(&text)?;
    Ok(Exit::Done)
}

/// `--why` of a folder that is a tree: answered once, at the tree's first entry.
fn folder_of_tree(wanted: &[Option<String>], name: &str, tree: &Tree, entry: &str) -> bool {
    wanted.iter().flatten().any(|w| w == name) && !tree.contains_key("") && tree.keys().next().is_some_and(|first| first == entry)
}

fn holds(inputs: &StageInputs, wanted: &[Option<String>]) -> bool {
    let trees = inputs.trees.iter().chain(&inputs.verify_trees);
    trees.into_iter().any(|(name, tree)| {
        tree.iter().any(|(entry, what)| *what != Entry::Absent && wanted.iter().flatten().any(|w| *w == full(name, entry)))
    })
}

fn relative(path: &std::path::Path, root: &std::path::Path) -> Option<String> {
    let mut clean = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Some(clean.strip_prefix(root).ok()?.to_str()?.to_owned())
}
