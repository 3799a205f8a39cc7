//! What an emit writes: from artifacts to values, for planning and after a build alike, so that a hit emits exactly as a build does.
//!
//! Edits nothing. Invariant: a block has values only when every node in it has its image.

use std::collections::BTreeMap;

use crate::config::pipeline::{Emit, EmitName, EmitValue};
use crate::model::node::NodeId;
use crate::plan::known::{EmitNewValue, EmitTarget};

/// Nodes that a block names, in its order, each once.
pub fn nodes(emit: &Emit) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    for name in &emit.names {
        let node = node(&name.value);
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    nodes
}

/// Values of a block by Terraform variable. `ids`: AMI id of each node in `region`. Copies in other regions come later, as further
/// entries of the maps.
///
/// # Errors
/// Nodes without image; then nothing of the block is written.
pub fn values(emit: &Emit, ids: &BTreeMap<NodeId, String>, region: &str) -> Result<BTreeMap<String, EmitNewValue>, Vec<NodeId>> {
    let missing: Vec<NodeId> = nodes(emit).into_iter().filter(|node| !ids.contains_key(node)).collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    Ok(emit.names.iter().map(|name| (name.name.clone(), value(&name.value, &ids[&node(&name.value)], region))).collect())
}

/// Names of a block whose value would become another. A node without id is one that a build gives: another, too.
pub fn changes(emit: &Emit, ids: &BTreeMap<NodeId, String>, region: &str, target: Option<&EmitTarget>) -> Vec<String> {
    let differs = |name: &&EmitName| {
        let new = ids.get(&node(&name.value)).map(|id| value(&name.value, id, region).text());
        new.is_none() || target.and_then(|target| target.present.get(&name.name)) != new.as_ref()
    };
    emit.names.iter().filter(differs).map(|name| name.name.clone()).collect()
}

fn value(value: &EmitValue, id: &str, region: &str) -> EmitNewValue {
    match value {
        EmitValue::Id { .. } => EmitNewValue::Id(id.to_owned()),
        EmitValue::Ids { .. } => EmitNewValue::Ids(BTreeMap::from([(region.to_owned(), id.to_owned())])),
    }
}

fn node(value: &EmitValue) -> NodeId {
    let (stage, architecture) = value.node();
    NodeId { stage: stage.clone(), architecture }
}
