//! Checks of a [`Plan`]: that it can be executed ([`Plan::check`]), and that a saved one still fits ([`Plan::still_fits`]).
//!
//! Mends nothing. Invariant: a plan that fits asks for the same images from the same inputs as the one that was looked at.

use std::collections::BTreeSet;

use crate::model::node::NodeId;
use crate::plan::plan::{Action, DryRunAction, Plan, PlannedNode, PlannedParent};
use crate::plan::verification::VerifyAction;

/// A rule that a plan breaks: a bug of the planner, or a saved plan that was edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Planned twice.
    #[error("`{0}` is planned twice")]
    Twice(NodeId),
    /// A build without key.
    #[error("`{0}` is built without a key")]
    NoKey(NodeId),
    /// A build without something to boot from.
    #[error("`{0}` is built, but its parent has no image")]
    NoParent(NodeId),
    /// A dry run without something to start from.
    #[error("`{0}` is dry-run, but its parent has no dry-run image")]
    NoDryRunParent(NodeId),
    /// A verification without an image.
    #[error("`{0}` is verified, but has no image")]
    NothingToVerify(NodeId),
    /// An action that the reason forbids, or the other way round.
    #[error("`{0}` is blocked and built at once")]
    BlockedBuild(NodeId),
}

/// Why a saved plan no longer fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Made by another version of ovenbird.
    #[error("it has format {0}, this ovenbird makes format {1}")]
    Format(u32, u32),
    /// Of another pipeline, region or wish.
    #[error("its {0} is another")]
    Other(&'static str),
    /// A node is not planned any more, or is new.
    #[error("`{0}` is in one of the two plans only")]
    Nodes(NodeId),
    /// Inputs changed.
    #[error("inputs of `{0}` changed")]
    Inputs(NodeId),
    /// What boots it changed.
    #[error("the parent of `{0}` changed")]
    Parent(NodeId),
    /// Images changed: built, removed or retagged meanwhile.
    #[error("what exists of `{0}` changed: planned was to {1}, now it would be to {2}")]
    Action(NodeId, &'static str, &'static str),
    /// A dry run that counted as passed has to be made.
    #[error("the dry run of `{0}` no longer counts as passed")]
    DryRun(NodeId),
    /// Images that are to be verified.
    #[error("whether `{0}` has to be verified, or by which checks, changed")]
    Verification(NodeId),
    /// Values for Terraform.
    #[error("`{0}` changed, or would get other values")]
    Emit(String),
}

impl Plan {
    /// The rules that every plan keeps.
    ///
    /// # Errors
    /// The first that is broken.
    pub fn check(&self) -> Result<(), Broken> {
        let mut images = BTreeSet::new();
        let mut containers = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for node in &self.nodes {
            let id = &node.node;
            if !seen.insert(id) {
                return Err(Broken::Twice(id.clone()));
            }
            check_build(node, &images)?;
            match &node.action {
                Action::Build | Action::Reuse { .. } | Action::Retag { .. } => drop(images.insert(id)),
                Action::Nothing if node.verification.runs() => return Err(Broken::NothingToVerify(id.clone())),
                Action::Nothing => {}
            }
            match &node.dry_run {
                DryRunAction::Run => {
                    let starts = match &node.parent {
                        PlannedParent::Source { docker, .. } => docker.is_some(),
                        PlannedParent::Node { node } => containers.contains(node),
                    };
                    if !starts || node.dry_run_key.is_none() {
                        return Err(Broken::NoDryRunParent(id.clone()));
                    }
                    containers.insert(id);
                }
                DryRunAction::Passed { .. } => drop(containers.insert(id)),
                DryRunAction::NotPossible { .. } | DryRunAction::Skip => {}
            }
        }
        Ok(())
    }

    /// Does this saved plan say the same as `now`, made from the same wishes. A dry run that passed meanwhile does not matter.
    ///
    /// # Errors
    /// Everything that differs.
    pub fn still_fits(&self, now: &Self) -> Result<(), Vec<Misfit>> {
        if self.format != now.format {
            return Err(vec![Misfit::Format(self.format, now.format)]);
        }
        let mut misfits = Vec::new();
        for (what, same) in [
            ("pipeline", self.pipeline == now.pipeline),
            ("region", self.region == now.region),
            ("set of wishes", self.wishes == now.wishes),
        ] {
            if !same {
                misfits.push(Misfit::Other(what));
            }
        }
        for node in &self.nodes {
            match now.node(&node.node) {
                None => misfits.push(Misfit::Nodes(node.node.clone())),
                Some(present) => misfits.extend(compare(node, present)),
            }
        }
        misfits.extend(now.nodes.iter().filter(|node| self.node(&node.node).is_none()).map(|node| Misfit::Nodes(node.node.clone())));
        for emit in self.emits.iter().chain(&now.emits) {
            let same = self.emits.contains(emit) && now.emits.contains(emit);
            let misfit = Misfit::Emit(emit.path.clone());
            if !same && !misfits.contains(&misfit) {
                misfits.push(misfit);
            }
        }
        if misfits.is_empty() { Ok(()) } else { Err(misfits) }
    }
}

fn check_build(node: &PlannedNode, images: &BTreeSet<&NodeId>) -> Result<(), Broken> {
    if node.action != Action::Build {
        return Ok(());
    }
    let id = node.node.clone();
    if node.reason.blocks() {
        return Err(Broken::BlockedBuild(id));
    }
    if node.stage_key.is_none() {
        return Err(Broken::NoKey(id));
    }
    let boots = match &node.parent {
        PlannedParent::Source { id, .. } => id.is_some(),
        PlannedParent::Node { node } => images.contains(node),
    };
    if boots { Ok(()) } else { Err(Broken::NoParent(id)) }
}

/// At most one misfit a node, the one that explains the others.
fn compare(saved: &PlannedNode, now: &PlannedNode) -> Option<Misfit> {
    let id = saved.node.clone();
    if saved.parent != now.parent {
        return Some(Misfit::Parent(id));
    }
    if saved.stage_key != now.stage_key || saved.dry_run_key != now.dry_run_key || saved.verify_key != now.verify_key {
        return Some(Misfit::Inputs(id));
    }
    if !same_action(&saved.action, &now.action) {
        return Some(Misfit::Action(id, verb(&saved.action), verb(&now.action)));
    }
    let passed = |node: &PlannedNode| matches!(node.dry_run, DryRunAction::Passed { .. });
    if passed(saved) && !passed(now) {
        return Some(Misfit::DryRun(id));
    }
    // One that passed meanwhile does not matter, as with a dry run.
    let runs = |node: &PlannedNode| match &node.verification {
        VerifyAction::Run { key, .. } => Some(*key),
        VerifyAction::None | VerifyAction::Passed | VerifyAction::Skip { .. } => None,
    };
    (runs(now).is_some() && runs(now) != runs(saved)).then_some(Misfit::Verification(id))
}

/// The image by its id: tags that a person added meanwhile change nothing.
fn same_action(a: &Action, b: &Action) -> bool {
    match (a, b) {
        (Action::Reuse { image: a }, Action::Reuse { image: b }) => a.id == b.id,
        (Action::Retag { image: a, set: set_a }, Action::Retag { image: b, set: set_b }) => a.id == b.id && set_a == set_b,
        (Action::Build, Action::Build) | (Action::Nothing, Action::Nothing) => true,
        (Action::Reuse { .. } | Action::Retag { .. } | Action::Build | Action::Nothing, _) => false,
    }
}

fn verb(action: &Action) -> &'static str {
    match action {
        Action::Reuse { .. } => "reuse an image",
        Action::Retag { .. } => "retag an image",
        Action::Build => "build",
        Action::Nothing => "do nothing",
    }
}
