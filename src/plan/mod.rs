//! Pure decisions: graph, input manifest and keys, what is a hit, what is done and why.
//!
//! Opens no path, reads no clock and no environment, awaits nothing. Invariant: the same arguments give the same plan, so a
//! preview, a JSON plan, an explanation and a test cost nothing extra.

pub mod canonical;
pub mod difference;
pub mod emit;
pub mod fitness;
pub mod graph;
pub mod hit;
pub mod inputs;
pub mod keyed;
pub mod known;
pub mod manifest;
pub mod plan;
pub mod planner;
pub mod reason;
#[cfg(test)]
pub(crate) mod testing;
