//! The one tree walker: what of a folder counts, by the fixed list of keys.md and a stage's `ignore`.
//!
//! Lists and follows links, reads no file. Does not honour `.gitignore`: a file that git ignores is used all the same. Invariant:
//! ends on every tree (a folder is followed through links once a walk), and the order is that of the names' bytes, so the same tree
//! gives the same listing whatever the file system's order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::snapshot::{Kind, Leads, Snapshot};
use super::{hash, names};

/// Most entries of a folder outside the root that a link leads to. A link to somebody's home must not hash it.
const MAX_OUTSIDE: usize = 50_000;

/// What a walk leaves out.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Canonical root.
    pub(super) root: PathBuf,
    /// Absolute path → what it is called in the count: things that ovenbird itself writes, and vault password files.
    pub(super) never: BTreeMap<PathBuf, &'static str>,
    patterns: Vec<String>,
    globs: GlobSet,
}

impl Rules {
    /// `ignore` patterns are relative to the root; `*` stays inside a folder, `**` does not.
    ///
    /// # Errors
    /// The pattern that is none, and why.
    pub(super) fn new(root: &Path, ignore: &[String], never: BTreeMap<PathBuf, &'static str>) -> Result<Self, (String, String)> {
        let mut set = GlobSetBuilder::new();
        for pattern in ignore {
            set.add(glob(pattern)?);
        }
        let globs = set.build().map_err(|e| (String::new(), e.to_string()))?;
        Ok(Self { root: root.to_owned(), never, patterns: ignore.to_vec(), globs })
    }

    /// The stage's `ignore`, as written.
    pub(super) fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The pattern of `ignore` that takes this name out.
    pub(super) fn ignored(&self, name: &str) -> Option<&str> {
        if self.patterns.is_empty() {
            return None;
        }
        self.globs.matches(name).first().map(|at| self.patterns[*at].as_str())
    }

    fn left_out(&self, name: impl Fn() -> String, path: &Path, disk: &Snapshot) -> Option<&str> {
        // A handful of paths, told apart by their length mostly.
        let never = || self.never.iter().find(|(other, _)| other.as_os_str() == path.as_os_str()).map(|(_, what)| *what);
        fixed(path, disk).or_else(never).or_else(|| if self.patterns.is_empty() { None } else { self.ignored(&name()) })
    }
}

/// A glob of the pipeline file.
///
/// # Errors
/// The pattern and why it is none.
pub(super) fn glob(pattern: &str) -> Result<globset::Glob, (String, String)> {
    let trimmed = pattern.trim_start_matches("./").trim_end_matches('/');
    GlobBuilder::new(trimmed).literal_separator(true).build().map_err(|e| (pattern.to_owned(), e.kind().to_string()))
}

/// The entry of the fixed list that takes a path out of a walk.
pub(super) fn fixed(path: &Path, disk: &Snapshot) -> Option<&'static str> {
    let name = names::apart(path).map_or_else(|| path.file_name(), |(_, name)| Some(name))?.as_bytes();
    let beside = || path.parent().unwrap_or(Path::new(""));
    Some(match name {
        b".git" => ".git",
        b".ovenbird" => ".ovenbird",
        b".terraform" => ".terraform",
        b".tools" => ".tools",
        b"__pycache__" => "__pycache__",
        b".DS_Store" => ".DS_Store",
        b".galaxy_install_info" if beside().ends_with("meta") => "meta/.galaxy_install_info",
        // Only a role's: elsewhere a folder of that name is what somebody put there.
        b"molecule" if ["tasks", "meta", "defaults", "handlers"].iter().any(|part| disk.is_folder(&beside().join(part))) => "molecule/",
        _ if name.ends_with(b".pyc") => "*.pyc",
        _ if name.ends_with(b".retry") => "*.retry",
        _ if name.ends_with(b"~") => "*~",
        // Vim's swap files begin with a dot; `film.swf` is somebody's file.
        [b'.', .., b'.', b's', b'w', _] => ".*.sw?",
        _ => return None,
    })
}

/// One thing that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    File(PathBuf),
    /// `content`: the file that it ends at.
    Link {
        target: String,
        content: Option<PathBuf>,
    },
    EmptyFolder,
    Absent,
    Special(String),
}

/// What a walk found, by name relative to where it began.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) items: BTreeMap<String, Item>,
    /// Pattern → how many entries it left out (a folder counts once, it is not entered).
    pub(super) ignored: BTreeMap<String, usize>,
    /// Names of links that lead out of the root.
    pub(super) leaving: BTreeSet<String>,
}

/// Which part of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Part {
    /// All of it.
    #[default]
    Whole,
    /// What Packer reads of a template's folder.
    PackerFiles,
    /// What stands in it directly with a name that begins and ends so.
    Like(String, String),
}

const PACKER_FILES: [&str; 4] = [".pkr.hcl", ".pkr.json", ".auto.pkrvars.hcl", ".auto.pkrvars.json"];

struct Walk<'r> {
    rules: &'r Rules,
    label: &'r str,
    disk: &'r Snapshot,
    found: Listing,
    /// Folders that were walked before there was a link to one.
    walked: Vec<PathBuf>,
    followed: BTreeSet<PathBuf>,
    outside: usize,
}

/// Lists `base`, called `label` in the key. The fixed list does not leave out the thing itself: somebody named it.
pub(super) fn walk(base: &Path, label: &str, part: &Part, rules: &Rules, disk: &Snapshot) -> Listing {
    let found = Listing::default();
    let mut walk = Walk { rules, label, disk, found, walked: Vec::new(), followed: BTreeSet::new(), outside: 0 };
    let whole = if part == &Part::Whole { rules.never.get(base).copied().or_else(|| rules.ignored(label)) } else { None };
    if let Some(pattern) = whole {
        walk.found.ignored.insert(pattern.to_owned(), 1);
        return walk.found;
    }
    let kind = disk.kind(base).map_or_else(|| fs::symlink_metadata(base).map(|meta| Kind::of(meta.file_type())), Ok);
    match kind {
        Ok(Kind::Folder) => walk.folders((base.to_owned(), String::new()), part),
        Ok(Kind::Link) => {
            if let Some(below) = walk.link(base, String::new()) {
                walk.folders(below, part);
            }
        }
        Ok(kind) => walk.plain(base.to_owned(), String::new(), kind),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            walk.found.items.insert(String::new(), Item::Absent);
        }
        Err(error) => walk.unreadable(String::new(), &hash::reason(&error)),
    }
    walk.found
}

impl Walk<'_> {
    fn unreadable(&mut self, name: String, why: &str) {
        self.found.items.insert(name, Item::Special(format!("unreadable: {why}")));
    }

    /// A folder and what is below it, links to folders included, without recursion: a chain of links may be thousands long.
    fn folders(&mut self, base: (PathBuf, String), part: &Part) {
        let mut waiting = vec![base];
        while let Some((folder, name)) = waiting.pop() {
            self.walked.push(folder.clone());
            let listed = match self.disk.folder(&folder) {
                Ok(listed) => listed,
                Err(error) => {
                    self.unreadable(name, &error.why);
                    continue;
                }
            };
            let (mut counted, mut below) = (false, Vec::new());
            for (last, kind) in listed.entries() {
                let path = names::below(&folder, last);
                let last = names::encode(last.as_bytes());
                let inner = if name.is_empty() { last } else { [name.as_str(), "/", &last].concat() };
                let full = || match self.label {
                    "." => inner.clone(),
                    label => [label, "/", &inner].concat(),
                };
                let other_part = match part {
                    _ if !name.is_empty() => false,
                    Part::Whole => false,
                    Part::Like(start, end) => inner.len() < start.len() + end.len() || !(inner.starts_with(start) && inner.ends_with(end)),
                    Part::PackerFiles => kind == Kind::Folder || !PACKER_FILES.iter().any(|end| inner.ends_with(end)),
                };
                if other_part {
                    continue;
                }
                if let Some(pattern) = self.rules.left_out(full, &path, self.disk) {
                    *self.found.ignored.entry(pattern.to_owned()).or_default() += 1;
                    continue;
                }
                counted = true;
                match kind {
                    Kind::Folder => below.push((path, inner)),
                    Kind::Link => below.extend(self.link(&path, inner)),
                    Kind::File | Kind::Fifo | Kind::Socket | Kind::Device => self.plain(path, inner, kind),
                }
            }
            if !counted {
                // A link to an empty folder is there already, under its own name.
                let name = if self.found.items.contains_key(&name) { format!("{name}/") } else { name };
                self.found.items.insert(name, Item::EmptyFolder);
            }
            waiting.extend(below.into_iter().rev());
        }
    }

    fn plain(&mut self, path: PathBuf, name: String, kind: Kind) {
        let item = match kind {
            Kind::File => Item::File(path),
            Kind::Fifo => Item::Special("fifo".to_owned()),
            Kind::Socket => Item::Special("socket".to_owned()),
            Kind::Device | Kind::Folder | Kind::Link => Item::Special("device".to_owned()),
        };
        self.found.items.insert(name, item);
    }

    /// Notes a link; a folder that it leads to is handed back, to be walked under the link's name.
    fn link(&mut self, path: &Path, name: String) -> Option<(PathBuf, String)> {
        let Leads { target, end } = self.disk.link(path);
        let target = match target {
            Ok(target) => names::encode(target.as_bytes()),
            Err(why) => {
                self.unreadable(name, &why);
                return None;
            }
        };
        let Some((end, kind)) = end else {
            // To nothing, or in a circle: the text is all there is of it.
            self.found.items.insert(name, Item::Link { target, content: None });
            return None;
        };
        let leaves = !end.starts_with(&self.rules.root) && self.label_is_inside();
        if leaves {
            self.found.leaving.insert(name.clone());
        }
        // Whether the link leads to where the walk has been: only now are the true names of folders needed.
        self.followed.extend(self.walked.drain(..).filter_map(|folder| fs::canonicalize(folder).ok()));
        let special = |what: String| Item::Special(format!("link to {what}"));
        let (item, follow) = if kind == Kind::File {
            (Item::Link { target, content: Some(end) }, false)
        } else if kind != Kind::Folder {
            (special("a device, fifo or socket".to_owned()), false)
        } else if leaves && self.rules.root.starts_with(&end) {
            (special("a folder that holds the root".to_owned()), false)
        } else if !self.followed.insert(end.clone()) {
            // Its content stands in this tree already, under the first name.
            (Item::Link { target, content: None }, false)
        } else if leaves && self.count_outside(&end) > MAX_OUTSIDE {
            (special(format!("a folder outside the root with more than {MAX_OUTSIDE} entries")), false)
        } else {
            (Item::Link { target, content: None }, true)
        };
        self.found.items.insert(name.clone(), item);
        follow.then(|| (path.to_owned(), name))
    }

    /// Trees with a label of their own lie outside the root as a whole; a link in them is not news.
    fn label_is_inside(&self) -> bool {
        !self.label.contains(':')
    }

    fn count_outside(&mut self, folder: &Path) -> usize {
        self.disk.looked_elsewhere();
        let mut waiting = vec![folder.to_owned()];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                self.outside += 1;
                if self.outside > MAX_OUTSIDE {
                    return self.outside;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) && fixed(&entry.path(), self.disk).is_none() {
                    waiting.push(entry.path());
                }
            }
        }
        self.outside
    }
}
