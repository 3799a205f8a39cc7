//! Tests that need no cloud: one binary, one module a subject.

mod bad_gates;
mod bad_inputs;
mod bad_pipeline;
mod bad_references;
mod command_line;
mod fuzzed;
mod galaxy;
mod keys_tree;
mod pipeline_files;
mod pipeline_mutated;
mod pipeline_tree;
mod regressions;
mod remembering;
mod run_record;
mod sensitivity;
mod stability;
mod swap_tfvars;
