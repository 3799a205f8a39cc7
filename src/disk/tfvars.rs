//! The files that Terraform reads values from: [`inspect`] before anything is built, [`edit`] afterwards, [`diff`] for people.
//!
//! `.tfvars` is HCL (`tfvars_hcl`), everything else JSON (`tfvars_json`). Both keep every byte that is not the value: comments,
//! alignment, order, CRLF. A byte order mark is refused, because Terraform refuses it in HCL, too. Invariant: what cannot be edited
//! for certain is a problem with its place; nothing is guessed, and an edit is read back before it is handed out.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::config::pipeline::{Emit, EmitName, EmitValue};
use crate::config::schema::nearest;
use crate::disk::terraform_folder::{Declared, declared, read_after};
use crate::disk::unified::unified;
use crate::disk::{tfvars_hcl, tfvars_json};
use crate::model::problem::{Problem, SourceText};
use crate::plan::known::{EmitNewValue, EmitTarget};
use crate::syntax::hcl;

/// A file that cannot be edited; it is unchanged.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{path}` cannot be edited: {}", problem.summary)]
pub struct EditError {
    /// As shown.
    pub path: String,
    /// Why, with the place in the file.
    pub problem: Problem,
}

/// What a name holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// A string without interpolation.
    Text(String),
    /// A map of such strings.
    Map(BTreeMap<String, String>),
    /// `null`.
    Null,
    /// Anything else, as people call it.
    Other(&'static str),
}

/// A name in a file, with what it holds.
#[derive(Debug, Clone)]
pub(super) struct Present {
    /// Name.
    pub(super) name: String,
    /// What it holds.
    pub(super) held: Held,
    /// Where the value stands.
    pub(super) span: Range<usize>,
}

impl Held {
    /// Why it cannot become `wanted`; `None`: it can.
    pub(super) fn obstacle(&self, map_wanted: bool) -> Option<String> {
        match (self, map_wanted) {
            (Self::Null, _) | (Self::Text(_), false) | (Self::Map(_), true) => None,
            (Self::Text(_), true) => Some("holds a string, and a map of region to id would be written".to_owned()),
            (Self::Map(_), false) => Some("holds a map, and an id would be written".to_owned()),
            (Self::Other(what), _) => Some(format!("holds {what}, which is not replaced")),
        }
    }

    /// Is it what an edit wrote.
    pub(super) fn is(&self, value: &EmitNewValue) -> bool {
        match (self, value) {
            (Self::Text(text), EmitNewValue::Id(id)) => text == id,
            (Self::Map(map), EmitNewValue::Ids(ids)) => map == ids,
            (Self::Text(_) | Self::Map(_) | Self::Null | Self::Other(_), _) => false,
        }
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Map(map) => Some(EmitNewValue::Ids(map.clone()).text()),
            Self::Null | Self::Other(_) => None,
        }
    }
}

fn is_hcl(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tfvars")
}

/// Does Terraform read values of variables from it. Another `.json` is for whatever reads it.
fn holds_variables(path: &Path) -> bool {
    is_hcl(path) || path.to_str().is_some_and(|path| path.ends_with(".tfvars.json"))
}

/// Looks at the file that `emit` writes. `pipeline` is the pipeline file, for places.
pub fn inspect(root: &Path, pipeline: &Arc<SourceText>, emit: &Emit) -> EmitTarget {
    let mut target = EmitTarget { path: emit.path.clone(), exists: false, present: BTreeMap::new(), problems: Vec::new() };
    let shown = emit.path.display();
    match std::fs::read(root.join(&emit.path)) {
        Ok(bytes) => {
            target.exists = true;
            match read(&emit.path, &bytes) {
                Err(problem) => target.problems.push(as_problem_of_emit(problem, pipeline, emit)),
                Ok((source, present)) => look_at_names(&mut target, pipeline, emit, &source, &present),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let problem = Problem::error(format!("`{shown}` cannot be read: {error}"));
            target.problems.push(problem.at(pipeline, emit.span.clone(), ""));
        }
    }
    let folder = emit.path.parent().unwrap_or(Path::new(""));
    if nix::unistd::access(&root.join(folder), nix::unistd::AccessFlags::W_OK).is_err() {
        let problem = Problem::error(format!("`{shown}` cannot be written: its folder is missing or not writable"));
        target.problems.push(problem.at(pipeline, emit.span.clone(), ""));
    } else if holds_variables(&emit.path) {
        match declared(root, folder) {
            Ok(declared) => {
                target.problems.extend(undeclared(declared, pipeline, emit, folder));
                target.problems.extend(shadowed(root, pipeline, emit, folder));
            }
            Err(error) => {
                let problem = Problem::error(format!("`{}` cannot be listed: {error}", folder.display()));
                target.problems.push(problem.at(pipeline, emit.span.clone(), ""));
            }
        }
    }
    target
}

/// The file's own place stays first: there is what has to be mended.
fn as_problem_of_emit(mut problem: Problem, pipeline: &Arc<SourceText>, emit: &Emit) -> Problem {
    problem.summary = format!("`{}` cannot be edited: {}", emit.path.display(), problem.summary);
    problem.at(pipeline, emit.span.clone(), "written by this emit")
}

fn look_at_names(target: &mut EmitTarget, pipeline: &Arc<SourceText>, emit: &Emit, source: &Arc<SourceText>, present: &[Present]) {
    for EmitName { name, value, span } in &emit.names {
        let Some(found) = present.iter().find(|found| found.name == *name) else { continue };
        let map_wanted = matches!(value, EmitValue::Ids { .. });
        // Asked of the editor itself with a stand-in, so that what passes here cannot fail after the build.
        let stand_in = if map_wanted {
            EmitNewValue::Ids(BTreeMap::from([("region".to_owned(), "ami-0".to_owned())]))
        } else {
            EmitNewValue::Id("ami-0".to_owned())
        };
        match edit_source(&target.path, source, &BTreeMap::from([(name.clone(), stand_in)])) {
            Ok(_) => {
                if let Some(text) = found.held.text() {
                    target.present.insert(name.clone(), text);
                }
            }
            Err(problem) => {
                let problem = Problem::error(format!("`{}` cannot be edited: {}", target.path.display(), problem.summary))
                    .at(source, found.span.clone(), "")
                    .at(pipeline, span.clone(), "written by this emit");
                target.problems.push(problem);
            }
        }
    }
}

/// Names that the code does not declare. Terraform itself only warns of them, and the image would never be used.
fn undeclared(declared: Declared, pipeline: &Arc<SourceText>, emit: &Emit, folder: &Path) -> Vec<Problem> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let missing = emit.names.iter().filter(|name| !declared.names.contains(&name.name));
    if declared.files == 0 {
        let problem = Problem::error(format!("there is no Terraform code in `{}` that declares variables", folder.display()));
        return vec![
            problem
                .at(pipeline, emit.span.clone(), "written beside it")
                .help("an emit writes into the folder whose `*.tf` files declare the variables; a plain `.json` may lie anywhere"),
        ];
    }
    let complete = declared.unreadable.is_empty();
    let mut problems: Vec<Problem> = missing
        .map(|name| {
            let summary = format!("no variable `{}` is declared in `{}`", name.name, folder.display());
            let problem = if complete { Problem::error(summary) } else { Problem::warning(format!("{summary}, as far as it can be read")) };
            problem.at(pipeline, name.span.clone(), "").help(match nearest(&name.name, declared.names.iter().map(String::as_str)) {
                Some(found) => format!("did you mean `{found}`?"),
                None => format!("declare it: `variable \"{}\" {{ type = {} }}`", name.name, terraform_type(&name.value)),
            })
        })
        .collect();
    if !problems.is_empty() {
        problems.extend(declared.unreadable);
    }
    problems
}

/// Names that another file of the folder sets, too, and wins: Terraform would not see what is written here.
fn shadowed(root: &Path, pipeline: &Arc<SourceText>, emit: &Emit, folder: &Path) -> Vec<Problem> {
    let own = emit.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut problems = Vec::new();
    for file in read_after(&root.join(folder), own).unwrap_or_default() {
        let path = folder.join(&file);
        // A file that cannot be read is one that Terraform refuses by itself.
        let Ok(Ok((_, present))) = std::fs::read(root.join(&path)).map(|bytes| read(&path, &bytes)) else { continue };
        for name in emit.names.iter().filter(|name| present.iter().any(|found| found.name == name.name)) {
            let summary = format!("`{}` is set in `{}`, too, which Terraform reads later than `{own}`", name.name, path.display());
            let help = format!("remove it from `{}`, or its value stays in force", path.display());
            problems.push(Problem::warning(summary).at(pipeline, name.span.clone(), "").help(help));
        }
    }
    problems
}

fn terraform_type(value: &EmitValue) -> &'static str {
    match value {
        EmitValue::Id { .. } => "string",
        EmitValue::Ids { .. } => "map(string)",
    }
}

fn read(path: &Path, bytes: &[u8]) -> Result<(Arc<SourceText>, Vec<Present>), Problem> {
    let source = hcl::decode(path.to_owned(), bytes)?;
    let present = present(path, &source)?;
    Ok((source, present))
}

fn present(path: &Path, source: &Arc<SourceText>) -> Result<Vec<Present>, Problem> {
    if is_hcl(path) { tfvars_hcl::read(source) } else { tfvars_json::read(source) }
}

/// Names that a file sets.
///
/// # Errors
/// It cannot be read.
pub(super) fn names(path: &Path, bytes: &[u8]) -> Result<Vec<String>, Problem> {
    Ok(read(path, bytes)?.1.into_iter().map(|found| found.name).collect())
}

/// The file's new bytes: `old` with these values, or a new file. Names that are not in it are put at its end.
///
/// # Errors
/// [`EditError`], where the file cannot be edited for certain.
pub fn edit(path: &Path, old: Option<&[u8]>, values: &BTreeMap<String, EmitNewValue>) -> Result<Vec<u8>, EditError> {
    let wrong = |problem| EditError { path: path.display().to_string(), problem };
    let source = hcl::decode(path.to_owned(), old.unwrap_or_default()).map_err(wrong)?;
    edit_source(path, &source, values).map(String::into_bytes).map_err(wrong)
}

fn edit_source(path: &Path, source: &Arc<SourceText>, values: &BTreeMap<String, EmitNewValue>) -> Result<String, Problem> {
    let held = if source.text.trim().is_empty() { Vec::new() } else { present(path, source)? };
    for found in &held {
        let obstacle = values.get(&found.name).and_then(|value| found.held.obstacle(matches!(value, EmitNewValue::Ids(_))));
        if let Some(obstacle) = obstacle {
            return Err(Problem::error(format!("`{}` {obstacle}", found.name)).at(source, found.span.clone(), ""));
        }
    }
    let text = if is_hcl(path) { tfvars_hcl::edit(source, &held, values)? } else { tfvars_json::edit(source, &held, values) };
    verify(path, source, &held, values, text)
}

/// Reads the result back: the wanted values, everything else as it was, in the same order, new names behind.
fn verify(
    path: &Path,
    source: &Arc<SourceText>,
    before: &[Present],
    values: &BTreeMap<String, EmitNewValue>,
    text: String,
) -> Result<String, Problem> {
    let result = Arc::new(SourceText { path: source.path.clone(), text });
    let unsafe_edit = |name: &str| Problem::error(format!("`{name}` cannot be edited safely")).at(source, 0..0, "");
    let after = if result.text.trim().is_empty() { Vec::new() } else { present(path, &result)? };
    let appended = values.keys().filter(|name| before.iter().all(|old| old.name != **name)).count();
    if after.len() != before.len() + appended {
        return Err(unsafe_edit("the file"));
    }
    for (n, new) in after.iter().enumerate() {
        let kept = before.get(n).is_none_or(|old| old.name == new.name);
        let right = match (values.get(&new.name), before.get(n)) {
            (Some(value), _) => new.held.is(value),
            (None, Some(old)) => source.text.get(old.span.clone()) == result.text.get(new.span.clone()),
            (None, None) => false,
        };
        if !kept || !right {
            return Err(unsafe_edit(&new.name));
        }
    }
    Ok(Arc::unwrap_or_clone(result).text)
}

/// What an edit changes, as a unified diff. Empty: nothing.
pub fn diff(path: &Path, old: Option<&[u8]>, new: &[u8]) -> String {
    let old = old.map(String::from_utf8_lossy);
    unified(&path.display().to_string(), old.as_deref(), &String::from_utf8_lossy(new))
}
