//! Proofs of the key: what Packer and Ansible really touch is compared with what `ovenbird inputs` says.
//!
//! ```text
//! tree, checkout   a tree as one text file, unpacked; its inputs and its key, by the library that `ovenbird inputs` calls
//! run, trace       the real tools under strace, and what they touched
//! judge            a touched path that is no input; an absent one whose appearance leaves the key as it was
//! figures          the table, and target/keys-proof.json for `make bench`
//! small_trees      tests/keys/trees/: one text file a tree          packer_trees, example   trees that Packer itself runs
//! generate, generated, warm      trees that proptest writes, run by an Ansible that is already imported
//! ```
//!
//! Starting Packer costs more than a whole play, so most trees are run with the command line that its Ansible provisioner renders
//! (measured: `run.rs`), some by Packer itself. The machine that is built stands on this one (`ansible_connection=local` in the
//! inventory, where the library cannot see it). Invariant: whatever a test needs and does not find (strace, Packer, Ansible, Docker)
//! fails it. The trees `attempt_…` are the attempts of somebody who did not write the search for inputs to have a file read that the key
//! lacks; what they found is mended.

#![allow(clippy::print_stdout, reason = "the table is for whoever runs the tests")]
#![allow(clippy::format_push_string, clippy::format_collect, clippy::needless_for_each, reason = "short texts, made once")]

mod checkout;
mod example;
mod figures;
mod generate;
mod generated;
mod judge;
mod packer_trees;
#[path = "../suite/remembering.rs"]
mod remembering;
mod run;
mod small_trees;
#[path = "../cloud/tools.rs"]
mod tools;
mod trace;
mod tree;
mod warm;
