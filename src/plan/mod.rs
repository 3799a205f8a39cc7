//! Pure decisions: graph, input manifest and keys, what is a hit, what is done and why.
//!
//! Opens no path, reads no clock and no environment, awaits nothing. Invariant: the same arguments give the same plan, so a
//! preview, a JSON plan, an explanation and a test cost nothing extra.

pub mod difference;
pub mod inputs;
pub mod known;
pub mod plan;
pub mod reason;
