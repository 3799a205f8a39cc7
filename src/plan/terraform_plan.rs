//! [`TerraformPlan`]: a Terraform plan or state, as far as a swap looks at it.
//!
//! Data only: `tools::terraform` reads it, `plan::swap_guard` judges it. Invariant: what is not known until it is applied is said to
//! be so, and is never an empty value.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One resource that a plan changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceChange {
    /// Address.
    pub address: String,
    /// `update`, `create`, `delete` …, in order; never `no-op`.
    pub actions: Vec<String>,
    /// An object that a failed replacement left.
    pub deposed: bool,
    /// Attributes that differ.
    pub attributes: Vec<AttributeChange>,
}

/// One attribute that differs, as it may be shown: secrets and user data are named, not told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// Top-level name.
    pub name: String,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
    /// Known only after apply.
    pub unknown: bool,
}

impl AttributeChange {
    /// `0 → 2`
    pub fn told(&self) -> String {
        let after = if self.unknown { "(known after apply)" } else { &self.after };
        format!("{} → {after}", self.before)
    }
}

impl ResourceChange {
    /// `module.web.aws_autoscaling_group.green: min_size 0 → 2, max_size 0 → 4`
    pub fn told(&self) -> String {
        let attributes: Vec<String> = self.attributes.iter().map(|of| format!("{} {}", of.name, of.told())).collect();
        format!("{}: {}", self.address, attributes.join(", "))
    }
}

/// An Auto Scaling group as a plan or a state has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Name on AWS, where it is known.
    pub name: Option<String>,
    /// Minimum, where it is known.
    pub min_size: Option<u32>,
    /// Maximum, where it is known.
    pub max_size: Option<u32>,
    /// Classic load balancers, where they are known.
    pub load_balancers: Option<BTreeSet<String>>,
    /// Target groups, where they are known.
    pub target_groups: Option<BTreeSet<String>>,
    /// AMI of its launch template or configuration, where it is known.
    pub ami: Option<String>,
    /// Address of its launch template or configuration.
    pub template: Option<String>,
    /// What makes Terraform wait for instances.
    pub waits: Vec<String>,
}

/// A Terraform plan, as far as a swap looks at it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TerraformPlan {
    /// Resources that it changes.
    pub changes: Vec<ResourceChange>,
    /// Variables in force.
    pub variables: BTreeMap<String, Json>,
    /// Groups by address, before.
    pub before: BTreeMap<String, Group>,
    /// Groups by address, after.
    pub after: BTreeMap<String, Group>,
}

impl TerraformPlan {
    /// What it changes, a line a resource.
    pub fn told(&self) -> Vec<String> {
        self.changes.iter().map(ResourceChange::told).collect()
    }
}
