//! [`Known`]: what was found outside before any decision; a snapshot.
//!
//! Invariant: a look-up that failed never becomes an empty `Known`; it is an error at the port.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::artifact::Image;
use crate::model::digest::DryRunKey;
use crate::model::problem::Problem;
use crate::model::verdict::Verdict;
use crate::model::verification::Verification;

/// What exists.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Our own images with the pipeline's tag, all states. `None`: nobody asked (`dry-run` never calls AWS).
    pub images: Option<Vec<Image>>,
    /// Verdicts that are remembered *and* whose Docker image is still there.
    pub verdicts: BTreeMap<DryRunKey, Verdict>,
    /// Last verifications by AMI id, of images whose tag does not say that the present checks passed; as far as the state has them.
    pub verifications: BTreeMap<String, Verification>,
}

/// What is known of the file that an emit writes.
#[derive(Debug, Clone)]
pub struct EmitTarget {
    /// Relative to the root.
    pub path: PathBuf,
    /// Does it exist.
    pub exists: bool,
    /// Names and their present values as text (AMI id, or compact JSON for a map); absent names are absent.
    pub present: BTreeMap<String, String>,
    /// Why it cannot be edited or must not be: not declared by Terraform, duplicate, expression …. Empty: it can.
    pub problems: Vec<Problem>,
}

/// A value that an emit writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmitNewValue {
    /// An AMI id.
    Id(String),
    /// Region → AMI id.
    Ids(BTreeMap<String, String>),
}

impl EmitNewValue {
    /// The text form of [`EmitTarget::present`]: the id itself, or compact JSON with sorted keys.
    ///
    /// # Panics
    /// Never: a map of strings is always JSON.
    pub fn text(&self) -> String {
        match self {
            Self::Id(id) => id.clone(),
            Self::Ids(ids) => serde_json::to_string(ids).expect("a map of strings is always JSON"),
        }
    }
}
