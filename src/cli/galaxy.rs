//! Galaxy content for commands: the environment that ansible-galaxy gets, and what a failure means for the exit code.
//!
//! Decides nothing. Invariant: ansible-galaxy gets the same environment as the children whose roles it installs.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::failure::{Exit, Failure};
use crate::cli::project::Project;
use crate::cli::world::World;
use crate::config::pipeline::Pipeline;
use crate::inputs::environment;
use crate::model::name::Name;
use crate::run::galaxy::{self, GalaxyError};

impl From<GalaxyError> for Failure {
    fn from(error: GalaxyError) -> Self {
        let exit = if error.is_input() { Exit::Data } else { Exit::Unavailable };
        let failure = Self::chain(exit, &error);
        match error.help() {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

/// The environment of ansible-galaxy.
pub fn environment(pipeline: &Pipeline, world: &World) -> BTreeMap<String, String> {
    let config = environment::ansible_config(pipeline, &world.input_context());
    environment::child_environment(&world.environment, &BTreeSet::new(), config.as_deref(), &environment::ansible_home(pipeline)).all()
}

/// Makes the pinned galaxy content of these stages be there; what `build` and `dry-run` call before the first step.
///
/// # Errors
/// It is not pinned, cannot be installed, or is not what is pinned.
pub async fn ensure(project: &Project, stages: &BTreeSet<Name>, world: &World) -> Result<(), Failure> {
    let pipeline = project.pipeline();
    let chosen = pipeline.stages.iter().filter(|s| stages.contains(&s.name));
    let files: BTreeSet<String> = chosen.flat_map(|s| &s.galaxy).filter_map(|file| file.to_str().map(str::to_owned)).collect();
    let files: Vec<String> = files.into_iter().collect();
    Ok(galaxy::ensure(pipeline, &project.loaded.pins, &files, &environment(pipeline, world)).await?)
}
