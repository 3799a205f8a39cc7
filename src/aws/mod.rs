//! EC2 as a run needs it: images of ours, source AMIs, tags, and what a run left in the account.
//!
//! The only room that names the SDK's types. Decides nothing about what is built (`plan` does) and builds no client (`cli` does).
//! Invariant: a call that failed is an error with operation, region and EC2's code; it never becomes an empty answer.

pub mod catalog;
mod convert;
pub mod errors;
mod leftovers;
mod remove;
mod sources;

#[cfg(test)]
mod canned;
#[cfg(test)]
mod tests;

pub use catalog::{Ec2Catalog, Patience};
