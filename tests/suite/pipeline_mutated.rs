//! Whatever stands in a pipeline file or a lock file: problems with places inside the text, never a panic.

use proptest::prelude::*;

use ovenbird::config::load::lock_path;
use ovenbird::report::problems::{render, to_json};

use crate::pipeline_files::EVERYTHING;
use crate::pipeline_tree::Tree;

const LOCK: &str = "format = 1\n\nsource \"debian_12\" \"x86_64\" {\n  region = \"r\"\n  id     = \"ami-1\"\n  name   = \"n\"\n  pinned = \"2026-11-16\"\n}\n\nstage \"base\" {\n  generation = 2\n}\n";

/// Pieces that mean something to HCL, so that mutations get past the first character.
const PIECES: &[&str] = &[
    "\"",
    "{",
    "}",
    "[",
    "]",
    "${",
    "%{",
    "<<EOT\n",
    "EOT\n",
    "\n",
    "=",
    "stage.web",
    "var.x",
    "secret.datadog",
    "#",
    "/*",
    "*/",
    "\\",
    "é",
    "\0",
    "\u{feff}",
    "\r\n",
    "null",
    "1e9",
    "-",
    "?",
    ":",
    "stage \"web\" {",
    "from = stage.base\n",
    "[*]",
    "[0]",
    ".id",
    "ウ",
    "~}",
];

/// `text` with `changes` applied, each at a relative place: a piece put in, or a run of bytes taken out.
fn mutated(text: &str, changes: &[(f64, usize, usize)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, piece, cut) in changes {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
        let at = (place * bytes.len() as f64) as usize;
        let end = (at + cut).min(bytes.len());
        bytes.splice(at.min(end)..end, PIECES[piece % PIECES.len()].bytes());
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(f64, usize, usize)>> {
    proptest::collection::vec((0.0..1.0_f64, 0..PIECES.len(), 0..12_usize), 1..5)
}

fn holds_for(tree: &Tree) {
    let problems = match tree.load() {
        Ok(loaded) => ovenbird::model::problem::Problems(loaded.warnings),
        Err(problems) => {
            assert!(problems.has_errors());
            problems
        }
    };
    for place in problems.0.iter().flat_map(|p| &p.places) {
        assert!(place.source.text.get(place.span.clone()).is_some(), "{place:?}");
    }
    let text = render(&problems, false, 80);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(to_json(&problems).is_object());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_file_never_panics(changes in changes(), lock in any::<bool>()) {
        let tree = Tree::new();
        tree.write("ovenbird.hcl", EVERYTHING.as_bytes());
        tree.write("ovenbird.lock", LOCK.as_bytes());
        assert_eq!(lock_path(&tree.root().join("ovenbird.hcl")), tree.root().join("ovenbird.lock"));
        if lock {
            tree.write("ovenbird.lock", &mutated(LOCK, &changes));
        } else {
            tree.write("ovenbird.hcl", &mutated(EVERYTHING, &changes));
        }
        holds_for(&tree);
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let tree = Tree::new();
        tree.write("ovenbird.hcl", &bytes);
        holds_for(&tree);
    }
}
