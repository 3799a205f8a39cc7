//! The input manifest: everything that can change an image, and the key that is its digest. Assembled in `keyed.rs`.
//!
//! A wrong hit ships a stale image and tells nobody; a wrong miss costs forty minutes. When in doubt, an input is in.
//!
//! # What is tracked
//!
//! | item | stage key | dry-run key | why |
//! |---|---|---|---|
//! | `format`, `recipe` | ✓ | ✓ | what our numbers below mean; what ovenbird itself does to an image |
//! | `kind` | ✓ | ✓ | the two keys are never each other's |
//! | pipeline, stage, architecture | ✓ | ✓ | images are never shared between pipelines or stages |
//! | parent: a source's AMI id and name | ✓ | | from the lock file, so it moves only by `update` |
//! | parent: the parent's key | ✓ stage key | ✓ dry-run key | see below |
//! | parent: Docker reference and image id | | ✓ | a dry run needs no AWS, and a newer source AMI does not void it |
//! | pins: generation, galaxy content in its order | ✓ | ✓ | a rebuild by request reaches the children through the key |
//! | pin: freshness date | ✓ | | old packages in a container prove as much as new ones |
//! | `image` block | ✓ | | boot mode, volumes, encryption: a container has none |
//! | `ssh_username` of the chain's source | ✓ | ✓ | becomes a variable of the play |
//! | `dry_run` block, `docker` of `tools` | | ✓ | what was skipped was not proved |
//! | trees: files by name, x bit, bytes, link text and target, empty and absent ones | ✓ | ✓ | `inputs` says which |
//! | playbook or template, `only`, var files in their order | ✓ | ✓ | the bytes are trees; this is which of them and how |
//! | groups, vars, extra arguments in their order, which ansible.cfg | ✓ | ✓ | precedence depends on order |
//! | `packer` and `ansible_core` of `tools`, as written | ✓ | ✓ | a version that moves inside the constraint is a note |
//! | environment variables that are passed on | ✓ | ✓ | all others never reach the child |
//! | secrets: name and version | ✓ | ✓ | of those that the stage refers to |
//!
//! # What must never be hashed, and why
//!
//! - **The parent's AMI id.** Rebuilding a parent from equal inputs gives a new AMI id, and every descendant would follow it for
//!   no reason. A forced rebuild is the one case where this is wrong, so it raises the generation, which is in the key.
//! - **A secret's value, also not its digest.** Digests of short secrets can be guessed, and manifests are stored and shared.
//! - **`builder`, copy regions, shares, tags, AMI names.** They change how or where, not what. Tags are put right by a retag.
//! - **`terraform` of `tools`.** It runs after the image is made.
//! - **The verification.** It has a key of its own (image key + its closure), so that a changed `verify` rebuilds nothing.
//! - **Region, run, user, host, clock, git commit, absolute paths, mtimes, ovenbird's version.** The same checkout must give the
//!   same key on every machine.
//! - **References by their value.** `parent.id` is `{"ref":"parent.id"}`: the id would be the parent's AMI id by the back door.
//!
//! # Form
//!
//! [`canonical`] JSON. Maps where order does not matter, lists where it does; never concatenation (`"ab"+"c"` is `"a"+"bc"`).
//! Files are listed by role or folder as tree digests; each tree is stored once under its own digest, because flat lists of 50
//! stages × 10,000 files would be 66 MB of JSON a plan. So `contents` is not part of the bytes: its digest is.
//!
//! # Limits, admitted
//!
//! What the play downloads by itself floats, and a tool's version may move inside its constraint. Both are notes in the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::digest::{Digest, DryRunKey, StageKey};
use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::model::value::Value;
use crate::plan::canonical;
use crate::plan::inputs::Tree;

/// Version of the manifest's form. A raise rebuilds everything, and is such a line in the changelog.
///
/// - 1: the first.
pub const FORMAT: u32 = 1;

/// Raised when ovenbird's own fixed arguments, environment or wiring change what comes out (a snapshot test of the rendered
/// commands fails without a raise).
///
/// - 1: the first.
/// - 2: the guard: a `sitecustomize` of ours first on `PYTHONPATH`. Dry runs work as `ssh_username`, with sudo.
///   No facts of earlier runs (`ANSIBLE_CACHE_PLUGIN=memory`).
pub const RECIPE: u32 = 2;

/// Which of the two keys a manifest makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// Names an AMI.
    Stage,
    /// Names what a dry run proved.
    DryRun,
}

/// Trees by their digest.
pub type Contents = BTreeMap<Digest, Arc<Tree>>;

/// Everything that is in a key. Stored as JSON under the key; the trees beside it, each under its own digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputManifest {
    /// [`FORMAT`].
    pub format: u32,
    /// [`RECIPE`].
    pub recipe: u32,
    /// Which key it makes.
    pub kind: KeyKind,
    /// Pipeline.
    pub pipeline: Name,
    /// Stage.
    pub stage: Name,
    /// Architecture.
    pub architecture: Architecture,
    /// What it boots from.
    pub parent: ManifestParent,
    /// Day of the last freshness rebuild.
    pub freshness: Option<String>,
    /// Raised by `update --rebuild`.
    pub generation: u64,
    /// Galaxy requirement files in their order.
    pub galaxy: Vec<ManifestGalaxy>,
    /// What provisions it.
    pub provision: Provision,
    /// Inventory groups, in order.
    pub groups: Vec<String>,
    /// Extra variables for Ansible.
    pub vars: BTreeMap<String, Value>,
    /// Extra arguments for ansible-playbook, in order.
    pub arguments: Vec<String>,
    /// Which ansible.cfg is in force, by its name in `trees`; `None`: that there is none.
    pub ansible_config: Option<String>,
    /// `image.…`, `dry_run.…` and `ssh_username`.
    pub settings: BTreeMap<String, Value>,
    /// Constraint texts.
    pub tools: BTreeMap<String, String>,
    /// Environment variables that are passed on.
    pub environment: BTreeMap<String, String>,
    /// Secrets that it refers to: name → version.
    pub secrets: BTreeMap<Name, String>,
    /// Files: name of the folder, role or file → digest of its [`Tree`].
    pub trees: BTreeMap<String, Digest>,
    /// The trees themselves, as far as they are known. Not serialised.
    #[serde(skip)]
    pub contents: Contents,
}

/// What a node boots from, as its key sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManifestParent {
    /// A source's AMI, from the lock file.
    Ami {
        /// `ami-…`
        id: String,
        /// AMI name.
        name: String,
    },
    /// A parent's stage key.
    Stage(StageKey),
    /// The Docker image that stands for a source.
    Docker {
        /// As written in the pipeline file.
        reference: String,
        /// Docker's id of it; `None` while it is not on this machine.
        id: Option<String>,
    },
    /// A parent's dry-run key.
    DryRun(DryRunKey),
    /// Not known: something above is not pinned, or has no dry run. Such a manifest has no key.
    Unknown,
}

/// A galaxy requirement file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestGalaxy {
    /// Relative to the root.
    pub requirements: String,
    /// Digest of everything that it installs, from the lock file; `None`: not pinned, and no key.
    pub content: Option<Digest>,
}

/// What provisions a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provision {
    /// A playbook through the project's template.
    Playbook {
        /// Playbook.
        playbook: String,
        /// Folder of the template.
        template: String,
    },
    /// Somebody's own template.
    Template {
        /// File or folder.
        template: String,
        /// Builders that run, in order.
        only: Vec<String>,
        /// Packer variables.
        packer_vars: BTreeMap<String, Value>,
        /// Var files, in order.
        var_files: Vec<String>,
    },
}

impl InputManifest {
    /// Digest of the canonical bytes; `None` while the parent or a galaxy file is not known. The only place that makes keys.
    pub fn key(&self) -> Option<Digest> {
        let complete = self.parent != ManifestParent::Unknown && self.galaxy.iter().all(|file| file.content.is_some());
        complete.then(|| canonical::digest(self))
    }

    /// Key of the verification of what `key` names: the playbook and the trees that it alone reads.
    pub fn verify_key(key: Digest, playbook: &str, trees: &BTreeMap<String, Digest>) -> Digest {
        #[derive(Serialize)]
        struct Verification<'a> {
            format: u32,
            recipe: u32,
            of: Digest,
            verify: &'a str,
            trees: &'a BTreeMap<String, Digest>,
        }
        canonical::digest(&Verification { format: FORMAT, recipe: RECIPE, of: key, verify: playbook, trees })
    }
}
