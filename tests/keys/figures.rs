//! The table of a proof, and `keys-proof.json` beside the test binaries for `make bench`.
//!
//! Invariant: figures of one test never replace those of another; each has its own part of the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::judge::Verdict;
use crate::tree::write;

static FILE: Mutex<()> = Mutex::new(());

/// `target/keys-proof.json`.
fn file() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in target/").join("keys-proof.json")
}

/// Prints the table, keeps the totals under `part`, and fails on the first complaint with all of them.
pub(crate) fn conclude(part: &str, verdicts: &[Verdict]) {
    assert!(!verdicts.is_empty(), "{part}: nothing was run");
    println!("{:34} {:>7} {:>8} {:>7} {:>7} {:>7} {:>7}", part, "opened", "missing", "probed", "missed", "inputs", "idle");
    for v in verdicts {
        println!(
            "{:34} {:>7} {:>8} {:>7} {:>7} {:>7} {:>7}",
            v.name,
            v.opened,
            v.missing.len(),
            v.probed,
            v.missed.len(),
            v.inputs,
            v.idle.len()
        );
    }
    let sum = |of: &dyn Fn(&Verdict) -> usize| verdicts.iter().map(of).sum::<usize>();
    let totals = json!({
        "trees": verdicts.len(),
        "paths_opened": sum(&|v| v.opened),
        "missing_inputs": sum(&|v| v.missing.len()),
        "absences_probed": sum(&|v| v.probed),
        "missed_rebuilds": sum(&|v| v.missed.len()),
        "inputs": sum(&|v| v.inputs),
        "inputs_never_opened": sum(&|v| v.idle.len()),
    });
    println!("{part}: {totals}");
    keep(part, totals);
    let complaints: Vec<String> = verdicts.iter().flat_map(Verdict::complaints).collect();
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
}

/// Sums of all parts stand at the top, each part below its name.
fn keep(part: &str, totals: Value) {
    let _held = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let known = std::fs::read(file()).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let known = known.and_then(|value| value.get("parts").cloned()).and_then(|parts| parts.as_object().cloned());
    let mut parts: BTreeMap<String, Value> = known.unwrap_or_default().into_iter().collect();
    parts.insert(part.to_owned(), totals);
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (name, number) in parts.values().filter_map(Value::as_object).flatten() {
        *sums.entry(name.clone()).or_default() += number.as_u64().unwrap_or_default();
    }
    let mut all = json!(sums);
    all["parts"] = json!(parts);
    write(&file(), serde_json::to_string_pretty(&all).expect("JSON serialises").as_bytes());
}
