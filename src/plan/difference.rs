//! [`difference`] of two input manifests as [`Change`]s; text is made from [`std::fmt::Display`] at the edge.
//!
//! Invariant: a change is read off two manifests, never guessed, and it holds no value of a variable or of the environment.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::value::Value;
use crate::plan::inputs::Entry;
use crate::plan::manifest::{InputManifest, ManifestParent, Provision};

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
    /// Other places are looked at in which nothing is: a new role alone brings a dozen, so they are told as one.
    Places {
        /// Looked at now and not before.
        more: usize,
        /// Looked at before and not now.
        fewer: usize,
        /// One of them.
        example: String,
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
            Self::Tree { name } => write!(f, "M {name} (its earlier files are not known here)"),
            Self::Variable { name } => write!(f, "variable {name}"),
            Self::Setting { name } => write!(f, "setting {name}"),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::Secret { name, old, new } => moved(f, "secret", name, old, new),
            Self::Tool { name, old, new } => moved(f, "tool", name, old, new),
            Self::Pin { name, old, new } => moved(f, "pin", name, old, new),
            Self::Parent { old, new } => write!(f, "parent: {old} → {new}"),
            Self::Ovenbird { name, old, new } => write!(f, "ovenbird's {name}: {old} → {new}"),
            Self::Places { more, fewer, example } => write!(f, "places looked at where nothing is: +{more} −{fewer}, such as {example}"),
        }
    }
}

/// What differs from `old` to `new`, sorted as [`Change`] is. Empty exactly when the keys are equal.
pub fn difference(old: &InputManifest, new: &InputManifest) -> Vec<Change> {
    let mut changes = Vec::new();
    trees(old, new, &mut changes);

    for name in moved(&old.vars, &new.vars) {
        changes.push(Change::Variable { name });
    }
    provision(&old.provision, &new.provision, &mut changes);
    for name in moved(&old.settings, &new.settings) {
        changes.push(Change::Setting { name });
    }
    let setting = |name: &str| Change::Setting { name: name.to_owned() };
    let plain = [
        ("kind", old.kind != new.kind),
        ("pipeline", old.pipeline != new.pipeline),
        ("stage", old.stage != new.stage),
        ("architecture", old.architecture != new.architecture),
        ("groups", old.groups != new.groups),
        ("ansible_arguments", old.arguments != new.arguments),
        ("ansible.cfg", old.ansible_config != new.ansible_config),
    ];
    changes.extend(plain.iter().filter(|(_, differs)| *differs).map(|(name, _)| setting(name)));
    for name in moved(&old.environment, &new.environment) {
        changes.push(Change::Environment { name });
    }
    for secret in moved(&old.secrets, &new.secrets) {
        let (old, new) = (old.secrets.get(&secret).cloned(), new.secrets.get(&secret).cloned());
        changes.push(Change::Secret { name: secret.to_string(), old, new });
    }
    for name in moved(&old.tools, &new.tools) {
        let (old, new) = (old.tools.get(&name).cloned(), new.tools.get(&name).cloned());
        changes.push(Change::Tool { name, old, new });
    }
    pins(old, new, &mut changes);
    if old.parent != new.parent {
        changes.push(Change::Parent { old: parent(&old.parent), new: parent(&new.parent) });
    }
    for (name, old, new) in [("format", old.format, new.format), ("recipe", old.recipe, new.recipe)] {
        if old != new {
            changes.push(Change::Ovenbird { name: name.to_owned(), old, new });
        }
    }
    changes.sort();
    changes
}

/// The entry of a file by its full name; `None` also where the files of its tree are not known.
pub fn entry<'m>(manifest: &'m InputManifest, path: &str) -> Option<&'m Entry> {
    manifest.trees.iter().find_map(|(name, digest)| {
        let file = if path == name {
            ""
        } else if name == "." {
            path
        } else {
            path.strip_prefix(name.as_str())?.strip_prefix('/')?
        };
        manifest.contents.get(digest)?.get(file)
    })
}

/// Names whose values differ, or that only one side has.
fn moved<K: Ord + Clone, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> Vec<K> {
    let names: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned().collect()
}

fn trees(old: &InputManifest, new: &InputManifest, changes: &mut Vec<Change>) {
    let nothing = BTreeMap::new();
    let (mut more, mut fewer) = (Vec::new(), Vec::new());
    for name in moved(&old.trees, &new.trees) {
        let content = |manifest: &InputManifest| match manifest.trees.get(&name) {
            None => Some(nothing.clone()),
            Some(digest) => manifest.contents.get(digest).map(|tree| (**tree).clone()),
        };
        let (Some(before), Some(now)) = (content(old), content(new)) else {
            changes.push(Change::Tree { name });
            continue;
        };
        // A tree of nothing is a folder that became an input, or was one, without a file in it.
        if before.is_empty() && now.is_empty() {
            changes.push(if old.trees.contains_key(&name) { Change::Deleted { path: name } } else { Change::Added { path: name } });
            continue;
        }
        for file in moved(&before, &now) {
            let path = if file.is_empty() { name.clone() } else { format!("{name}/{file}") };
            let there = |entry: Option<&Entry>| entry.is_some_and(|entry| *entry != Entry::Absent);
            match (there(before.get(&file)), there(now.get(&file))) {
                (false, true) => changes.push(Change::Added { path }),
                (true, false) => changes.push(Change::Deleted { path }),
                (true, true) => changes.push(Change::Modified { path }),
                // Told too, because the key changed by it.
                (false, false) if now.contains_key(&file) => more.push(path),
                (false, false) => fewer.push(path),
            }
        }
    }
    if let Some(example) = more.first().or(fewer.first()) {
        changes.push(Change::Places { more: more.len(), fewer: fewer.len(), example: example.clone() });
    }
}

fn provision(old: &Provision, new: &Provision, changes: &mut Vec<Change>) {
    let mut setting = |name: &str, differs: bool| {
        if differs {
            changes.push(Change::Setting { name: name.to_owned() });
        }
    };
    match (old, new) {
        (
            Provision::Playbook { playbook: old_playbook, template: old_template },
            Provision::Playbook { playbook: new_playbook, template: new_template },
        ) => {
            setting("playbook", old_playbook != new_playbook);
            setting("template", old_template != new_template);
        }
        (
            Provision::Template { template: old_template, only: old_only, packer_vars: old_vars, var_files: old_files },
            Provision::Template { template: new_template, only: new_only, packer_vars: new_vars, var_files: new_files },
        ) => {
            setting("template", old_template != new_template);
            setting("only", old_only != new_only);
            setting("var_files", old_files != new_files);
            let variables: Vec<String> = moved::<String, Value>(old_vars, new_vars);
            changes.extend(variables.into_iter().map(|name| Change::Variable { name }));
        }
        (Provision::Playbook { .. }, Provision::Template { .. }) | (Provision::Template { .. }, Provision::Playbook { .. }) => {
            setting("playbook or template", true);
        }
    }
}

fn pins(old: &InputManifest, new: &InputManifest, changes: &mut Vec<Change>) {
    let mut pin = |name: &str, old: Option<String>, new: Option<String>| {
        if old != new {
            changes.push(Change::Pin { name: name.to_owned(), old, new });
        }
    };
    pin("freshness", old.freshness.clone(), new.freshness.clone());
    pin("generation", Some(old.generation.to_string()), Some(new.generation.to_string()));
    let by_file = |manifest: &InputManifest| -> BTreeMap<String, Option<String>> {
        manifest.galaxy.iter().map(|file| (file.requirements.clone(), file.content.map(|digest| digest.short()))).collect()
    };
    let (before, now) = (by_file(old), by_file(new));
    for file in moved(&before, &now) {
        pin(&format!("galaxy {file}"), before.get(&file).cloned().flatten(), now.get(&file).cloned().flatten());
    }
    if before == now && old.galaxy != new.galaxy {
        pin("galaxy", Some("other order".to_owned()), Some("this order".to_owned()));
    }
}

fn parent(parent: &ManifestParent) -> String {
    match parent {
        ManifestParent::Ami { id, name } => format!("{id} ({name})"),
        ManifestParent::Stage(key) => key.short(),
        ManifestParent::DryRun(key) => key.short(),
        ManifestParent::Docker { reference, id: Some(id) } => format!("{reference} ({id})"),
        ManifestParent::Docker { reference, id: None } => reference.clone(),
        ManifestParent::Unknown => "not known".to_owned(),
    }
}
