//! Playbooks: plays, what stands beside them, and the playbooks they import.
//!
//! Invariant: every folder that Ansible looks into beside a playbook counts, there or not.

use std::path::Path;

use super::known::Known;
use super::named::Purpose;
use super::reach::{Reach, Scope};
use super::world::Parsed;
use super::{jinja, names};
use crate::plan::why::{Chain, Place};
use crate::syntax::yaml::Node;

/// Folders beside a playbook whose files Ansible loads by itself.
const BESIDE: &[&str] = &[
    "group_vars",
    "host_vars",
    "library",
    "module_utils",
    "action_plugins",
    "become_plugins",
    "cache_plugins",
    "callback_plugins",
    "cliconf_plugins",
    "collections",
    "connection_plugins",
    "doc_fragments",
    "filter_plugins",
    "httpapi_plugins",
    "inventory_plugins",
    "lookup_plugins",
    "netconf_plugins",
    "shell_plugins",
    "strategy_plugins",
    "terminal_plugins",
    "test_plugins",
    "vars_plugins",
];

/// By these Ansible knows a role (traced with ansible-core 2.19).
const ROLE_PROBES: &[&str] = &["tasks/main.yml", "tasks/main.yaml", "tasks/main", "meta/main.yml", "meta/main.yaml", "meta/main"];

impl Reach<'_> {
    /// A playbook that the pipeline file or another playbook names. True the first time.
    pub(super) fn playbook(&mut self, file: &Path, why: Chain) -> bool {
        self.take(file, why.clone());
        let folder = file.parent().unwrap_or(&self.world.root).to_owned();
        let mut scope = Scope { tasks: Some(folder.as_path().into()), ..Scope::new(&folder, file, why) };
        // Short names in a collection's own playbook mean its own roles and modules first.
        let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
        if let Some(at) = parts.iter().rposition(|part| part == "ansible_collections")
            && let [namespace, collection, ..] = &parts[at + 1..]
        {
            std::sync::Arc::make_mut(&mut scope.collections).insert(format!("{namespace}.{collection}"));
        }
        if !self.first_time("playbook", file, &scope) {
            return false;
        }
        self.beside(&folder, &scope);
        // A look-up in a variable from elsewhere (extra arguments, an inventory) is searched from whichever play uses it.
        self.task_folders.insert(folder);
        match &*self.world.yaml(file) {
            Parsed::Absent => {}
            Parsed::Refused(why, line) => self.widen(None, format!("a playbook that cannot be read: the file {why}"), &scope, *line),
            Parsed::Yaml(documents) => {
                for play in documents.iter().flat_map(|d| d.items()) {
                    self.play(play, &scope);
                }
            }
        }
        true
    }

    /// What Ansible loads from a playbook's folder, and what its configuration points to.
    fn beside(&mut self, folder: &Path, scope: &Scope) {
        if !self.first_time("beside", folder, scope) {
            return;
        }
        for name in BESIDE {
            let path = folder.join(name);
            let why = scope.why.then(format!("{name} beside the playbook"), None);
            self.take(&path, why.clone());
            if matches!(*name, "group_vars" | "host_vars") {
                self.vars(&path, scope, &why);
            }
        }
        self.plugins_in(folder, scope);
        let why = scope.why.then("shell_plugins of the folder that Ansible runs in".to_owned(), None);
        self.take(&self.world.root.join("shell_plugins"), why);
        self.role_probes(folder, scope);
        let config = self.world.config.clone();
        let told = config.file.as_ref().map(|(_, label)| Place { file: label.clone(), line: None });
        for (setting, folders) in &config.plugin_paths {
            for path in folders.iter().filter(|p| p.starts_with(&self.world.root)) {
                self.take(path, Chain::default().then(*setting, told.clone()));
                if !matches!(*setting, "library" | "module_utils") {
                    self.plugin_files(path, scope);
                }
            }
        }
        if config.local_transport {
            self.widen(None, "`transport` of ansible.cfg: tasks run on this machine", scope, 1);
        }
        for name in &config.qualified {
            self.fqcn(name, scope, 1);
        }
        for path in config.collections_path.iter().filter(|p| p.starts_with(&self.world.root)) {
            self.take(path, Chain::default().then("collections_path", told.clone()));
        }
    }

    /// Ansible asks of every folder that it searches from, and of the one above, whether it is a role, and searches otherwise if it is.
    pub(super) fn role_probes(&mut self, folder: &Path, scope: &Scope) {
        let why = scope.why.then("what makes a folder a role".to_owned(), None);
        let root = self.world.root.clone();
        for base in [Some(folder), folder.parent()].into_iter().flatten().filter(|base| names::is_in(base, &root)) {
            for probe in ROLE_PROBES {
                self.take(&base.join(probe), why.clone());
            }
        }
    }

    fn play(&mut self, play: &Node, scope: &Scope) {
        let mut scope = scope.clone();
        self.collections_named(play, &mut scope);
        self.defaults_of_modules(play, &scope);
        let scope = &scope;
        for key in ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook", "include"] {
            for node in play.get_all(key) {
                let Some(text) = node.text() else { continue };
                let file = jinja::words(text).into_iter().find(|(key, _)| key.is_none()).map_or(text.to_owned(), |(_, word)| word);
                let parts: Vec<&str> = file.split('.').collect();
                let beside = names::join(scope.folder(), &file);
                if let ([namespace, collection, inner @ .., last], false) = (parts.as_slice(), self.world.disk.exists(&beside)) {
                    for folder in self.collection_folders(scope, namespace, collection) {
                        self.collection(&folder, namespace, collection, scope, node.line);
                        for end in ["yml", "yaml"] {
                            let playbook = folder.join("playbooks").join(inner.join("/")).join(format!("{last}.{end}"));
                            if self.world.disk.is_file(&playbook) {
                                self.playbook(&playbook, scope.why.clone());
                            }
                        }
                    }
                    if !matches!(*last, "yml" | "yaml") {
                        continue;
                    }
                }
                self.name(Purpose::Playbook, &file, scope, node.line);
            }
        }
        for vars in play.get_all("vars") {
            for vars in vars.one_or_many() {
                self.variables.assign_all(vars);
            }
        }
        for prompt in play.get_all("vars_prompt").flat_map(Node::items) {
            if let Some(name) = prompt.get("name").and_then(Node::text) {
                self.variables.assign(name, Known::Open("is asked for at run time".to_owned()));
            }
        }
        for node in ["connection", "hosts"].iter().flat_map(|key| play.get_all(key)).flat_map(Node::one_or_many) {
            match node.text() {
                Some(text) if super::named::is_here(text) => self.widen(None, "a play that runs on this machine", scope, play.line),
                Some(text) if jinja::templated(text) => self.name(Purpose::Machine, text, scope, node.line),
                Some(_) | None => {}
            }
        }
        for (key, value) in play.entries() {
            match key.text() {
                Some("vars_files") => self.vars_files(value, scope),
                Some("roles") => value.items().iter().for_each(|role| self.role_entry(role, scope, false)),
                Some("pre_tasks" | "tasks" | "post_tasks" | "handlers") => self.tasks(value, scope, false),
                _ => self.lookups_in(value, scope),
            }
        }
    }

    /// Files of variables; a list in the list is alternatives, all of which count.
    fn vars_files(&mut self, list: &Node, scope: &Scope) {
        for node in list.one_or_many().into_iter().flat_map(Node::one_or_many) {
            if let Some(text) = node.text() {
                self.name(Purpose::Vars, text, scope, node.line);
            }
        }
    }
}
