//! A name in a playbook → the files it may mean: search folders as Ansible has them, templated names by their values, widening.
//!
//! Invariant: a name ends as files that are taken (with the absent ones before them) or as a widening that says why; none is
//! dropped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::known::one_line;
use super::reach::{Reach, Scope};
use super::variables::{Locals, Pending, WILD};
use super::walk::Part;
use super::{jinja, names};

/// What a name stands for, which decides where it is searched and how what is found is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// A file that is sent or read, searched in `files`, `templates` … first.
    Source(&'static str),
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
}

impl Purpose {
    /// As people read it behind a file's name.
    fn what(&self, text: &str) -> String {
        match self {
            Self::Source(_) | Self::Glob => format!("file {text}"),
            Self::Template | Self::Included => format!("template {text}"),
            Self::Tasks => format!("tasks {text}"),
            Self::Vars | Self::VarsFolder => format!("variables {text}"),
            Self::Role => format!("role {text}"),
            Self::Playbook => format!("playbook {text}"),
        }
    }
}

/// Folders in which Ansible looks for a relative name: the role, the file's own folder, the playbook's; each with `dir` first.
fn search(scope: &Scope, dir: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for base in scope.role.as_deref().into_iter().chain([scope.folder(), &scope.playbook_dir]) {
        if !dir.is_empty() {
            folders.push(base.join(dir));
        }
        folders.push(base.to_owned());
    }
    folders
}

impl Reach<'_> {
    /// Follows a name, at once or, where it is a template, when the variables are known.
    pub(super) fn name(&mut self, purpose: Purpose, text: &str, scope: &Scope, line: usize, locals: &Locals) {
        let text = text.trim();
        if text.is_empty() || text == "omit" {
        } else if jinja::templated(text) {
            self.pending.push(Pending { purpose, text: text.to_owned(), scope: scope.clone(), line, locals: locals.clone() });
        } else {
            self.literal(&purpose, text, scope, line);
        }
    }

    /// Resolves what was put off, again and again until nothing new is found, and widens what is left.
    pub(super) fn settle(&mut self) {
        let mut done: BTreeSet<(Purpose, String, PathBuf, PathBuf)> = BTreeSet::new();
        loop {
            let before = (self.variables.count(), self.variables.blind.is_some(), self.pending.len(), done.len());
            for pending in self.pending.clone() {
                for name in self.variables.names(&pending.text, &pending.scope, &pending.locals).unwrap_or_default() {
                    let key = (pending.purpose.clone(), name.clone(), pending.scope.file.clone(), pending.scope.playbook_dir.clone());
                    if done.insert(key) && !name.is_empty() {
                        self.literal(&pending.purpose, &name, &pending.scope, pending.line);
                    }
                }
            }
            if before != (self.variables.count(), self.variables.blind.is_some(), self.pending.len(), done.len()) {
                continue;
            }
            let all = std::mem::take(&mut self.pending);
            let mut widened = false;
            for pending in all {
                if let Err((why, prefix)) = self.variables.names(&pending.text, &pending.scope, &pending.locals) {
                    widened |= self.widen_name(&pending, &why, &prefix);
                }
            }
            if !widened && self.pending.is_empty() {
                return;
            }
        }
    }

    /// Takes the folder of the literal prefix, or the root. True when something was read that may hold new names.
    fn widen_name(&mut self, pending: &Pending, why: &str, prefix: &str) -> bool {
        let scope = &pending.scope;
        let because = format!("{}: {why}", pending.purpose.what(&one_line(&pending.text)));
        let folder = prefix.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let Some(folder) = folder else {
            self.widen(None, because, scope, pending.line);
            return false;
        };
        let mut found = false;
        let mut read = false;
        let bases =
            if folder.starts_with('/') || folder.is_empty() { vec![PathBuf::from("/")] } else { self.folders(&pending.purpose, scope) };
        for base in bases {
            let path = names::join(&base, &folder);
            if path.is_dir() {
                found = true;
                self.widen(Some(&path), because.clone(), scope, pending.line);
                if matches!(pending.purpose, Purpose::Tasks | Purpose::Vars | Purpose::VarsFolder | Purpose::Template | Purpose::Role) {
                    for file in &*self.world.files_below(&path) {
                        read |= self.read_as(&pending.purpose, file, scope, pending.line);
                    }
                }
            } else if path.starts_with(&self.world.root) {
                let reason = self.because(scope, pending.purpose.what(&one_line(&pending.text)), pending.line);
                self.take(&path, reason);
            }
        }
        if !found {
            self.widen(None, because, scope, pending.line);
        }
        read
    }

    fn folders(&self, purpose: &Purpose, scope: &Scope) -> Vec<PathBuf> {
        match purpose {
            Purpose::Source(dir) => search(scope, dir),
            Purpose::Glob => search(scope, "files"),
            Purpose::Template | Purpose::Included => search(scope, "templates"),
            Purpose::Tasks => {
                let mut folders = vec![scope.folder().to_owned()];
                folders.extend(search(scope, "tasks"));
                // The last resort is the folder that Ansible runs in.
                folders.extend([self.world.root.join("tasks"), self.world.root.clone()]);
                folders
            }
            Purpose::Vars | Purpose::VarsFolder => search(scope, "vars"),
            Purpose::Role => self.role_folders(scope),
            Purpose::Playbook => vec![scope.folder().to_owned()],
        }
    }

    fn literal(&mut self, purpose: &Purpose, text: &str, scope: &Scope, line: usize) {
        if text.contains(WILD) {
            return self.wild(purpose, text, scope, line);
        }
        let why = self.because(scope, purpose.what(text), line);
        let folders = self.folders(purpose, scope);
        match purpose {
            Purpose::Role => self.role(text, scope, line),
            Purpose::Included => {
                for folder in folders {
                    if let Some(found) = self.first(&[folder], text, &why) {
                        self.read_as(&Purpose::Included, &found, scope, line);
                    }
                }
            }
            Purpose::Glob => {
                let folder = text.split(['*', '?', '[']).next().and_then(|t| t.rsplit_once('/')).map_or("", |(folder, _)| folder);
                let folder = if text.starts_with('/') && folder.is_empty() { "/" } else { folder };
                let mut scope_folders = folders;
                if folder.is_empty() {
                    // `*.conf` in the playbook's folder itself: what stands there directly.
                    let (start, end) =
                        text.split_once('*').map_or((text, ""), |(start, rest)| (start, rest.rsplit('*').next().unwrap_or("")));
                    for path in scope_folders.drain(..).filter(|p| p.is_dir()) {
                        let label = self.world.label(&path, "");
                        self.take_as(&path, Part::Like(start.to_owned(), end.to_owned()), label, why.clone());
                    }
                }
                for path in scope_folders {
                    self.first(&[path], folder, &why);
                }
            }
            _ => {
                if let Some(found) = self.first(&folders, text, &why) {
                    self.read_as(purpose, &found, scope, line);
                }
            }
        }
    }

    /// A name with a part that is one unknown word: what fits in the folders that are searched.
    fn wild(&mut self, purpose: &Purpose, text: &str, scope: &Scope, line: usize) {
        let shown = text.replace(WILD, "*");
        let why = self.because(scope, purpose.what(&shown), line);
        let (folder, last) = text.rsplit_once('/').map_or(("", text), |(folder, last)| (folder, last));
        for base in self.folders(purpose, scope) {
            let literal: PathBuf = folder.split('/').take_while(|part| !part.contains(WILD)).collect();
            let literal = if folder.starts_with('/') { Path::new("/").join(literal) } else { literal };
            let path = names::join(&base, &literal.to_string_lossy());
            if folder.contains(WILD) || *purpose == Purpose::Role {
                if path.is_dir() {
                    self.widen(Some(&path), format!("{}: `*` is a fact", purpose.what(&shown)), scope, line);
                    for file in &*self.world.files_below(&path) {
                        self.read_as(purpose, file, scope, line);
                    }
                } else if path.starts_with(&self.world.root) {
                    self.take(&path, why.clone());
                }
                continue;
            }
            let (start, end) = last.split_once(WILD).unwrap_or((last, ""));
            let end = end.rsplit(WILD).next().unwrap_or(end);
            let label = self.world.label(&path, text);
            if !path.is_dir() {
                self.take(&path, why.clone());
                continue;
            }
            self.take_as(&path, Part::Like(start.to_owned(), end.to_owned()), label, why.clone());
            let mut files: Vec<PathBuf> = std::fs::read_dir(&path).into_iter().flatten().flatten().map(|e| e.path()).collect();
            files.sort();
            for file in files {
                let name = names::last(&file);
                if name.starts_with(start) && name.ends_with(end) {
                    self.read_as(purpose, &file, scope, line);
                }
            }
        }
    }

    /// Reads what was found, as what it was named for. True when that was new.
    fn read_as(&mut self, purpose: &Purpose, found: &Path, scope: &Scope, line: usize) -> bool {
        let why = self.because(scope, purpose.what(&names::last(found)), line);
        match purpose {
            Purpose::Tasks if !found.is_dir() => self.tasks_file(found, scope, why),
            Purpose::Vars | Purpose::VarsFolder => self.vars(found, scope, &why),
            Purpose::Template | Purpose::Included if !found.is_dir() => self.template_text(found, scope, why),
            Purpose::Playbook => self.playbook(found, why),
            Purpose::Role if found.ends_with("tasks/main.yml") => {
                let role = found.parent().and_then(Path::parent).unwrap_or(found).to_owned();
                self.read_role(&role, scope, line)
            }
            _ => false,
        }
    }
}
