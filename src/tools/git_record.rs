//! git as the record of a swap: is the tfvars file committed and up to date, commit it, push it, take the commit back.
//!
//! Only command lines and parsers; when a commit is made or taken back is `run::swap_git`'s. Invariant: every command names the one
//! file, and touches nothing else of the index, the work tree or the history but commits with our trailer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::process::command::CommandLine;

/// Trailer of our commits: `production start 20261122t041500-3f9a1c`.
pub const TRAILER: &str = "Ovenbird-Swap";

/// The file in its repository.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// Folder of the file, absolute: where git runs.
    pub folder: PathBuf,
    /// Name of the file.
    pub file: String,
    /// The caller's environment: keys, agents and helpers have names that nobody can list.
    pub env: BTreeMap<String, String>,
}

impl Tracked {
    fn git(&self) -> CommandLine {
        // A question on a terminal that nobody watches would hang for ever.
        CommandLine::new("git", &self.folder).envs(&self.env).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").arg("--literal-pathspecs")
    }

    /// Is the folder in a work tree: says `true`.
    pub fn in_work_tree(&self) -> CommandLine {
        self.git().args(["rev-parse", "--is-inside-work-tree"])
    }

    /// Branch, upstream and the file's own state.
    pub fn status(&self) -> CommandLine {
        self.git().args(["--no-optional-locks", "status", "--porcelain=v2", "--branch", "--ignored", "--", &self.file])
    }

    /// Fails where the file is not tracked.
    pub fn is_tracked(&self) -> CommandLine {
        self.git().args(["ls-files", "--error-unmatch", "--", &self.file])
    }

    /// Gets what the upstream has.
    pub fn fetch(&self) -> CommandLine {
        self.git().args(["fetch", "--quiet"])
    }

    /// Commits that the upstream has not, newest first: a line each, hash and our trailer.
    pub fn unpushed(&self) -> CommandLine {
        self.git().args(["log", &format!("--format=%H %(trailers:key={TRAILER},valueonly,separator=%x20)"), "@{upstream}..HEAD"])
    }

    /// Our trailer in the last commit that changed the file; empty where it is somebody else's.
    pub fn last_trailer(&self) -> CommandLine {
        let format = format!("--format=%(trailers:key={TRAILER},valueonly,separator=%x20)");
        self.git().args(["log", "-1", &format, "--", &self.file])
    }

    /// The last commits with our trailer for a swap, newest first: hashes. What came with them is code that was applied.
    pub fn commits_of_swap(&self, swap: &str) -> CommandLine {
        self.git().args(["log", "-20", "--format=%H", &format!("--grep=^{TRAILER}: {swap} ")])
    }

    /// Commits the file as it is, and nothing else, whatever is staged.
    pub fn commit(&self, message: &Path) -> CommandLine {
        let mut message_file = std::ffi::OsString::from("--file=");
        message_file.push(message);
        self.git().args(["commit", "--quiet", "--only"]).arg(message_file).args(["--", &self.file])
    }

    /// The file's bytes in the last commit.
    pub fn committed(&self) -> CommandLine {
        self.git().args(["cat-file", "blob", &format!("HEAD:./{}", self.file)])
    }

    /// Hash of the last commit.
    pub fn head(&self) -> CommandLine {
        self.git().args(["rev-parse", "--verify", "HEAD"])
    }

    /// Pushes the branch to its upstream.
    pub fn push(&self, upstream: &Upstream) -> CommandLine {
        self.git().args(["push", "--quiet", &upstream.remote, &format!("HEAD:refs/heads/{}", upstream.branch)])
    }

    /// Takes the last commit back, if it is still that one.
    pub fn drop_commit(&self, commit: &str) -> CommandLine {
        self.git().args(["update-ref", "-m", "ovenbird: the push was refused", "HEAD", &format!("{commit}~1"), commit])
    }

    /// Where the folder lies in its repository.
    pub fn prefix(&self) -> CommandLine {
        self.git().args(["rev-parse", "--show-prefix"])
    }

    /// Checks a commit out beside, in a folder that is not there yet.
    pub fn add_tree(&self, folder: &Path, commit: &str) -> CommandLine {
        self.git().args(["worktree", "add", "--quiet", "--force", "--detach"]).arg(folder).arg(commit)
    }

    /// Forgets checkouts whose folders are gone: those of runs that were killed.
    pub fn forget_trees(&self) -> CommandLine {
        self.git().args(["worktree", "prune"])
    }

    /// Removes such a checkout.
    pub fn drop_tree(&self, folder: &Path) -> CommandLine {
        self.git().args(["worktree", "remove", "--force"]).arg(folder)
    }

    /// Puts the file back as the last commit has it.
    pub fn restore(&self) -> CommandLine {
        self.git().args(["checkout", "--quiet", "HEAD", "--", &self.file])
    }
}

/// Where a branch is pushed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Remote.
    pub remote: String,
    /// Branch there.
    pub branch: String,
    /// Commits that we have and it has not.
    pub ahead: u64,
    /// Commits that it has and we have not.
    pub behind: u64,
}

/// What [`Tracked::status`] said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Branch; `None`: a commit is checked out without one.
    pub branch: Option<String>,
    /// Its upstream, where there is one that exists.
    pub upstream: Option<Upstream>,
    /// The file differs from the last commit, in the index or on disk.
    pub modified: bool,
    /// git does not know the file.
    pub untracked: bool,
    /// There is no commit yet.
    pub initial: bool,
}

/// Reads it.
pub fn parse_standing(text: &str) -> Standing {
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::trim);
    let entries: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let untracked = entries.iter().any(|line| line.starts_with("? ") || line.starts_with("! "));
    let upstream = header("# branch.upstream").and_then(|name| name.split_once('/')).and_then(|(remote, branch)| {
        // Only there when the upstream itself is.
        let (ahead, behind) = header("# branch.ab")?.split_once(' ')?;
        let number = |text: &str, sign: char| text.trim_start_matches(sign).parse().ok();
        Some(Upstream { remote: remote.to_owned(), branch: branch.to_owned(), ahead: number(ahead, '+')?, behind: number(behind, '-')? })
    });
    Standing {
        branch: header("# branch.head").filter(|head| *head != "(detached)").map(str::to_owned),
        upstream,
        modified: !entries.is_empty() && !untracked,
        untracked,
        initial: header("# branch.oid") == Some("(initial)"),
    }
}

/// A commit that is not pushed: its hash, and our trailer where it is ours.
pub fn parse_unpushed(text: &str) -> Vec<(String, Option<String>)> {
    let line = |line: &str| {
        let (hash, trailer) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        (hash.to_owned(), Some(trailer.trim().to_owned()).filter(|trailer| !trailer.is_empty()))
    };
    text.lines().filter(|text| !text.trim().is_empty()).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_upstream_and_the_files_state_are_read() {
        let clean = "# branch.oid abc\n# branch.head main\n# branch.upstream origin/release/1\n# branch.ab +1 -2\n";
        let upstream = Upstream { remote: "origin".to_owned(), branch: "release/1".to_owned(), ahead: 1, behind: 2 };
        let standing =
            Standing { branch: Some("main".to_owned()), upstream: Some(upstream), modified: false, untracked: false, initial: false };
        assert_eq!(parse_standing(clean), standing);
        let dirty = format!("{clean}1 .M N... 100644 100644 100644 a b v.tfvars\n");
        assert!(parse_standing(&dirty).modified);
        let without = parse_standing("# branch.oid abc\n# branch.head (detached)\n! v.tfvars\n");
        assert_eq!((without.branch, without.upstream, without.modified, without.untracked), (None, None, false, true));
        assert!(parse_standing("# branch.oid (initial)\n# branch.head main\n? v.tfvars\n").initial);
        // An upstream whose branch is gone.
        assert_eq!(parse_standing("# branch.oid a\n# branch.head b\n# branch.upstream origin/b\n").upstream, None);
    }

    #[test]
    fn our_commits_are_told_from_others() {
        let found = parse_unpushed("aaa production start r1\nbbb \n");
        assert_eq!(found, [("aaa".to_owned(), Some("production start r1".to_owned())), ("bbb".to_owned(), None)]);
    }
}
