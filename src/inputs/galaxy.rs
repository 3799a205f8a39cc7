//! Requirement files of ansible-galaxy: which roles and collections they promise.
//!
//! What is installed is pinned in the lock by its digest; here only the file itself counts, and what it takes from the checkout. A role
//! that it brings is not in the checkout, so that nobody can say what that role reads there: the folders beside the playbook which it
//! searches count, and every value of a variable that names a file. Invariant: a requirement that lies in the root (`src: ./roles/x`,
//! `type: dir`) is an input by its content; one that lies outside of it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::named::Purpose;
use super::names;
use super::reach::{Reach, Scope};
use super::variables::WILD;
use super::world::Parsed;
use crate::syntax::yaml::Node;

/// A role that something names.
#[derive(Debug, Clone)]
pub(super) struct NamedRole {
    pub(super) role: String,
    pub(super) scope: Scope,
    pub(super) line: usize,
    /// It is on the roles path. Galaxy's comes first all the same.
    pub(super) found: bool,
}

/// Roles of galaxy by the playbook's folder, and what their variables were found to name.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    named: BTreeMap<PathBuf, NamedRole>,
    folders: BTreeSet<PathBuf>,
    texts: BTreeMap<(PathBuf, String), Result<Vec<String>, String>>,
}

impl NamedRole {
    fn said(&self) -> String {
        format!("role `{}` is galaxy's", self.role)
    }
}

/// Longest value that may be a file's name.
const MAX_NAME: usize = 300;

impl Reach<'_> {
    /// Remembers a role that galaxy brings; one that is nowhere at all is said.
    pub(super) fn role_of_galaxy(&mut self, role: NamedRole) {
        let collection = || role.role.rmatch_indices('.').any(|(at, _)| self.galaxy_roles.contains(&role.role[..at]));
        if self.galaxy_roles.contains(&role.role) || collection() {
            self.hidden.named.entry(role.scope.playbook_dir.to_path_buf()).or_insert(role);
            return;
        }
        if role.found {
            return;
        }
        let place = self.place(&role.scope.file, role.line);
        self.notes.insert(format!("{place} names role `{}`, which is nowhere on the roles path", role.role));
    }

    /// Takes what the roles of galaxy may read beside their playbook. True when there was something new, which may hold new names.
    pub(super) fn what_hidden_roles_read(&mut self) -> bool {
        let mut new = false;
        for (beside, hidden) in self.hidden.named.clone() {
            if self.hidden.folders.insert(beside.clone()) {
                new = true;
                self.folders_of_hidden(&beside, &hidden);
            }
            for text in self.variables.every_text() {
                let names = self.variables.names(&text, &hidden.scope).map(|names| names.into_iter().collect());
                let names = names.map_err(|(_, prefix)| prefix);
                let at = (beside.clone(), text);
                if self.hidden.texts.get(&at) == Some(&names) {
                    continue;
                }
                new = true;
                match &names {
                    Ok(names) => names.iter().for_each(|name| self.name_of_hidden(&beside, name, &hidden)),
                    // `{{ playbook_dir }}/conf/{{ something }}`
                    Err(prefix) => match prefix.rsplit_once('/') {
                        Some((folder, _)) if Path::new(folder).starts_with(&self.world.root) => {
                            let because = format!("{}: a variable names a file that is not known", hidden.said());
                            self.widen(Some(&names::normal(Path::new(folder))), because, &hidden.scope, hidden.line);
                        }
                        Some(_) | None => {}
                    },
                }
                self.hidden.texts.insert(at, names);
            }
        }
        new
    }

    fn folders_of_hidden(&mut self, beside: &Path, hidden: &NamedRole) {
        for (folder, purpose) in
            [("files", Purpose::Source("files")), ("templates", Purpose::Template), ("vars", Purpose::Vars), ("tasks", Purpose::Tasks)]
        {
            let path = beside.join(folder);
            if !self.world.is_folder(&path) {
                let why = self.because(&hidden.scope, format!("role {}", hidden.role), hidden.line);
                self.take(&path, why);
                continue;
            }
            let because = format!("{}: what it takes from beside the playbook is not known", hidden.said());
            self.widen(Some(&path), because, &hidden.scope, hidden.line);
            for file in &*self.world.files_within_reason(&path) {
                self.read_as(&purpose, file, &hidden.scope, hidden.line);
            }
        }
    }

    /// A value that may be a file's name: `{{ playbook_dir }}/conf/site.j2`, `site.j2` beside the playbook.
    fn name_of_hidden(&mut self, beside: &Path, name: &str, hidden: &NamedRole) {
        let odd = name.is_empty() || name.len() > MAX_NAME || name.contains([WILD, ' ', '\n', '*']) || name.contains("://");
        if odd || !name.contains(['.', '/']) {
            return;
        }
        let path = names::join(beside, name);
        if !path.starts_with(&self.world.root) || path == self.world.root || self.world.root.starts_with(&path) {
            return;
        }
        let why = self.because(&hidden.scope, format!("file {name} of role {}", hidden.role), hidden.line);
        self.take(&path, why);
        if self.world.disk.is_file(&path) {
            self.read_as(&Purpose::Template, &path, &hidden.scope, hidden.line);
        }
    }

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
