//! ovenbird builds machine images with Packer and Ansible.

pub mod config;
pub mod event;
pub mod model;
pub mod plan;
pub mod ports;
pub mod syntax;
