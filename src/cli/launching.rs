//! What steps need to know, gathered before the first one starts, and the ledger that they ask.
//!
//! Wires only. Invariant: a child's environment and the key come from the same function of the same data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use crate::cli::failure::{Exit, Failure};
use crate::cli::planning::Planning;
use crate::cli::project::Project;
use crate::cli::world::World;
use crate::config::pipeline::{Pipeline, Recipe};
use crate::inputs::declared::declared_variables;
use crate::inputs::{InputContext, collect, environment};
use crate::model::digest::StageKey;
use crate::model::name::Name;
use crate::model::node::{NodeId, RunId};
use crate::model::value::Reference;
use crate::model::verdict::Verdict;
use crate::model::verification::Verification;
use crate::plan::difference::difference;
use crate::plan::inputs::StageInputs;
use crate::plan::keyed::{Keyed, manifests, verify_key};
use crate::plan::plan::Plan;
use crate::process::spawn;
use crate::run::galaxy;
use crate::run::step::{Engine, Ledger, Rekeyed, Steps};
use crate::store::State;
use crate::tools::ansible::Configured;
use crate::tools::git::{self, Head};

/// Gathered for the steps of a run.
#[derive(Debug)]
pub struct Gathered {
    /// Complete environment of a stage's children.
    pub environment: BTreeMap<Name, BTreeMap<String, String>>,
    /// What the user configured about Ansible's plugins.
    pub configured: BTreeMap<Name, Configured>,
    /// Variables that the stage's template declares.
    pub declared: BTreeMap<Name, BTreeSet<String>>,
    /// Values of the secrets that some stage refers to.
    pub secrets: BTreeMap<Name, String>,
    /// Another EC2 than Amazon's.
    pub ec2_endpoint: Option<String>,
    /// What is checked out.
    pub head: Option<Head>,
}

impl Gathered {
    /// Gathers. Only images carry the commit, so git is asked only where one is to be built (`builds`).
    ///
    /// # Errors
    /// `.ovenbird/` cannot be written.
    pub async fn of(project: &Project, world: &World, builds: bool) -> Result<Self, Failure> {
        let pipeline = project.pipeline();
        let context = world.input_context();
        environment::prepare(pipeline).map_err(|e| Failure::chain(Exit::Failed, &e))?;
        let (roles_path, collections_path) = environment::search_paths(pipeline, &context);
        let mut gathered = Self {
            environment: BTreeMap::new(),
            configured: BTreeMap::new(),
            declared: BTreeMap::new(),
            secrets: secrets(pipeline, world),
            ec2_endpoint: ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"].iter().find_map(|name| world.var(name)).map(str::to_owned),
            head: if builds { head(pipeline, world).await } else { None },
        };
        for stage in &pipeline.stages {
            let inputs = project.inputs.get(&stage.name).expect("every stage's inputs were read");
            let child = environment::for_stage(pipeline, &context, inputs).all();
            let (galaxy_roles, galaxy_collections) = galaxy::search_paths(pipeline, stage, &project.loaded.pins);
            let plugins = environment::plugin_settings(pipeline, &context);
            let configured = Configured {
                callback_plugins: plugins.callback_plugins,
                callbacks_enabled: plugins.callbacks_enabled,
                connection_plugins: plugins.connection_plugins,
                galaxy_roles,
                roles_path: roles_path.clone(),
                galaxy_collections,
                collections_path: collections_path.clone(),
            };
            gathered.environment.insert(stage.name.clone(), child);
            gathered.configured.insert(stage.name.clone(), configured);
            if let Recipe::Playbook { template, .. } = &stage.recipe {
                gathered.declared.insert(stage.name.clone(), declared_variables(&pipeline.root.join(template)));
            }
        }
        Ok(gathered)
    }

    /// The steps of a run that calls no AWS; a build names what it has beside that.
    pub fn steps<'a>(&'a self, plan: &'a Plan, run: &'a RunId, folder: &'a Path, records: &'a Records<'a>) -> Steps<'a> {
        Steps {
            pipeline: records.project.pipeline(),
            plan,
            run,
            folder,
            environment: &self.environment,
            inputs: &records.project.inputs,
            configured: &self.configured,
            declared: &self.declared,
            secrets: &self.secrets,
            catalog: None,
            ec2_endpoint: None,
            ledger: records,
            packer: None,
            plugins: Vec::new(),
            head: self.head.clone(),
            keep: false,
            engine: Engine::default(),
        }
    }
}

/// Only of secrets that a stage uses: nothing that is not needed is held in memory.
fn secrets(pipeline: &Pipeline, world: &World) -> BTreeMap<Name, String> {
    let mut used = BTreeSet::new();
    for stage in &pipeline.stages {
        let packer = match &stage.recipe {
            Recipe::Template { packer_vars, .. } => packer_vars.values().collect::<Vec<_>>(),
            Recipe::Playbook { .. } => Vec::new(),
        };
        for reference in stage.vars.values().chain(packer).flat_map(|value| value.references()) {
            if let Reference::Secret(name) = reference {
                used.insert(name.clone());
            }
        }
    }
    used.into_iter().filter_map(|name| Some((name.clone(), world.var(&pipeline.secrets.get(&name)?.env)?.to_owned()))).collect()
}

/// `None`: no git, no repository, no commit; tags are notes, and a build does not need them.
async fn head(pipeline: &Pipeline, world: &World) -> Option<Head> {
    let command = git::status(&pipeline.root, &environment::passed(&world.environment));
    let said = spawn::output(&command, Duration::from_secs(20), 4 * 1024 * 1024).await.ok()?;
    git::parse_status(&said.stdout).filter(|_| said.exit.success())
}

/// Keys and verdicts, for steps.
pub struct Records<'a> {
    /// As it was read before the run.
    project: &'a Project,
    /// The surroundings.
    world: &'a World,
    /// Where manifests and verdicts are kept.
    state: &'a State,
    /// Manifests that the plan was made with.
    keyed: &'a BTreeMap<NodeId, Keyed>,
    /// Ids of Docker images that the keys were made with.
    docker: &'a BTreeMap<String, String>,
}

impl<'a> Records<'a> {
    /// For the steps of this plan.
    pub fn new(project: &'a Project, world: &'a World, state: &'a State, planning: &'a Planning) -> Self {
        Self { project, world, state, keyed: &planning.keyed, docker: &planning.docker }
    }

    /// Not on the driver's thread: it must hear signals while thousands of files are read.
    async fn read_again(&self, stage: &Name) -> Result<StageInputs, String> {
        let pipeline = self.project.loaded.pipeline.clone();
        let only = Some(BTreeSet::from([stage.clone()]));
        let context = InputContext { only, ..self.world.input_context() };
        let read =
            tokio::task::spawn_blocking(move || collect(&pipeline, &context).map(|read| read.inputs)).await.map_err(|e| e.to_string())?;
        let mut read = read.map_err(|problems| Failure::from(problems).render(false, 100).trim().to_owned())?;
        read.remove(stage).ok_or_else(|| format!("stage `{stage}` is not there any more"))
    }
}

#[async_trait(?Send)]
impl Ledger for Records<'_> {
    async fn rekey(&self, node: &NodeId) -> Result<Rekeyed, String> {
        let planned = self.keyed.get(node).ok_or("the node is not one of the plan")?;
        let now = self.read_again(&node.stage).await?;
        if self.project.inputs.get(&node.stage) == Some(&now) {
            let Keyed { stage_key, dry_run_key, verify_key, .. } = *planned;
            return Ok(Rekeyed { stage_key, dry_run_key, verify_key, changes: Vec::new() });
        }
        // Only this stage's inputs count: the parent is what was planned, whatever happened to its files since.
        let loaded = &self.project.loaded;
        // The checks of the planned image: an edit of what the image is made of is the next plan's, not theirs.
        let stage = loaded.pipeline.stage(&node.stage).ok_or("the stage is not there any more")?;
        let verify_key = planned.stage_key.and_then(|key| verify_key(stage, &now, key));
        let mut inputs = self.project.inputs.clone();
        inputs.insert(node.stage.clone(), now);
        let keyed = manifests(&loaded.pipeline, &self.project.graph, &loaded.pins, &inputs, self.docker);
        let keyed = keyed.get(node).ok_or("the node is not there any more")?;
        let changes = difference(&planned.manifest, &keyed.manifest);
        Ok(Rekeyed { stage_key: keyed.stage_key, dry_run_key: keyed.dry_run_key, verify_key, changes })
    }

    async fn remember(&self, verdict: &Verdict) -> Result<(), String> {
        self.state.put_verdict(verdict).await.map_err(|e| describe(&e))
    }

    async fn sealed(&self, node: &NodeId, key: &StageKey) -> Result<(), String> {
        let manifest = &self.keyed.get(node).ok_or("the node is not one of the plan")?.manifest;
        self.state.put_input_manifest(key, manifest).await.map_err(|e| describe(&e))
    }

    async fn verified(&self, verification: &Verification) -> Result<(), String> {
        self.state.put_verification(verification).await.map_err(|e| describe(&e))
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    match Failure::chain(Exit::Failed, error) {
        Failure::Message { message, .. } => message,
        Failure::Problems(_) | Failure::Said(_) | Failure::BrokenPipe => error.to_string(),
    }
}
