//! The words of the domain as types: names, keys, values, artifacts, problems.
//!
//! Owns no policy and does no I/O; every other room may import it and it imports none. Invariant: a value of one of these
//! types is always well formed (a [`Name`](name::Name) is safe in a tag, a path and an AMI name; a [`Digest`](digest::Digest) is 32 bytes).

pub mod artifact;
pub mod constraint;
pub mod digest;
pub mod gate;
pub mod name;
pub mod node;
pub mod problem;
pub mod swap;
pub mod traffic;
pub mod value;
pub mod verdict;
pub mod verification;
