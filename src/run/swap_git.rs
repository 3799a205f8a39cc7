//! git as a swap's record: is the tfvars file committed and up to date, commit and push a step, take back what cannot be pushed.
//!
//! Runs the commands of `tools::git_record` and nothing else. Invariants: only commits with our trailer are ever pushed or taken
//! back by us; what was applied is never taken back; on a way back no trouble with git stops traffic from being put right.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::atomic;
use crate::process::command::CommandLine;
use crate::process::spawn;
use crate::run::swap_asks::{Halt, HaltKind};
use crate::tools::git_record::{Standing, Tracked, parse_standing, parse_unpushed};

/// A local command.
const LOCAL: Duration = Duration::from_mins(1);
/// A remote may be slow, and a hook may run tests.
const REMOTE: Duration = Duration::from_mins(10);

/// What git has of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    /// Committed, and pushed where there is an upstream.
    All,
    /// As ovenbird wrote it, not committed.
    Not,
    /// In commits of ovenbird's that are not pushed.
    Here,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is at the upstream.
    Yes,
    /// The branch has no upstream.
    Nowhere,
    /// Refused, with what git said.
    Refused(String),
}

/// The file's repository.
pub(super) struct Git<'a> {
    pub(super) tracked: &'a Tracked,
    /// As shown.
    pub(super) path: String,
}

impl Git<'_> {
    async fn ask(&self, command: &CommandLine, limit: Duration) -> Result<Result<String, String>, Halt> {
        let output = spawn::output(command, limit, 1 << 20).await.map_err(|error| Halt::new(HaltKind::Unavailable, error.in_full()))?;
        let said = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        Ok(if output.exit.success() { Ok(output.stdout) } else { Err(said(&output.stderr)) })
    }

    async fn must(&self, command: &CommandLine, what: &str) -> Result<String, Halt> {
        self.ask(command, LOCAL)
            .await?
            .map_err(|said| Halt::new(HaltKind::Failed, format!("`{}` cannot be {what}: git says: {said}", self.path)))
    }

    async fn standing(&self) -> Result<Standing, Halt> {
        Ok(parse_standing(&self.must(&self.tracked.status(), "looked at in git").await?))
    }

    /// Is the file committed, unmodified and up to date. `ours`: its text is what ovenbird wrote. `leniently` gives what only delays
    /// as warnings.
    pub(super) async fn check(&self, ours: bool, leniently: bool) -> Result<(Committed, Vec<String>), Halt> {
        let refused = |message: String| Halt::new(HaltKind::Refused, message);
        let mut warnings = Vec::new();
        let mut standing = self.standing().await?;
        if standing.untracked || standing.initial || self.ask(&self.tracked.is_tracked(), LOCAL).await?.is_err() {
            let help = "`git add` and commit it, or say `record = \"none\"` in the swap block";
            return Err(refused(format!("`{}` is not in git", self.path)).help(help));
        }
        if standing.branch.is_none() && !leniently {
            let help = "`git switch BRANCH` first, or say `record = \"none\"` in the swap block";
            return Err(refused("no branch is checked out, so that a commit would be lost".to_owned()).help(help));
        }
        if standing.modified && !ours {
            let help = "commit or restore them; nothing was written";
            return Err(refused(format!("`{}` has changes that are not committed", self.path)).help(help));
        }
        let modified = standing.modified;
        if standing.upstream.is_some() {
            if let Err(said) = self.ask(&self.tracked.fetch(), REMOTE).await? {
                let message = format!("`git fetch` failed: {said}");
                if !leniently {
                    let help = "whether the tfvars are up to date cannot be told; nothing was written";
                    return Err(Halt::new(HaltKind::Unavailable, message).help(help));
                }
                warnings.push(message);
            }
            standing = self.standing().await?;
        }
        let Some(upstream) = &standing.upstream else {
            return Ok((if modified { Committed::Not } else { Committed::All }, warnings));
        };
        let unpushed =
            if upstream.ahead > 0 { parse_unpushed(&self.must(&self.tracked.unpushed(), "looked at in git").await?) } else { Vec::new() };
        let name = format!("{}/{}", upstream.remote, upstream.branch);
        let foreign = unpushed.iter().filter(|(_, trailer)| trailer.is_none()).count();
        let delays = [
            (
                foreign > 0,
                format!("{foreign} commits are not pushed to `{name}`"),
                "`git push` them first: a step is pushed with all that lies below it",
            ),
            (
                upstream.behind > 0,
                format!("`{name}` has {} commits that are not here", upstream.behind),
                "`git pull --rebase` first: an older checkout would be applied",
            ),
        ];
        for (is, message, help) in delays {
            if is && !leniently {
                return Err(refused(message).help(format!("{help}; nothing was written")));
            }
            warnings.extend(is.then_some(message));
        }
        Ok((
            if modified {
                Committed::Not
            } else if unpushed.is_empty() {
                Committed::All
            } else {
                Committed::Here
            },
            warnings,
        ))
    }

    /// Is the last commit of the file one of ours.
    pub(super) async fn last_is_ours(&self, swap: &str) -> bool {
        let said = self.ask(&self.tracked.last_trailer(), LOCAL).await;
        said.is_ok_and(|said| said.is_ok_and(|trailer| trailer.split_whitespace().next() == Some(swap)))
    }

    /// Commits the file, and gives the commit. Fails where the commit does not hold `text`: a hook has changed it.
    pub(super) async fn commit(&self, message: &str, text: &str, scratch: &Path) -> Result<String, Halt> {
        let file = scratch.join("commit-message");
        let wrong = |error: atomic::WriteError| Halt::new(HaltKind::Failed, error.to_string());
        atomic::write_with_mode(&file, 0o600, message.as_bytes()).map_err(wrong)?;
        let said = self.ask(&self.tracked.commit(&file), REMOTE).await?;
        said.map_err(|said| {
            let message = format!("`{}` is written and not committed, and nothing was applied: git says: {said}", self.path);
            Halt::new(HaltKind::Failed, message).help("when git is content, `ovenbird swap NAME next` goes on and `rollback` goes back")
        })?;
        if self.must(&self.tracked.committed(), "read from git").await? != text {
            let message =
                format!("the commit of `{}` is not what was planned: a hook or a filter of git changed it; nothing was applied", self.path);
            return Err(Halt::new(HaltKind::Failed, message));
        }
        Ok(self.must(&self.tracked.head(), "read from git").await?.trim().to_owned())
    }

    /// Pushes what is committed here.
    pub(super) async fn push(&self) -> Result<Pushed, Halt> {
        let Some(upstream) = self.standing().await?.upstream else { return Ok(Pushed::Nowhere) };
        Ok(match self.ask(&self.tracked.push(&upstream), REMOTE).await? {
            Ok(_) => Pushed::Yes,
            Err(said) => Pushed::Refused(said),
        })
    }

    /// Takes our last commit back where it is not pushed, and the file with it.
    pub(super) async fn take_back(&self) -> Result<(), Halt> {
        let unpushed = self.ask(&self.tracked.unpushed(), LOCAL).await?.map(|said| parse_unpushed(&said)).unwrap_or_default();
        if let Some((commit, Some(_))) = unpushed.first() {
            self.must(&self.tracked.drop_commit(commit), "taken back").await?;
        }
        self.must(&self.tracked.restore(), "put back as it was").await.map(drop)
    }

    /// Does the last commit hold this text.
    pub(super) async fn holds(&self, text: &str) -> bool {
        self.ask(&self.tracked.committed(), LOCAL).await.is_ok_and(|said| said.is_ok_and(|committed| committed == text))
    }

    /// The checkout as it was at a commit, in `folder`; gives the folder of the file in it. Gone with [`Self::drop_tree`].
    pub(super) async fn tree(&self, commit: &str, folder: &Path) -> Option<PathBuf> {
        let prefix = self.ask(&self.tracked.prefix(), LOCAL).await.ok()?.ok()?;
        drop(self.ask(&self.tracked.forget_trees(), LOCAL).await);
        self.ask(&self.tracked.add_tree(folder, commit), LOCAL).await.ok()?.ok()?;
        Some(folder.join(prefix.trim()))
    }

    /// Removes such a checkout.
    pub(super) async fn drop_tree(&self, folder: &Path) {
        drop(self.ask(&self.tracked.drop_tree(folder), LOCAL).await);
    }

    /// The last commit of a step of the swap: code that was applied.
    pub(super) async fn last_step(&self, swap: &str) -> Option<String> {
        let said = self.ask(&self.tracked.commits_of_swap(swap), LOCAL).await.ok()?.ok()?;
        said.lines().next().map(str::to_owned)
    }
}
