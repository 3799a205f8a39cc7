//! The binary: parse, call `cli`, turn the result into an exit code.
fn main() {}
