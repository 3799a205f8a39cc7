//! From what was decided for each node to the value [`Plan`].
//!
//! Decides nothing more. Invariant: every node that was asked for, decided or dry-run is in the plan, and no other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Given, Planner};
use crate::config::pipeline::Emit;
use crate::model::name::Name;
use crate::model::node::NodeId;
use crate::plan::emit;
use crate::plan::graph::Parent;
use crate::plan::plan::{Action, DryRunAction, FORMAT, Plan, PlannedEmit, PlannedNode, PlannedParent, PlannedSource};
use crate::plan::reason::Reason;
use crate::plan::verification::{self, VerifyAction};

impl Planner<'_> {
    /// The plan that these decisions are.
    pub(super) fn finish(mut self, emits: &[bool]) -> Plan {
        let Given { pipeline, graph, pins, .. } = self.given;
        let shown = |node: &&NodeId| self.wanted.contains(*node) || self.actions.contains_key(*node) || self.dry_runs.contains_key(*node);
        let shown: Vec<&NodeId> = graph.nodes().iter().filter(shown).collect();
        let mut sources = Vec::new();
        for node in &shown {
            if let Parent::Source(name) = graph.parent(node) {
                let pin = pins.sources.get(&(name.clone(), node.architecture));
                let source = PlannedSource {
                    name: name.to_string(),
                    architecture: node.architecture.to_string(),
                    id: pin.map(|pin| pin.id.clone()),
                    image_name: pin.map(|pin| pin.name.clone()),
                    pinned: pin.map(|pin| pin.pinned.clone()),
                };
                if !sources.contains(&source) {
                    sources.push(source);
                }
            }
        }
        let ids: BTreeMap<NodeId, String> =
            graph.nodes().iter().filter_map(|node| Some((node.clone(), self.found(node).hit?.id.clone()))).collect();
        let emits = pipeline.emits.iter().zip(emits).map(|(emit, wanted)| self.planned_emit(emit, *wanted, &ids)).collect();
        let nodes: Vec<PlannedNode> = shown.iter().map(|node| self.planned_node(node)).collect();
        self.general_warnings(&shown);
        Plan {
            format: FORMAT,
            pipeline: pipeline.name.to_string(),
            region: pipeline.region.clone(),
            wishes: self.wishes.clone(),
            sources,
            nodes,
            emits,
            warnings: self.warnings,
        }
    }

    fn planned_node(&self, node: &NodeId) -> PlannedNode {
        let keyed = self.keyed(node);
        let (action, reason) = self.actions.get(node).cloned().unwrap_or((Action::Nothing, Reason::NotNeeded));
        let parent = match self.given.graph.parent(node) {
            Parent::Node(parent) => PlannedParent::Node { node: parent.clone() },
            Parent::Source(name) => PlannedParent::Source {
                name: name.to_string(),
                id: self.given.pins.sources.get(&(name.clone(), node.architecture)).map(|pin| pin.id.clone()),
                docker: self.given.pipeline.sources.get(name).and_then(|source| source.docker.clone()),
            },
        };
        PlannedNode {
            node: node.clone(),
            parent,
            stage_key: keyed.stage_key,
            dry_run_key: keyed.dry_run_key,
            verify_key: keyed.dry_run_verify_key,
            action,
            reason,
            dry_run: self.dry_runs.get(node).cloned().unwrap_or(DryRunAction::Skip),
            verification: self.verifications.get(node).cloned().unwrap_or_default(),
            wanted: self.wanted.contains(node),
        }
    }

    fn planned_emit(&self, emit: &Emit, wanted: bool, ids: &BTreeMap<NodeId, String>) -> PlannedEmit {
        let built = |node: &NodeId| self.actions.get(node).is_some_and(|(action, _)| *action == Action::Build);
        PlannedEmit {
            path: emit.path.display().to_string(),
            wanted,
            changes: emit::changes(emit, ids, &self.given.pipeline.region, self.given.targets.get(&emit.path)),
            missing: emit::nodes(emit).into_iter().filter(|node| !ids.contains_key(node) && !built(node)).collect(),
            unverified: if self.wishes.build { self.unverified(emit) } else { Vec::new() },
        }
    }

    /// Of what a block names and what that stands on: images that did not pass and that this run does not look at.
    fn unverified(&self, emit: &Emit) -> Vec<NodeId> {
        let Given { pipeline, graph, keyed, known, .. } = self.given;
        let mut found = Vec::new();
        for node in emit::nodes(emit) {
            for (unfit, ..) in verification::unfit(graph, keyed, known, &pipeline.name, &node) {
                if !self.verifications.get(unfit).is_some_and(VerifyAction::runs) && !found.contains(unfit) {
                    found.push(unfit.clone());
                }
            }
        }
        found
    }

    fn general_warnings(&mut self, shown: &[&NodeId]) {
        let pipeline = self.given.pipeline;
        if !pipeline.regions.is_empty() && self.wishes.build {
            let regions = pipeline.regions.join(", ");
            self.warnings.push(format!("images are not copied to {regions}: copies are not made by this version of ovenbird yet"));
        }
        let mut stages: BTreeSet<&Name> = BTreeSet::new();
        for node in shown {
            if stages.insert(&node.stage) {
                self.warnings.extend(self.keyed(node).warnings.iter().cloned());
            }
        }
    }
}
