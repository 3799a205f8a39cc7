//! [`Snapshot`]: the disk as one call sees it: each folder of the root is listed once, each file that is parsed is read once.
//!
//! Answers what is there and of which kind from the listings, so that looking for a name in twenty places costs no system call.
//! Must not decide what counts. Invariant: a file that was parsed and the digest of it that goes into a key are of the same bytes.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::hash::{self, Content};
use crate::model::digest::Digest;

/// By path; asked by name and never gone through, so its order reaches nobody.
#[expect(clippy::disallowed_types, reason = "50 stages ask some 100,000 times; an ordered map compares paths that begin alike")]
pub(super) type Map<V> = std::collections::HashMap<OsString, V, rustc_hash::FxBuildHasher>;

/// What stands under a name. A link is one whatever it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    Fifo,
    Socket,
    Device,
}

/// A folder's names by their bytes, each with what stands under it.
#[derive(Debug, Default)]
pub(super) struct Folder(Vec<(OsString, Kind)>);

impl Folder {
    pub(super) fn entries(&self) -> impl Iterator<Item = (&OsStr, Kind)> {
        self.0.iter().map(|(name, kind)| (name.as_os_str(), *kind))
    }

    fn digest(&self) -> Digest {
        let mut bytes = Vec::new();
        for (name, kind) in &self.0 {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&[0, *kind as u8]);
        }
        Digest::of(&bytes)
    }

    fn get(&self, name: &OsStr) -> Option<Kind> {
        let at = self.0.binary_search_by(|(other, _)| other.as_os_str().cmp(name)).ok()?;
        Some(self.0[at].1)
    }
}

/// Why a folder could not be listed.
#[derive(Debug, Clone)]
pub(super) struct NoListing {
    kind: ErrorKind,
    /// One lowercase line.
    pub(super) why: Cow<'static, str>,
}

type Listed = Result<Arc<Folder>, NoListing>;

/// A link: its text, and what it ends at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leads {
    /// Why the text cannot be read, one lowercase line.
    pub(super) target: Result<OsString, String>,
    /// `None`: at nothing, or in a circle.
    pub(super) end: Option<(PathBuf, Kind)>,
}

/// What was asked for, and how it was answered. Paths in the root are relative to it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) folders: Vec<(String, Result<Digest, Cow<'static, str>>)>,
    pub(super) files: Vec<(String, Content)>,
    places: Vec<(String, Option<Kind>)>,
    links: Vec<(String, Digest)>,
}

/// The disk, as far as somebody asked.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Canonical; folders outside of it are not listed to answer for one name.
    root: PathBuf,
    folders: Mutex<Map<Listed>>,
    files: Mutex<Map<Content>>,
    /// Places that were asked for one by one.
    places: Mutex<Map<Option<Kind>>>,
    links: Mutex<Map<Leads>>,
    /// The answers cannot be told again: a file was read twice and held two things, or something was looked at that is not noted.
    moving: AtomicBool,
    /// Was taken in the same call; spares listing and hashing again what it knows.
    earlier: Option<Box<Snapshot>>,
}

impl Snapshot {
    pub(super) fn new(root: &Path) -> Self {
        let (folders, files, places, links) = Default::default();
        Self { root: root.to_owned(), folders, files, places, links, moving: AtomicBool::new(false), earlier: None }
    }

    /// Of the checkout, canonical.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The same disk at the same moment, of which nothing has been asked yet.
    pub(super) fn afresh(self) -> Self {
        let fresh = Self::new(&self.root);
        Self { earlier: Some(Box::new(self)), ..fresh }
    }

    /// A folder's entries; a link to one is followed.
    ///
    /// # Errors
    /// Why it cannot be listed; nothing there is such a reason.
    pub(super) fn folder(&self, path: &Path) -> Listed {
        if let Some(known) = locked(&self.folders).get(path.as_os_str()) {
            return known.clone();
        }
        let earlier = self.earlier.as_ref().and_then(|earlier| locked(&earlier.folders).get(path.as_os_str()).cloned());
        let listed = if let Some(listed) = earlier {
            listed
        } else if self.is_below_root(path) && matches!(self.kind(path), None | Some(Kind::File)) {
            // Said by the listing of the folder around it.
            Err(NoListing { kind: ErrorKind::NotFound, why: Cow::Borrowed("no such file or directory") })
        } else {
            list(path)
        };
        locked(&self.folders).insert(path.as_os_str().to_owned(), listed.clone());
        listed
    }

    /// What stands at `path`; `None`: nothing that can be seen.
    pub(super) fn kind(&self, path: &Path) -> Option<Kind> {
        // Elsewhere a name may be there in a spelling that the listing does not have (case, composed letters).
        let listings_tell = cfg!(target_os = "linux") && self.is_below_root(path);
        let parts = super::names::apart(path).or_else(|| path.parent().zip(path.file_name()));
        let Some((above, name)) = parts.filter(|_| listings_tell) else { return self.place(path) };
        match self.folder(above) {
            Ok(folder) => folder.get(name),
            Err(NoListing { kind: ErrorKind::NotFound | ErrorKind::NotADirectory, .. }) => None,
            // A folder that may be entered and not listed.
            Err(_) => self.place(path),
        }
    }

    fn place(&self, path: &Path) -> Option<Kind> {
        if let Some(known) = locked(&self.places).get(path.as_os_str()) {
            return *known;
        }
        let kind = fs::symlink_metadata(path).ok().map(|meta| Kind::of(meta.file_type()));
        locked(&self.places).insert(path.as_os_str().to_owned(), kind);
        kind
    }

    /// Where a link leads.
    pub(super) fn link(&self, path: &Path) -> Leads {
        if let Some(known) = locked(&self.links).get(path.as_os_str()) {
            return known.clone();
        }
        let target = fs::read_link(path).map(PathBuf::into_os_string).map_err(|error| hash::reason(&error));
        let end = match (fs::metadata(path), fs::canonicalize(path)) {
            (Ok(meta), Ok(end)) => Some((end, Kind::of(meta.file_type()))),
            (Err(_), _) | (_, Err(_)) => None,
        };
        let leads = Leads { target, end };
        locked(&self.links).insert(path.as_os_str().to_owned(), leads.clone());
        leads
    }

    /// What stands at `path`, links followed.
    fn end(&self, path: &Path) -> Option<Kind> {
        match self.kind(path) {
            Some(Kind::Link) => self.link(path).end.map(|(_, kind)| kind),
            other => other,
        }
    }

    /// Is anything there; a link to nothing is.
    pub(super) fn exists(&self, path: &Path) -> bool {
        self.kind(path).is_some()
    }

    /// Is it a folder, or a link to one.
    pub(super) fn is_folder(&self, path: &Path) -> bool {
        self.end(path) == Some(Kind::Folder)
    }

    /// Is it a file, or a link to one.
    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.end(path) == Some(Kind::File)
    }

    /// What stands directly in a folder, sorted; nothing when it cannot be listed.
    pub(super) fn paths_in(&self, folder: &Path) -> Vec<PathBuf> {
        self.folder(folder).map(|listed| listed.entries().map(|(name, _)| super::names::below(folder, name)).collect()).unwrap_or_default()
    }

    /// Bytes of a file for parsing, at most `limit`; their digest is kept.
    ///
    /// # Errors
    /// One lowercase line; `None` inside when nothing is there.
    pub(super) fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, Option<String>> {
        if self.is_below_root(path) && !self.exists(path) {
            return Err(None);
        }
        let read = hash::read(path, limit);
        let content = match &read {
            Ok((bytes, mode)) => Content::File { digest: Digest::of(bytes), mode: *mode },
            // Too large to be parsed, or no file: what is told of it hangs on that.
            Err(_) => hash::content(path),
        };
        let mut files = locked(&self.files);
        match files.get(path.as_os_str()) {
            Some(known) if *known != content => self.moving.store(true, Ordering::Relaxed),
            Some(_) => {}
            None => drop(files.insert(path.as_os_str().to_owned(), content)),
        }
        read.map(|(bytes, _)| bytes)
    }

    /// Has a file more bytes. Its content is noted, so the answer is as good as that.
    pub(super) fn is_larger_than(&self, path: &Path, bytes: usize) -> bool {
        // Noted here also where an earlier snapshot has hashed it: what is kept for the next call is what this one asked for.
        let noted = locked(&self.files).contains_key(path.as_os_str());
        if !noted {
            let content = self.content(path).unwrap_or_else(|| hash::content(path));
            locked(&self.files).insert(path.as_os_str().to_owned(), content);
        }
        fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > bytes as u64)
    }

    /// Something was looked at that is not noted: nothing of this call can be kept.
    pub(super) fn looked_elsewhere(&self) {
        self.moving.store(true, Ordering::Relaxed);
    }

    /// What a file held when it was read for parsing; links are followed.
    pub(super) fn content(&self, path: &Path) -> Option<Content> {
        let known = locked(&self.files).get(path.as_os_str()).cloned();
        known.or_else(|| self.earlier.as_ref()?.content(path))
    }

    /// All that was asked for. `None`: a name is not UTF-8, or the answers are not of one moment.
    pub(super) fn seen(&self) -> Option<Seen> {
        if self.moving.load(Ordering::Relaxed) {
            return None;
        }
        Some(Seen {
            folders: self.each(&self.folders, answer)?,
            files: self.each(&self.files, Content::clone)?,
            places: self.each(&self.places, |kind| *kind)?,
            links: self.each(&self.links, Leads::digest)?,
        })
    }

    fn each<T, A>(&self, asked: &Mutex<Map<T>>, answer: impl Fn(&T) -> A) -> Option<Vec<(String, A)>> {
        let one = |(path, found): (&OsString, &T)| {
            let path = Path::new(path);
            let inside = super::names::behind(path, &self.root)
                .or_else(|| path.strip_prefix(&self.root).ok().filter(|rest| !rest.as_os_str().is_empty()));
            Some((inside.unwrap_or(path).to_str()?.to_owned(), answer(found)))
        };
        locked(asked).iter().map(one).collect()
    }

    /// Would each question be answered as it was then. What is looked at for that is known afterwards, as if it had been asked for.
    pub(super) fn is_as(&self, then: &Seen) -> bool {
        let Seen { folders, files, places, links } = then;
        let at = |path: &str| self.root.join(path);
        let content = |path: PathBuf| {
            let content = hash::content(&path);
            locked(&self.files).insert(path.into_os_string(), content.clone());
            content
        };
        folders.par_iter().with_min_len(16).all(|(path, then)| answer(&self.folder(&at(path))) == *then)
            && files.par_iter().with_min_len(64).all(|(path, then)| content(at(path)) == *then)
            && places.iter().all(|(path, then)| self.place(&at(path)) == *then)
            && links.iter().all(|(path, then)| self.link(&at(path)).digest() == *then)
    }

    fn is_below_root(&self, path: &Path) -> bool {
        let rest = path.as_os_str().as_bytes().strip_prefix(self.root.as_os_str().as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"/"))
    }
}

/// How a listing is remembered.
fn answer(listed: &Listed) -> Result<Digest, Cow<'static, str>> {
    listed.as_ref().map(|folder| folder.digest()).map_err(|error| error.why.clone())
}

impl Leads {
    fn digest(&self) -> Digest {
        Digest::of(format!("{self:?}").as_bytes())
    }
}

impl Kind {
    pub(super) fn of(kind: fs::FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Folder
        } else if kind.is_symlink() {
            Self::Link
        } else if kind.is_fifo() {
            Self::Fifo
        } else if kind.is_socket() {
            Self::Socket
        } else {
            Self::Device
        }
    }
}

fn list(path: &Path) -> Listed {
    let failed = |error: &std::io::Error| NoListing { kind: error.kind(), why: hash::reason(error).into() };
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        match entry.file_type() {
            Ok(kind) => entries.push((entry.file_name(), Kind::of(kind))),
            // Taken away meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    entries.sort_unstable();
    Ok(Arc::new(Folder(entries)))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_was_asked_for_is_noted_whoever_has_hashed_the_file_before() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("motd.j2");
        std::fs::File::create(&file).and_then(|mut f| std::io::Write::write_all(&mut f, b"hello")).unwrap();
        let first = Snapshot::new(root.path());
        assert!(first.is_larger_than(&file, 4));
        let then = first.seen().unwrap();
        // What was kept is looked at, does not help, and everything is followed anew.
        let second = Snapshot::new(root.path());
        assert!(second.is_as(&then));
        let second = second.afresh();
        assert!(second.is_larger_than(&file, 4));
        let then = second.seen().unwrap();
        std::fs::File::create(&file).unwrap();
        assert!(!Snapshot::new(root.path()).is_as(&then));
    }
}
