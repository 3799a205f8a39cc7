//! Everything that needs the local EC2, in one binary: each links the SDK again.

mod catalog;
pub mod harness;
