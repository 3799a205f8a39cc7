//! Troubles of a swap, one after the other: each is named, nothing is half done, and the old colour serves throughout.
//!
//! The short form takes those that end where they began, on one environment; the proof takes all, each on its own. Invariant: the
//! client asks throughout, and no request of it fails.

use crate::swap::fit::unfit;
use crate::swap::gates::{bad_colours, join_refused, launch_fails, tls};
use crate::swap::git::{edited, expired, half, locked, malformed, push_refused};
use crate::swap::refused::foreign_changes;
use crate::swap::stage::Stage;
use crate::swap::{proof, trouble};

/// What is tried, and does it end steady with blue in service as it began.
type Trouble = (&'static str, bool, fn(&Stage));

const TROUBLES: &[Trouble] = &[
    ("malformed", true, malformed),
    ("unfit", true, unfit),
    ("foreign", true, foreign_changes),
    ("push", true, push_refused),
    ("launch", true, launch_fails),
    ("colours", false, bad_colours),
    ("tls", false, tls),
    ("join", false, join_refused),
    ("half", false, half),
    ("expired", false, expired),
    ("edited", false, edited),
    ("locked", false, locked),
];

#[expect(clippy::print_stdout, reason = "figures, for whoever looks")]
fn tried(stage: &Stage, (name, ends_as_begun, trouble): Trouble) {
    let client = stage.client();
    trouble(stage);
    let counted = client.end();
    println!("{name}: {} answers, longest {:?}", counted.answered, counted.longest);
    assert_eq!(counted.failed, [""; 0], "{name}");
    if ends_as_begun {
        assert_eq!((stage.stands().as_str(), stage.serving()), ("steady blue", vec![stage.old.clone()]), "{name}");
    }
}

#[test]
fn what_is_no_good_is_refused_or_rolled_back_and_the_old_colour_serves_throughout() {
    if proof() {
        let only = trouble();
        let wanted: Vec<_> = TROUBLES.iter().filter(|trouble| only.is_empty() || only.split(',').any(|name| name == trouble.0)).collect();
        assert!(!wanted.is_empty(), "no trouble is called `{only}`");
        for trouble in wanted {
            tried(&Stage::new(&format!("swap-{}", trouble.0)), *trouble);
        }
        return;
    }
    let stage = Stage::new("swap-hostile");
    for trouble in TROUBLES.iter().filter(|trouble| trouble.1) {
        tried(&stage, *trouble);
    }
}
