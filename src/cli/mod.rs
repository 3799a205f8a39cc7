//! The edge: command line, environment, terminal; one file a command, which wires adapters, runs and reports.
//!
//! The only room that reads `std::env` and the clock and that prints. Invariant: every way out goes through
//! [`failure::Failure`] or an [`failure::Exit`]; nothing below decides on an exit code.

pub mod args;
pub mod client;
pub mod failure;
pub mod output;
pub mod world;
