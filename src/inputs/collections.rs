//! Collections: where one is found, what all of it pulls in, what its names are led on to.
//!
//! The unit is the collection. Invariant: a name that `meta/runtime.yml` leads to another collection brings that one too, and a plugin
//! that is named and runs on this machine is looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::names;
use super::reach::{Reach, Scope};
use super::walk::Part;
use super::world::Parsed;
use crate::syntax::yaml::Node;

impl Reach<'_> {
    /// `ns.coll.role`. False: no such collection is installed where Ansible would look.
    pub(super) fn collection_role(&mut self, namespace: &str, collection: &str, role: &str, scope: &Scope, line: usize) -> bool {
        let mut found = false;
        for folder in self.collection_folders(scope, namespace, collection) {
            let dir = folder.join("roles").join(role);
            if self.world.is_folder(&dir) {
                found = true;
                self.collection(&folder, namespace, collection, scope, line);
                self.read_role(&dir, scope, line);
            }
        }
        found
    }

    /// Existing folders of a collection.
    pub(super) fn collection_folders(&self, scope: &Scope, namespace: &str, collection: &str) -> Vec<PathBuf> {
        // Beside this playbook, beside the one that the run began with, and where this playbook itself is installed.
        let around = [Some(&scope.playbook_dir), scope.role.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|inner| inner.ancestors().find(|folder| folder.ends_with("ansible_collections")).map(Path::to_owned));
        let beside = scope.playbook_dir.join("collections");
        let mut paths: Vec<PathBuf> = std::iter::once(beside).chain(around).collect();
        paths.extend(self.world.begun.iter().chain(&self.world.config.collections_path).cloned());
        paths.sort();
        paths.dedup();
        let folder = |path: &PathBuf| {
            let path = if path.ends_with("ansible_collections") { path.clone() } else { path.join("ansible_collections") };
            path.join(namespace).join(collection)
        };
        paths.iter().map(folder).filter(|folder| self.world.is_folder(folder)).collect()
    }

    /// All of a collection.
    pub(super) fn collection(&mut self, folder: &Path, namespace: &str, collection: &str, scope: &Scope, line: usize) {
        let why = self.because(scope, format!("collection {namespace}.{collection}"), line);
        let label = names::inside(&self.world.root, folder).unwrap_or_else(|| format!("collection:{namespace}.{collection}"));
        self.take_as(folder, Part::Whole, label, why.clone());
        let scope = Scope::new(&scope.playbook_dir, &folder.join("galaxy.yml"), why);
        if !self.first_time("collection", folder, &scope) {
            return;
        }
        self.collections_in_code(&folder.join("plugins"), &scope);
        self.routed(folder, &scope);
        // What is installed has its dependencies in MANIFEST.json, what is being written in galaxy.yml.
        for (file, below) in [("galaxy.yml", None), ("MANIFEST.json", Some("collection_info"))] {
            let Parsed::Yaml(documents) = &*self.world.yaml(&folder.join(file)) else { continue };
            for node in documents.iter().flat_map(|d| below.map_or_else(|| vec![&**d], |key| d.get_all(key).collect())) {
                for name in node.get_all("dependencies").flat_map(Node::entries).filter_map(|(key, _)| key.text()) {
                    self.fqcn(&format!("{name}.*"), &scope, node.line);
                }
            }
        }
    }

    /// What `meta/runtime.yml` leads names to, and the members of its groups.
    fn routed(&mut self, folder: &Path, scope: &Scope) {
        let file = folder.join("meta/runtime.yml");
        let Parsed::Yaml(documents) = &*self.world.yaml(&file) else { return };
        let scope = scope.in_file(&file, scope.why.clone());
        let mut found = BTreeSet::new();
        for document in documents {
            document.scalars(&mut |at, text| {
                if text.matches('.').count() >= 2 && !text.contains(' ') {
                    found.insert((text.to_owned(), at.line));
                }
            });
        }
        for (name, line) in found {
            self.fqcn(&name, &scope, line);
        }
    }

    /// The module or plugin that a name of a collection is led on to, followed to its end; the name itself where it is not.
    pub(super) fn led_to(&self, name: &str, scope: &Scope) -> String {
        let mut name = name.to_owned();
        for _ in 0..8 {
            let Some(next) = self.led_once(&name, scope) else { break };
            name = next;
        }
        super::jinja::short(&name)
    }

    fn led_once(&self, name: &str, scope: &Scope) -> Option<String> {
        let mut parts = name.splitn(3, '.');
        let (namespace, collection, last) = (parts.next()?, parts.next()?, parts.next()?);
        for folder in self.collection_folders(scope, namespace, collection) {
            let Parsed::Yaml(documents) = &*self.world.yaml(&folder.join("meta/runtime.yml")) else { continue };
            for kind in ["action", "modules"] {
                let routes = documents.iter().flat_map(|d| d.get_all("plugin_routing")).flat_map(|r| r.get_all(kind));
                let led = routes.flat_map(|r| r.get_all(last)).flat_map(|r| r.get_all("redirect")).find_map(Node::text);
                if let Some(led) = led {
                    return Some(led.to_owned());
                }
            }
        }
        None
    }

    /// Plugins of that name which run on this machine.
    pub(super) fn plugins_named(&mut self, folder: &Path, name: &str, scope: &Scope) {
        let plugins = folder.join("plugins");
        let path = name.replace('.', "/");
        for kind in ["action", "become", "cache", "callback", "connection", "inventory", "shell", "strategy", "vars"] {
            self.plugin_file(&plugins.join(kind).join(format!("{path}.py")), scope);
        }
        // One file holds several of these, under names that stand in it.
        for kind in ["filter", "test"] {
            for file in &*self.world.files_below(&plugins.join(kind)) {
                let text = self.world.text(file);
                if [format!("'{name}'"), format!("\"{name}\"")].iter().any(|quoted| text.contains(quoted)) {
                    self.plugin_file(file, scope);
                }
            }
        }
        let modules = ["modules", "action"].map(|kind| plugins.join(kind).join(format!("{path}.py")));
        if modules.iter().any(|module| self.world.text(module).contains("ansible_facts")) {
            self.variables.blind.get_or_insert_with(|| format!("facts that `{name}` returns"));
        }
    }

    /// Roles that lie on the paths of the configuration outside of the root.
    pub(super) fn roles_outside(&mut self, scope: &Scope, line: usize) {
        for folder in self.world.config.roles_path.clone().iter().filter(|folder| !folder.starts_with(&self.world.root)) {
            let roles = self.world.disk.paths_in(folder);
            for role in roles.iter().filter(|role| self.world.is_folder(role)) {
                self.read_role(role, scope, line);
            }
        }
    }
}
