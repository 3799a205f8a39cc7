//! Roles: where one is searched, and what reading one finds. The unit is the role: all of its files count once it is reachable.
//!
//! Invariant: a role of one name on several paths counts on all of them, and the places in the root where it was looked for in vain
//! count as absent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::galaxy::NamedRole;
use super::globs::Look;
use super::named::Purpose;
use super::names;
use super::reach::{Reach, Scope};
use super::shared::Dependency;
use super::walk::Part;
use super::world::Parsed;
use crate::model::problem::{Problem, SourceText};
use crate::plan::why::Chain;
use crate::syntax::yaml::Node;

impl Reach<'_> {
    /// Folders that roles are searched in, as Ansible has them; children run in the root.
    pub(super) fn role_folders(&self, scope: &Scope) -> Vec<PathBuf> {
        let mut folders = vec![scope.playbook_dir.join("roles")];
        folders.extend(self.world.config.roles_path.iter().cloned());
        folders.extend(scope.role.as_deref().and_then(Path::parent).map(Path::to_owned));
        folders.push(scope.playbook_dir.to_path_buf());
        folders.push(self.world.root.clone());
        folders
    }

    /// A role by its literal name.
    pub(super) fn role(&mut self, name: &str, scope: &Scope, line: usize) {
        let parts: Vec<&str> = name.split('.').collect();
        // A role may lie in a folder of roles: `acme.tools.web.nginx`.
        if let ([namespace, collection, role @ ..], false) = (parts.as_slice(), name.contains('/'))
            && !role.is_empty()
            && self.collection_role(namespace, collection, &role.join("/"), scope, line)
        {
            return;
        }
        if parts.len() == 1 {
            for named in scope.collections.iter() {
                if let Some((namespace, collection)) = named.split_once('.') {
                    self.collection_role(namespace, collection, name, scope, line);
                }
            }
        }
        let candidates: Vec<PathBuf> = self.role_folders(scope).iter().map(|folder| names::join(folder, name)).collect();
        let mut found = false;
        for candidate in candidates {
            if self.world.is_folder(&candidate) {
                found = true;
                self.read_role(&candidate, scope, line);
                // Ansible follows links before it says `role_path`, and looks for other roles beside where they end.
                if let Some(end) = self.world.end(&candidate) {
                    self.read_role(&end, scope, line);
                }
            } else if !found && names::is_in(&candidate, &self.world.root) {
                let why = self.because(scope, format!("role {name}"), line);
                // Ansible asks for the folder of roles too.
                if let Some(folder) = candidate.parent().filter(|folder| !self.world.disk.exists(folder)) {
                    self.take(folder, why.clone());
                }
                self.take(&candidate, why);
            }
        }
        let named = NamedRole { role: name.to_owned(), scope: scope.clone(), line, found };
        match &mut self.wishes {
            Some(wishes) => wishes.named.push(named),
            None => self.role_of_galaxy(named),
        }
    }

    /// A role's folder: takes it and reads what it may pull in. True the first time.
    pub(super) fn read_role(&mut self, dir: &Path, scope: &Scope, line: usize) -> bool {
        let name = names::last(dir);
        let why = self.because(scope, format!("role {name}"), line);
        let label = names::inside(&self.world.root, dir).unwrap_or_else(|| format!("role:{name}"));
        self.take_as(dir, Part::Whole, label, why.clone());
        let scope = Scope {
            role: Some(dir.into()),
            tasks: None,
            collections: Arc::default(),
            rendered: Arc::default(),
            file: dir.join("tasks/main.yml").into(),
            why,
            ..scope.clone()
        };
        let depends = !self.depending.is_empty();
        self.enter_role(dir, scope, depends)
    }

    /// Everything in a role's folder, for all stages that reach it. Reasons begin here.
    pub(super) fn role_alone(&mut self, dir: &Path, mut scope: Scope) {
        let label = names::inside(&self.world.root, dir).unwrap_or_else(|| format!("role:{}", names::last(dir)));
        self.take_as(dir, Part::Whole, label, Chain::default());
        self.first_time("role", dir, &scope);
        let why = Chain::default();
        self.roles.insert(dir.to_owned());
        self.role_probes(dir, &scope);
        for meta in ["meta/main.yml", "meta/main.yaml", "meta/main"] {
            if let Parsed::Yaml(documents) = &*self.world.yaml(&dir.join(meta)) {
                for document in documents {
                    self.collections_named(document, &mut scope);
                }
            }
        }
        let scope = scope;
        for meta in ["meta/main.yml", "meta/main.yaml", "meta/main"] {
            self.meta(&dir.join(meta), dir, &scope);
        }
        // Ansible checks arguments against these by a task of its own, so what they look up is looked up.
        for specs in ["meta/argument_specs.yml", "meta/argument_specs.yaml", "meta/argument_specs.json", "meta/argument_specs"] {
            if let Parsed::Yaml(documents) = &*self.world.yaml(&dir.join(specs)) {
                for document in documents {
                    self.lookups_in(document, &scope.in_file(&dir.join(specs), Chain::default()));
                }
            }
        }
        for folder in ["defaults", "vars"] {
            self.vars(&dir.join(folder), &scope, &why);
        }
        // A role that a task includes is no dependency: going in a circle that way is allowed.
        let depending = std::mem::take(&mut self.depending);
        for folder in ["tasks", "handlers"] {
            for file in &*self.world.files_below(&dir.join(folder)) {
                // `tasks_from` and includes may name any of them, whatever it is called; a role is one unit.
                let usual = matches!(file.extension().and_then(|e| e.to_str()), None | Some("yml" | "yaml" | "json"));
                if usual || self.look(file) == Look::Tasks {
                    self.tasks_file(file, &scope, why.clone());
                }
            }
        }
        for file in &*self.world.files_below(&dir.join("templates")) {
            self.template_text(file, &scope, why.clone());
        }
        self.plugins_in(dir, &scope);
        self.depending = depending;
    }

    fn meta(&mut self, file: &Path, dir: &Path, scope: &Scope) {
        let scope = scope.in_file(file, scope.why.clone());
        let documents = match &*self.world.yaml(file) {
            Parsed::Absent => return,
            Parsed::Refused(why, line) => {
                return self.widen(None, format!("dependencies of a role that cannot be read: the file {why}"), &scope, *line);
            }
            Parsed::Yaml(documents) => documents.clone(),
        };
        self.depending.push(dir.to_owned());
        for document in &documents {
            self.lookups_in(document, &scope);
            for list in document.get_all("dependencies") {
                for dependency in list.items() {
                    self.role_entry(dependency, &scope, true);
                }
            }
        }
        self.depending.pop();
    }

    /// One entry of `roles:` or `dependencies:` in every spelling.
    pub(super) fn role_entry(&mut self, entry: &Node, scope: &Scope, dependency: bool) {
        let named: Vec<&Node> = match entry.text() {
            Some(_) => vec![entry],
            None => ["role", "name"].iter().flat_map(|key| entry.get_all(key)).collect(),
        };
        let named = if named.is_empty() { entry.get_all("src").collect() } else { named };
        // Anything that is no keyword is a parameter, as are its `vars`.
        self.variables.assign_all(entry);
        entry.get_all("vars").for_each(|vars| self.variables.assign_all(vars));
        self.lookups_in(entry, scope);
        if Self::runs_here(entry) {
            self.widen(None, "a role that runs on this machine", scope, entry.line);
        }
        for key in ["delegate_to", "connection"] {
            for text in entry.get_all(key).filter_map(Node::text).filter(|text| super::jinja::templated(text)) {
                self.name(Purpose::Machine, text, scope, entry.line);
            }
        }
        for node in named {
            let Some(text) = node.text() else { continue };
            // `role: x,v1.0` of old requirement files.
            let text = text.split(',').next().unwrap_or(text).trim();
            if dependency {
                self.depend(text, node, scope);
            }
            self.name(Purpose::Role, text, scope, node.line);
        }
    }

    /// Notes a dependency; whether it closes a circle only the stages see.
    fn depend(&mut self, name: &str, node: &Node, scope: &Scope) {
        let Some(target) = self.role_folders(scope).iter().map(|f| names::join(f, name)).find(|p| self.world.is_folder(p)) else { return };
        if let Some(wishes) = &mut self.wishes {
            wishes.dependencies.push(Dependency { target, span: node.span(), file: Arc::clone(&scope.file) });
        }
    }

    /// A role that depends on itself never runs: Ansible refuses it, so it is said before anything is built.
    pub(super) fn refuse_circle(&mut self, dependency: &Dependency) {
        let Dependency { target, span, file } = dependency;
        let Some(at) = self.depending.iter().position(|role| role == target) else { return };
        let mut path: Vec<String> = self.depending[at..].iter().map(|role| format!("`{}`", names::last(role))).collect();
        path.push(format!("`{}`", names::last(target)));
        let text = self.world.text(file).to_string();
        let shown = PathBuf::from(self.world.label(file, ""));
        let span = if text.get(span.clone()).is_some() { span.clone() } else { 0..0 };
        let source = Arc::new(SourceText { path: shown, text });
        let problem = Problem::error(format!("roles depend on each other in a circle: {}", path.join(" → ")))
            .at(&source, span, "closes the circle")
            .help("take one of these out of the `dependencies` in `meta/main.yml`");
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// A file or folder of variables: every assignment counts. True the first time.
    pub(super) fn vars(&mut self, path: &Path, scope: &Scope, why: &Chain) -> bool {
        let folder = self.world.is_folder(path);
        if folder && self.world.within_reason(path) != path {
            self.variables.blind.get_or_insert_with(|| format!("`{}`, a folder of this machine", path.display()));
            return false;
        }
        let files = if folder { self.world.files_below(path) } else { vec![path.to_owned()].into() };
        let mut new = false;
        for file in &*files {
            let inner = Scope { tasks: None, ..scope.in_file(file, why.clone()) };
            if !self.first_time("vars", file, &inner) {
                continue;
            }
            let known = file.extension().and_then(|e| e.to_str());
            // `vars_from`, `extensions` and a setting may make variables of any file.
            if folder && !matches!(known, None | Some("yml" | "yaml" | "json")) && self.look(file) != Look::Variables {
                continue;
            }
            new = true;
            match &*self.world.yaml(file) {
                Parsed::Absent => {}
                Parsed::Refused(why, _) => {
                    let label = self.world.label(file, "");
                    self.variables.blind.get_or_insert_with(|| format!("`{label}`, which {why}"));
                }
                Parsed::Yaml(documents) => {
                    let assigned = self.world.assigned(file, documents);
                    self.variables.assign_file(&assigned);
                    for document in &assigned.looking {
                        self.lookups_in(document, &inner);
                    }
                }
            }
        }
        new
    }
}
