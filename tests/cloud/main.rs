//! Everything that needs the local EC2, in one binary: each links the SDK again. One module a subject.
//!
//! Whole runs are the real binary with real Packer, Ansible and Docker; where a test is about ovenbird and not about provisioning, a
//! fake Packer (tests/fakes/packer) makes the images. Needs what `make tools` installs, and fails without it.

pub mod account;
pub mod asking;
mod catalog;
pub mod cluster;
mod dry_run;
mod faults;
mod foreign;
pub mod guard;
pub mod harness;
mod history;
mod interrupts;
mod pins;
pub mod project;
mod screen;
mod state;
pub mod swap;
mod together;
mod tools;
mod traffic;
mod verification;
mod whole;
