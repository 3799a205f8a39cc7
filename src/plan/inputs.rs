//! [`StageInputs`]: what reading the disk found that can change a stage; made by the room `inputs`, turned into a manifest here.
//!
//! No I/O. Invariant: names are relative to the root or have a label (`role:`, `collection:`, `cfg:`), never an absolute path, so
//! the same checkout gives the same value on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;
use crate::plan::why::Chain;

/// One thing of a tree that counts. Its name in the tree is UTF-8 with `\xNN` for bytes that are not (and `\\` for a backslash).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A file's bytes and executable bit.
    File {
        /// Of the bytes.
        digest: Digest,
        /// Any x bit.
        executable: bool,
        /// All permission bits, where something reads them (`mode: preserve`, Packer's `file` provisioner ….).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        mode: Option<u32>,
    },
    /// A link's text; what it points to is an entry of its own, under the link's name with `/` behind it or in the digest here.
    Link {
        /// Text of the link.
        target: String,
        /// Digest of the file it ends at; `None`: a folder (its content follows as entries below this name) or nothing.
        content: Option<Digest>,
        /// Any x bit of that file.
        executable: bool,
    },
    /// A folder without entries.
    EmptyFolder,
    /// Neither file, folder nor link, or one that cannot be read: `fifo`, `socket`, `device`, `unreadable`. It has no content that
    /// a digest could stand for, so it is always reported as imprecise too.
    Special {
        /// Which.
        what: String,
    },
    /// Looked for and not there: the file that appears later changes the key.
    Absent,
}

/// Entries below one folder (or the one file) by name relative to it; `""` is the thing itself.
pub type Tree = BTreeMap<String, Entry>;

/// A place where more had to be taken than is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Imprecise {
    /// What was taken: a folder, or `the root`.
    pub taken: String,
    /// Why, one lowercase line.
    pub because: String,
    /// `file:line`.
    pub place: String,
}

/// What can change a stage, read from disk. The same for every architecture of the stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageInputs {
    /// By the name of the folder or file: `ansible/roles/nginx`, `ansible/web.yml`, `packer`, `role:geerlingguy.docker`, `cfg:ansible.cfg`.
    /// Stages that read the same folder share its tree.
    pub trees: BTreeMap<String, Arc<Tree>>,
    /// Inputs of the verification alone (closure of the `verify` playbook), same form; not in the stage key.
    pub verify_trees: BTreeMap<String, Arc<Tree>>,
    /// Which ansible.cfg is in force: its name in `trees`, or `None`.
    pub ansible_config: Option<String>,
    /// Environment variables that are passed on and whose value is in the key.
    pub environment: BTreeMap<String, String>,
    /// Why each tree (by its name in `trees`) is in.
    pub why: BTreeMap<String, Chain>,
    /// Where more was taken than is read.
    pub imprecise: Vec<Imprecise>,
    /// Files left out by `ignore` and by the fixed list, as `pattern` → how many.
    pub ignored: BTreeMap<String, usize>,
    /// Paths in the root that are never inputs wherever they are met (what ovenbird writes itself, passwords): name → what it is.
    pub never: BTreeMap<String, String>,
    /// Things a person may want to know (floating downloads and the like), one lowercase line each.
    pub notes: BTreeSet<String>,
}
