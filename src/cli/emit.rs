//! `ovenbird emit`, and the emit at the end of a build: ids of what is built into the files that Terraform reads.
//!
//! What is written is `plan::emit`'s decision, how a file is edited `disk::tfvars`'s. Invariant: a hit emits exactly as a build
//! does, because both come through [`write()`].

use std::collections::BTreeMap;

use crate::cli::args::{Common, EmitArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::project::Project;
use crate::cli::survey::{self, Survey};
use crate::cli::world::World;
use crate::config::pipeline::{Emit, Pipeline};
use crate::disk::{atomic, tfvars};
use crate::event::Event;
use crate::model::node::NodeId;
use crate::model::problem::Problems;
use crate::plan::known::Known;
use crate::plan::{self, emit, hit, verification};

/// Writes, or says what would be written.
///
/// # Errors
/// EC2 does not answer, or a file cannot be edited.
pub async fn run(args: &EmitArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    let project = Project::read(common, world, output, false)?;
    let pipeline = project.pipeline();
    let wanted = wanted(args, pipeline, world)?;
    if wanted.is_empty() {
        output.say("no `emit` block says where ids are written\n");
        return Ok(Exit::Done);
    }
    let survey = Survey::open(pipeline, world).await?;
    let mut known = Known { images: Some(survey.images(output).await?), ..Known::default() };
    let keyed = project.keyed(&BTreeMap::new());
    known.verifications = survey::verifications(&survey.state, &known, pipeline, &keyed).await?;
    let mut ids = BTreeMap::new();
    for (node, keyed) in &keyed {
        let images = known.images.as_deref().unwrap_or_default();
        let found = keyed.stage_key.map(|key| hit::find(images, &pipeline.name, node, key)).unwrap_or_default();
        if let Some(image) = found.hit {
            ids.insert(node.clone(), image.id.clone());
        }
    }
    let mut work = false;
    let mut missing = false;
    for emit in wanted {
        let nodes = plan::emit::nodes(emit);
        let unfit: BTreeMap<_, _> = nodes
            .iter()
            .flat_map(|node| verification::unfit(&project.graph, &keyed, &known, &pipeline.name, node))
            .map(|(node, image, why)| (node, (image, why)))
            .collect();
        if !unfit.is_empty() {
            let path = emit.path.display();
            for (node, (image, why)) in unfit {
                let stage = &node.stage;
                output.warn(&format!("`{path}` is not written: {image} of {node}: {why}; `ovenbird build {stage}` verifies it"));
            }
            missing = true;
            continue;
        }
        let edited = match edit(pipeline, emit, &ids)? {
            Ok(edited) => edited,
            Err(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
                output.warn(&format!("`{}` is not written: no image of {} with the present key", emit.path.display(), nodes.join(", ")));
                missing = true;
                continue;
            }
        };
        if edited.changed.is_empty() {
            output.say(&format!("`{}` is up to date\n", emit.path.display()));
            continue;
        }
        work = true;
        if args.diff {
            output.data(&tfvars::diff(&emit.path, edited.old.as_deref(), &edited.new))?;
        } else if args.check {
            let names: Vec<&str> = edited.changed.keys().map(String::as_str).collect();
            output.say(&format!("`{}` would change: {}\n", emit.path.display(), names.join(", ")));
        } else {
            save(pipeline, emit, &edited)?;
            for (name, (old, new)) in &edited.changed {
                let old = old.as_deref().filter(|o| !o.is_empty()).unwrap_or("none");
                output.say(&format!("`{}`: {name} = {new} (was {old})\n", emit.path.display()));
            }
        }
    }
    Ok(match (missing, work && args.check) {
        (true, _) if !args.check => Exit::Failed,
        (true, _) | (_, true) => Exit::Work,
        (false, false) => Exit::Done,
    })
}

fn wanted<'p>(args: &EmitArgs, pipeline: &'p Pipeline, world: &World) -> Result<Vec<&'p Emit>, Failure> {
    if args.paths.is_empty() {
        return Ok(pipeline.emits.iter().collect());
    }
    let mut found = Vec::new();
    for path in &args.paths {
        let absolute = world.absolute(path);
        let emit = pipeline.emits.iter().find(|e| e.path == *path || pipeline.root.join(&e.path) == absolute);
        found.push(emit.ok_or_else(|| {
            let all: Vec<String> = pipeline.emits.iter().map(|e| e.path.display().to_string()).collect();
            Failure::usage(format!("no emit writes `{}`", path.display())).help(format!("emits: {}", all.join(", ")))
        })?);
    }
    Ok(found)
}

/// A file as it would be.
#[derive(Debug)]
pub struct Edited {
    /// Bytes now; `None`: there is no file.
    pub old: Option<Vec<u8>>,
    /// Bytes then.
    pub new: Vec<u8>,
    /// Names with another value: old and new.
    pub changed: BTreeMap<String, (Option<String>, String)>,
}

/// Reads the file anew and edits it in memory. The inner error: nodes without image.
///
/// # Errors
/// The file cannot be edited.
pub fn edit(pipeline: &Pipeline, emit: &Emit, ids: &BTreeMap<NodeId, String>) -> Result<Result<Edited, Vec<NodeId>>, Failure> {
    let values = match emit::values(emit, ids, &pipeline.region) {
        Ok(values) => values,
        Err(nodes) => return Ok(Err(nodes)),
    };
    let target = tfvars::inspect(&pipeline.root, &pipeline.source, emit);
    if target.problems.iter().any(|p| p.severity == crate::model::problem::Severity::Error) {
        return Err(Problems(target.problems).into());
    }
    let path = pipeline.root.join(&emit.path);
    let old = match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::data(format!("`{}` cannot be read: {error}", emit.path.display()))),
    };
    let new = tfvars::edit(&emit.path, old.as_deref(), &values).map_err(|e| Failure::chain(Exit::Data, &e))?;
    let changed = values
        .iter()
        .map(|(name, value)| (name.clone(), (target.present.get(name).cloned(), value.text())))
        .filter(|(_, (old, new))| old.as_ref() != Some(new))
        .collect();
    Ok(Ok(Edited { old, new, changed }))
}

fn save(pipeline: &Pipeline, emit: &Emit, edited: &Edited) -> Result<(), Failure> {
    let path = pipeline.root.join(&emit.path);
    atomic::write(&path, &edited.new).map_err(|e| Failure::chain(Exit::Failed, &e))
}

/// Writes one block, as the fact of a run. A file that is up to date is not touched.
///
/// # Errors
/// The file cannot be edited or written.
pub fn write(pipeline: &Pipeline, emit: &Emit, ids: &BTreeMap<NodeId, String>) -> Result<Event, Failure> {
    let path = emit.path.display().to_string();
    match edit(pipeline, emit, ids)? {
        Err(missing) => Ok(Event::EmitSkipped { path, missing, unverified: Vec::new() }),
        Ok(edited) => {
            if !edited.changed.is_empty() {
                save(pipeline, emit, &edited)?;
            }
            Ok(Event::Emitted { path, changed: edited.changed })
        }
    }
}
