//! [`Tree`]: a checkout as one readable text file.
//!
//! ```text
//! # What is proved here, in words.
//! #! imprecise: roles/x         a folder that is taken whole (`the root` too); all of them, one a line
//! -- site.yml --
//! - hosts: all
//! -- roles/a/files/run.sh -- executable
//! -- roles/b -- link ../shared/b
//! -- roles/a/files/none/ --
//! -- ../beside/role/tasks/main.yml --
//! ```
//!
//! Directives: `stage:` (a line of the stage's block), `playbook:` (default `site.yml`), `env: NAME=value` (the caller's),
//! `imprecise:`, `because:` (a part of a reason for which something is taken whole), `unreachable:` (a folder of which nothing may be an input), `secret:` (a file with a password, which is read and must be
//! no input), `machine: real` (modules are run and not only answered), `glob:` (`FOLDER PATTERN`: the folder is listed for what fits). Invariant: a directive that is not known fails the test.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A file, folder or link of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    File { text: String, executable: bool },
    Link(String),
    Folder,
}

/// A tree, and what is expected of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) name: String,
    /// The stage's block, the playbook aside.
    pub(crate) stage: Vec<String>,
    pub(crate) playbook: String,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) imprecise: Vec<String>,
    /// Parts of reasons; where several mechanisms widen one tree, each must say so.
    pub(crate) because: Vec<String>,
    pub(crate) unreachable: Vec<String>,
    /// Files that hold passwords.
    pub(crate) secrets: Vec<String>,
    /// Folder → patterns for which alone it is listed.
    pub(crate) globs: Vec<(String, String)>,
    /// `../galaxy` is what ansible-galaxy installed: pinned, and first on the paths of a run.
    pub(crate) galaxy: bool,
    /// Its modules are run, and not only answered.
    pub(crate) real_machine: bool,
    /// Name of a file that appears in a folder whose names were read.
    pub(crate) newcomer: &'static str,
    /// Path relative to the checkout; `../` is beside it.
    pub(crate) pieces: BTreeMap<String, Piece>,
}

impl Tree {
    /// Reads the text form.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut tree = Self { name: name.to_owned(), playbook: "site.yml".to_owned(), newcomer: "zz_probe.yml", ..Self::default() };
        let mut current: Option<(String, String, bool)> = None;
        for line in text.lines() {
            if let Some((path, how)) = line.strip_prefix("-- ").and_then(|rest| rest.split_once(" --")) {
                tree.keep(current.take());
                match how.trim() {
                    "" if path.ends_with('/') => {
                        tree.pieces.insert(path.trim_end_matches('/').to_owned(), Piece::Folder);
                    }
                    "" => current = Some((path.to_owned(), String::new(), false)),
                    "executable" => current = Some((path.to_owned(), String::new(), true)),
                    how => {
                        let target = how.strip_prefix("link ").unwrap_or_else(|| panic!("{name}: `{how}` behind {path}"));
                        tree.pieces.insert(path.to_owned(), Piece::Link(target.to_owned()));
                    }
                }
            } else if let Some((_, text, _)) = &mut current {
                text.push_str(line);
                text.push('\n');
            } else if let Some(directive) = line.strip_prefix("#! ") {
                tree.directive(directive);
            } else {
                assert!(line.is_empty() || line.starts_with('#'), "{name}: `{line}` stands in no file");
            }
        }
        tree.keep(current);
        assert!(!tree.pieces.is_empty(), "{name} has no file");
        tree
    }

    fn keep(&mut self, file: Option<(String, String, bool)>) {
        if let Some((path, text, executable)) = file {
            let before = self.pieces.insert(path.clone(), Piece::File { text, executable });
            assert!(before.is_none(), "{}: {path} stands twice", self.name);
        }
    }

    fn directive(&mut self, text: &str) {
        let (word, value) = text.split_once(": ").unwrap_or((text, ""));
        let value = value.trim().to_owned();
        match word {
            "stage" => self.stage.push(value),
            "playbook" => self.playbook = value,
            "env" => {
                let (variable, value) = value.split_once('=').expect("`env: NAME=value`");
                self.environment.insert(variable.to_owned(), value.to_owned());
            }
            "galaxy" => self.galaxy = true,
            "machine" => self.real_machine = value == "real",
            "imprecise" => self.imprecise.push(value),
            "because" => self.because.push(value),
            "unreachable" => self.unreachable.push(value),
            "secret" => self.secrets.push(value),
            "glob" => {
                let (folder, pattern) = value.split_once(' ').expect("`glob: FOLDER PATTERN`");
                self.globs.push((folder.to_owned(), pattern.to_owned()));
            }
            _ => panic!("{}: directive `{word}`", self.name),
        }
    }

    /// Adds or replaces a file.
    pub(crate) fn file(&mut self, path: &str, text: impl Into<String>) {
        self.pieces.insert(path.to_owned(), Piece::File { text: text.into(), executable: false });
    }

    /// Writes everything below `root`.
    pub(crate) fn unpack(&self, root: &Path) {
        for (path, piece) in &self.pieces {
            let path = normal(&root.join(path));
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder can be made");
            match piece {
                Piece::File { text, executable } => {
                    write(&path, text.as_bytes());
                    let mode = if *executable { 0o755 } else { 0o644 };
                    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("it was just written");
                }
                Piece::Link(target) => std::os::unix::fs::symlink(target, &path).expect("a link can be made"),
                Piece::Folder => std::fs::create_dir_all(&path).expect("a folder can be made"),
            }
        }
    }

    /// The text form of a generated tree, to be kept when it fails.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut add = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        self.stage.iter().for_each(|line| add(&format!("#! stage: {line}")));
        for (path, piece) in &self.pieces {
            match piece {
                Piece::Folder => add(&format!("-- {path}/ --")),
                Piece::Link(target) => add(&format!("-- {path} -- link {target}")),
                Piece::File { text, executable } => {
                    add(&format!("-- {path} --{}", if *executable { " executable" } else { "" }));
                    text.lines().for_each(&mut add);
                }
            }
        }
        text
    }
}

/// Writes a file in place.
#[expect(clippy::disallowed_methods, reason = "a test prepares a folder of its own")]
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Without `.` and `..`, by the text alone.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            std::path::Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[test]
fn a_tree_is_unpacked_as_its_text_says_and_written_as_it_was_read() {
    let text = "#! stage: groups = [\"web\"]\n-- a/b.sh -- executable\necho\n-- c/ --\n-- d -- link a/b.sh\n";
    let tree = Tree::parse("x", text);
    assert_eq!(tree.text(), text);
    let folder = tempfile::tempdir().expect("a folder can be made");
    tree.unpack(folder.path());
    assert_eq!(std::fs::read_to_string(folder.path().join("d")).expect("the link leads to the script"), "echo\n");
    assert_eq!(folder.path().join("a/b.sh").metadata().expect("it is there").permissions().mode() & 0o777, 0o755);
    assert!(folder.path().join("c").is_dir());
}
