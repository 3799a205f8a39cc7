//! Generated trees: real Ansible runs each, and what it touches is in the key. 40, or 500 with `OVENBIRD_PROOF=1`.
//!
//! In `make test` the trees are the same each time, so that a change is judged and not the dice; `make proof` throws new ones. A tree
//! that fails is shrunk and printed as a text tree: kept in `trees/`, it is run under strace from then on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::checkout::Checkout;
use crate::figures::conclude;
use crate::generate::{Steps, steps, tree};
use crate::judge::{Verdict, judge};
use crate::run::proof;
use crate::warm::Warm;

/// Most attempts to make a failing tree smaller.
const SHRINKING: usize = 40;

/// What is wrong with the key of one tree, and whether its play ended well.
fn verdict(warm: &mut Warm, name: &str, steps: &Steps) -> (Verdict, bool) {
    let mut tree = tree(name, steps);
    let checkout = Checkout::of(&tree);
    let said = checkout.ask().unwrap_or_else(|problems| panic!("{name}: {problems}\n{}", tree.text()));
    let (touched, well, _) = warm.play(&checkout, &tree, &said.inputs);
    // Names of variables may widen; how precise that is, is for the trees that somebody wrote.
    tree.imprecise = said.inputs.imprecise.iter().map(|place| place.taken.clone()).collect();
    (judge(&tree, &touched.below(&checkout.beside("")), &said.key), well)
}

#[test]
fn no_path_that_a_generated_tree_touches_is_missing_from_its_key() {
    let (count, rng) =
        if proof() { (500, TestRunner::new(Config::default()).new_rng()) } else { (40, TestRng::deterministic_rng(RngAlgorithm::ChaCha)) };
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut trees: Vec<_> = (0..count).map(|_| steps().new_tree(&mut runner).expect("a tree can be made")).collect();
    let values: Vec<Steps> = trees.iter().map(ValueTree::current).collect();

    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut warm = Warm::start();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(steps) = values.get(at) else { break };
                    let verdict = verdict(&mut warm, &format!("generated {at}"), steps);
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner).push((at, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    verdicts.sort_by_key(|(at, _)| *at);
    let well = verdicts.iter().filter(|(_, (_, well))| *well).count();
    println!("{well} of {count} plays ended well");
    assert!(well * 3 > count * 2, "{well} of {count} generated plays ended well: the generator writes what Ansible refuses");
    if let Some((at, _)) = verdicts.iter().find(|(_, (verdict, _))| !verdict.complaints().is_empty()) {
        let (text, complaints) = shrink(&mut trees[*at]);
        let failed = verdicts.iter().filter(|(_, (verdict, _))| !verdict.complaints().is_empty()).count();
        panic!("{failed} of {count} trees; the first one, shrunk (keep it in tests/keys/trees/):\n{}\n{text}", complaints.join("\n"));
    }
    conclude("generated", &verdicts.into_iter().map(|(_, (verdict, _))| verdict).collect::<Vec<_>>());
}

/// The smallest tree that still fails.
fn shrink(found: &mut impl ValueTree<Value = Steps>) -> (String, Vec<String>) {
    let mut warm = Warm::start();
    let mut smallest = (String::new(), Vec::new());
    for _ in 0..SHRINKING {
        let steps = found.current();
        let complaints = verdict(&mut warm, "shrunk", &steps).0.complaints();
        let more = if complaints.is_empty() {
            found.complicate()
        } else {
            smallest = (tree("shrunk", &steps).text(), complaints);
            found.simplify()
        };
        if !more {
            break;
        }
    }
    smallest
}
