//! The pipeline file and the lock file as typed values; every problem at once, with its place.
//!
//! May not hash, plan or look at Docker or AWS. Of the disk it reads the two files and asks whether what they name exists.
//! Invariant: a [`pipeline::Pipeline`] that left this room is complete: references resolve, names are safe, no cycle, every
//! variable has a value, every named file exists inside the root.
//!
//! [`load`] is the door. Inside: [`schema`] is the table of what may be written, `context` reads one block by it, `scope` says what
//! references mean, and one file a kind of block turns it into its type.

mod context;
mod emit;
pub mod gate;
mod lineage;
pub mod load;
pub mod lock;
pub mod lock_file;
mod paths;
pub mod pipeline;
pub mod schema;
pub mod schema_swap;
mod scope;
mod settings;
mod source;
mod stage;
mod swap;
pub mod swap_spec;
mod variables;
mod words;
