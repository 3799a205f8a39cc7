//! What people and programs read of a run: the one room that knows colour, bars and carets.
//!
//! Must not decide anything, and must not open files. Invariant: without colour, no control code leaves this room.

pub mod problems;
