//! [`Plan`]: what a run would do and why. `plan` prints it, `plan --json` serialises it, `build` executes it.
//!
//! Invariant: nodes stand in topological order (a parent before its children); a node that is built has a parent that is a
//! source, a reused image or an earlier node that is built.

use serde::{Deserialize, Serialize};

use crate::model::artifact::Image;
use crate::model::digest::{Digest, DryRunKey, StageKey};
use crate::model::node::NodeId;
use crate::plan::reason::Reason;
use crate::plan::verification::VerifyAction;

/// How much of what, for the summary line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// AMIs to build.
    pub build: usize,
    /// AMIs used as they are, retagged ones among them; those that are only verified are not.
    pub reuse: usize,
    /// AMIs whose tags are put right.
    pub retag: usize,
    /// Dry runs to make.
    pub dry_run: usize,
    /// Images to verify, those that are built first among them.
    pub verify: usize,
    /// Nodes that cannot be built as asked.
    pub blocked: usize,
}

/// Format of a serialised [`Plan`].
pub const FORMAT: u32 = 1;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Format of the serialised plan.
    pub format: u32,
    /// Pipeline's name.
    pub pipeline: String,
    /// Region of the builds.
    pub region: String,
    /// What was asked for; a saved plan is planned again with the same wishes before it is executed.
    pub wishes: Wishes,
    /// Sources that the nodes start from.
    pub sources: Vec<PlannedSource>,
    /// Nodes, parents first.
    pub nodes: Vec<PlannedNode>,
    /// Files for Terraform.
    pub emits: Vec<PlannedEmit>,
    /// Things a person should know: imprecise inputs, twins …. What reading the pipeline file warned of is said there.
    pub warnings: Vec<String>,
}

/// A source as pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSource {
    /// Its name.
    pub name: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Pinned AMI; `None`: not in the lock (only a dry run is possible).
    pub id: Option<String>,
    /// Its AMI name.
    pub image_name: Option<String>,
    /// Day of the pin.
    pub pinned: Option<String>,
}

/// What is done for a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedNode {
    /// Which.
    pub node: NodeId,
    /// What it boots from.
    pub parent: PlannedParent,
    /// Key of its AMI; `None` while a source is not pinned.
    pub stage_key: Option<StageKey>,
    /// Key of its dry run; `None` when one is not possible.
    pub dry_run_key: Option<DryRunKey>,
    /// Key of the verification that belongs to the dry run; goes into its verdict. `None`: no `verify`, or no dry run possible.
    pub verify_key: Option<Digest>,
    /// What is done about the AMI.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// What is done about the dry run.
    pub dry_run: DryRunAction,
    /// What is done about the verification of the AMI.
    #[serde(default)]
    pub verification: VerifyAction,
    /// Asked for by name or by a full run; else only there because a child needs it.
    pub wanted: bool,
}

/// What a node boots from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PlannedParent {
    /// An image that we did not make.
    Source {
        /// Name in the pipeline file.
        name: String,
        /// Pinned AMI.
        id: Option<String>,
        /// Docker image that stands for it.
        docker: Option<String>,
    },
    /// Another node.
    Node {
        /// Which.
        node: NodeId,
    },
}

/// What is done about an AMI. Copies and shares come with later issues as further variants. Its verification is none: an image that
/// is built is verified too, and one that is verified may lack a tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// A sealed image is used as it is.
    Reuse {
        /// It.
        image: Image,
    },
    /// A sealed image is used after its tags were changed.
    Retag {
        /// It.
        image: Image,
        /// Tags to set.
        set: std::collections::BTreeMap<String, String>,
    },
    /// Packer makes one.
    Build,
    /// Nothing: a leaf that is built needs none of its ancestors; or only dry runs were asked for.
    Nothing,
}

/// What is done about a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "dry_run", rename_all = "snake_case")]
pub enum DryRunAction {
    /// It passed earlier, and its Docker image is still there.
    Passed {
        /// That image.
        image: String,
    },
    /// It is made.
    Run,
    /// It cannot be made.
    NotPossible {
        /// Why.
        why: String,
    },
    /// Not needed, or switched off by `--no-dry-run`.
    Skip,
}

/// What is done about a file for Terraform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedEmit {
    /// Relative to the root.
    pub path: String,
    /// Will it be written in this run.
    pub wanted: bool,
    /// Names that would get another value; a value that only a build gives counts as another.
    pub changes: Vec<String>,
    /// Nodes that have no image and that this run does not build: the block cannot be written.
    pub missing: Vec<NodeId>,
    /// Nodes whose image did not pass its present checks and that this run does not verify: the block must not be written.
    #[serde(default)]
    pub unverified: Vec<NodeId>,
}

/// What a person asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// Stages by name; empty: all.
    pub stages: Vec<crate::model::name::Name>,
    /// Make AMIs (`build`, `plan`) or dry runs only.
    pub build: bool,
    /// Make the dry runs that have not passed.
    pub dry_run: bool,
    /// Make the dry runs of wanted stages also where one has passed (`dry-run --again`, `--keep`).
    #[serde(default)]
    pub again: bool,
    /// Write emits; `None`: a full run does, a partial one does not.
    pub emit: Option<bool>,
}

impl Action {
    /// The image that is used, where there is one already.
    pub fn image(&self) -> Option<&Image> {
        match self {
            Self::Reuse { image } | Self::Retag { image, .. } => Some(image),
            Self::Build | Self::Nothing => None,
        }
    }
}

impl Plan {
    /// The node of that id.
    pub fn node(&self, id: &NodeId) -> Option<&PlannedNode> {
        self.nodes.iter().find(|node| node.node == *id)
    }

    /// How much of what.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for node in &self.nodes {
            match node.action {
                Action::Build => counts.build += 1,
                Action::Reuse { .. } => counts.reuse += usize::from(!node.verification.runs()),
                Action::Retag { .. } => {
                    counts.reuse += 1;
                    counts.retag += 1;
                }
                Action::Nothing => {}
            }
            counts.dry_run += usize::from(node.dry_run == DryRunAction::Run);
            counts.verify += usize::from(node.verification.runs());
            counts.blocked += usize::from(node.reason.blocks());
        }
        counts
    }

    /// Is there anything to do: a build, a retag, a dry run, a verification, or a value for Terraform that differs.
    pub fn has_work(&self) -> bool {
        let Counts { build, retag, dry_run, verify, blocked, .. } = self.counts();
        build + retag + dry_run + verify + blocked > 0 || self.emits.iter().any(|emit| emit.wanted && !emit.changes.is_empty())
    }

    /// Nodes that cannot be built as asked; a run that would build anything refuses to start while there are any.
    pub fn blocked(&self) -> impl Iterator<Item = &PlannedNode> {
        self.nodes.iter().filter(|node| node.reason.blocks())
    }
}
