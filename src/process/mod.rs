//! Child processes: a command line as data, a process group with a log file, its tail, a polite stop, and short commands.
//!
//! Knows no tool: what is started and what its output means is `tools/`. Invariant: every child that ovenbird starts is started
//! here, leads a process group of its own, has `/dev/null` as stdin and an environment that was given in full.

pub mod command;
pub mod foreground;
mod group;
pub mod ladder;
pub mod spawn;
pub mod tail;
