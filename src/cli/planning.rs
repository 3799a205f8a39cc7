//! From a project to its plan, in the order that asks least: EC2 first, Docker only when something has to run.
//!
//! Decisions are `plan`'s. Invariant: `plan` and `build` come by their plan through [`Planning::make`], so they cannot differ.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::project::Project;
use crate::cli::survey::{self, Survey};
use crate::cli::world::World;
use crate::model::digest::StageKey;
use crate::model::node::NodeId;
use crate::plan::keyed::Keyed;
use crate::plan::known::{EmitTarget, Known};
use crate::plan::manifest::InputManifest;
use crate::plan::plan::{DryRunAction, Plan, Wishes};
use crate::plan::planner::{self, Given, PlanError};
use crate::store::State;

/// A plan with what it was made from.
#[derive(Debug)]
pub struct Planning {
    /// The plan.
    pub plan: Plan,
    /// Keys of all nodes.
    pub keyed: BTreeMap<NodeId, Keyed>,
    /// What was found.
    pub known: Known,
    /// Files that emits write.
    pub targets: BTreeMap<PathBuf, EmitTarget>,
    /// Ids of Docker images that the keys were made with.
    pub docker: BTreeMap<String, String>,
}

impl Planning {
    /// Plans. Without `survey` EC2 is not asked (`dry-run`).
    ///
    /// # Errors
    /// EC2, the state or Docker do not answer; the plan is refused.
    pub async fn make(
        project: &Project,
        world: &World,
        survey: Option<&Survey>,
        state: &State,
        wishes: &Wishes,
        output: Output,
    ) -> Result<Self, Failure> {
        let pipeline = project.pipeline();
        let targets = project.targets();
        let mut docker = BTreeMap::new();
        let mut keyed = project.keyed(&docker);
        let images = match survey {
            Some(survey) => Some(survey.images(output).await?),
            None => None,
        };
        let mut known = Known { images, ..Known::default() };
        known.verifications = survey::verifications(state, &known, pipeline, &keyed).await?;
        let earlier = survey::earlier(state, &known, pipeline, &keyed).await?;
        let mut plan = decide(project, &keyed, &known, &targets, &earlier, wishes)?;
        let runs = |plan: &Plan| plan.nodes.iter().any(|n| n.dry_run == DryRunAction::Run);
        if runs(&plan) {
            // The id of the image that stands for a source is in the dry-run key; nobody needs it when nothing runs.
            docker = survey::docker_ids(pipeline, world).await?;
            keyed = project.keyed(&docker);
            known.verdicts = survey::verdicts(state, pipeline, &keyed, world).await?;
            plan = decide(project, &keyed, &known, &targets, &earlier, wishes)?;
        }
        Ok(Self { plan, keyed, known, targets, docker })
    }
}

fn decide(
    project: &Project,
    keyed: &BTreeMap<NodeId, Keyed>,
    known: &Known,
    targets: &BTreeMap<PathBuf, EmitTarget>,
    earlier: &BTreeMap<StageKey, InputManifest>,
    wishes: &Wishes,
) -> Result<Plan, Failure> {
    let pins = &project.loaded.pins;
    let given = Given { pipeline: project.pipeline(), graph: &project.graph, keyed, pins, known, targets, earlier };
    planner::plan(given, wishes).map_err(|e| match e {
        PlanError::Targets(problems) => Failure::Problems(problems),
        PlanError::UnknownStage { .. } => Failure::chain(Exit::Usage, &e),
    })
}
