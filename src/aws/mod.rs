//! EC2 as a run needs it (images of ours, source AMIs, tags, what a run left in the account), and what a swap reads of the services
//! that serve.
//!
//! The only room that names the SDK's types. Decides nothing about what is built (`plan` does) and builds no client (`cli` does).
//! Invariant: a call that failed is an error with operation, region and AWS's code; it never becomes an empty answer.

pub mod catalog;
mod convert;
pub mod errors;
mod leftovers;
mod remove;
mod sources;
pub mod traffic;
mod traffic_deploy;
mod traffic_health;
mod traffic_metric;

#[cfg(test)]
mod canned;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traffic_tests;

pub use catalog::{Ec2Catalog, Patience};
pub use traffic::{AwsTraffic, Clients};
