//! Digest of what ansible-galaxy installed.
//!
//! The same walker and the same hashing as for every other tree, so the same things do not count (`meta/.galaxy_install_info` with
//! its date, bytecode). Invariant: equal content gives the equal digest wherever the folder lies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::hash::{self, Content};
use super::snapshot::Snapshot;
use super::walk::{self, Item, Part, Rules};
use crate::model::digest::Digest;
use crate::plan::canonical;
use crate::plan::inputs::{Entry, Tree};

/// A folder whose content cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` cannot be read: {what}", path.display())]
pub struct InstalledError {
    /// What in it.
    pub path: PathBuf,
    /// Why.
    pub what: String,
}

/// The digest of everything below `folder`.
///
/// # Errors
/// Something in it is no file, folder or link, or cannot be read.
pub fn digest(folder: &Path) -> Result<Digest, InstalledError> {
    let failed = |name: &str, what: String| InstalledError { path: folder.join(name), what };
    let base = folder.canonicalize().map_err(|error| failed("", hash::reason(&error)))?;
    let rules = Rules::new(&base, &[], BTreeMap::new()).map_err(|(_, what)| failed("", what))?;
    // A label of its own, as for everything that lies outside the root.
    let disk = Snapshot::new(&base);
    let listing = walk::walk(&base, "galaxy:", &Part::Whole, &rules, &disk);
    let files = listing.items.values().filter_map(|item| match item {
        Item::File(path) | Item::Link { content: Some(path), .. } => Some(path.clone()),
        Item::Link { content: None, .. } | Item::EmptyFolder | Item::Absent | Item::Special(_) => None,
    });
    let contents = hash::contents(files.collect(), &disk);
    let read = |name: &str, path: &Path| match contents.of(path) {
        Some(Content::File { digest, mode }) => Ok((*digest, mode & 0o111 != 0)),
        Some(Content::Special(what)) => Err(failed(name, what.clone())),
        Some(Content::Gone) | None => Err(failed(name, "gone".to_owned())),
    };
    let mut tree = Tree::new();
    for (name, item) in &listing.items {
        let entry = match item {
            Item::File(path) => {
                let (digest, executable) = read(name, path)?;
                Entry::File { digest, executable, mode: None }
            }
            Item::Link { target, content: Some(path) } => {
                let (digest, executable) = read(name, path)?;
                Entry::Link { target: target.clone(), content: Some(digest), executable }
            }
            Item::Link { target, content: None } => Entry::Link { target: target.clone(), content: None, executable: false },
            Item::EmptyFolder => Entry::EmptyFolder,
            Item::Absent => Entry::Absent,
            Item::Special(what) => return Err(failed(name, what.clone())),
        };
        tree.insert(name.clone(), entry);
    }
    Ok(canonical::digest(&tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(date: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let role = folder.path().join("roles/nginx");
        for (name, text) in [("tasks/main.yml", "- ping:\n"), ("meta/.galaxy_install_info", date), ("plugins/__pycache__/x.pyc", date)] {
            let path = role.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            put(&path, text);
        }
        folder
    }

    fn put(path: &Path, text: &str) {
        std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), text.as_bytes()).unwrap();
    }

    #[test]
    fn the_date_of_an_installation_and_its_place_do_not_count_and_its_files_do() {
        let (one, two) = (folder("Sunday"), folder("Monday"));
        assert_eq!(digest(one.path()), digest(two.path()));
        put(&two.path().join("roles/nginx/tasks/main.yml"), "- shell: id\n");
        assert_ne!(digest(one.path()), digest(two.path()));
        assert!(digest(&one.path().join("none")).is_err());
    }
}
