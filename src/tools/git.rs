//! git: which commit is checked out, and is the work tree clean.
//!
//! For tags and records only: neither is ever in a key. Invariant: both commands only read.

use std::collections::BTreeMap;
use std::path::Path;

use crate::process::command::CommandLine;

/// State of the work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Commit.
    pub commit: String,
    /// Is anything modified or untracked.
    pub dirty: bool,
}

/// Commit and changes in one call: `git status --porcelain=v2 --branch`.
pub fn status(root: &Path, env: &BTreeMap<String, String>) -> CommandLine {
    // A status must not take the index lock from under the user's own git.
    CommandLine::new("git", root).envs(env).args(["--no-optional-locks", "status", "--porcelain=v2", "--branch"])
}

/// What [`status`] said; `None`: no commit yet.
pub fn parse_status(text: &str) -> Option<Head> {
    let commit = text.lines().find_map(|line| line.strip_prefix("# branch.oid "))?;
    let dirty = text.lines().any(|line| !line.starts_with('#') && !line.is_empty());
    (commit != "(initial)").then(|| Head { commit: commit.to_owned(), dirty })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_and_dirt_are_read() {
        let head = |dirty| Some(Head { commit: "abc".to_owned(), dirty });
        assert_eq!(parse_status("# branch.oid abc\n# branch.head main\n"), head(false));
        assert_eq!(parse_status("# branch.oid abc\n# branch.head main\n? new\n"), head(true));
        assert_eq!(parse_status("# branch.oid (initial)\n? new\n"), None);
        assert_eq!(parse_status(""), None);
    }
}
