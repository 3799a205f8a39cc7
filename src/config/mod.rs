//! The pipeline file and the lock file as typed values; every problem at once, with its place.
//!
//! May not hash, plan or look at Docker or AWS. Of the disk it reads the two files and asks whether what they name exists.
//! Invariant: a [`pipeline::Pipeline`] that left this room is complete: references resolve, names are safe, no cycle, every
//! variable has a value, every named file exists inside the root.

pub mod lock;
pub mod pipeline;
