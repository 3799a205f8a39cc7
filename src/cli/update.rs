//! `ovenbird update`: moves the pins that are due; and [`fill_missing`], by which other commands add what is not pinned yet.
//!
//! What moves is decided in `plan::pins`; here EC2 and ansible-galaxy are asked, and the lock file is written. Invariant: it is
//! written once, as a whole, after everything was found; a question that fails leaves it as it was.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::cli::args::{Common, UpdateArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::galaxy as galaxy_env;
use crate::cli::output::Output;
use crate::cli::project::{Project, read_files, read_inputs};
use crate::cli::survey::Survey;
use crate::cli::world::World;
use crate::config::load::Loaded;
use crate::config::lock::Pins;
use crate::config::lock_file;
use crate::config::pipeline::{AmiQuery, Pipeline};
use crate::config::schema::nearest;
use crate::disk::atomic;
use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::model::problem::Problems;
use crate::plan::pins::{self, Entry, Found, Missing, Moved, Wish};
use crate::ports::{Catalog, SourceQuery};
use crate::run::galaxy;

/// Moves pins and prints what moved.
///
/// # Errors
/// A name that nothing has; EC2 or ansible-galaxy say no; the lock file cannot be written.
pub async fn run(args: &UpdateArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    if common.locked && !args.check {
        return Err(Failure::usage("`update` moves what `--locked` keeps").help("`ovenbird update --check` says what would move"));
    }
    let loaded = read_files(common, world, false)?;
    if !loaded.warnings.is_empty() {
        output.problems(&Problems(loaded.warnings.clone()));
    }
    let wish = wish(args, &loaded.pipeline)?;
    let entries: BTreeSet<Entry> =
        all(&loaded.pipeline).into_iter().filter(|e| wish.only.as_ref().is_none_or(|only| only.contains(e))).collect();
    let survey =
        if entries.iter().any(|e| matches!(e, Entry::Source(..))) { Some(Survey::open(&loaded.pipeline, world).await?) } else { None };
    let catalog = survey.as_ref().map(|survey| &survey.catalog as &dyn Catalog);
    let found = find(&loaded.pipeline, &entries, catalog, world).await?;
    let (next, moves) = pins::moved(&loaded.pipeline, &loaded.pins, &found, &wish, &world.today());
    if !args.check {
        write(&loaded, &next)?;
    }
    output.data(&render(&moves, args.check, &shown(&loaded)))?;
    Ok(if args.check && !moves.is_empty() { Exit::Work } else { Exit::Done })
}

/// Adds what keys need and the lock file does not have, and says so; with `--locked` it is refused instead. Without a catalog
/// (`dry-run`, which never calls AWS) only galaxy content is added.
///
/// # Errors
/// Something is missing under `--locked`; otherwise as [`run`].
pub async fn fill_missing(
    project: &mut Project,
    catalog: Option<&dyn Catalog>,
    common: &Common,
    world: &World,
    output: Output,
) -> Result<(), Failure> {
    let loaded = &project.loaded;
    let files = galaxy::requirement_files(&loaded.pipeline, &loaded.pipeline.stages)?;
    let mut missing = pins::missing(&loaded.pipeline, &project.graph, &loaded.pins, &files);
    for file in galaxy::changed(&loaded.pipeline, &loaded.pins, files.keys())? {
        let entry = Entry::Galaxy(file);
        if missing.iter().all(|m| m.entry != entry) {
            missing.push(Missing { entry, why: "takes something from the checkout that has changed since it was pinned".to_owned() });
        }
    }
    if catalog.is_none() {
        missing.retain(|m| matches!(m.entry, Entry::Galaxy(_)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    if common.locked {
        let lines: Vec<String> = missing.iter().map(|m| format!("{} {}", m.entry, m.why)).collect();
        let names: BTreeSet<String> = missing.iter().map(|m| name_of(&m.entry)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        return Err(Failure::data(format!("`{}` is not complete, and `--locked` keeps it as it is: {}", shown(loaded), lines.join("; ")))
            .help(format!("`ovenbird update {}` adds it; commit the lock file then", names.join(" "))));
    }
    let only: BTreeSet<Entry> = missing.into_iter().map(|m| m.entry).collect();
    let found = find(&loaded.pipeline, &only, catalog, world).await?;
    let galaxy = !found.galaxy.is_empty();
    let wish = Wish { only: Some(only), ..Wish::default() };
    let (next, moves) = pins::moved(&loaded.pipeline, &loaded.pins, &found, &wish, &world.today());
    write(loaded, &next)?;
    output.say(&render(&moves, false, &shown(loaded)));
    project.loaded.pins = next;
    if galaxy {
        project.inputs = read_inputs(&project.loaded, world, false)?;
    }
    Ok(())
}

fn shown(loaded: &Loaded) -> String {
    loaded.lock_path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn write(loaded: &Loaded, next: &Pins) -> Result<(), Failure> {
    if *next == loaded.pins {
        return Ok(());
    }
    atomic::write(&loaded.lock_path, lock_file::write(next).as_bytes()).map_err(|e| Failure::chain(Exit::Failed, &e))
}

/// Every entry that the pipeline has a place for.
fn all(pipeline: &Pipeline) -> BTreeSet<Entry> {
    let sources = pipeline.sources.iter().flat_map(|(name, source)| source.amis.keys().map(|a| Entry::Source(name.clone(), *a)));
    let stages = pipeline.stages.iter().map(|s| Entry::Stage(s.name.clone()));
    let galaxy = pipeline.stages.iter().flat_map(|s| &s.galaxy).filter_map(|file| Some(Entry::Galaxy(file.to_str()?.to_owned())));
    sources.chain(stages).chain(galaxy).collect()
}

/// What was asked for on the command line. `--rebuild` alone moves nothing else: who wants one image made again does not want a
/// newer source AMI under all of them.
fn wish(args: &UpdateArgs, pipeline: &Pipeline) -> Result<Wish, Failure> {
    let mut wish = Wish::default();
    for text in &args.rebuild {
        let stages: Vec<&Name> = pipeline.stages.iter().map(|s| &s.name).collect();
        let Some(name) = stages.iter().find(|name| name.as_str() == text) else {
            return Err(unknown("stage", text, stages.iter().map(|n| n.as_str())));
        };
        wish.rebuild.insert((*name).clone());
    }
    if args.names.is_empty() {
        wish.only = (!args.rebuild.is_empty()).then(BTreeSet::new);
        return Ok(wish);
    }
    let entries = all(pipeline);
    let mut only = BTreeSet::new();
    for text in &args.names {
        let wanted = text.trim_start_matches("./");
        let named: Vec<Entry> = entries.iter().filter(|entry| name_of(entry) == wanted).cloned().collect();
        if named.is_empty() {
            let known: BTreeSet<String> = entries.iter().map(name_of).collect();
            return Err(unknown("source, stage or requirement file", text, known.iter().map(String::as_str)));
        }
        only.extend(named);
    }
    wish.only = Some(only);
    Ok(wish)
}

/// What an entry is called on the command line.
fn name_of(entry: &Entry) -> String {
    match entry {
        Entry::Source(name, _) | Entry::Stage(name) => name.to_string(),
        Entry::Galaxy(file) => file.clone(),
    }
}

fn unknown<'n>(what: &str, text: &str, names: impl Iterator<Item = &'n str>) -> Failure {
    let names: Vec<&str> = names.collect();
    Failure::usage(format!("no {what} is called `{text}`")).help(match nearest(text, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are: {}", names.join(", ")),
    })
}

/// Asks for these entries: EC2 for sources, ansible-galaxy for requirement files.
async fn find(pipeline: &Pipeline, entries: &BTreeSet<Entry>, catalog: Option<&dyn Catalog>, world: &World) -> Result<Found, Failure> {
    let mut found = Found::default();
    let mut none = Vec::new();
    for entry in entries {
        match entry {
            Entry::Source(name, architecture) => {
                let (Some(catalog), Some(query)) = (catalog, pipeline.sources.get(name).and_then(|s| s.amis.get(architecture))) else {
                    continue;
                };
                match catalog.newest_source(&source_query(query, *architecture)).await? {
                    Some(image) => drop(found.sources.insert((name.clone(), *architecture), (image.id, image.name))),
                    None => none.push((name, *architecture, query)),
                }
            }
            Entry::Galaxy(file) => {
                let pin = galaxy::resolve(pipeline, file, &galaxy_env::environment(pipeline, world)).await?;
                found.galaxy.insert(file.clone(), pin);
            }
            Entry::Stage(_) => {}
        }
    }
    if none.is_empty() { Ok(found) } else { Err(no_image(pipeline, &none)) }
}

fn source_query(query: &AmiQuery, architecture: Architecture) -> SourceQuery {
    let empty = SourceQuery { architecture, owners: Vec::new(), filters: std::collections::BTreeMap::new(), id: None, ssm_parameter: None };
    match query {
        AmiQuery::Id(id) => SourceQuery { id: Some(id.clone()), ..empty },
        AmiQuery::SsmParameter(parameter) => SourceQuery { ssm_parameter: Some(parameter.clone()), ..empty },
        AmiQuery::Newest { owners, name, filters } => {
            let mut filters = filters.clone();
            if let Some(name) = name {
                filters.insert("name".to_owned(), vec![name.clone()]);
            }
            SourceQuery { owners: owners.clone(), filters, ..empty }
        }
    }
}

fn no_image(pipeline: &Pipeline, none: &[(&Name, Architecture, &AmiQuery)]) -> Failure {
    let mut said = Vec::new();
    let mut commands = Vec::new();
    for (name, architecture, query) in none {
        let asked = match query {
            AmiQuery::Id(id) => format!("`{id}`"),
            AmiQuery::SsmParameter(parameter) => format!("`{parameter}`"),
            AmiQuery::Newest { owners, name, .. } => {
                format!("`{}` of {}", name.as_deref().unwrap_or("*"), owners.join(", "))
            }
        };
        said.push(format!("source `{name}` {architecture}: no available hvm image on ebs is {asked} in {}", pipeline.region));
        if let AmiQuery::Newest { owners, name, .. } = query {
            commands.push(format!(
                "aws ec2 describe-images --region {} --owners {} --filters 'Name=name,Values={}' --query 'Images[].Name'",
                pipeline.region,
                owners.join(" "),
                name.as_deref().unwrap_or("*")
            ));
        }
    }
    let failure = Failure::data(said.join("; "));
    if commands.is_empty() { failure } else { failure.help(format!("this lists what is there:\n{}", commands.join("\n"))) }
}

/// A line for each thing that moved, then how many.
fn render(moves: &[Moved], check: bool, file: &str) -> String {
    let head = |m: &Moved| format!("{} {}", m.entry, m.field).trim_end().to_owned();
    let width = moves.iter().map(|m| head(m).chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for moved in moves {
        let value = match (&moved.old, &moved.new) {
            (Some(old), Some(new)) => format!("{old} → {new}"),
            (None, Some(new)) => format!("→ {new}"),
            (Some(old), None) => format!("{old} → removed"),
            (None, None) => String::new(),
        };
        let because = if moved.because.is_empty() { String::new() } else { format!("   {}", moved.because) };
        writeln!(text, "  {:width$}   {value}{because}", head(moved)).expect("writing to a String cannot fail");
    }
    let pins = if moves.len() == 1 { "1 pin".to_owned() } else { format!("{} pins", moves.len()) };
    let last = match (moves.is_empty(), check) {
        (true, _) => format!("nothing in {file} is due"),
        (false, true) => format!("\n{pins} in {file} would move"),
        (false, false) if moves.iter().all(|m| m.old.is_none()) => format!("\n{pins} added to {file}"),
        (false, false) => format!("\n{pins} in {file} moved"),
    };
    writeln!(text, "{last}").expect("writing to a String cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(entry: Entry, field: &str, old: Option<&str>, new: Option<&str>, because: &str) -> Moved {
        let text = |value: Option<&str>| value.map(str::to_owned);
        Moved { entry, field: field.to_owned(), old: text(old), new: text(new), because: because.to_owned() }
    }

    #[test]
    fn what_moved_is_a_line_each_old_before_new() {
        let name = |text: &str| Name::new(text).unwrap();
        let moves = [
            moved(Entry::Source(name("debian_12"), Architecture::X86_64), "", Some("ami-1 debian-12-a"), Some("ami-2 debian-12-b"), ""),
            moved(Entry::Stage(name("base")), "freshness", Some("2026-11-10"), Some("2026-11-22"), "12 d old, due after 7 d"),
            moved(Entry::Galaxy("ansible/requirements.yml".to_owned()), "role nginx", None, Some("3.1.0"), ""),
            moved(Entry::Stage(name("old")), "generation", Some("3"), None, "no longer in the pipeline"),
        ];
        insta::assert_snapshot!(render(&moves, true, "ovenbird.lock"), @r"
          source debian_12 x86_64                      ami-1 debian-12-a → ami-2 debian-12-b
          stage base freshness                         2026-11-10 → 2026-11-22   12 d old, due after 7 d
          galaxy ansible/requirements.yml role nginx   → 3.1.0
          stage old generation                         3 → removed   no longer in the pipeline

        4 pins in ovenbird.lock would move
        ");
        assert_eq!(render(&[], false, "ovenbird.lock"), "nothing in ovenbird.lock is due\n");
    }
}
