//! git: which commit is checked out, is the work tree clean, and what a file held at an earlier commit.
//!
//! For tags, records and explanations only: nothing of it is ever in a key. Invariant: every command only reads (the ones that
//! record a swap's steps stand in `git_record`).

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

/// The last commits that changed a file, newest first, at most `most`.
pub fn commits_of(root: &Path, env: &BTreeMap<String, String>, file: &str, most: usize) -> CommandLine {
    let most = format!("--max-count={most}");
    CommandLine::new("git", root).envs(env).args(["--literal-pathspecs", "rev-list", &most, "HEAD", "--", file])
}

/// A file, relative to `root`, as it was at a commit.
pub fn file_at(root: &Path, env: &BTreeMap<String, String>, commit: &str, file: &str) -> CommandLine {
    // `--textconv` would run what the user's configuration names; the bytes are wanted.
    CommandLine::new("git", root).envs(env).args(["cat-file", "blob", &format!("{commit}:./{file}")])
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
