//! [`Variables`]: every value that is assigned to a variable anywhere in a closure.
//!
//! Holds them; names are made of them in `variables`. Invariant: values are added and never taken away, and what was asked while
//! names were made is noted, so that another stage may use the same names exactly where its answers would be the same.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::jinja;
use super::known::{Known, one_line};
use crate::syntax::yaml::{Kind, Node};

/// Values of one variable; shared by the stages that read the same role.
pub(super) type Values = Arc<BTreeSet<Known>>;

/// Variables that were asked for while names were made, with what they were.
pub(super) type Asked = BTreeMap<String, Option<Values>>;

/// What decides about every name, beside the variables in it.
pub(super) type Around = (Option<String>, Option<String>, BTreeSet<PathBuf>);

/// By name; gone through only to fill another such map or a sorted set, so its order reaches nobody.
#[expect(clippy::disallowed_types, reason = "names begin alike, by their role, and an ordered map compares them a dozen times")]
type ByName = std::collections::HashMap<Arc<str>, Values, rustc_hash::FxBuildHasher>;

/// Tells whether anything may have changed that decides about a name.
pub(super) type Stamp = (usize, bool, bool, usize);

/// Everything assigned anywhere in the closure.
#[derive(Debug, Default)]
pub(super) struct Variables {
    known: ByName,
    /// Folders that `inventory_dir` may be, beside the playbook's.
    pub(super) inventory_folders: BTreeSet<PathBuf>,
    /// A file of variables that could not be read, or a name that is a template: it may assign anything.
    pub(super) blind: Option<String>,
    /// A module that is not Ansible's own: its facts become variables that nothing here assigns.
    pub(super) facts: Option<String>,
    asked: RefCell<Asked>,
    changes: usize,
}

/// What one file of variables assigns.
#[derive(Debug)]
pub(super) struct Assigned {
    values: Vec<(Arc<str>, Values)>,
    blind: Option<String>,
    /// Documents with anything that may look up. Told once a file: two hundred roles may meet the same fifty playbooks where a name
    /// with a fact in it fits these.
    pub(super) looking: Vec<Arc<Node>>,
}

impl Assigned {
    /// Is there nothing in it for anybody: a playbook whose name a fact may stand for as well.
    pub(super) fn is_nothing(&self) -> bool {
        self.values.is_empty() && self.blind.is_none() && self.looking.is_empty()
    }

    /// Every key of every document.
    pub(super) fn by(documents: &[Arc<Node>]) -> Self {
        let mut all = Variables::default();
        for document in documents {
            all.assign_all(document);
        }
        let blind = all.blind.clone();
        // Ansible takes nothing but a mapping for variables: a list of tasks whose name fits too is refused before it is looked into.
        let variables = |document: &&Arc<Node>| matches!(document.kind, Kind::Mapping(_)) && super::lookups::looks_up(document);
        let looking = documents.iter().filter(variables).cloned().collect();
        Self { values: all.into_values(), blind, looking }
    }
}

impl Variables {
    pub(super) fn assign(&mut self, name: &str, value: Known) {
        if jinja::templated(name) {
            self.blind.get_or_insert_with(|| format!("`{}`, a name that is a template", one_line(name)));
        }
        match self.known.get_mut(name) {
            Some(values) if values.contains(&value) => return,
            Some(values) => drop(Arc::make_mut(values).insert(value)),
            None => drop(self.known.insert(Arc::from(name), Arc::new(BTreeSet::from([value])))),
        }
        self.changes += 1;
    }

    /// Every key of a mapping.
    pub(super) fn assign_all(&mut self, mapping: &Node) {
        for (key, value) in mapping.entries() {
            if let Some(name) = key.text() {
                self.assign(name, Known::of(value));
            }
        }
    }

    /// Does anything assign it.
    pub(super) fn is_assigned(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// Every text that a variable has or holds.
    pub(super) fn every_text(&self) -> BTreeSet<String> {
        let mut found = Vec::new();
        self.known.values().flat_map(|values| values.iter()).for_each(|value| value.texts(&mut found));
        found.into_iter().collect()
    }

    /// How many values were added.
    pub(super) fn count(&self) -> usize {
        self.changes
    }

    /// Differs when any answer may: values and folders are only added, and what is blind once stays so.
    pub(super) fn stamp(&self) -> Stamp {
        (self.changes, self.blind.is_some(), self.facts.is_some(), self.inventory_folders.len())
    }

    /// Assigns what a file does.
    pub(super) fn assign_file(&mut self, file: &Assigned) {
        if let Some(blind) = &file.blind {
            self.blind.get_or_insert_with(|| blind.clone());
        }
        self.assign_values(&file.values);
    }

    /// Assigns what another reading found.
    pub(super) fn assign_values(&mut self, all: &[(Arc<str>, Values)]) {
        if self.known.len() + all.len() > self.known.capacity() {
            // Roles come by the dozen, each with its variables.
            self.known.reserve(all.len().max(self.known.len()));
        }
        for (name, more) in all {
            match self.known.get_mut(name) {
                Some(values) if Arc::ptr_eq(values, more) || values.is_superset(more) => continue,
                Some(values) => Arc::make_mut(values).extend(more.iter().cloned()),
                None => drop(self.known.insert(Arc::clone(name), Arc::clone(more))),
            }
            self.changes += 1;
        }
    }

    pub(super) fn into_values(self) -> Vec<(Arc<str>, Values)> {
        self.known.into_iter().collect()
    }

    pub(super) fn around(&self) -> Around {
        (self.blind.clone(), self.facts.clone(), self.inventory_folders.clone())
    }

    /// Does `work`, and says which variables it asked for.
    pub(super) fn asking<T>(&self, work: impl FnOnce(&Self) -> T) -> (T, Asked) {
        self.asked.take();
        let done = work(self);
        (done, self.asked.take())
    }

    /// Would the same answers be given here.
    pub(super) fn answers(&self, asked: &Asked, around: &Around) -> bool {
        let (blind, facts, folders) = around;
        let same = |(name, then): (&String, &Option<Values>)| match (self.known.get(name.as_str()), then) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then) || now == then,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.blind == *blind && self.facts == *facts && self.inventory_folders == *folders && asked.iter().all(same)
    }

    /// Every value of a variable, noting that it was asked for.
    pub(super) fn ask(&self, name: &str) -> Option<Values> {
        let found = self.known.get(name).cloned();
        self.asked.borrow_mut().entry(name.to_owned()).or_insert_with(|| found.clone());
        found
    }
}
