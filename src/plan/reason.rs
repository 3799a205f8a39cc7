//! Why a step is in the plan, as values; text is made at the edge from [`std::fmt::Display`].
//!
//! Invariant: a reason is never guessed: `InputsChanged` holds the difference of two manifests that are both known.

use serde::{Deserialize, Serialize};

use crate::plan::difference::Change;

/// Why an AMI is built, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[must_use]
pub enum Reason {
    /// A sealed image with this key is there.
    Sealed,
    /// No image of this stage exists.
    FirstBuild,
    /// The nearest earlier image was made of other inputs.
    InputsChanged {
        /// That image.
        since: String,
        /// Differences, most telling first.
        changes: Vec<Change>,
    },
    /// Earlier images exist, but the manifest of none is known here.
    KeyChanged {
        /// The newest of them.
        since: String,
    },
    /// Nothing but the parent's key is another.
    ParentChanged {
        /// Its name.
        parent: String,
    },
    /// The manifest of this key is remembered, but no image with it is there any more.
    Gone,
    /// The image with this key was revoked: blocks, because equal inputs would make the same image again.
    Revoked {
        /// That image.
        image: String,
        /// Stage to name to `update --rebuild`.
        stage: String,
    },
    /// Something that the key needs is not in the lock file: blocks.
    NotPinned {
        /// What, as `source debian_12 x86_64` or `galaxy ansible/requirements.yml`.
        what: Vec<String>,
    },
    /// It would be built, but its parent cannot be: blocks.
    ParentBlocked {
        /// Its name.
        parent: String,
    },
    /// A rebuild was asked for in the lock file (`update --rebuild`).
    Generation {
        /// The generation now.
        generation: u64,
    },
    /// Tags are not as the pipeline file says.
    TagsDiffer {
        /// Tag names.
        names: Vec<String>,
    },
    /// Nobody asked for it, and nothing that is built needs it.
    NotNeeded,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sealed => write!(f, "sealed image found"),
            Self::FirstBuild => write!(f, "first build of this stage"),
            Self::InputsChanged { since, changes } => match changes.len() {
                1 => write!(f, "1 input changed since {since}"),
                n => write!(f, "{n} inputs changed since {since}"),
            },
            Self::KeyChanged { since } => write!(f, "inputs changed since {since} (its manifest is not known here)"),
            Self::ParentChanged { parent } => write!(f, "parent `{parent}` changed"),
            Self::Gone => write!(f, "was built before, but its image is not there any more"),
            Self::Revoked { image, stage } => {
                write!(f, "{image} was revoked; `ovenbird update --rebuild {stage}` asks for another")
            }
            Self::NotPinned { what } => write!(f, "not in the lock file: {}; `ovenbird update` pins it", what.join(", ")),
            Self::ParentBlocked { parent } => write!(f, "parent `{parent}` cannot be built"),
            Self::Generation { generation } => write!(f, "rebuild asked for (generation {generation})"),
            Self::TagsDiffer { names } => write!(f, "tags differ: {}", names.join(", ")),
            Self::NotNeeded => write!(f, "not needed"),
        }
    }
}

impl Reason {
    /// Does it stand in the way of a build that was asked for.
    pub fn blocks(&self) -> bool {
        match self {
            Self::Revoked { .. } | Self::NotPinned { .. } | Self::ParentBlocked { .. } => true,
            Self::Sealed
            | Self::FirstBuild
            | Self::InputsChanged { .. }
            | Self::KeyChanged { .. }
            | Self::ParentChanged { .. }
            | Self::Gone
            | Self::Generation { .. }
            | Self::TagsDiffer { .. }
            | Self::NotNeeded => false,
        }
    }
}
