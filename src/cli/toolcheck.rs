//! Tools before a run: which of them this run needs, checked against the `tools` block.
//!
//! Invariant: called before the first step, so that a tool outside its constraint touches nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::failure::Failure;
use crate::cli::world::World;
use crate::config::pipeline::{Pipeline, Recipe, Tool};
use crate::inputs::environment;
use crate::model::name::Name;
use crate::run::toolcheck::{self, Known, Place, ToolsWrong};
use crate::tools::versions;

impl From<ToolsWrong> for Failure {
    fn from(error: ToolsWrong) -> Self {
        let mut help: Vec<&str> = error.0.iter().map(|wrong| wrong.mend.as_str()).collect();
        help.push("`ovenbird doctor` looks at everything else too");
        Self::unavailable(error.to_string()).help(help.join("\n"))
    }
}

/// Packer's plugins that are installed (source and version), for the note of what made an image. Packer itself says what it lacks,
/// so one that does not answer here has none.
pub async fn plugins(tools: &BTreeMap<Tool, Known>, pipeline: &Pipeline, world: &World) -> Vec<(String, String)> {
    let Some(packer) = tools.get(&Tool::Packer) else { return Vec::new() };
    let env = environment::passed(&world.environment);
    let said = toolcheck::said(&versions::packer_plugins(&packer.program, &pipeline.root, &env)).await;
    said.map(|said| versions::parse_packer_plugins(&said)).unwrap_or_default()
}

/// Checks what these stages need; with `docker` the engine too. Gives what was found, for the record.
///
/// # Errors
/// All tools that are not there or outside their constraint (exit 69).
pub async fn check(pipeline: &Pipeline, stages: &BTreeSet<Name>, docker: bool, world: &World) -> Result<BTreeMap<Tool, Known>, Failure> {
    let mut needed = BTreeSet::new();
    for stage in pipeline.stages.iter().filter(|s| stages.contains(&s.name)) {
        needed.insert(Tool::Packer);
        // Whether somebody's template runs Ansible is its own business, unless a constraint says that it does.
        let own = matches!(stage.recipe, Recipe::Playbook { .. }) || stage.verify.is_some();
        if own || pipeline.tools.contains_key(&Tool::AnsibleCore) {
            needed.insert(Tool::AnsibleCore);
        }
        if docker {
            needed.insert(Tool::Docker);
        }
    }
    let needed: Vec<Tool> = needed.into_iter().collect();
    check_these(&needed, pipeline, world).await
}

/// Checks these tools. Gives what was found.
///
/// # Errors
/// As [`check`].
pub async fn check_these(needed: &[Tool], pipeline: &Pipeline, world: &World) -> Result<BTreeMap<Tool, Known>, Failure> {
    let env = environment::passed(&world.environment);
    let dot = pipeline.dir.join(".ovenbird");
    let place = Place { root: &pipeline.root, env: &env, dot: Some(&dot) };
    Ok(toolcheck::check(needed, &pipeline.tools, place).await?)
}
