//! Carrying a plan out: what may start (`queue`), the one loop (`driver`), one step from start to finish (`step`).
//!
//! Decides nothing that a plan has decided, and prints nothing. Invariant: everything that happens leaves as one event, in one
//! order, by the driver.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod build;
#[cfg(test)]
mod build_tests;
mod children;
pub mod driver;
pub mod dry_run;
pub mod fill;
pub mod galaxy;
pub mod gate;
mod ground;
mod guard;
pub mod journal;
pub mod keep;
pub mod queue;
mod reconcile;
pub mod scratch;
pub mod step;
pub mod swap;
pub mod swap_asks;
mod swap_gates;
mod swap_git;
mod swap_hands;
#[cfg(test)]
mod swap_model;
mod swap_record;
mod swap_terraform;
#[cfg(test)]
mod swap_tests;
pub mod swap_work;
mod tags;
pub mod toolcheck;
mod verify;
mod watch;
