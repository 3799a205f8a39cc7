//! Packer, Ansible, Docker, Terraform and git: values → command lines, output → values.
//!
//! Decides nothing about when or whether; keeps no state. Invariant: no value of a user, and no secret, ever stands in an argument
//! where a file can carry it.

pub mod ansible;
pub mod ansible_report;
pub mod docker;
pub mod galaxy;
pub mod git;
pub mod git_record;
pub mod opened;
pub mod packer;
pub mod packer_log;
pub mod terraform;
pub mod versions;
