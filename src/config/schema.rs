//! The one table of what a pipeline file and a lock file may hold: blocks, labels, attributes, types, one line of help each.
//!
//! Checks, "did you mean" and help all come from it, so they cannot disagree. Must not hold rules that need more than one
//! attribute (those stand beside the code that reads the block). Invariant: an attribute that is read is in here.

use crate::config::pipeline::{BUILDER_ATTRIBUTES, IMAGE_ATTRIBUTES, Kind};
use crate::config::schema_swap::SWAP;

/// A block: what it is called, what stands in its head and what may stand in it.
#[derive(Debug)]
pub struct Block {
    /// First word of its head; empty for the file itself.
    pub name: &'static str,
    /// What each label is, in order.
    pub labels: &'static [&'static str],
    /// May there be several of it in one place. With labels: several with different ones.
    pub many: bool,
    /// Its attributes.
    pub attributes: Attributes,
    /// Blocks in it.
    pub blocks: &'static [&'static Block],
    /// One line.
    pub doc: &'static str,
}

/// Attributes of a block.
#[derive(Debug)]
pub enum Attributes {
    /// These.
    Table(&'static [Attribute]),
    /// These, all optional: a table that other rooms read too.
    Kinds(&'static [(&'static str, Kind)]),
    /// Any name.
    Any,
}

/// An attribute.
#[derive(Debug)]
pub struct Attribute {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub takes: Takes,
    /// Must it be there.
    pub required: bool,
    /// One line.
    pub doc: &'static str,
}

/// What an attribute takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A value.
    Value(Kind),
    /// A reference to a block of this kind (`source.NAME or stage.NAME`).
    Reference(&'static str),
}

pub(super) const fn need(name: &'static str, kind: Kind, doc: &'static str) -> Attribute {
    Attribute { name, takes: Takes::Value(kind), required: true, doc }
}

pub(super) const fn may(name: &'static str, kind: Kind, doc: &'static str) -> Attribute {
    Attribute { name, takes: Takes::Value(kind), required: false, doc }
}

pub(super) const fn refers(name: &'static str, to: &'static str, required: bool, doc: &'static str) -> Attribute {
    Attribute { name, takes: Takes::Reference(to), required, doc }
}

pub(super) const fn block(name: &'static str, attributes: &'static [Attribute], doc: &'static str) -> Block {
    Block { name, labels: &[], many: false, attributes: Attributes::Table(attributes), blocks: &[], doc }
}

pub(super) const fn named(
    name: &'static str,
    labels: &'static [&'static str],
    attributes: &'static [Attribute],
    doc: &'static str,
) -> Block {
    Block { name, labels, many: true, attributes: Attributes::Table(attributes), blocks: &[], doc }
}

impl Block {
    /// Names of its attributes.
    pub fn attribute_names(&self) -> Vec<&'static str> {
        match &self.attributes {
            Attributes::Table(table) => table.iter().map(|a| a.name).collect(),
            Attributes::Kinds(kinds) => kinds.iter().map(|(name, _)| *name).collect(),
            Attributes::Any => Vec::new(),
        }
    }

    /// The type of an attribute that takes a value.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        match &self.attributes {
            Attributes::Table(table) => table.iter().find(|a| a.name == name).and_then(|a| match a.takes {
                Takes::Value(kind) => Some(kind),
                Takes::Reference(_) => None,
            }),
            Attributes::Kinds(kinds) => kinds.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind),
            Attributes::Any => Some(Kind::Any),
        }
    }

    /// The block of that name in it.
    pub fn block(&self, name: &str) -> Option<&'static Block> {
        self.blocks.iter().copied().find(|b| b.name == name)
    }

    /// Its attributes that must be there.
    pub fn required(&self) -> impl Iterator<Item = &'static Attribute> {
        let table: &'static [Attribute] = match self.attributes {
            Attributes::Table(table) => table,
            Attributes::Kinds(_) | Attributes::Any => &[],
        };
        table.iter().filter(|a| a.required)
    }
}

/// `ovenbird.hcl`.
pub static PIPELINE_FILE: Block = Block {
    name: "",
    labels: &[],
    many: false,
    attributes: Attributes::Table(&[]),
    blocks: &[&PIPELINE, &TOOLS, &BUILDER, &VARIABLE, &SECRET, &SOURCE, &STAGE, &EMIT, &SWAP],
    doc: "the pipeline file",
};

/// `pipeline "NAME"`.
pub static PIPELINE: Block = Block {
    many: false,
    ..named(
        "pipeline",
        &["name"],
        &[
            need("region", Kind::String, "where builds run"),
            may("regions", Kind::StringList, "who gets copies of the images that an emit or a swap names"),
            may("tags", Kind::StringMap, "on everything that is created"),
            may("state", Kind::String, "where manifests, verdicts and records are kept: a folder or s3://bucket/prefix"),
            may("root", Kind::String, "folder that paths in the key are relative to; default: the git work tree's top"),
        ],
        "what the pipeline is called and where it builds",
    )
};

/// `tools`.
pub static TOOLS: Block = block(
    "tools",
    &[
        may("packer", Kind::String, "version constraint"),
        may("ansible_core", Kind::String, "version constraint"),
        may("docker", Kind::String, "version constraint of the engine"),
        may("terraform", Kind::String, "version constraint"),
    ],
    "version constraints of tools; in the key",
);

/// `builder`, of the pipeline and of a stage.
pub static BUILDER: Block =
    Block { attributes: Attributes::Kinds(BUILDER_ATTRIBUTES), ..block("builder", &[], "how builds run; never in the key") };

/// `variable "NAME"`.
pub static VARIABLE: Block = named(
    "variable",
    &["name"],
    &[may("default", Kind::Any, "value when none is given"), may("description", Kind::String, "for people")],
    "a value that can be given from outside",
);

/// `secret "NAME"`.
pub static SECRET: Block = named(
    "secret",
    &["name"],
    &[
        need("env", Kind::String, "environment variable that holds the value"),
        need("version", Kind::String, "in the key in the value's place; raise it when the value changes"),
    ],
    "a value that never is in the key, a log or an argument",
);

/// `source "NAME"`.
pub static SOURCE: Block = Block {
    blocks: &[&AMI],
    ..named(
        "source",
        &["name"],
        &[
            may("docker", Kind::String, "Docker image that stands for it in a dry run"),
            need("ssh_username", Kind::String, "user that Packer logs in as"),
        ],
        "an image that we did not make",
    )
};

/// `ami "ARCHITECTURE"`.
pub static AMI: Block = named(
    "ami",
    &["architecture"],
    &[
        may("id", Kind::String, "this AMI"),
        may("ssm_parameter", Kind::String, "the AMI whose id this parameter holds"),
        may("owners", Kind::StringList, "account ids, `amazon` or `self`"),
        may("name", Kind::String, "pattern of the AMI's name"),
        may("filters", Kind::Any, "more filters of DescribeImages: name = value or list of values"),
    ],
    "how to find the AMI of one architecture",
);

/// `stage "NAME"`.
pub static STAGE: Block = Block {
    blocks: &[&DRY_RUN, &IMAGE, &BUILDER],
    ..named(
        "stage",
        &["name"],
        &[
            refers("from", "source.NAME or stage.NAME", true, "what it boots from"),
            may("architectures", Kind::StringList, "default: the parent's"),
            may("playbook", Kind::String, "playbook that provisions it, through the project's packer folder"),
            may("packer", Kind::String, "folder of the template for `playbook`; default: packer"),
            may("template", Kind::String, "existing Packer template (HCL or JSON, file or folder), untouched"),
            may("only", Kind::StringList, "builders of `template` that make the AMI"),
            may("dry_run_only", Kind::StringList, "builders of `template` that make the dry run's image"),
            may("packer_vars", Kind::Any, "Packer variables for `template`"),
            may("var_files", Kind::StringList, "variable files for `template`, in order"),
            may("galaxy", Kind::StringList, "galaxy requirement files"),
            may("freshness", Kind::String, "age after which `update` asks for a rebuild, in whole days: \"7d\""),
            may("groups", Kind::StringList, "inventory groups of the machine being built"),
            may("vars", Kind::Any, "extra variables for Ansible"),
            may("ansible_arguments", Kind::StringList, "extra arguments of ansible-playbook, in order"),
            may("verify", Kind::String, "playbook that verifies the result"),
            may("inputs", Kind::StringList, "globs of further inputs"),
            may("ignore", Kind::StringList, "globs of files that are no inputs"),
            may("name", Kind::String, "AMI name instead of the default one"),
            may("tags", Kind::StringMap, "more tags, over the pipeline's"),
        ],
        "an image that we make",
    )
};

/// `dry_run` of a stage.
pub static DRY_RUN: Block = block(
    "dry_run",
    &[
        may("skip_tags", Kind::StringList, "tags that are skipped in a container"),
        may("idempotent", Kind::Bool, "must the second pass change nothing; default true"),
        may("enabled", Kind::Bool, "can it be provisioned in Docker at all; default true"),
    ],
    "settings of the dry run",
);

/// `image` of a stage.
pub static IMAGE: Block =
    Block { attributes: Attributes::Kinds(IMAGE_ATTRIBUTES), ..block("image", &[], "settings that change the image; in the key") };

/// `emit "PATH"`.
pub static EMIT: Block =
    Block { attributes: Attributes::Any, ..named("emit", &["path"], &[], "image ids written where Terraform reads them") };

/// `ovenbird.lock`.
pub static LOCK_FILE: Block = Block {
    blocks: &[&LOCK_SOURCE, &LOCK_STAGE, &LOCK_GALAXY],
    ..block("", &[need("format", Kind::Number, "format of the lock file")], "the lock file")
};

/// `source "NAME" "ARCHITECTURE"` of the lock.
pub static LOCK_SOURCE: Block = named(
    "source",
    &["name", "architecture"],
    &[
        need("region", Kind::String, "region that it was found in"),
        need("id", Kind::String, "AMI id"),
        need("name", Kind::String, "AMI name"),
        need("pinned", Kind::String, "day of the pin"),
    ],
    "a pinned source AMI",
);

/// `stage "NAME"` of the lock.
pub static LOCK_STAGE: Block = named(
    "stage",
    &["name"],
    &[may("generation", Kind::Number, "raised by `update --rebuild`"), may("freshness", Kind::String, "day of the last freshness rebuild")],
    "pins of a stage",
);

/// `galaxy "PATH"` of the lock.
pub static LOCK_GALAXY: Block = named(
    "galaxy",
    &["requirements file"],
    &[
        need("requirements", Kind::String, "digest of the requirement file"),
        need("content", Kind::String, "digest of what was installed"),
        need("versions", Kind::StringMap, "what was installed"),
    ],
    "what a galaxy requirement file resolved to",
);

/// The candidate that `seen` was probably meant to be.
pub fn nearest<'c>(seen: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = (seen.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&seen.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed || (seen.len() >= 3 && (candidate.starts_with(seen) || seen.starts_with(candidate)))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pipeline::Tool;

    #[test]
    fn every_tool_has_its_attribute() {
        let names: Vec<&str> = Tool::ALL.iter().map(|(_, name)| *name).collect();
        assert_eq!(TOOLS.attribute_names(), names);
    }

    #[test]
    fn the_nearest_name_is_offered_and_a_stranger_is_not() {
        let names = ["playbook", "packer", "packer_vars", "freshness"];
        for (seen, wanted) in
            [("playbok", Some("playbook")), ("Playbook", Some("playbook")), ("fresh", Some("freshness")), ("vpc", None), ("xyzzy", None)]
        {
            assert_eq!(nearest(seen, names), wanted, "{seen}");
        }
    }
}
