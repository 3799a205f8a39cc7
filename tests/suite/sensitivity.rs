//! What must move a key: every byte, executable bit, name and link target of every input, and no other stage than those that read
//! it and those on top of them.
//!
//! Generated over the inputs themselves, so an input of a new class is tried without a line here. Invariant: each change is taken
//! back, and the keys must come back with it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use ovenbird::config::pipeline::ParentRef;
use ovenbird::plan::inputs::Entry;

use crate::keys_tree::Keys;

/// Every input that is there → stages that read it.
fn read_by(keys: &Keys) -> BTreeMap<String, (Entry, BTreeSet<String>)> {
    let mut all: BTreeMap<String, (Entry, BTreeSet<String>)> = BTreeMap::new();
    for (stage, inputs) in keys.inputs() {
        for (name, entry) in Keys::present(&inputs) {
            all.entry(name).or_insert_with(|| (entry, BTreeSet::new())).1.insert(stage.to_string());
        }
    }
    all
}

/// The stages and everything on top of them.
fn with_descendants(keys: &Keys, stages: &BTreeSet<String>) -> BTreeSet<String> {
    let pipeline = keys.load().pipeline;
    let mut all = stages.clone();
    loop {
        let before = all.len();
        for stage in &pipeline.stages {
            if let ParentRef::Stage(parent) = &stage.from
                && all.contains(parent.as_str())
            {
                all.insert(stage.name.to_string());
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

/// Where an input lies: names with a label lie outside of the checkout.
fn place(keys: &Keys, name: &str) -> PathBuf {
    match name.strip_prefix("role:") {
        Some(rest) => keys.path("../shared").join(rest),
        None => keys.path(name),
    }
}

/// Other names of the same file: what a link leads to, and what lies below a linked folder.
fn readers(all: &BTreeMap<String, (Entry, BTreeSet<String>)>, keys: &Keys, name: &str) -> BTreeSet<String> {
    let end = place(keys, name).canonicalize().ok();
    let same = |other: &&String| *other == name || end.is_some() && place(keys, other).canonicalize().ok() == end;
    all.keys().filter(same).flat_map(|other| all[other].1.clone()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test's own folder")]
fn every_input_counts(keys: &Keys, at_least: usize) {
    let before = keys.keys();
    let all = read_by(keys);
    let mut tried = 0;
    let mut check = |what: &str, name: &str, stages: &BTreeSet<String>| {
        tried += 1;
        let after = keys.keys();
        let moved: BTreeSet<String> = before.iter().filter(|(stage, key)| after[*stage] != **key).map(|(stage, _)| stage.clone()).collect();
        assert_eq!(moved, with_descendants(keys, stages), "{what} of {name}");
    };
    for (name, (entry, own)) in &all {
        let path = place(keys, name);
        match entry {
            Entry::File { .. } => {
                let stages = readers(&all, keys, name);
                let bytes = std::fs::read(&path).unwrap();
                let mut other = bytes.clone();
                match other.last_mut() {
                    // The last byte is mostly a line end, whose loss breaks no YAML.
                    Some(last) => *last ^= if *last == b'\n' { b'\n' ^ b' ' } else { 1 },
                    None => other.push(b' '),
                }
                std::fs::write(&path, other).unwrap();
                check("one byte", name, &stages);
                std::fs::write(&path, bytes).unwrap();

                let mode = std::fs::metadata(&path).unwrap().permissions().mode();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode ^ 0o111)).unwrap();
                check("the executable bit", name, &stages);
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();

                let renamed = path.with_file_name(format!("{}.other", path.file_name().unwrap().to_str().unwrap()));
                // A file that a stage of the pipeline names itself must be there, or there is no key at all.
                if !named_by_pipeline(keys, name) {
                    std::fs::rename(&path, &renamed).unwrap();
                    check("the name", name, &stages);
                    std::fs::rename(&renamed, &path).unwrap();
                }
            }
            Entry::Link { target, .. } => {
                keys.link(name, &format!("./{target}"));
                check("the target", name, own);
                keys.link(name, target);
            }
            Entry::EmptyFolder => {
                std::fs::remove_dir(&path).unwrap();
                check("the emptiness", name, own);
                std::fs::create_dir(&path).unwrap();
            }
            Entry::Special { .. } | Entry::Absent => {}
        }
    }
    assert_eq!(keys.keys(), before, "everything was taken back");
    assert!(tried >= at_least, "only {tried} changes were tried");
}

fn named_by_pipeline(keys: &Keys, name: &str) -> bool {
    std::fs::read_to_string(keys.path("ovenbird.hcl")).unwrap().contains(&format!("\"{name}\""))
}

#[test]
fn every_input_of_the_small_example_moves_its_stages_and_what_stands_on_them() {
    every_input_counts(&Keys::example(), 60);
}

#[test]
fn every_input_of_every_class_moves_its_stages_and_what_stands_on_them() {
    every_input_counts(&Keys::new(), 100);
}

/// What was looked for and is not there moves the keys of those who looked, when it appears.
#[test]
fn every_absent_place_moves_its_stages_when_something_appears() {
    for keys in [Keys::new(), Keys::example()] {
        let before = keys.keys();
        let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (stage, inputs) in keys.inputs() {
            for (tree, entries) in &inputs.trees {
                for (name, _) in entries.iter().filter(|(_, entry)| **entry == Entry::Absent) {
                    let full = if name.is_empty() { tree.clone() } else { format!("{tree}/{name}") };
                    places.entry(full).or_default().insert(stage.to_string());
                }
            }
        }
        assert!(places.len() > 20, "{places:?}");
        // Outside of the checkout nothing is made; a place below a file cannot be.
        for (place, stages) in places.iter().filter(|(place, _)| !place.contains(':')) {
            let path = keys.path(place);
            let made = path.ancestors().take_while(|folder| !folder.exists()).last().unwrap();
            if made.parent().is_some_and(|parent| !parent.is_dir()) {
                continue;
            }
            keys.write(place, "");
            let after = keys.keys();
            let moved: BTreeSet<String> = before.iter().filter(|(s, key)| after[*s] != **key).map(|(s, _)| s.clone()).collect();
            assert!(with_descendants(&keys, stages).is_subset(&moved), "{place} moved {moved:?} and not {stages:?}");
            let made = made.strip_prefix(keys.root()).unwrap().to_str().unwrap().to_owned();
            keys.remove(&made);
        }
    }
}
