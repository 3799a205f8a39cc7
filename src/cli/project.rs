//! [`Project`]: pipeline, pins, graph, inputs and targets, read once for a command.
//!
//! Reads the disk and the environment, asks nobody outside. Invariant: what it holds was read at one moment; a run that must know
//! whether an input changed meanwhile reads anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::cli::args::Common;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::world::World;
use crate::config::load::{ENV_PREFIX, LoadRequest, Loaded, load};
use crate::config::pipeline::Pipeline;
use crate::disk::{atomic, run_folder, tfvars};
use crate::inputs::{InputContext, Memory, collect};
use crate::model::name::Name;
use crate::model::node::NodeId;
use crate::model::problem::Problems;
use crate::plan::graph::Graph;
use crate::plan::inputs::StageInputs;
use crate::plan::keyed::{Keyed, manifests};
use crate::plan::known::EmitTarget;

/// What was found in the inputs, in `.ovenbird/cache/`; the next command uses what still holds.
const MEMO: &str = "inputs.jsonl";

/// What a command works on.
#[derive(Debug)]
pub struct Project {
    /// Pipeline file and lock file.
    pub loaded: Loaded,
    /// Nodes.
    pub graph: Graph,
    /// What was read from disk, by stage.
    pub inputs: BTreeMap<Name, StageInputs>,
}

impl Project {
    /// Reads everything. With `running`, a secret without value is an error.
    ///
    /// # Errors
    /// The problems of both files and of the inputs, all at once.
    pub fn read(common: &Common, world: &World, output: Output, running: bool) -> Result<Self, Failure> {
        Self::of(load_files(common, world, output, running)?, world)
    }

    /// The same on another thread, for a command that has something else to do meanwhile and ends with what it says of it; begins at
    /// once. Gives the problems of the inputs, or what was read.
    pub fn reading(loaded: Loaded, world: &World) -> impl Future<Output = Result<Self, Failure>> + use<> {
        let world = world.clone();
        let task = tokio::task::spawn_blocking(move || {
            let graph = Graph::new(&loaded.pipeline);
            let inputs = read_inputs(&loaded, &world, true)?;
            Ok(Self { loaded, graph, inputs })
        });
        async {
            match task.await {
                Ok(read) => read,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }

    /// With the files read already.
    ///
    /// # Errors
    /// The problems of the inputs.
    pub fn of(loaded: Loaded, world: &World) -> Result<Self, Failure> {
        let graph = Graph::new(&loaded.pipeline);
        let inputs = read_inputs(&loaded, world, false)?;
        Ok(Self { loaded, graph, inputs })
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &Pipeline {
        &self.loaded.pipeline
    }

    /// Manifests and keys. `docker` maps a reference to that image's id on this machine.
    pub fn keyed(&self, docker: &BTreeMap<String, String>) -> BTreeMap<NodeId, Keyed> {
        manifests(&self.loaded.pipeline, &self.graph, &self.loaded.pins, &self.inputs, docker)
    }

    /// The files that emits write, as they are now.
    pub fn targets(&self) -> BTreeMap<PathBuf, EmitTarget> {
        let pipeline = self.pipeline();
        pipeline.emits.iter().map(|emit| (emit.path.clone(), tfvars::inspect(&pipeline.root, &pipeline.source, emit))).collect()
    }

    /// A stage that was named on the command line.
    ///
    /// # Errors
    /// No such stage.
    pub fn stage_named(&self, text: &str) -> Result<Name, Failure> {
        let names: BTreeSet<&Name> = self.pipeline().stages.iter().map(|s| &s.name).collect();
        match names.iter().find(|n| n.as_str() == text) {
            Some(name) => Ok((*name).clone()),
            None => Err(unknown_stage(text, names.iter().map(|n| n.as_str()))),
        }
    }

    /// Stages that were named on the command line.
    ///
    /// # Errors
    /// The first that does not exist.
    pub fn stages_named(&self, texts: &[String]) -> Result<Vec<Name>, Failure> {
        texts.iter().map(|t| self.stage_named(t)).collect()
    }
}

fn unknown_stage<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Failure {
    let names: Vec<&str> = names.collect();
    let near = names.iter().map(|n| (strsim::damerau_levenshtein(n, text), n)).min().filter(|(distance, _)| *distance <= 2);
    let help = match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("stages of this pipeline: {}", names.join(", ")),
    };
    Failure::usage(format!("no stage is called `{text}`")).help(help)
}

/// The two files alone, their warnings said.
///
/// # Errors
/// Their problems; no pipeline file.
pub fn load_files(common: &Common, world: &World, output: Output, running: bool) -> Result<Loaded, Failure> {
    let loaded = read_files(common, world, running)?;
    if !loaded.warnings.is_empty() {
        output.problems(&Problems(loaded.warnings.clone()));
    }
    Ok(loaded)
}

/// The two files alone.
///
/// # Errors
/// Their problems; no pipeline file.
pub fn read_files(common: &Common, world: &World, running: bool) -> Result<Loaded, Failure> {
    let file = pipeline_file(common, world)?;
    let mut vars = Vec::new();
    for text in &common.vars {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::usage(format!("`--var {text}` has no `=`")).help("write `--var name=value`"));
        };
        vars.push((name.to_owned(), value.to_owned()));
    }
    let env_vars = world.environment.iter().filter(|(n, _)| n.starts_with(ENV_PREFIX)).map(|(n, v)| (n.clone(), v.clone())).collect();
    let request = LoadRequest {
        file,
        root: None,
        vars,
        var_files: common.var_files.iter().map(|f| world.absolute(f)).collect(),
        env_vars,
        env_present: &|name| world.var(name).is_some(),
        require_secrets: running,
    };
    Ok(load(&request)?)
}

/// What was read from disk for every stage. `last`: the command ends with what it says of it.
///
/// # Errors
/// The problems of the inputs.
pub fn read_inputs(loaded: &Loaded, world: &World, last: bool) -> Result<BTreeMap<Name, StageInputs>, Failure> {
    let kept = loaded.pipeline.dir.join(".ovenbird/cache").join(MEMO);
    let memory = world.program().map(|program| Memory { kept: std::fs::read(&kept).unwrap_or_default(), program });
    let read = collect(&loaded.pipeline, &InputContext { memory, last, ..world.input_context() })?;
    if let Some(memo) = read.keep {
        keep(&loaded.pipeline.dir, &kept, &memo);
    }
    Ok(read.inputs)
}

/// `--file`, or the nearest `ovenbird.hcl` here or above.
fn pipeline_file(common: &Common, world: &World) -> Result<PathBuf, Failure> {
    if let Some(file) = &common.file {
        let file = world.absolute(file);
        return Ok(if file.is_dir() { file.join("ovenbird.hcl") } else { file });
    }
    let found = world.cwd.ancestors().map(|folder| folder.join("ovenbird.hcl")).find(|f| f.is_file());
    found.ok_or_else(|| {
        Failure::data(format!("no `ovenbird.hcl` in {} or above", shown(&world.cwd)))
            .help("`ovenbird init` writes one; `--file` names another")
    })
}

fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

/// A checkout that cannot be written is read all the same; it only takes longer the next time.
fn keep(dir: &Path, place: &Path, memo: &[Vec<u8>]) {
    let folder = place.parent().unwrap_or(dir);
    if run_folder::make_dot(&dir.join(".ovenbird")).and_then(|()| std::fs::create_dir_all(folder)).is_ok() {
        drop(atomic::write_cache(place, 0o600, memo));
    }
}
