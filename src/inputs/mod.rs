//! What can change a stage: the files that its playbook and template can read, and the environment that its children get.
//!
//! ```text
//! playbook, role, task, module, lookups   follow a playbook      named, search, variables   a name → files, templated ones too
//! inventory, template, template_hcl, _json   and its like        reach      what was found, why, and where it had to widen
//! walk, hash, snapshot, list              the one tree walker    environment, never         the two lists
//! opened                                  was an opened path an input                memo        what is kept for the next call
//! collections, expressions, globs, template_functions                                  parts of these
//! shared                                  what is read once for all stages                 assigned   values of variables
//! ```
//!
//! Reads the disk and nothing else: the environment comes in as data. Invariant: an input is left out only by the fixed list of the
//! walker or by the stage's `ignore`, both counted in [`StageInputs::ignored`]; what is not understood takes more, and says so.

pub mod environment;
pub mod installed;
pub mod opened;
pub mod plugins;
pub mod requirements;

mod ansible_cfg;
mod arguments;
mod assigned;
mod collect;
mod collections;
mod command_line;
pub mod declared;
mod expressions;
mod galaxy;
mod globs;
mod hash;
mod inventory;
mod items;
mod jinja;
mod known;
mod list;
mod local_plugins;
mod lookups;
mod memo;
mod module;
mod named;
mod names;
mod never;
mod playbook;
mod reach;
mod role;
mod search;
mod shared;
mod snapshot;
mod task;
mod template;
mod template_functions;
mod template_hcl;
mod template_json;
mod variables;
mod walk;
mod world;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::config::pipeline::Pipeline;
use crate::model::name::Name;
use crate::model::problem::Problems;
use crate::plan::inputs::StageInputs;

/// What surrounds the caller, as data.
#[derive(Debug, Clone, Default)]
pub struct InputContext {
    /// The caller's whole environment.
    pub environment: BTreeMap<String, String>,
    /// The caller's home folder.
    pub home: Option<PathBuf>,
    /// Stages to read; `None`: all.
    pub only: Option<BTreeSet<Name>>,
    /// What an earlier call may have found; `None`: nothing is used again and nothing kept.
    pub memory: Option<Memory>,
    /// The process ends when the caller is done: what was parsed is left to that, freeing it would take a tenth of the call.
    pub last: bool,
}

/// For [`InputContext::memory`].
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// What [`collect()`] gave to be kept, or anything else: what does not fit is not used.
    pub kept: Vec<u8>,
    /// Tells one program from another: a later one may find more.
    pub program: String,
}

/// What [`collect()`] found.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// By stage.
    pub inputs: BTreeMap<Name, StageInputs>,
    /// To be kept for the next call, piece after piece; `None`: what is kept already still holds, or nothing was to be kept.
    pub keep: Option<Vec<Vec<u8>>>,
}

/// Reads what can change each stage. A file that several stages share is read once.
///
/// # Errors
/// What cannot run at all (roles that depend on each other in a circle, a glob that is none, a root that is gone); never a
/// file that cannot be understood, which widens instead.
pub fn collect(pipeline: &Pipeline, context: &InputContext) -> Result<Collected, Problems> {
    collect::collect(pipeline, context)
}
