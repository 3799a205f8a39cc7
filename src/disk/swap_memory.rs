//! `.ovenbird/swaps/<name>.json`: what the last run of a swap wrote, for the run that comes after a kill.
//!
//! A help, not the truth: without it the world alone says where a swap stands, and only a file that was written and not committed is
//! then taken for somebody's edit. Invariant: written before what it tells of is done, so that it never says less than is true.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{atomic, run_folder};
use crate::model::digest::Digest;

/// What is remembered of a swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Run.
    pub run: String,
    /// Step, by its name.
    pub step: String,
    /// Message of its commit.
    pub message: String,
    /// Digest of the tfvars that it wrote.
    pub after: Digest,
    /// Was it applied to the end.
    pub applied: bool,
    /// Did its gate pass.
    pub passed: bool,
}

/// A child that may have been killed with us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// `user@host`, as Terraform writes it into its lock.
    pub who: String,
    /// Process.
    pub pid: i32,
    /// When it was started: RFC 3339.
    pub started: String,
}

fn path(dot: &Path, swap: &str) -> PathBuf {
    dot.join("swaps").join(format!("{swap}.json"))
}

/// Of its own: it is remembered before anything is written, too.
fn path_of_children(dot: &Path, swap: &str) -> PathBuf {
    dot.join("swaps").join(format!("{swap}.terraform.json"))
}

/// What is remembered; `None` where nothing is, or nothing that can be read.
pub fn load(dot: &Path, swap: &str) -> Option<Memory> {
    serde_json::from_slice(&std::fs::read(path(dot, swap)).ok()?).ok()
}

/// Every Terraform of ours that is not known to have ended by itself, and may have left a lock.
pub fn load_children(dot: &Path, swap: &str) -> Vec<Child> {
    let bytes = std::fs::read(path_of_children(dot, swap)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Remembers.
///
/// # Errors
/// The file cannot be written.
pub fn save(dot: &Path, swap: &str, memory: &Memory) -> Result<(), atomic::WriteError> {
    write(dot, &path(dot, swap), memory)
}

/// Remembers the Terraforms that may hold the state.
///
/// # Errors
/// The file cannot be written.
pub fn save_children(dot: &Path, swap: &str, children: &[Child]) -> Result<(), atomic::WriteError> {
    write(dot, &path_of_children(dot, swap), &children)
}

fn write(dot: &Path, path: &Path, value: &impl Serialize) -> Result<(), atomic::WriteError> {
    let wrong = |source| atomic::WriteError { path: path.to_path_buf(), source };
    run_folder::make_dot(dot).map_err(wrong)?;
    std::fs::create_dir_all(dot.join("swaps")).map_err(wrong)?;
    let json = serde_json::to_vec_pretty(value).map_err(|error| wrong(error.into()))?;
    atomic::write_with_mode(path, 0o600, &json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_read_back_and_a_torn_file_is_nothing() {
        let dot = tempfile::tempdir().unwrap();
        let memory = Memory {
            run: "r".to_owned(),
            step: "start".to_owned(),
            message: "m".to_owned(),
            after: Digest::of(b"x"),
            applied: false,
            passed: false,
        };
        assert_eq!(load(dot.path(), "production"), None);
        save(dot.path(), "production", &memory).unwrap();
        assert_eq!(load(dot.path(), "production"), Some(memory));
        assert_eq!(load(dot.path(), "staging"), None);
        let child = Child { who: "ci@here".to_owned(), pid: 7, started: "2026-11-22T11:00:00Z".to_owned() };
        save_children(dot.path(), "production", std::slice::from_ref(&child)).unwrap();
        assert_eq!((load_children(dot.path(), "production"), load_children(dot.path(), "staging")), (vec![child], vec![]));
        atomic::write(&dot.path().join("swaps/production.json"), b"{").unwrap();
        assert_eq!(load(dot.path(), "production"), None);
    }
}
