//! Pure decisions: graph, input manifest and keys, what is a hit, what is done and why.
//!
//! Opens no path, reads no clock and no environment, awaits nothing. Invariant: the same arguments give the same plan, so a
//! preview, a JSON plan, an explanation and a test cost nothing extra.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod canonical;
pub mod difference;
pub mod emit;
pub mod fitness;
pub mod graph;
pub mod hit;
pub mod inputs;
#[cfg(test)]
mod key_tests;
pub mod keyed;
pub mod known;
pub mod manifest;
pub mod pins;
#[expect(clippy::module_inception, reason = "the room is named after what it makes")]
pub mod plan;
pub mod planner;
#[cfg(test)]
mod planner_tests;
pub mod reason;
pub mod swap;
pub mod swap_guard;
pub mod swap_steps;
#[cfg(test)]
pub(crate) mod swap_tests;
pub mod terraform_plan;
#[cfg(test)]
pub(crate) mod testing;
pub mod verification;
#[cfg(test)]
mod verification_tests;
pub mod why;
