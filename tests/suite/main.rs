//! Tests that need no cloud: one binary, one module a subject.

mod bad_pipeline;
mod bad_references;
mod command_line;
mod galaxy;
mod pipeline_files;
mod pipeline_mutated;
mod pipeline_tree;
mod run_record;
