//! [`List`]: what the stages found, listed and hashed, and put together as each stage's [`StageInputs`].
//!
//! Invariant: a folder is listed and a file hashed once, however many stages want them; these share the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::collect::Found;
use super::hash::{self, Content, Contents};
use super::snapshot::Snapshot;
use super::walk::{self, Item, Listing, Part, Rules};
use super::{InputContext, environment};
use crate::model::name::Name;
use crate::plan::inputs::{Entry, Imprecise, StageInputs, Tree};

/// A tree that is to be listed.
struct Wanted<'f> {
    path: &'f Path,
    part: &'f Part,
    label: &'f str,
    exact: bool,
    rules: &'f Rules,
}

/// What decides about a listing: name, place, part, all modes or not, the stage's `ignore`.
type Key<'f> = (&'f str, &'f OsStr, &'f Part, bool, &'f [String]);

/// What was found, listed and hashed.
pub(super) struct List {
    listed: Vec<Listed>,
    /// Which of these each stage's trees are, in their order.
    of_stages: Vec<Vec<usize>>,
}

impl List {
    /// Lists and hashes.
    pub(super) fn of(found: &[Found], disk: &Snapshot) -> Self {
        let mut wanted: Vec<Wanted<'_>> = Vec::new();
        let mut known: BTreeMap<Key<'_>, usize> = BTreeMap::new();
        let mut of_stages: Vec<Vec<usize>> = Vec::new();
        for stage in found {
            let mut numbers = Vec::new();
            for (path, part, take) in stage.image.trees.iter().chain(&stage.verify.trees) {
                let key = (take.label.as_str(), path.as_os_str(), part, take.exact, stage.rules.patterns());
                numbers.push(*known.entry(key).or_insert_with(|| {
                    wanted.push(Wanted { path, part, label: &take.label, exact: take.exact, rules: &stage.rules });
                    wanted.len() - 1
                }));
            }
            of_stages.push(numbers);
        }
        let listings: Vec<Listing> = wanted.par_iter().map(|one| walk::walk(one.path, one.label, one.part, one.rules, disk)).collect();
        let files = listings.iter().flat_map(|l| l.items.values()).filter_map(|item| match item {
            Item::File(path) | Item::Link { content: Some(path), .. } => Some(path.clone()),
            Item::Link { content: None, .. } | Item::EmptyFolder | Item::Absent | Item::Special(_) => None,
        });
        let contents = hash::contents(files.collect(), disk);
        let listed = wanted.par_iter().zip(listings).map(|(one, listing)| tree(&listing, one.exact, &contents, one.label));
        Self { listed: listed.collect(), of_stages }
    }

    /// By stage.
    pub(super) fn into_inputs(self, found: Vec<Found>, context: &InputContext) -> BTreeMap<Name, StageInputs> {
        let stages: Vec<(Found, Vec<usize>)> = found.into_iter().zip(self.of_stages).collect();
        let inputs = |(stage, numbers): (Found, Vec<usize>)| stage.inputs(numbers.into_iter().map(|number| &self.listed[number]), context);
        stages.into_par_iter().map(inputs).collect::<Vec<_>>().into_iter().collect()
    }
}

impl Found {
    /// With what was listed for its trees, in their order.
    fn inputs<'l>(mut self, mut listed: impl Iterator<Item = &'l Listed>, context: &InputContext) -> (Name, StageInputs) {
        let sides = [(std::mem::take(&mut self.image), false), (std::mem::take(&mut self.verify), true)];
        let mut stage = std::mem::take(&mut self.inputs);
        let child = environment::child_environment(&context.environment, &self.asked, None, Path::new("/"));
        stage.environment = child.keyed;
        for (side, verifies) in sides {
            for (_, part, take) in side.trees {
                let listed = listed.next().expect("each tree was listed");
                for (pattern, count) in &listed.ignored {
                    *stage.ignored.entry(pattern.clone()).or_default() += count;
                }
                stage.notes.extend(listed.notes.iter().cloned());
                stage.imprecise.extend(listed.imprecise.iter().cloned());
                let tree = &listed.tree;
                if part != Part::Whole && tree.values().all(|e| *e == Entry::EmptyFolder) {
                    continue;
                }
                // Left out as a whole. An entry without content would still tell whether it is there.
                if tree.is_empty() {
                    continue;
                }
                let trees = if verifies { &mut stage.verify_trees } else { &mut stage.trees };
                match trees.get_mut(&take.label) {
                    Some(known) => Arc::make_mut(known).extend(tree.iter().map(|(name, entry)| (name.clone(), entry.clone()))),
                    None => drop(trees.insert(take.label.clone(), Arc::clone(tree))),
                }
                if !verifies || !stage.why.contains_key(&take.label) {
                    stage.why.insert(take.label, take.why);
                }
            }
        }
        stage.imprecise.sort();
        stage.imprecise.dedup();
        (self.name, stage)
    }
}

/// A listing with what its files hold, for every stage that wants it.
struct Listed {
    tree: Arc<Tree>,
    ignored: BTreeMap<String, usize>,
    notes: Vec<String>,
    imprecise: Vec<Imprecise>,
}

/// A listing with what its files hold.
fn tree(listing: &Listing, exact: bool, contents: &Contents, label: &str) -> Listed {
    let full = |name: &str| match (label, name) {
        (label, "") => label.to_owned(),
        (".", name) => name.to_owned(),
        (label, name) => format!("{label}/{name}"),
    };
    let notes = listing.leaving.iter().map(|name| format!("`{}` is a link that leaves the root", full(name))).collect();
    let mut odd: BTreeSet<(String, String)> = BTreeSet::new();
    let entry = |(name, item): (&String, &Item)| {
        let read = |path: &Path| contents.of(path).cloned().unwrap_or(Content::Gone);
        let mut special = |what: String| {
            odd.insert((full(name), what.clone()));
            Entry::Special { what: what.split(':').next().unwrap_or(&what).to_owned() }
        };
        let entry = match item {
            Item::File(path) => match read(path) {
                Content::File { digest, mode } => Entry::File { digest, executable: mode & 0o111 != 0, mode: exact.then_some(mode) },
                Content::Gone => Entry::Absent,
                Content::Special(what) => special(what),
            },
            Item::Link { target, content: Some(path) } => match read(path) {
                Content::File { digest, mode } => {
                    Entry::Link { target: target.clone(), content: Some(digest), executable: mode & 0o111 != 0 }
                }
                Content::Gone => Entry::Link { target: target.clone(), content: None, executable: false },
                Content::Special(what) => special(what),
            },
            Item::Link { target, content: None } => Entry::Link { target: target.clone(), content: None, executable: false },
            Item::EmptyFolder => Entry::EmptyFolder,
            Item::Absent => Entry::Absent,
            Item::Special(what) => special(what.clone()),
        };
        (name.clone(), entry)
    };
    let tree: Tree = listing.items.iter().map(entry).collect();
    let odd = odd.into_iter().map(|(place, what)| {
        let because = format!("{what}: its content cannot be in the key");
        Imprecise { taken: place.clone(), because, place }
    });
    Listed { imprecise: odd.collect(), tree: Arc::new(tree), ignored: listing.ignored.clone(), notes }
}
