//! Every tree of `tests/keys/trees/`, run for real: nothing that was touched is missing from the key.
//!
//! In `make proof` each runs under strace. In `make test` two of three run in an Ansible that is imported already and watches itself
//! (see `warm.rs`), which costs a fifth of it; but never one that configures Ansible itself or needs a real machine.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::checkout::Checkout;
use crate::figures::conclude;
use crate::judge::{Verdict, judge};
use crate::run::{self, proof};
use crate::tree::Tree;
use crate::warm::Warm;

/// The trees of a folder, by name.
pub(crate) fn trees(folder: &str) -> Vec<Tree> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("the folder is there").map(|e| e.expect("it can be listed").path()).collect();
    files.sort();
    // One that is being written: `cargo test` with OVENBIRD_TREE=name.
    let only = run::variable("OVENBIRD_TREE");
    let trees = files.iter().map(|file| {
        let name = file.file_stem().expect("it has a name").to_string_lossy().into_owned();
        Tree::parse(&name, &std::fs::read_to_string(file).expect("it can be read"))
    });
    trees.filter(|tree| only.as_ref().is_none_or(|only| tree.name.contains(only))).collect()
}

/// Judges each of several trees, two at a time, each time with what is kept from one tree to the next.
pub(crate) fn each<K: Default>(trees: &[Tree], of: impl Fn(&mut K, &Tree) -> Verdict + Sync) -> Vec<Verdict> {
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut kept = K::default();
                while let Some(tree) = trees.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = of(&mut kept, tree);
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    verdicts.sort_by(|a: &Verdict, b| a.name.cmp(&b.name));
    verdicts
}

/// Must it run under strace.
fn wants_strace(tree: &Tree) -> bool {
    // An Ansible that is imported already has read its configuration.
    let configures = tree.pieces.keys().any(|name| name.ends_with("ansible.cfg")) || !tree.environment.is_empty() || tree.galaxy;
    let third = tree.name.bytes().map(usize::from).sum::<usize>() % 3 == 0;
    proof() || configures || tree.real_machine || third
}

fn traced(warm: &mut Option<Warm>, tree: &Tree) -> Verdict {
    let checkout = Checkout::of(tree);
    let said = checkout.ask().unwrap_or_else(|problems| panic!("{}: {problems}", tree.name));
    let touched = if wants_strace(tree) {
        run::play(&checkout, tree, &said.inputs)
    } else {
        let (touched, well, words) = warm.get_or_insert_with(Warm::start).play(&checkout, tree, &said.inputs);
        if well { Ok(touched) } else { Err(words) }
    };
    match touched {
        Ok(touched) => judge(tree, &touched.below(&checkout.beside("")), &said.key),
        Err(failed) => Verdict { name: tree.name.clone(), failed: Some(failed), ..Verdict::default() },
    }
}

#[test]
fn no_path_that_a_tree_touches_is_missing_from_its_key() {
    let trees = trees("trees");
    println!("{} of {} trees under strace", trees.iter().filter(|tree| wants_strace(tree)).count(), trees.len());
    conclude("trees", &each(&trees, traced));
}
