//! What an input held when an earlier image was made: found in the work tree or in git by its digest.
//!
//! Nothing keeps bytes for this, so no secret is kept either. Invariant: a text is handed out only when its digest is the one that
//! the manifest has; what cannot be found is not known, never guessed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::disk::unified::unified;
use crate::model::digest::Digest;
use crate::plan::difference::{Change, entry};
use crate::plan::inputs::Entry;
use crate::plan::manifest::InputManifest;
use crate::process::command::CommandLine;
use crate::process::spawn;
use crate::tools::git;

/// Largest text that is compared line by line.
const SMALL: u64 = 64 * 1024;
/// Commits of one file that are looked through.
const COMMITS: usize = 50;
/// Most files that are shown, and most lines of each.
const FILES: usize = 20;
const LINES: usize = 80;

/// Where to look.
#[derive(Debug)]
pub struct History<'a> {
    /// Root of the checkout.
    pub root: &'a Path,
    /// Environment for git.
    pub env: &'a BTreeMap<String, String>,
    /// Commits that images were built from: looked at first.
    pub commits: Vec<String>,
}

impl History<'_> {
    /// The changed files whose both texts are known, as unified differences by name.
    pub async fn differences(&self, old: &InputManifest, new: &InputManifest, changes: &[Change]) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for change in changes {
            let (path, before, after) = match change {
                Change::Modified { path } => (path, digest(old, path), digest(new, path)),
                // An added or removed file is told by its name.
                _ => continue,
            };
            // Names with a label lie outside of the checkout; equal bytes differ in mode or target.
            let (Some(before), Some(after)) = (before, after) else { continue };
            if path.contains(':') || before == after || found.len() == FILES {
                continue;
            }
            if let (Some(before), Some(after)) = (self.text(path, before).await, self.text(path, after).await) {
                found.insert(path.clone(), shortened(&unified(path, Some(&before), &after)));
            }
        }
        found
    }

    /// The text with this digest that the file holds or held.
    async fn text(&self, path: &str, digest: Digest) -> Option<String> {
        // `\xNN` stands for bytes that are no UTF-8: such a name is not looked for.
        if path.contains('\\') {
            return None;
        }
        let fits = |text: &str| Digest::of(text.as_bytes()) == digest && !unreadable(text);
        let file = self.root.join(path);
        if std::fs::metadata(&file).is_ok_and(|meta| meta.is_file() && meta.len() <= SMALL)
            && let Ok(text) = std::fs::read_to_string(&file)
            && Digest::of(text.as_bytes()) == digest
        {
            return fits(&text).then_some(text);
        }
        for commit in &self.commits {
            if let Some(text) = self.ask(&git::file_at(self.root, self.env, commit, path)).await.filter(|text| fits(text)) {
                return Some(text);
            }
        }
        let commits = self.ask(&git::commits_of(self.root, self.env, path, COMMITS)).await?;
        for commit in commits.lines() {
            if let Some(text) = self.ask(&git::file_at(self.root, self.env, commit, path)).await.filter(|text| fits(text)) {
                return Some(text);
            }
        }
        None
    }

    /// What git says; `None` for whatever reason: then the text is not known.
    async fn ask(&self, command: &CommandLine) -> Option<String> {
        let output = spawn::output(command, Duration::from_secs(10), SMALL + 1).await.ok()?;
        output.exit.success().then_some(output.stdout)
    }
}

fn digest(manifest: &InputManifest, path: &str) -> Option<Digest> {
    match entry(manifest, path)? {
        Entry::File { digest, .. } => Some(*digest),
        Entry::Link { .. } | Entry::EmptyFolder | Entry::Special { .. } | Entry::Absent => None,
    }
}

/// No text for a terminal; and ciphertext, whose lines say nothing.
fn unreadable(text: &str) -> bool {
    text.starts_with("$ANSIBLE_VAULT;") || text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
}

fn shortened(diff: &str) -> String {
    let lines = diff.lines().count();
    if lines <= LINES {
        return diff.to_owned();
    }
    let mut shown: Vec<&str> = diff.lines().take(LINES).collect();
    let more = format!("… {} more lines", lines - LINES);
    shown.push(&more);
    shown.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing;

    #[test]
    fn a_long_difference_ends_with_how_much_is_missing() {
        let text = (0..200).fold(String::new(), |text, n| text + &n.to_string() + "\n");
        assert_eq!(shortened(&unified("a", None, &text)).lines().last(), Some("… 123 more lines"));
        assert_eq!(shortened("x\n"), "x\n");
    }

    #[test]
    fn ciphertext_and_control_codes_are_not_shown() {
        assert!(unreadable("$ANSIBLE_VAULT;1.1;AES256\n61") && unreadable("a\u{1b}[2J") && !unreadable("a\tb\r\nc\n"));
    }

    #[tokio::test]
    async fn the_old_text_comes_from_git_by_its_digest_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let put = |text: &str| std::io::Write::write_all(&mut std::fs::File::create(folder.path().join("a.yml")).unwrap(), text.as_bytes());
        let env: BTreeMap<String, String> = [
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/nonexistent"),
            ("GIT_AUTHOR_NAME", "x"),
            ("GIT_AUTHOR_EMAIL", "x@example.com"),
            ("GIT_COMMITTER_NAME", "x"),
            ("GIT_COMMITTER_EMAIL", "x@example.com"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let history = History { root: folder.path(), env: &env, commits: Vec::new() };
        let run = async |arguments: &[&str]| {
            assert!(history.ask(&CommandLine::new("git", folder.path()).envs(&env).args(arguments)).await.is_some(), "{arguments:?}");
        };
        run(&["init", "-q"]).await;
        for text in ["one\n", "two\n"] {
            put(text).unwrap();
            run(&["add", "-A"]).await;
            run(&["commit", "-qm", "x"]).await;
        }
        put("three\n").unwrap();
        let manifest = |text: &str| {
            let mut manifest = testing::keyed(&testing::pipeline(&[("base", "")]))[&testing::node("base")].manifest.clone();
            let tree = testing::tree(&[("", text)]);
            manifest.trees.insert("a.yml".to_owned(), Digest::of(text.as_bytes()));
            manifest.contents.insert(Digest::of(text.as_bytes()), tree);
            manifest
        };
        let change = [Change::Modified { path: "a.yml".to_owned() }];
        let found = history.differences(&manifest("one\n"), &manifest("three\n"), &change).await;
        assert!(found["a.yml"].contains("-one\n+three\n"), "{found:?}");
        let unknown = history.differences(&manifest("never committed\n"), &manifest("three\n"), &change).await;
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
