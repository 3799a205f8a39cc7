//! Names that stand for several files: globs, and names with a part that is one unknown word.
//!
//! Invariant: a folder that is searched counts with every name that fits, those that appear later too; a file whose use is not known
//! is read as what it looks like.

use std::path::{Path, PathBuf};

use super::named::Purpose;
use super::names;
use super::reach::{Reach, Scope};
use super::variables::WILD;
use super::walk::Part;
use super::world::Parsed;
use crate::plan::why::Chain;
use crate::syntax::yaml::Kind;

/// What a file is by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// A list of maps.
    Tasks,
    /// A map.
    Variables,
    /// Anything else.
    Text,
}

impl Reach<'_> {
    pub(super) fn globbed(&mut self, text: &str, scope: &Scope, line: usize) {
        let why = self.because(scope, Purpose::Glob.what(text), line);
        let folder = text.split(['*', '?', '[']).next().and_then(|t| t.rsplit_once('/')).map_or("", |(folder, _)| folder);
        let folder = if text.starts_with('/') && folder.is_empty() { "/" } else { folder };
        let mut folders = self.folders(&Purpose::Glob, scope).0;
        if folder.is_empty() {
            // `*.conf` in the playbook's folder itself: what stands there directly.
            let (start, end) = text.split_once('*').map_or((text, ""), |(start, rest)| (start, rest.rsplit('*').next().unwrap_or("")));
            let (start, end) = (start.split(['?', '[']).next().unwrap_or(start), end.rsplit(['?', ']']).next().unwrap_or(end));
            for path in folders.drain(..) {
                let label = self.world.label(&path, "");
                if self.world.is_folder(&path) {
                    self.take_as(&path, Part::Like(start.to_owned(), end.to_owned()), label, why.clone());
                } else {
                    self.take(&path, why.clone());
                }
            }
        } else {
            self.search_elsewhere(&Purpose::Source("files"), folder, scope, line, true);
        }
        for path in folders {
            if let Some(found) = self.first(&[path], folder, &why) {
                // What the items are used for stands elsewhere: as tasks, variables, templates.
                for file in &*self.world.files_within_reason(&found) {
                    self.read_by_look(file, scope, why.clone());
                }
            }
        }
    }

    /// Reads a file whose use is not known as what it looks like. True when that was new.
    pub(super) fn read_by_look(&mut self, file: &Path, scope: &Scope, why: Chain) -> bool {
        if self.world.is_large(file) {
            return false;
        }
        match self.look(file) {
            Look::Tasks => self.tasks_file(file, scope, why),
            Look::Variables => self.vars(file, scope, &why) | self.template_text(file, scope, why),
            Look::Text => self.template_text(file, scope, why),
        }
    }

    /// What a file looks like.
    pub(super) fn look(&self, file: &Path) -> Look {
        let Parsed::Yaml(documents) = &*self.world.yaml(file) else { return Look::Text };
        match documents.first().map(|document| &document.kind) {
            Some(Kind::Sequence(items)) if !items.is_empty() && items.iter().all(|item| matches!(item.kind, Kind::Mapping(_))) => {
                Look::Tasks
            }
            Some(Kind::Mapping(_)) => Look::Variables,
            Some(_) | None => Look::Text,
        }
    }

    /// A name with a part that is one unknown word: what fits in the folders that are searched.
    pub(super) fn wild(&mut self, purpose: &Purpose, text: &str, scope: &Scope, line: usize) {
        let shown = text.replace(WILD, "*");
        let why = self.because(scope, purpose.what(&shown), line);
        let (folder, last) = text.rsplit_once('/').map_or(("", text), |(folder, last)| (folder, last));
        for base in self.folders(purpose, scope).0 {
            let literal: PathBuf = folder.split('/').take_while(|part| !part.contains(WILD)).collect();
            let literal = if folder.starts_with('/') { Path::new("/").join(literal) } else { literal };
            let path = names::join(&base, &literal.to_string_lossy());
            if folder.contains(WILD) || *purpose == Purpose::Role {
                if self.world.is_folder(&path) {
                    self.widen(Some(&path), format!("{}: `*` is a fact", purpose.what(&shown)), scope, line);
                    self.sent(purpose, &path, scope);
                    for file in &*self.world.files_within_reason(&path) {
                        self.read_as(purpose, file, scope, line);
                    }
                } else if names::is_in(&path, &self.world.root) {
                    self.take(&path, why.clone());
                }
                continue;
            }
            let (start, end) = last.split_once(WILD).unwrap_or((last, ""));
            let end = end.rsplit(WILD).next().unwrap_or(end);
            let label = self.world.label(&path, text);
            if !self.world.is_folder(&path) {
                self.take(&path, why.clone());
                continue;
            }
            self.take_as(&path, Part::Like(start.to_owned(), end.to_owned()), label, why.clone());
            self.sent(purpose, &path, scope);
            for file in &*self.world.alike(&path, start, end, matches!(purpose, Purpose::Vars | Purpose::VarsFolder)) {
                self.read_as(purpose, file, scope, line);
            }
        }
    }
}
