//! Packer templates, ours and somebody else's: what a setting of a provisioner, builder or post-processor reads.
//!
//! `template_hcl` and `template_json` take templates apart and evaluate texts; here stands what a setting means. Invariant: a path
//! that a template reads is an input or a widening that says why; a text that happens to name a file of the checkout is one too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::known::{Known, one_line};
use super::named::Purpose;
use super::reach::{Reach, Scope};
use super::snapshot::Snapshot;
use super::walk::Part;
use super::{jinja, names};
use crate::model::value::Value;
use crate::plan::why::Chain;

/// A text of a template: every value that it may have, or why that is not known and the literal text that it begins with.
pub(super) type Texts = Result<BTreeSet<String>, (String, String)>;

/// Where a setting stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    /// Provisioner of a type; `None`: not a literal.
    Provisioner(Option<String>),
    /// Post-processor of a type.
    PostProcessor(Option<String>),
    /// Builder.
    Source,
    /// Anything else.
    Other,
}

/// What is read of one template.
pub(super) struct Template {
    /// Folder of the template: `path.root`, `template_dir`.
    pub(super) folder: PathBuf,
    /// Values that are given from outside; a name is missing where only the template itself knows.
    pub(super) given: BTreeMap<String, Known>,
    /// The project's own: ovenbird itself fills its arguments, and they have been read already.
    pub(super) ours: bool,
}

/// Settings that name files of the machine that Packer runs on and whose names say so.
const PATH_ENDS: &[&str] =
    &["_file", "_files", "_dir", "_dirs", "_directory", "_path", "_paths", "script", "scripts", "_source", "manifests"];
/// Settings that look like these and are not: files on the other machine, files that are written, keys.
const NOT_READ: &[&str] = &[
    "remote",
    "destination",
    "output",
    "staging",
    "ssh_",
    "winrm_",
    "_key_",
    "private_key",
    "log_",
    "target",
    "strip_path",
    "scp_",
    "sftp_",
];

impl Reach<'_> {
    /// The project's own template folder: all of it, by its bytes, and what it reads outside of itself.
    pub(super) fn default_template(&mut self, folder: &Path, playbook: &Path) {
        let why = Chain::of("Packer template");
        self.take(folder, why.clone());
        let given = BTreeMap::from([("playbook_file".to_owned(), Known::Text(playbook.to_string_lossy().into_owned()))]);
        let template = Template { folder: folder.to_owned(), given: self.with_environment(given), ours: true };
        self.hcl_template(&template, hcl_files(&self.world.disk, folder), &[], &why);
    }

    /// Somebody's template, file or folder, untouched.
    pub(super) fn foreign_template(&mut self, path: &Path, var_files: &[PathBuf], vars: &BTreeMap<String, Value>) {
        let why = Chain::of("Packer template");
        for file in var_files {
            self.take(file, Chain::of("Packer variables"));
        }
        let given = vars.iter().map(|(name, value)| (name.clone(), Known::of_value(value))).collect();
        let folder = if self.world.is_folder(path) { path.to_owned() } else { path.parent().map(Path::to_owned).unwrap_or_default() };
        let template = Template { folder, given: self.with_environment(given), ours: false };
        // The playbooks that it names lie in folders of their own; here only ansible.cfg and the like are shared.
        if self.world.is_folder(path) {
            let label = self.world.label(path, "");
            self.take_as(path, Part::PackerFiles, label, why.clone());
            let mut auto: Vec<PathBuf> = files_that_end(&self.world.disk, path, ".auto.pkrvars.hcl");
            auto.extend(files_that_end(&self.world.disk, path, ".auto.pkrvars.json"));
            auto.extend(var_files.iter().cloned());
            if !files_that_end(&self.world.disk, path, ".pkr.json").is_empty() {
                let scope = self.template_scope(path, &why);
                self.widen(None, "HCL2 in JSON is not read", &scope, 1);
            }
            self.hcl_template(&template, hcl_files(&self.world.disk, path), &auto, &why);
        } else {
            self.take(path, why.clone());
            if path.to_string_lossy().ends_with(".json") {
                self.json_template(&template, path, var_files, &why);
            } else {
                self.hcl_template(&template, vec![path.to_owned()], var_files, &why);
            }
        }
    }

    /// `PKR_VAR_x` gives `x` where nothing else does; both count.
    fn with_environment(&self, mut given: BTreeMap<String, Known>) -> BTreeMap<String, Known> {
        for (name, value) in &self.world.context.environment {
            if let Some(name) = name.strip_prefix("PKR_VAR_") {
                given.entry(name.to_owned()).or_insert_with(|| Known::Text(value.clone()));
            }
        }
        given
    }

    pub(super) fn template_scope(&self, file: &Path, why: &Chain) -> Scope {
        Scope { tasks: Some(self.world.root.as_path().into()), ..Scope::new(&self.world.root, file, why.clone()) }
    }

    /// What one setting reads. A list comes as several texts.
    pub(super) fn setting(&mut self, template: &Template, block: &Block, key: &str, values: &[Texts], scope: &Scope, line: usize) {
        if *block == Block::Other {
            // Variables and locals count where they are used.
            return;
        }
        if matches!(block, Block::PostProcessor(_)) && key == "output" {
            // Written by every run (`manifest`, `checksum`, `compress`): as an input it would refuse each image its seal.
            return;
        }
        // Functions of Packer's older templates work in a plugin's settings, in HCL too.
        let inserted = |value: &Texts| match value {
            Ok(texts) => match texts.iter().find_map(|text| text.split_once("{{")) {
                Some((prefix, _)) => Err(("`{{…}}` is known only when Packer runs".to_owned(), prefix.to_owned())),
                None => value.clone(),
            },
            Err(_) => value.clone(),
        };
        if key == "inventory_file_template" {
            return self.inventory_template(values, scope, line);
        }
        let values: &[Texts] = &values.iter().map(inserted).collect::<Vec<_>>();
        let kind = match block {
            Block::Provisioner(kind) => kind.as_deref(),
            Block::PostProcessor(_) | Block::Source | Block::Other => None,
        };
        // A `dynamic` block may make a provisioner of any type.
        let ansible = matches!(kind, Some("ansible" | "ansible-local")) || matches!(block, Block::Provisioner(None));
        let uploads = matches!(block, Block::Provisioner(None)) || kind == Some("file");
        if key == "extra_arguments" && ansible {
            return self.template_arguments(template, values, scope, line);
        }
        if key == "ansible_env_vars" && ansible {
            return self.template_environment(values, scope, line);
        }
        if matches!(key, "command" | "galaxy_command") && ansible {
            // A wrapper of somebody's own around ansible-playbook.
            let plain = |text: &String| !text.contains('/') && text.starts_with("ansible-");
            if !values.iter().all(|value| value.as_ref().is_ok_and(|texts| texts.iter().all(plain))) {
                self.widen(None, format!("`{key}` runs on this machine"), scope, line);
            }
        }
        let is_path = match key {
            // The builder `file` copies one.
            "source" => uploads || *block == Block::Source,
            "sources" => uploads,
            "minion_config" | "local_state_tree" | "local_pillar_roots" | "vagrantfile_template" | "group_vars" | "host_vars" => true,
            _ => PATH_ENDS.iter().any(|end| key.ends_with(end)) && !NOT_READ.iter().any(|part| key.contains(part)),
        };
        for value in values {
            match value {
                Ok(texts) => {
                    for text in texts {
                        for found in self.template_path(template, text, is_path, key, scope, line) {
                            if uploads {
                                self.exact(&found);
                            }
                            match key {
                                "playbook_file" | "playbook_files" if ansible => {
                                    let why = self.because(scope, format!("playbook {}", names::last(&found)), line);
                                    self.playbook(&found, why);
                                }
                                "galaxy_file" if ansible => self.requirements(&found, scope),
                                "inventory_file" | "inventory_directory" if ansible => {
                                    let inner = Scope { playbook_dir: self.world.root.as_path().into(), ..scope.clone() };
                                    self.arguments(&["-i".to_owned(), found.to_string_lossy().into_owned()], &inner);
                                }
                                _ => {}
                            }
                        }
                    }
                }
                Err((why, prefix)) if is_path => {
                    let because = format!("`{key}` of a template: {}", one_line(why));
                    let folder = prefix.rsplit_once('/').map(|(folder, _)| names::join(&self.world.root, folder));
                    self.widen(folder.as_deref(), because, scope, line);
                }
                Err(_) => {}
            }
        }
    }

    /// A text that is or may be a path, seen from the root (where Packer runs) and from the template's folder.
    pub(super) fn template_path(
        &mut self,
        template: &Template,
        text: &str,
        is_path: bool,
        key: &str,
        scope: &Scope,
        line: usize,
    ) -> Vec<PathBuf> {
        let text = text.strip_prefix("file://").unwrap_or(text);
        if text.is_empty() || text.contains(['\n', '\0']) || text.contains("://") || !is_path && text.contains(' ') {
            return Vec::new();
        }
        let why = self.because(scope, format!("`{key}`: {text}"), line);
        let mut found = Vec::new();
        let candidates = BTreeSet::from([names::join(&self.world.root, text), names::join(&template.folder, text)]);
        for path in &candidates {
            let there = self.world.disk.exists(path);
            // Of texts that only may be paths, folders need a slash: `ansible` is more often a user than a folder. And they must lie in
            // the checkout: `/sbin/init` in a template is the image's, and this machine's would make a key of its own.
            let meant = is_path
                || there
                    && path.starts_with(&self.world.root)
                    && (self.world.disk.is_file(path) || text.contains('/'))
                    && !self.world.root.starts_with(path);
            if meant && there {
                // Absolute because `path.root` is; the name must not be.
                let label = self.world.label(path, if Path::new(text).starts_with(&template.folder) { "" } else { text });
                self.take_as(path, Part::Whole, label, why.clone());
                found.push(path.clone());
            }
        }
        if is_path && found.is_empty() {
            for path in candidates {
                let label = self.world.label(&path, text);
                self.take_as(&path, Part::Whole, label, why.clone());
            }
        }
        found
    }

    fn template_arguments(&mut self, template: &Template, values: &[Texts], scope: &Scope, line: usize) {
        if template.ours {
            return;
        }
        let mut words = Vec::new();
        for value in values {
            match value {
                // Which of several stands in a place does not matter: each is read as an argument of its own.
                Ok(texts) => words.extend(texts.iter().cloned()),
                Err((why, prefix)) => match prefix.split_once('=') {
                    Some((name, _)) if name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                        self.variables.assign(name, Known::Open(format!("is an extra variable: {why}")));
                        words.push(String::new());
                    }
                    _ if prefix.starts_with('@') || prefix.is_empty() => {
                        self.widen(None, format!("`extra_arguments` of a template: {}", one_line(why)), scope, line);
                        self.variables.blind.get_or_insert_with(|| "extra arguments of a template".to_owned());
                    }
                    _ => {
                        self.variables.blind.get_or_insert_with(|| "extra arguments of a template".to_owned());
                    }
                },
            }
        }
        self.arguments(&words, scope);
    }

    /// `ansible_env_vars`: settings by variables of the environment.
    fn template_environment(&mut self, values: &[Texts], scope: &Scope, line: usize) {
        for value in values {
            let texts = match value {
                Ok(texts) => texts.clone(),
                Err((_, prefix)) => BTreeSet::from([prefix.clone()]),
            };
            for text in &texts {
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                if HARMLESS_SETTINGS.contains(&name) || !name.is_empty() && !name.starts_with("ANSIBLE_") {
                    continue;
                }
                for part in value.split(':').filter(|p| !p.is_empty() && !jinja::templated(p)) {
                    self.name(Purpose::Source(""), part, scope, line);
                }
                self.variables.blind.get_or_insert_with(|| format!("what `{name}` makes Ansible read"));
                self.widen(None, format!("`ansible_env_vars` sets `{name}`, so Ansible may read anything"), scope, line);
            }
        }
    }

    /// The inventory that a template writes: variables, and how machines are reached.
    fn inventory_template(&mut self, values: &[Texts], scope: &Scope, line: usize) {
        for value in values {
            match value {
                Ok(texts) => texts.iter().for_each(|text| self.inventory_lines(text)),
                Err((why, _)) => {
                    self.variables.blind.get_or_insert_with(|| "the inventory of a template".to_owned());
                    self.widen(None, format!("`inventory_file_template`: {}", one_line(why)), scope, line);
                }
            }
        }
    }
}

/// Settings of Ansible that name no file and change no value.
const HARMLESS_SETTINGS: &[&str] = &[
    "ANSIBLE_FORCE_COLOR",
    "ANSIBLE_HOST_KEY_CHECKING",
    "ANSIBLE_NOCOLOR",
    "ANSIBLE_NOCOWS",
    "ANSIBLE_PIPELINING",
    "ANSIBLE_REMOTE_TEMP",
    "ANSIBLE_REMOTE_TMP",
    "ANSIBLE_RETRY_FILES_ENABLED",
    "ANSIBLE_SCP_IF_SSH",
    "ANSIBLE_SSH_PIPELINING",
    "ANSIBLE_SSH_RETRIES",
    "ANSIBLE_SSH_TRANSFER_METHOD",
    "ANSIBLE_STDOUT_CALLBACK",
    "ANSIBLE_TIMEOUT",
    "ANSIBLE_VERBOSITY",
];

fn hcl_files(disk: &Snapshot, folder: &Path) -> Vec<PathBuf> {
    files_that_end(disk, folder, ".pkr.hcl")
}

fn files_that_end(disk: &Snapshot, folder: &Path, end: &str) -> Vec<PathBuf> {
    disk.paths_in(folder).into_iter().filter(|p| p.to_string_lossy().ends_with(end)).collect()
}
