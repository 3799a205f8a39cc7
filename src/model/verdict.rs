//! [`Verdict`]: what a dry run found, remembered under its dry-run key so that it is not repeated.
//!
//! Invariant: only a full dry run (not `--keep`) makes a verdict that passed; a verdict is about a key, never about a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::digest::{Digest, DryRunKey};
use crate::model::node::{NodeId, RunId};

/// Result of one dry run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was proved.
    pub key: DryRunKey,
    /// What the verification was made of, as the plan says it; a changed `verify` playbook voids the verdict, but not
    /// those of the children. `None`: the stage has no `verify`.
    #[serde(default)]
    pub verify_key: Option<Digest>,
    /// Whose.
    pub node: NodeId,
    /// Run that found it.
    pub run: RunId,
    /// Did everything pass.
    pub passed: bool,
    /// Docker image that it left: `ovenbird/<pipeline>/<stage>:<dry-run key, 12 hex>`.
    pub image: String,
    /// Docker's id of that image, `sha256:…`.
    pub image_id: String,
    /// Tasks that ran in the first pass.
    pub tasks: u32,
    /// Tasks that reported a change in the second pass, as `name (file:line)`; empty unless it failed for that.
    pub not_idempotent: Vec<String>,
    /// What a container could not exercise (skipped tags, tasks skipped for `packer_builder_type`, kernel, reboot …), one a line.
    pub not_exercised: Vec<String>,
    /// Seconds a phase took: `converge`, `idempotence`, `verify`.
    pub seconds: BTreeMap<String, f64>,
}
