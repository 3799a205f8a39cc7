//! Requirement files of ansible-galaxy: which roles and collections they promise.
//!
//! What is installed is pinned in the lock by its digest; here only the file itself counts, and what it takes from the checkout.
//! Invariant: a requirement that lies in the root (`src: ./roles/x`, `type: dir`) is an input by its content;
//! one that lies outside of it is not.

use std::path::Path;

use super::names;
use super::reach::{Reach, Scope};
use super::world::Parsed;
use crate::syntax::yaml::Node;

impl Reach<'_> {
    /// Takes a requirement file and remembers the names of its roles.
    pub(super) fn requirements(&mut self, file: &Path, scope: &Scope) {
        let why = self.because(scope, "galaxy requirements", 1);
        self.take(file, why.clone());
        if !self.first_time("requirements", file, scope) {
            return;
        }
        let scope = scope.in_file(file, why);
        match &*self.world.yaml(file) {
            Parsed::Absent => {}
            Parsed::Refused(why, line) => self.widen(None, format!("requirements that cannot be read: the file {why}"), &scope, *line),
            Parsed::Yaml(documents) => {
                for document in documents {
                    document.items().iter().for_each(|role| self.requirement(role, &scope));
                    for list in ["roles", "collections"] {
                        document.get_all(list).flat_map(Node::items).for_each(|entry| self.requirement(entry, &scope));
                    }
                }
            }
        }
    }

    fn requirement(&mut self, entry: &Node, scope: &Scope) {
        let text = |key: &str| entry.get(key).and_then(Node::text);
        let source = text("src").or(text("source")).or(entry.text()).or(text("name")).unwrap_or_default();
        let name = text("name").map_or_else(
            || {
                let last = source.split(',').next().unwrap_or(source).rsplit('/').next().unwrap_or(source);
                last.trim_end_matches(".git").trim_end_matches(".tar.gz").to_owned()
            },
            str::to_owned,
        );
        if !name.is_empty() {
            self.galaxy_roles.insert(name);
        }
        if let Some(other) = text("include") {
            let path = names::join(scope.folder(), other);
            self.requirements(&path, scope);
        }
        // A repository counts by the commit that is pinned, and what lies outside of the root by the digest that is pinned: the
        // same checkout must have the same key on a machine where that place is empty.
        if source.starts_with("git+") || text("type") == Some("git") || text("scm").is_some() {
            return;
        }
        let local = source.strip_prefix("file://").unwrap_or(source);
        let is_path = local != source || local.starts_with(['.', '/', '~']) || matches!(text("type"), Some("dir" | "file" | "subdirs"));
        // Relative ones are seen from where ansible-galaxy runs: the root.
        let path = names::join(&self.world.root, local);
        if is_path && !local.contains("://") && path.starts_with(&self.world.root) {
            let why = self.because(scope, format!("requirement {source}"), entry.line);
            self.take(&path, why);
        }
    }
}
