//! Why a step is in the plan, as values; text is made at the edge from [`std::fmt::Display`].
//!
//! Invariant: a reason is never guessed: `InputsChanged` holds the difference of two manifests that are both known.

use serde::{Deserialize, Serialize};

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
        /// Differences, most telling first: `M path`, `A path`, `D path`, `variable x`, `parent`, `pin freshness` ….
        changes: Vec<String>,
    },
    /// Earlier images exist, but the manifest of none is known here.
    KeyChanged {
        /// The newest of them.
        since: String,
    },
    /// The parent is rebuilt.
    ParentChanged {
        /// Its name.
        parent: String,
    },
    /// The image with this key was revoked.
    Revoked {
        /// That image.
        image: String,
    },
    /// `--force`-like wish of the user is not offered; a rebuild is asked for in the lock file.
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
            Self::ParentChanged { parent } => write!(f, "parent `{parent}` is rebuilt"),
            Self::Revoked { image } => write!(f, "{image} was revoked"),
            Self::Generation { generation } => write!(f, "rebuild asked for (generation {generation})"),
            Self::TagsDiffer { names } => write!(f, "tags differ: {}", names.join(", ")),
            Self::NotNeeded => write!(f, "not needed"),
        }
    }
}
