//! The types that `ovenbird.hcl` becomes. No parsing here.
//!
//! Invariant: plain data, complete and checked; paths are relative to [`Pipeline::root`] with `/`, without `.` and `..`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::gate::{GateChecks, GateStep};
use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::model::problem::SourceText;
use crate::model::value::Value;

/// Everything that one pipeline file declares.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// `pipeline "NAME"`.
    pub name: Name,
    /// The text, for places of problems that are found later.
    pub source: Arc<SourceText>,
    /// Absolute folder that paths in the key are relative to, and cwd of every child.
    pub root: PathBuf,
    /// Absolute folder of the pipeline file; `.ovenbird/` and the lock file lie here.
    pub dir: PathBuf,
    /// Absolute path of the pipeline file.
    pub file: PathBuf,
    /// Where builds run.
    pub region: String,
    /// Who gets copies; without [`Self::region`].
    pub regions: Vec<String>,
    /// On everything created.
    pub tags: BTreeMap<String, String>,
    /// Where manifests, verdicts and records are kept.
    pub state: StateLocation,
    /// `tools` block: tool → constraint text, as written. Empty without the block.
    pub tools: BTreeMap<Tool, String>,
    /// `secret` blocks.
    pub secrets: BTreeMap<Name, Secret>,
    /// `source` blocks.
    pub sources: BTreeMap<Name, Source>,
    /// `stage` blocks in the order of the file.
    pub stages: Vec<Stage>,
    /// `emit` blocks in the order of the file.
    pub emits: Vec<Emit>,
    /// `swap` blocks in the order of the file. Parsed and checked; run by a later issue.
    pub swaps: Vec<Swap>,
}

impl Pipeline {
    /// The stage of that name.
    pub fn stage(&self, name: &Name) -> Option<&Stage> {
        self.stages.iter().find(|s| s.name == *name)
    }
}

/// Where the state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateLocation {
    /// An absolute folder; default `.ovenbird/state` beside the pipeline file.
    Folder(PathBuf),
    /// `s3://bucket/prefix`.
    S3 {
        /// Bucket name.
        bucket: String,
        /// Prefix without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// Tools that a constraint can be put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// `packer`.
    Packer,
    /// `ansible_core`.
    AnsibleCore,
    /// `docker` (the engine).
    Docker,
    /// `terraform`.
    Terraform,
}

impl Tool {
    /// All, with the attribute's name in the `tools` block.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Packer, "packer"), (Self::AnsibleCore, "ansible_core"), (Self::Docker, "docker"), (Self::Terraform, "terraform")];

    /// The attribute's name in the `tools` block.
    pub fn attribute(self) -> &'static str {
        Self::ALL.iter().find(|(tool, _)| *tool == self).expect("ALL holds every tool").1
    }
}

/// How builds run; never in the key. A stage's values win over the pipeline's; `None` is "the template's default".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builder {
    /// Attribute → value, for attributes that [`BUILDER_ATTRIBUTES`] names. Types are checked.
    pub values: BTreeMap<String, Value>,
}

/// Attributes of a `builder` block with their types; each fills the template's variable of the same name where it declares it.
pub const BUILDER_ATTRIBUTES: &[(&str, Kind)] = &[
    ("instance_type", Kind::String),
    ("spot", Kind::Bool),
    ("subnet_id", Kind::String),
    ("subnet_tags", Kind::StringMap),
    ("security_group_id", Kind::String),
    ("iam_instance_profile", Kind::String),
    ("ssh_interface", Kind::String),
    ("polling_delay_seconds", Kind::Number),
    ("polling_max_attempts", Kind::Number),
];

/// Attributes of a stage's `image` block: settings that change the image, so they are in the stage key.
pub const IMAGE_ATTRIBUTES: &[(&str, Kind)] = &[
    ("volumes", Kind::Any),
    ("encrypted", Kind::Bool),
    ("kms_key_id", Kind::String),
    ("ena_support", Kind::Bool),
    ("imds_support", Kind::String),
];

/// Types of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// A number.
    Number,
    /// A bool.
    Bool,
    /// A list of strings.
    StringList,
    /// A map of strings.
    StringMap,
    /// Anything.
    Any,
}

/// `secret "NAME"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Environment variable that holds the value; read by `cli`, when a step needs it.
    pub env: String,
    /// In the key.
    pub version: String,
    /// Where the block stands.
    pub span: Range<usize>,
}

/// `source "NAME"`: an image that we did not make.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: Name,
    /// How to find the AMI, by architecture.
    pub amis: BTreeMap<Architecture, AmiQuery>,
    /// What stands for it in a dry run; `None`: no dry run in Docker is possible.
    pub docker: Option<String>,
    /// User that Packer logs in as.
    pub ssh_username: String,
    /// Where the block stands.
    pub span: Range<usize>,
}

/// How to find a source's AMI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AmiQuery {
    /// `id = "ami-…"`.
    Id(String),
    /// `ssm_parameter = "/aws/service/…"`.
    SsmParameter(String),
    /// The newest that matches; architecture, hvm, ebs and available are always asked for.
    Newest {
        /// Account ids or `amazon`, `self`, ….
        owners: Vec<String>,
        /// Pattern of the name.
        name: Option<String>,
        /// More filters: name → values.
        filters: BTreeMap<String, Vec<String>>,
    },
}

/// What a stage boots from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParentRef {
    /// `source.NAME`.
    Source(Name),
    /// `stage.NAME`.
    Stage(Name),
}

/// `stage "NAME"`.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name.
    pub name: Name,
    /// Parent.
    pub from: ParentRef,
    /// Sorted, not empty.
    pub architectures: Vec<Architecture>,
    /// What provisions it.
    pub recipe: Recipe,
    /// `galaxy` requirement files.
    pub galaxy: Vec<PathBuf>,
    /// Whole days after which `update` asks for a rebuild.
    pub freshness_days: Option<u32>,
    /// Inventory groups of the machine being built.
    pub groups: Vec<String>,
    /// Extra variables for Ansible.
    pub vars: BTreeMap<String, Value>,
    /// Extra arguments for ansible-playbook, in order.
    pub ansible_arguments: Vec<String>,
    /// Playbook of the verification.
    pub verify: Option<PathBuf>,
    /// Settings of the dry run.
    pub dry_run: DryRunSettings,
    /// Settings that change the image ([`IMAGE_ATTRIBUTES`]).
    pub image: BTreeMap<String, Value>,
    /// Globs of further inputs, relative to the root.
    pub inputs: Vec<String>,
    /// Globs of files that are no inputs, relative to the root.
    pub ignore: Vec<String>,
    /// Own AMI name instead of the default one; may hold references.
    pub ami_name: Option<Value>,
    /// More tags, over the pipeline's.
    pub tags: BTreeMap<String, String>,
    /// The pipeline's builder with the stage's values over it.
    pub builder: Builder,
    /// Where the block's head stands.
    pub span: Range<usize>,
}

/// What provisions a stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Recipe {
    /// A playbook through the project's `packer/` template.
    Playbook {
        /// Playbook, relative to the root.
        playbook: PathBuf,
        /// Folder of the template, relative to the root.
        template: PathBuf,
    },
    /// Somebody's existing template, untouched.
    Template {
        /// HCL or JSON file, or a folder of HCL, relative to the root.
        template: PathBuf,
        /// Builders for an AMI (`-only`).
        only: Vec<String>,
        /// Builders for the dry run; empty: none, its dry run is "not possible".
        dry_run_only: Vec<String>,
        /// Packer variables.
        packer_vars: BTreeMap<String, Value>,
        /// `-var-file`s in order, relative to the root.
        var_files: Vec<PathBuf>,
    },
}

/// `dry_run` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRunSettings {
    /// Tags that are skipped in a container.
    pub skip_tags: Vec<String>,
    /// Must the second pass report no change. Default true.
    pub idempotent: bool,
    /// Can it be provisioned in Docker at all. Default true.
    pub enabled: bool,
}

/// `emit "PATH"`.
#[derive(Debug, Clone)]
pub struct Emit {
    /// File, relative to the root.
    pub path: PathBuf,
    /// Names in the order of the block.
    pub names: Vec<EmitName>,
    /// Where the block's head stands.
    pub span: Range<usize>,
}

/// One line of an emit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmitName {
    /// Terraform variable.
    pub name: String,
    /// What is written.
    pub value: EmitValue,
    /// Where it stands.
    pub span: Range<usize>,
}

/// What an emit writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmitValue {
    /// `stage.X.id`, `stage.X["arm64"].id`: AMI id in the pipeline's region.
    Id {
        /// Stage.
        stage: Name,
        /// Architecture.
        architecture: Architecture,
    },
    /// `stage.X.ids`: map region → id.
    Ids {
        /// Stage.
        stage: Name,
        /// Architecture.
        architecture: Architecture,
    },
}

impl EmitValue {
    /// Stage and architecture that it names.
    pub fn node(&self) -> (&Name, Architecture) {
        match self {
            Self::Id { stage, architecture } | Self::Ids { stage, architecture } => (stage, *architecture),
        }
    }
}

/// `swap "NAME"`, checked: what a later issue runs.
#[derive(Debug, Clone)]
pub struct Swap {
    /// Its name.
    pub name: Name,
    /// Whose AMI.
    pub stage: Name,
    /// Swap that this AMI must have been through.
    pub requires: Option<Name>,
    /// Terraform folder, relative to the root.
    pub directory: PathBuf,
    /// tfvars file in it.
    pub tfvars: String,
    /// Everything but the gates by attribute path (`live`, `blue.group` …), types checked.
    pub settings: BTreeMap<String, Value>,
    /// What each step's gate asks for beside what it always does.
    pub gates: BTreeMap<GateStep, GateChecks>,
    /// Where the block's head stands.
    pub span: Range<usize>,
}
