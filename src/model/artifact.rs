//! What a build made and how it is recognised: [`Image`] (an AMI as EC2 tells it), [`tags`] (the names of our tags).
//!
//! Invariant: an `Image` is what `DescribeImages` said at one moment, never what we hope for; whether it is a hit is decided by
//! `plan::hit` alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of the tags that ovenbird writes. One place, so that lookup and writing cannot differ.
pub mod tags {
    /// `sha256:…`, the stage key. Written last, on each regional image: the seal.
    pub const KEY: &str = "ovenbird:key";
    /// The pipeline's name; the lookup filters by it.
    pub const PIPELINE: &str = "ovenbird:pipeline";
    /// The stage's name.
    pub const STAGE: &str = "ovenbird:stage";
    /// Architecture of the node; on everything that the run created. Two nodes of one stage build at the same time, and what one
    /// of them left must not be taken for the other's.
    pub const ARCHITECTURE: &str = "ovenbird:architecture";
    /// AMI id that was booted.
    pub const PARENT: &str = "ovenbird:parent";
    /// Stage key of the parent, when it is a stage.
    pub const PARENT_KEY: &str = "ovenbird:parent-key";
    /// Name of the source that the chain starts from.
    pub const SOURCE: &str = "ovenbird:source";
    /// Commit that was checked out.
    pub const GIT: &str = "ovenbird:git";
    /// `true` when the work tree was not clean.
    pub const DIRTY: &str = "ovenbird:dirty";
    /// Run that built it; on everything that the run created, so that leftovers can be found.
    pub const RUN: &str = "ovenbird:run";
    /// Version of ovenbird.
    pub const VERSION: &str = "ovenbird:version";
    /// What really ran: `packer=1.15.0 ansible-core=2.19.4 …`. A note; the key has the constraints.
    pub const TOOLS: &str = "ovenbird:tools";
    /// Key of the verification that passed, or that one failed ([`crate::model::verification::Mark`]).
    pub const VERIFIED: &str = "ovenbird:verified";
    /// Set by hand on an image that must not be used any more.
    pub const REVOKED: &str = "ovenbird:revoked";
    /// Prefix of all of them; users may not set tags with it.
    pub const PREFIX: &str = "ovenbird:";
}

/// State of an AMI, in EC2's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// Still being made.
    Pending,
    /// Can be launched.
    Available,
    /// Could not be made.
    Failed,
    /// Anything else that EC2 says (deregistered, invalid, transient, error, disabled).
    Other(String),
}

/// An AMI in one region, as `DescribeImages` told it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Image {
    /// `ami-…`
    pub id: String,
    /// Region that was asked.
    pub region: String,
    /// AMI name.
    pub name: String,
    /// State at that moment.
    pub state: ImageState,
    /// RFC 3339, as EC2 gives it; sorts as text. Empty if EC2 gave none.
    pub created: String,
    /// `x86_64`, `arm64`, or another of EC2's.
    pub architecture: String,
    /// Owner's account id.
    pub owner: String,
    /// `hvm` or `paravirtual`.
    pub virtualization: String,
    /// `ebs` or `instance-store`.
    pub root_device: String,
    /// Snapshots behind its block devices.
    pub snapshots: Vec<String>,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
    /// AMI that the instance was launched from, where EC2 tells it.
    pub source_image: Option<String>,
}

impl Image {
    /// The value of a tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name).map(String::as_str)
    }
}

/// Something in the account that a run made and that is not an image in use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leftover {
    /// What kind of thing.
    pub kind: LeftoverKind,
    /// Its id: `i-…`, `sg-…`, key pair *name*, `ami-…`, `snap-…`, `vol-…`; for Docker the container id.
    pub id: String,
    /// Region, or `docker`.
    pub region: String,
    /// Command that removes it, for when we could not.
    pub remove_with: String,
}

/// Kinds of [`Leftover`], in the order in which they have to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftoverKind {
    /// An EC2 instance.
    Instance,
    /// An AMI without seal.
    Image,
    /// A snapshot without image.
    Snapshot,
    /// A volume.
    Volume,
    /// A key pair.
    KeyPair,
    /// A security group.
    SecurityGroup,
    /// A container.
    Container,
    /// A file on this machine.
    File,
}
