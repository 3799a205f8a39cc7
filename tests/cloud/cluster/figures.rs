//! [`Figures`]: what a whole run measured, in `target/cluster.json`, where `make bench ONLY=cluster` reads it.
//!
//! Must not judge: goals stand in dev/bench. Invariant: the file is written whole, once, at the end of a run that passed.

#![expect(clippy::disallowed_methods, reason = "a test writes its figures")]

use std::collections::BTreeMap;
use std::path::Path;

/// Figures by name.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// One more; of a figure that was measured several times the largest counts.
    #[expect(clippy::print_stdout, reason = "figures, for whoever looks")]
    pub fn add(&mut self, name: &str, value: f64) {
        println!("{name}: {value:.3}");
        let kept = self.0.entry(name.to_owned()).or_insert(value);
        *kept = kept.max(value);
    }

    /// A number of things.
    pub fn count(&mut self, name: &str, things: usize) {
        self.add(name, f64::from(u32::try_from(things).expect("few things")));
    }

    /// Writes them down.
    #[expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]
    pub fn write(&self) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in target/").join("cluster.json");
        let text = serde_json::to_string_pretty(&self.0).expect("numbers are JSON");
        std::fs::write(path, text + "\n").expect("a file can be written");
    }
}
