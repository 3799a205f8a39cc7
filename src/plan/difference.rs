//! [`Change`]: one difference between two input manifests, as a value; text is made from [`std::fmt::Display`] at the edge.
//!
//! Invariant: a change is read off two manifests, never guessed, and it holds no value of a variable or of the environment.

use serde::{Deserialize, Serialize};

/// One difference between an earlier input manifest and the present one. Sorted as told: files first, then what acts from outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[must_use]
pub enum Change {
    /// Bytes, executable bit or link text of a file.
    Modified {
        /// Name of the file: relative to the root, or with a label (`role:`, `collection:`, `cfg:`).
        path: String,
    },
    /// A file that was not there.
    Added {
        /// Its name.
        path: String,
    },
    /// A file that is not there any more.
    Deleted {
        /// Its name.
        path: String,
    },
    /// A whole folder or role differs, and the files of the earlier one are not known.
    Tree {
        /// Its name.
        name: String,
    },
    /// A variable of the stage (`vars` or `packer_vars`).
    Variable {
        /// Its name.
        name: String,
    },
    /// A setting: `groups`, `playbook`, `image.volume_size`, `dry_run.skip_tags` ….
    Setting {
        /// Its name.
        name: String,
    },
    /// An environment variable that is passed on.
    Environment {
        /// Its name.
        name: String,
    },
    /// Version of a secret.
    Secret {
        /// Its name.
        name: String,
        /// Before; `None`: was not used.
        old: Option<String>,
        /// Now; `None`: is not used any more.
        new: Option<String>,
    },
    /// Constraint of a tool.
    Tool {
        /// `packer`, `ansible_core` ….
        name: String,
        /// Before.
        old: Option<String>,
        /// Now.
        new: Option<String>,
    },
    /// A pin of the lock file: `freshness`, `generation`, `galaxy PATH`.
    Pin {
        /// Which.
        name: String,
        /// Before.
        old: Option<String>,
        /// Now.
        new: Option<String>,
    },
    /// What it boots from: another source AMI, another parent, or the parent's key.
    Parent {
        /// Before, as people read it.
        old: String,
        /// Now.
        new: String,
    },
    /// ovenbird itself works differently (`format` or `recipe` of the manifest).
    Ovenbird {
        /// `format` or `recipe`.
        name: String,
        /// Before.
        old: u32,
        /// Now.
        new: u32,
    },
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let moved = |f: &mut std::fmt::Formatter<'_>, what: &str, name: &str, old: &Option<String>, new: &Option<String>| {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            write!(f, "{what} {name}: {} → {}", text(old), text(new))
        };
        match self {
            Self::Modified { path } => write!(f, "M {path}"),
            Self::Added { path } => write!(f, "A {path}"),
            Self::Deleted { path } => write!(f, "D {path}"),
            Self::Tree { name } => write!(f, "M {name}/ (its earlier files are not known here)"),
            Self::Variable { name } => write!(f, "variable {name}"),
            Self::Setting { name } => write!(f, "setting {name}"),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::Secret { name, old, new } => moved(f, "secret", name, old, new),
            Self::Tool { name, old, new } => moved(f, "tool", name, old, new),
            Self::Pin { name, old, new } => moved(f, "pin", name, old, new),
            Self::Parent { old, new } => write!(f, "parent: {old} → {new}"),
            Self::Ovenbird { name, old, new } => write!(f, "ovenbird's {name}: {old} → {new}"),
        }
    }
}
