//! [`Graph`]: nodes (stage × architecture) with their parents and children, parents first.
//!
//! Decides nothing. Invariant: built from a checked pipeline, so there is no cycle and every parent has the architectures of its
//! children; where the order is free it is the file's.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::pipeline::{ParentRef, Pipeline, Stage};
use crate::model::name::Name;
use crate::model::node::NodeId;

/// What a node boots from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parent {
    /// A source, for the node's own architecture.
    Source(Name),
    /// Another node, of the same architecture.
    Node(NodeId),
}

/// Nodes in topological order.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    order: Vec<NodeId>,
    parents: BTreeMap<NodeId, Parent>,
    children: BTreeMap<NodeId, Vec<NodeId>>,
}

impl Graph {
    /// The graph of a checked pipeline.
    ///
    /// # Panics
    /// When a stage's parent lacks one of its architectures; `config` refuses such a file.
    pub fn new(pipeline: &Pipeline) -> Self {
        let mut ordered: Vec<&Stage> = Vec::new();
        let mut seen = BTreeSet::new();
        for stage in &pipeline.stages {
            visit(pipeline, stage, &mut seen, &mut ordered);
        }
        let mut graph = Self::default();
        for stage in ordered {
            for &architecture in &stage.architectures {
                let id = NodeId { stage: stage.name.clone(), architecture };
                let parent = match &stage.from {
                    ParentRef::Source(name) => Parent::Source(name.clone()),
                    ParentRef::Stage(name) => {
                        let parent = NodeId { stage: name.clone(), architecture };
                        let siblings =
                            graph.children.get_mut(&parent).expect("config holds that a parent has its children's architectures");
                        siblings.push(id.clone());
                        Parent::Node(parent)
                    }
                };
                graph.parents.insert(id.clone(), parent);
                graph.children.insert(id.clone(), Vec::new());
                graph.order.push(id);
            }
        }
        graph
    }

    /// All nodes, a parent before its children.
    pub fn nodes(&self) -> &[NodeId] {
        &self.order
    }

    /// Is there such a node.
    pub fn contains(&self, node: &NodeId) -> bool {
        self.parents.contains_key(node)
    }

    /// What it boots from.
    ///
    /// # Panics
    /// When `node` is none of this graph.
    pub fn parent(&self, node: &NodeId) -> &Parent {
        self.parents.get(node).expect("the node is one of this graph")
    }

    /// The parent, where it is a node.
    pub fn parent_node(&self, node: &NodeId) -> Option<&NodeId> {
        match self.parent(node) {
            Parent::Source(_) => None,
            Parent::Node(parent) => Some(parent),
        }
    }

    /// Nodes that boot from it, in order.
    pub fn children(&self, node: &NodeId) -> &[NodeId] {
        self.children.get(node).map_or(&[], Vec::as_slice)
    }

    /// Its parent, the parent's parent …, nearest first.
    pub fn ancestors<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = &'a NodeId> {
        std::iter::successors(self.parent_node(node), |above| self.parent_node(above))
    }

    /// Everything that stands on it, parents first.
    pub fn descendants(&self, node: &NodeId) -> Vec<NodeId> {
        self.order.iter().filter(|below| self.ancestors(below).any(|above| above == node)).cloned().collect()
    }

    /// The source that its chain starts from.
    pub fn source(&self, node: &NodeId) -> &Name {
        let top = self.ancestors(node).last().unwrap_or(node);
        match self.parent(top) {
            Parent::Source(name) => name,
            Parent::Node(_) => unreachable!("the last ancestor has no node above it"),
        }
    }
}

/// Depth first: a stage that the file names before its parent waits for it, everything else keeps its place.
fn visit<'a>(pipeline: &'a Pipeline, stage: &'a Stage, seen: &mut BTreeSet<&'a Name>, ordered: &mut Vec<&'a Stage>) {
    if !seen.insert(&stage.name) {
        return;
    }
    if let ParentRef::Stage(name) = &stage.from
        && let Some(parent) = pipeline.stage(name)
    {
        visit(pipeline, parent, seen, ordered);
    }
    ordered.push(stage);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::node::Architecture;
    use crate::plan::testing;

    fn names(nodes: &[NodeId]) -> Vec<String> {
        nodes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn parents_come_first_and_the_files_order_is_kept_where_free() {
        let mut pipeline = testing::pipeline(&[("api", "base"), ("base", ""), ("web", "base"), ("edge", "web"), ("alone", "")]);
        assert_eq!(names(Graph::new(&pipeline).nodes()), ["base", "api", "web", "edge", "alone"]);
        pipeline.stages.reverse();
        assert_eq!(names(Graph::new(&pipeline).nodes()), ["alone", "base", "web", "edge", "api"]);
    }

    #[test]
    fn a_stage_is_a_node_for_each_architecture_with_a_parent_of_the_same() {
        let mut pipeline = testing::pipeline(&[("base", ""), ("web", "base")]);
        pipeline.stages[0].architectures = Architecture::ALL.to_vec();
        pipeline.stages[1].architectures = vec![Architecture::Arm64];
        let graph = Graph::new(&pipeline);
        assert_eq!(names(graph.nodes()), ["base", "base/arm64", "web/arm64"]);
        let web = testing::node("web/arm64");
        assert_eq!(graph.parent_node(&web), Some(&testing::node("base/arm64")));
        assert_eq!(graph.children(&testing::node("base")), []);
    }

    #[test]
    fn ancestors_go_up_and_descendants_down() {
        let graph = Graph::new(&testing::pipeline(&[("base", ""), ("web", "base"), ("edge", "web"), ("api", "base")]));
        let edge = testing::node("edge");
        assert_eq!(graph.ancestors(&edge).map(ToString::to_string).collect::<Vec<_>>(), ["web", "base"]);
        assert_eq!(names(&graph.descendants(&testing::node("base"))), ["web", "edge", "api"]);
        assert_eq!(graph.source(&edge).as_str(), "debian");
    }
}
