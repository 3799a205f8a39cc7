//! [`plan`]: the decision what is built, reused, retagged, dry-run and verified, each with its reason.
//!
//! Does nothing itself. Invariants: a node is built only when its key has no hit and somebody wants it; a leaf that is already
//! built needs none of its ancestors; what the planner makes passes [`Plan::check`].

mod finish;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::config::lock::Pins;
use crate::config::pipeline::{Pipeline, Stage};
use crate::model::artifact::Image;
use crate::model::digest::StageKey;
use crate::model::node::NodeId;
use crate::model::problem::Problems;
use crate::plan::difference::{Change, difference};
use crate::plan::emit;
use crate::plan::graph::{Graph, Parent};
use crate::plan::hit;
use crate::plan::keyed::{Keyed, Unpinned};
use crate::plan::known::{EmitTarget, Known};
use crate::plan::manifest::InputManifest;
use crate::plan::plan::{Action, DryRunAction, Plan, Wishes};
use crate::plan::reason::Reason;
use crate::plan::verification::{self, Unverified, VerifyAction};

/// Everything that a plan is made from, wishes aside.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The pipeline file.
    pub pipeline: &'a Pipeline,
    /// Its graph.
    pub graph: &'a Graph,
    /// Keys of all nodes.
    pub keyed: &'a BTreeMap<NodeId, Keyed>,
    /// The lock file.
    pub pins: &'a Pins,
    /// What exists.
    pub known: &'a Known,
    /// Files that emits write, by path relative to the root.
    pub targets: &'a BTreeMap<PathBuf, EmitTarget>,
    /// Manifests of earlier images, as far as the state has them.
    pub earlier: &'a BTreeMap<StageKey, InputManifest>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A stage that was asked for does not exist.
    #[error("no stage is called `{name}`")]
    UnknownStage {
        /// As asked.
        name: String,
        /// The nearest name, for "did you mean".
        suggestion: Option<String>,
        /// All stages.
        stages: Vec<String>,
    },
    /// A file that would be written cannot be edited. Known now, not after forty minutes of building.
    #[error("an emit cannot be written")]
    Targets(Problems),
}

/// Tags that a stage's image carries beside ours: the pipeline's, the stage's over them.
pub fn user_tags(pipeline: &Pipeline, stage: &Stage) -> BTreeMap<String, String> {
    let mut tags = pipeline.tags.clone();
    tags.extend(stage.tags.clone());
    tags
}

/// Decides.
///
/// # Errors
/// [`PlanError`]: a stage that does not exist, or a file for Terraform that cannot be edited and would be written.
pub fn plan(given: Given<'_>, wishes: &Wishes) -> Result<Plan, PlanError> {
    let wanted = wanted_nodes(given, wishes)?;
    let emits: Vec<bool> = given.pipeline.emits.iter().map(|emit| emit_wanted(emit, wishes, &wanted)).collect();
    let mut problems = Problems::default();
    for (emit, _) in given.pipeline.emits.iter().zip(&emits).filter(|(_, wanted)| **wanted) {
        if let Some(target) = given.targets.get(&emit.path) {
            problems.0.extend(target.problems.iter().cloned());
        }
    }
    if problems.has_errors() {
        return Err(PlanError::Targets(problems));
    }

    let warnings = problems.0.into_iter().map(|problem| problem.summary).collect();
    let (actions, dry_runs, verifications) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut planner = Planner { given, wishes, wanted, actions, dry_runs, verifications, warnings };
    if wishes.build {
        planner.decide_images(&emits);
        planner.decide_verifications();
    }
    if wishes.dry_run {
        planner.decide_dry_runs();
    }
    let plan = planner.finish(&emits);
    debug_assert_eq!(plan.check(), Ok(()));
    Ok(plan)
}

fn wanted_nodes(given: Given<'_>, wishes: &Wishes) -> Result<BTreeSet<NodeId>, PlanError> {
    for name in &wishes.stages {
        if given.pipeline.stage(name).is_none() {
            let stages: Vec<String> = given.pipeline.stages.iter().map(|stage| stage.name.to_string()).collect();
            let likeness = |stage: &&String| strsim::jaro_winkler(stage, name.as_str());
            let nearest = stages.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|stage| likeness(stage) > 0.7);
            return Err(PlanError::UnknownStage { name: name.to_string(), suggestion: nearest.cloned(), stages });
        }
    }
    let asked = |node: &&NodeId| wishes.stages.is_empty() || wishes.stages.contains(&node.stage);
    Ok(given.graph.nodes().iter().filter(asked).cloned().collect())
}

fn emit_wanted(emit: &crate::config::pipeline::Emit, wishes: &Wishes, wanted: &BTreeSet<NodeId>) -> bool {
    let full = wishes.stages.is_empty();
    wishes.build && wishes.emit.unwrap_or(full) && (full || emit::nodes(emit).iter().any(|node| wanted.contains(node)))
}

struct Planner<'a> {
    given: Given<'a>,
    wishes: &'a Wishes,
    wanted: BTreeSet<NodeId>,
    actions: BTreeMap<NodeId, (Action, Reason)>,
    dry_runs: BTreeMap<NodeId, DryRunAction>,
    verifications: BTreeMap<NodeId, VerifyAction>,
    warnings: Vec<String>,
}

impl<'a> Planner<'a> {
    fn keyed(&self, node: &NodeId) -> &'a Keyed {
        self.given.keyed.get(node).expect("every node of the graph is keyed")
    }

    fn images(&self) -> &'a [Image] {
        self.given.known.images.as_deref().unwrap_or(&[])
    }

    fn stage(&self, node: &NodeId) -> &'a Stage {
        self.given.pipeline.stage(&node.stage).expect("the graph is of this pipeline")
    }

    fn found(&self, node: &NodeId) -> hit::Found<'a> {
        let key = self.keyed(node).stage_key;
        key.map(|key| hit::find(self.images(), &self.given.pipeline.name, node, key)).unwrap_or_default()
    }

    /// A full run is for what somebody uses: leaves, and what an emit or a swap names. Between them only what has to be there.
    fn is_used(&self, node: &NodeId) -> bool {
        let pipeline = self.given.pipeline;
        !self.wishes.stages.is_empty()
            || self.given.graph.children(node).is_empty()
            || pipeline.emits.iter().any(|emit| emit::nodes(emit).contains(node))
            || pipeline.swaps.iter().any(|swap| swap.stage == node.stage)
    }

    fn decide_images(&mut self, emits: &[bool]) {
        for node in self.given.graph.nodes() {
            if self.wanted.contains(node) && self.is_used(node) {
                self.decide_image(node);
            }
        }
        // What is left is shown as what it is, but nothing is built for it.
        let emitted: BTreeSet<NodeId> =
            self.given.pipeline.emits.iter().zip(emits).filter(|(_, wanted)| **wanted).flat_map(|(emit, _)| emit::nodes(emit)).collect();
        for node in self.given.graph.nodes() {
            if (self.wanted.contains(node) || emitted.contains(node)) && !self.actions.contains_key(node) {
                let decision = self.reuse(node).unwrap_or((Action::Nothing, Reason::NotNeeded));
                self.actions.insert(node.clone(), decision);
            }
        }
    }

    /// The image of `node` has to be there after the run.
    fn decide_image(&mut self, node: &NodeId) {
        if self.actions.contains_key(node) {
            return;
        }
        let decision = self.reuse(node).unwrap_or_else(|| self.build(node));
        self.actions.insert(node.clone(), decision);
    }

    fn reuse(&mut self, node: &NodeId) -> Option<(Action, Reason)> {
        let found = self.found(node);
        let image = found.hit?.clone();
        for twin in &found.twins {
            self.warnings.push(format!("{node}: {} has the same key as {}, which is older and is used", twin.id, image.id));
        }
        for revoked in &found.revoked {
            self.warnings.push(format!("{node}: {} was revoked; {} has the same key, is not revoked and is used", revoked.id, image.id));
        }
        let mut set = user_tags(self.given.pipeline, self.stage(node));
        set.retain(|name, value| image.tag(name) != Some(value));
        if set.is_empty() || !self.wanted.contains(node) {
            return Some((Action::Reuse { image }, Reason::Sealed));
        }
        let names = set.keys().cloned().collect();
        Some((Action::Retag { image, set }, Reason::TagsDiffer { names }))
    }

    fn build(&mut self, node: &NodeId) -> (Action, Reason) {
        let keyed = self.keyed(node);
        let parent = self.given.graph.parent_node(node);
        if let Some(parent) = parent {
            self.decide_image(parent);
        }
        if !keyed.missing.is_empty() {
            let what = keyed.missing.iter().map(ToString::to_string).collect();
            return (Action::Nothing, Reason::NotPinned { what });
        }
        if let Some(parent) = parent
            && self.actions.get(parent).is_some_and(|(_, reason)| reason.blocks())
        {
            return (Action::Nothing, Reason::ParentBlocked { parent: parent.to_string() });
        }
        if let Some(revoked) = self.found(node).revoked.first() {
            return (Action::Nothing, Reason::Revoked { image: revoked.id.clone(), stage: node.stage.to_string() });
        }
        (Action::Build, self.why(node))
    }

    /// Why there is no image with the present key.
    fn why(&self, node: &NodeId) -> Reason {
        let keyed = self.keyed(node);
        let key = keyed.stage_key.expect("a node without key is not built");
        if self.given.earlier.contains_key(&key) {
            return Reason::Gone;
        }
        let earlier = hit::earlier(self.images(), &self.given.pipeline.name, node);
        let Some((newest, _)) = earlier.first() else { return Reason::FirstBuild };
        let nearest = earlier.iter().find_map(|(image, key)| Some((image, self.given.earlier.get(key)?)));
        let Some((image, manifest)) = nearest else {
            return if earlier.iter().any(|(_, old)| *old == key) { Reason::Gone } else { Reason::KeyChanged { since: newest.id.clone() } };
        };
        let changes = difference(manifest, &keyed.manifest);
        match (changes.as_slice(), self.given.graph.parent(node)) {
            ([], _) => Reason::KeyChanged { since: image.id.clone() },
            ([Change::Parent { .. }], Parent::Node(parent)) => Reason::ParentChanged { parent: parent.to_string() },
            ([Change::Pin { name, .. }], _) if name == "generation" => Reason::Generation { generation: keyed.manifest.generation },
            _ => Reason::InputsChanged { since: image.id.clone(), changes },
        }
    }

    /// What is made is verified; what is there and was asked for, where its tag does not say that the present checks passed.
    fn decide_verifications(&mut self) {
        for (node, (action, _)) in &self.actions {
            let keyed = self.keyed(node);
            let Some(key) = keyed.verify_key else { continue };
            let decision = match action {
                Action::Build => VerifyAction::Run { key, because: Unverified::Made },
                Action::Reuse { .. } | Action::Retag { .. } => {
                    match verification::standing(self.given.known, &self.given.pipeline.name, node, keyed) {
                        None => VerifyAction::None,
                        Some((_, Ok(()))) => VerifyAction::Passed,
                        Some((_, Err(because))) if self.wanted.contains(node) => VerifyAction::Run { key, because },
                        Some((_, Err(because))) => VerifyAction::Skip { because },
                    }
                }
                Action::Nothing => VerifyAction::None,
            };
            self.verifications.insert(node.clone(), decision);
        }
    }

    fn decide_dry_runs(&mut self) {
        for node in self.given.graph.nodes() {
            let needed = if self.wishes.build {
                self.actions.get(node).is_some_and(|(action, _)| *action == Action::Build)
            } else {
                self.wanted.contains(node)
            };
            if needed {
                self.decide_dry_run(node);
            }
        }
    }

    /// The Docker image of `node` has to be there. A child starts from its parent's, so the parent's has to be there first, even
    /// where the parent's AMI is a hit.
    fn decide_dry_run(&mut self, node: &NodeId) {
        if self.dry_runs.contains_key(node) {
            return;
        }
        let keyed = self.keyed(node);
        let again = self.wishes.again && self.wanted.contains(node);
        let decision = match keyed.dry_run_key {
            None => DryRunAction::NotPossible { why: self.no_dry_run_key(node) },
            Some(key) => match self.given.known.verdicts.get(&key) {
                Some(verdict) if !again && verdict.passed && verdict.verify_key == keyed.dry_run_verify_key => {
                    DryRunAction::Passed { image: verdict.image.clone() }
                }
                Some(_) | None => {
                    if let Some(parent) = self.given.graph.parent_node(node) {
                        self.decide_dry_run(parent);
                    }
                    DryRunAction::Run
                }
            },
        };
        self.dry_runs.insert(node.clone(), decision);
    }

    /// Why a node has no dry-run key. What is only not pinned blocks a run of dry runs alone.
    fn no_dry_run_key(&mut self, node: &NodeId) -> String {
        let keyed = self.keyed(node);
        if let Some(why) = &keyed.not_possible {
            return why.clone();
        }
        let what: Vec<String> = keyed.missing.iter().filter(|what| matches!(what, Unpinned::Galaxy(_))).map(ToString::to_string).collect();
        let reason = match self.given.graph.parent_node(node) {
            Some(parent) if what.is_empty() => Reason::ParentBlocked { parent: parent.to_string() },
            Some(_) | None => Reason::NotPinned { what },
        };
        let why = reason.to_string();
        self.actions.entry(node.clone()).or_insert((Action::Nothing, reason));
        why
    }
}
