//! Local files: atomic writes, the lock of a run, the run's folder, and the files that Terraform reads.
//!
//! Decides nothing about images and asks no network. Invariant: a file of the user's is either as it was or as it should be,
//! whenever this process ends; everything below `.ovenbird/` may be thrown away.

pub mod atomic;
pub mod lock;
pub mod run_folder;
pub mod swap_memory;
pub mod swap_tfvars;
mod terraform_folder;
pub mod tfvars;
mod tfvars_hcl;
mod tfvars_json;
#[cfg(test)]
mod tfvars_tests;
pub mod unified;
