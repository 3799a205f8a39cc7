//! A name in a playbook → the files it may mean: search folders as Ansible has them, templated names by their values, widening.
//!
//! Invariant: a name ends as files that are taken (with the absent ones before them) or as a widening that says why; none is
//! dropped. Where it is not known which task uses a name, every folder that one could search counts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assigned::Stamp;
use super::known::one_line;
use super::reach::{Reach, Scope};
use super::shared::{Pending, Resolved};
use super::variables::WILD;
use super::{jinja, names};
use crate::plan::why::Chain;

/// What a name stands for, which decides where it is searched and how what is found is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// A file that is sent or read, searched in `files`, `templates` … first.
    Source(&'static str),
    /// A command line whose first word is a file that is sent.
    Script,
    /// The same as a source, and all of its mode bits reach the image.
    Preserved(&'static str),
    /// A template: its own includes and look-ups are read.
    Template,
    /// What a template includes: every candidate counts.
    Included,
    /// A list of tasks.
    Tasks,
    /// A file of variables.
    Vars,
    /// A folder of files of variables.
    VarsFolder,
    /// A role.
    Role,
    /// Another playbook.
    Playbook,
    /// `x/*.conf`: the folder counts.
    Glob,
    /// No file: the mode of what is sent (its source is here), which may be `preserve`.
    Mode(String),
    /// No file: a variable of the environment.
    Environment,
    /// No file: the machine that tasks run on, or how it is reached. This machine may read anything.
    Machine,
}

/// A name whose folders are not all known before everything is read.
#[derive(Debug, Clone)]
pub(super) struct Elsewhere {
    purpose: Purpose,
    text: String,
    scope: Scope,
    line: usize,
    /// Other roles' folders too, and not only those of lists of tasks.
    in_roles: bool,
    /// Folders that were searched.
    done: BTreeSet<PathBuf>,
}

impl Elsewhere {
    /// The same name, read because of `outer`.
    pub(super) fn below(&self, outer: &Chain) -> Self {
        Self { scope: self.scope.below(outer), ..self.clone() }
    }
}

impl Purpose {
    /// As people read it behind a file's name.
    pub(super) fn what(&self, text: &str) -> String {
        match self {
            Self::Source(_) | Self::Preserved(_) | Self::Script | Self::Glob => format!("file {text}"),
            Self::Template | Self::Included => format!("template {text}"),
            Self::Tasks => format!("tasks {text}"),
            Self::Vars | Self::VarsFolder => format!("variables {text}"),
            Self::Role => format!("role {text}"),
            Self::Playbook => format!("playbook {text}"),
            Self::Mode(source) => format!("mode {text} of {source}"),
            Self::Environment => format!("variable {text} of the environment"),
            Self::Machine => format!("machine {text}"),
        }
    }

    /// The folder in a role that is searched first.
    pub(super) fn folder(&self) -> &'static str {
        match self {
            Self::Source(folder) | Self::Preserved(folder) => folder,
            Self::Glob | Self::Script => "files",
            Self::Template | Self::Included => "templates",
            Self::Tasks => "tasks",
            Self::Vars | Self::VarsFolder => "vars",
            Self::Role | Self::Playbook | Self::Mode(_) | Self::Environment | Self::Machine => "",
        }
    }
}

/// Does the name mean this machine, as a host, as a pattern of hosts or as a way of reaching one.
pub(super) fn is_here(text: &str) -> bool {
    let here = ["localhost", "127.0.0.1", "::1", "local", "ansible.builtin.local", "ansible.legacy.local"];
    here.contains(&text.trim())
        || text.split([',', ':', '&', '!']).any(|part| here[..2].contains(&part.split('[').next().unwrap_or(part).trim()))
}

impl Reach<'_> {
    /// Follows a name, at once or, where it is a template, when the variables are known.
    pub(super) fn name(&mut self, purpose: Purpose, text: &str, scope: &Scope, line: usize) {
        let text = text.trim();
        if text.is_empty() || text == "omit" {
        } else if jinja::templated(text) {
            self.pending.push((Arc::new(Pending::new(purpose, text, scope, line)), Chain::default()));
        } else {
            self.literal(&purpose, text, scope, line);
        }
    }

    /// Resolves what was put off, again and again until nothing new is found, and widens what is left. A name that is known stays put
    /// off to the end: what a widening reads may give its variables more values.
    pub(super) fn settle(&mut self) {
        // In the order of `pending`: what each stood for when it was last asked, and what was known then; nothing: it was widened.
        let mut last: Vec<Option<(Arc<Resolved>, Stamp)>> = Vec::new();
        loop {
            let before = self.state();
            let mut at = 0;
            while let Some((pending, why)) = self.pending.get(at).cloned() {
                let stamp = self.variables.stamp();
                match last.get(at) {
                    None => last.push(Some((self.newly_resolved(&pending, &why, None), stamp))),
                    Some(Some((known, then))) if *then != stamp => {
                        let known = Arc::clone(known);
                        last[at] = Some((self.newly_resolved(&pending, &why, Some(&known)), stamp));
                    }
                    Some(_) => {}
                }
                at += 1;
            }
            self.look_elsewhere();
            if before != self.state() || self.what_hidden_roles_read() {
                continue;
            }
            let mut read = false;
            for (at, known) in last.iter_mut().enumerate() {
                let Some((resolved, then)) = known else { continue };
                let (pending, why) = self.pending[at].clone();
                if resolved.names.is_ok() && *then == self.variables.stamp() {
                    continue;
                }
                if let Err((reason, prefix)) = &self.resolved(&pending).names {
                    read |= self.widen_name(&pending, &why, reason, prefix);
                    *known = None;
                }
            }
            if !read && before == self.state() {
                break;
            }
        }
        self.connected_here();
        self.connected_by_ssh();
    }

    /// What a name stands for; what following it found is merged when it is not what is `known`.
    fn newly_resolved(&mut self, pending: &Pending, why: &Chain, known: Option<&Arc<Resolved>>) -> Arc<Resolved> {
        let resolved = self.resolved(pending);
        if known.is_none_or(|known| !Arc::ptr_eq(known, &resolved)) {
            let end = self.pending.len();
            self.merge(&resolved.found, why);
            self.forget_doubles(end);
        }
        resolved
    }

    /// Grows while anything new is found.
    fn state(&self) -> [usize; 6] {
        let blind = usize::from(self.variables.blind.is_some());
        let places = self.elsewhere.iter().map(|name| name.done.len() + 1).sum();
        [self.variables.count(), blind, self.pending.len(), places, self.roles.len(), self.task_folders.len()]
    }

    /// What ssh on this machine reads: a configuration that is given to it, a program in its place.
    fn connected_by_ssh(&mut self) {
        let names = ["ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args", "ansible_ssh_executable"];
        let scope = Scope::new(&self.world.root.clone(), &self.world.pipeline.file.clone(), Chain::default());
        let mut texts: Vec<String> = self.world.config.ssh.clone();
        for name in names.iter().filter(|name| self.variables.is_assigned(name)) {
            texts.extend(self.variables.names(&format!("{{{{ {name} }}}}"), &scope).into_iter().flatten());
        }
        for text in texts {
            for word in text.split(|c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\'')) {
                let path = names::join(&self.world.root, word.strip_prefix("-F").unwrap_or(word));
                if names::is_in(&path, &self.world.root) && self.world.disk.is_file(&path) {
                    self.take(&path, Chain::of(format!("argument of ssh: {}", names::last(&path))));
                }
            }
        }
    }

    /// `ansible_connection: local`, wherever it is set: tasks of some host run on this machine.
    fn connected_here(&mut self) {
        let scope = Scope::new(&self.world.root.clone(), &self.world.pipeline.file.clone(), Chain::default());
        let because = match self.variables.names("{{ ansible_connection }}", &scope) {
            _ if !self.variables.is_assigned("ansible_connection") => return,
            Ok(values) if !values.iter().any(|value| is_here(value)) => return,
            Ok(_) => "`ansible_connection` may be `local`: tasks may run on this machine".to_owned(),
            Err((why, _)) => format!("tasks may run on this machine: {why}"),
        };
        self.widen(None, because, &scope, 1);
    }

    /// Names that only a variable or a template holds may be used by any task, and a role's search path has the roles that depend on
    /// it: what lies there counts too.
    fn look_elsewhere(&mut self) {
        let folders: Vec<(PathBuf, bool)> =
            self.task_folders.iter().map(|f| (f.clone(), false)).chain(self.roles.iter().map(|f| (f.clone(), true))).collect();
        for at in 0..self.elsewhere.len() {
            let name = self.elsewhere[at].clone();
            let wanted = |(folder, role): &&(PathBuf, bool)| !name.done.contains(folder) && (name.in_roles || !*role);
            for (folder, _) in folders.iter().filter(wanted) {
                self.elsewhere[at].done.insert(folder.clone());
                for path in [names::join(&folder.join(name.purpose.folder()), &name.text), names::join(folder, &name.text)] {
                    let there = self.world.disk.exists(&path);
                    // What may appear inside of a role counts already with the role.
                    if there || !(path.starts_with(folder) && self.roles.contains(folder)) {
                        let why = self.because(&name.scope, name.purpose.what(&name.text), name.line);
                        self.take(&path, why);
                    }
                    if there {
                        self.sent(&name.purpose, &path, &name.scope);
                        self.read_as(&name.purpose, &path, &name.scope, name.line);
                    }
                }
            }
        }
    }

    /// Takes the folder of the literal prefix, or the root. True when something was read that may hold new names.
    fn widen_name(&mut self, pending: &Pending, outer: &Chain, why: &str, prefix: &str) -> bool {
        let scope = &pending.scope.below(outer);
        if pending.purpose == Purpose::Environment {
            let place = self.place(&scope.file, pending.line);
            self.notes.insert(format!("{place} reads a variable of the environment whose name is not a literal"));
            return false;
        }
        if let Purpose::Mode(source) = &pending.purpose {
            if "preserve".starts_with(prefix) {
                self.name(Purpose::Preserved("files"), source, scope, pending.line);
            }
            return true;
        }
        let because = format!("{}: {why}", pending.purpose.what(&one_line(&pending.text)));
        if pending.purpose == Purpose::Role {
            // The root is taken below; roles that lie outside of it have names of their own.
            self.roles_outside(scope, pending.line);
        }
        // A value with `..` in it leaves the folder that the name begins with.
        let stays = pending.purpose != Purpose::Machine && !self.variables.may_climb(&pending.text);
        let folder = prefix.rsplit_once('/').map(|(folder, _)| folder.to_owned()).filter(|_| stays);
        let Some(folder) = folder else {
            self.widen(None, because, scope, pending.line);
            return false;
        };
        let mut found = false;
        let mut read = false;
        let bases =
            if folder.starts_with('/') || folder.is_empty() { vec![PathBuf::from("/")] } else { self.folders(&pending.purpose, scope).0 };
        for base in bases {
            let path = names::join(&base, &folder);
            if self.world.is_folder(&path) {
                found = true;
                self.widen(Some(&path), because.clone(), scope, pending.line);
                self.sent(&pending.purpose, &path, scope);
                if matches!(
                    pending.purpose,
                    Purpose::Tasks | Purpose::Vars | Purpose::VarsFolder | Purpose::Template | Purpose::Glob | Purpose::Role
                ) {
                    for file in &*self.world.files_within_reason(&path) {
                        read |= self.read_as(&pending.purpose, file, scope, pending.line);
                    }
                }
            } else if names::is_in(&path, &self.world.root) {
                let reason = self.because(scope, pending.purpose.what(&one_line(&pending.text)), pending.line);
                self.take(&path, reason);
            }
        }
        if !found {
            self.widen(None, because, scope, pending.line);
        }
        read
    }

    pub(super) fn literal(&mut self, purpose: &Purpose, text: &str, scope: &Scope, line: usize) {
        match purpose {
            Purpose::Machine if is_here(text) => return self.widen(None, format!("tasks run on this machine (`{text}`)"), scope, line),
            Purpose::Mode(source) if text == "preserve" => return self.name(Purpose::Preserved("files"), source, scope, line),
            Purpose::Machine | Purpose::Mode(_) => return,
            Purpose::Environment => return self.reads_environment(text, scope, line),
            Purpose::Script => {
                // Quotes and escapes are the shell's.
                let first = jinja::shell_words(text).into_iter().next();
                let first = first.map(|(key, word)| key.map_or(word.clone(), |key| format!("{key}={word}"))).unwrap_or_default();
                return self.name(Purpose::Source("files"), &first, scope, line);
            }
            _ => {}
        }
        // Ansible puts in variables of the environment and other people's homes; `~/` is the one that is known here.
        if text.contains('$') || text.starts_with('~') && !text.starts_with("~/") {
            self.widen(None, format!("{}: its path is made of the environment", purpose.what(text)), scope, line);
        }
        if text.contains(WILD) {
            return self.wild(purpose, text, scope, line);
        }
        let why = self.because(scope, purpose.what(text), line);
        match purpose {
            Purpose::Role => self.role(text, scope, line),
            Purpose::Glob => self.globbed(text, scope, line),
            _ => {
                let (folders, every) = self.folders(purpose, scope);
                let mut found = Vec::new();
                if every {
                    let mut once: Vec<PathBuf> = Vec::with_capacity(folders.len());
                    for folder in folders {
                        if once.iter().all(|other| other.as_os_str() != folder.as_os_str()) {
                            found.extend(self.first(std::slice::from_ref(&folder), text, &why));
                            once.push(folder);
                        }
                    }
                } else {
                    found.extend(self.first(&folders, text, &why));
                }
                let own = scope.role.as_ref().is_some_and(|role| found.iter().any(|path| names::is_in(path, role)));
                let others = if scope.role.is_some() { !own || text.contains("..") } else { scope.tasks.is_none() };
                // What a role's variable looks up is searched from the play that uses it, whatever the role itself has.
                if (others || scope.tasks.is_none()) && !matches!(purpose, Purpose::Tasks | Purpose::Playbook) {
                    self.search_elsewhere(purpose, text, scope, line, others);
                }
                for path in found {
                    self.sent(purpose, &path, scope);
                    self.read_as(purpose, &path, scope, line);
                }
            }
        }
    }

    /// Mode bits that reach the image count: of what is sent, and of the role that it is a part of.
    pub(super) fn sent(&mut self, purpose: &Purpose, path: &Path, scope: &Scope) {
        if matches!(purpose, Purpose::Preserved(_)) {
            self.exact(path);
            if let Some(role) = scope.role.as_ref().filter(|role| names::is_in(path, role)) {
                self.exact(role);
            }
        }
    }

    pub(super) fn search_elsewhere(&mut self, purpose: &Purpose, text: &str, scope: &Scope, line: usize, in_roles: bool) {
        if !text.starts_with(['/', '~']) {
            let done = scope.role.iter().map(|role| role.to_path_buf()).collect();
            self.elsewhere.push(Elsewhere { purpose: purpose.clone(), text: text.to_owned(), scope: scope.clone(), line, in_roles, done });
        }
    }

    /// Reads what was found, as what it was named for. True when that was new.
    pub(super) fn read_as(&mut self, purpose: &Purpose, found: &Path, scope: &Scope, line: usize) -> bool {
        if matches!(purpose, Purpose::Vars | Purpose::VarsFolder) && self.world.assigns_nothing(found) {
            return false;
        }
        let why = self.because(scope, purpose.what(&names::last(found)), line);
        match purpose {
            Purpose::Tasks if !self.world.is_folder(found) => self.tasks_file(found, scope, why),
            Purpose::Glob if !self.world.is_folder(found) => self.read_by_look(found, scope, why),
            Purpose::Vars | Purpose::VarsFolder => self.vars(found, scope, &why),
            Purpose::Template | Purpose::Included if !self.world.is_folder(found) => self.template_text(found, scope, why),
            Purpose::Playbook => self.playbook(found, why),
            Purpose::Role if found.ends_with("tasks/main.yml") => {
                let role = found.parent().and_then(Path::parent).unwrap_or(found).to_owned();
                self.read_role(&role, scope, line)
            }
            _ => false,
        }
    }
}
