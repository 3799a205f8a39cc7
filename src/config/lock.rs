//! The types that `ovenbird.lock` becomes: everything that moves by itself, pinned.
//!
//! Reading and writing the file stand beside it (`lock_file.rs`). Invariant: what is written reads back equal, one entry a block,
//! sorted, so that two branches which move different pins merge.

use std::collections::BTreeMap;

use crate::model::digest::Digest;
use crate::model::name::Name;
use crate::model::node::Architecture;

/// All pins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// Source AMIs.
    pub sources: BTreeMap<(Name, Architecture), SourcePin>,
    /// Pins of stages; a stage without any has no entry.
    pub stages: BTreeMap<Name, StagePin>,
    /// Galaxy requirement files, by path relative to the root.
    pub galaxy: BTreeMap<String, GalaxyPin>,
}

/// A source AMI in the pipeline's region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePin {
    /// Region that it was found in; a pin for another region is no pin.
    pub region: String,
    /// `ami-…`
    pub id: String,
    /// AMI name.
    pub name: String,
    /// Day of the pin, `YYYY-MM-DD`.
    pub pinned: String,
}

/// What `update` raised for a stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StagePin {
    /// Raised by `update --rebuild`; in the key when not 0.
    pub generation: u64,
    /// Day of the last freshness rebuild, `YYYY-MM-DD`; in the key.
    pub freshness: Option<String>,
}

/// What a galaxy requirement file resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GalaxyPin {
    /// Digest of the requirement file when it was resolved.
    pub requirements: Digest,
    /// `role NAME` or `collection FQCN` → version.
    pub versions: BTreeMap<String, String>,
    /// Digest of everything that was installed.
    pub content: Digest,
}
