//! Files that are no inputs wherever they are met.
//!
//! Invariant: what ovenbird writes itself and what holds a password is never in a key, whoever names it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ansible_cfg::AnsibleConfig;
use super::names;
use crate::config::pipeline::{Pipeline, StateLocation};

/// Files that are no inputs wherever they lie: what ovenbird writes itself, and passwords.
pub(super) fn never(root: &Path, pipeline: &Pipeline, config: &AnsibleConfig) -> BTreeMap<PathBuf, &'static str> {
    let mut never = BTreeMap::new();
    // Config's paths may come through a link to the root; names in it are compared below the canonical one.
    let mut add = |path: &Path, what| {
        let inside = path.strip_prefix(&pipeline.root).map_or_else(|_| path.to_owned(), |rest| root.join(rest));
        never.insert(names::normal(&inside), what);
    };
    add(&pipeline.file, "the pipeline file");
    add(&pipeline.dir.join("ovenbird.lock"), "the lock file");
    add(&pipeline.file.with_extension("lock"), "the lock file");
    if let StateLocation::Folder(folder) = &pipeline.state {
        add(folder, "the state");
    }
    for emit in &pipeline.emits {
        add(&root.join(&emit.path), "targets of emit");
    }
    for swap in &pipeline.swaps {
        add(&root.join(&swap.directory).join(&swap.tfvars), "targets of swap");
    }
    for log in &config.logs {
        add(log, "Ansible's log");
    }
    for stage in &pipeline.stages {
        for file in super::command_line::password_files(&stage.ansible_arguments) {
            add(&names::join(root, &file), "vault password files");
        }
    }
    for password in &config.password_files {
        add(password, "vault password files");
    }
    never
}
