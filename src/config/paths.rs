//! [`Places`]: paths as the pipeline file writes them → paths relative to the root, checked.
//!
//! Asks the disk whether something is there and what it is, never what is in it. Invariant: a path that comes back is below the
//! root, as text and after every symlink.

use std::path::{Component, Path, PathBuf};

use crate::config::context::{At, Cx};
use crate::config::schema;

/// Where paths start and what they are relative to.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Absolute; paths are relative to it.
    pub(super) root: PathBuf,
    /// Absolute folder of the pipeline file; what it writes is relative to this.
    pub(super) dir: PathBuf,
}

/// What has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    File,
    Folder,
    Either,
}

/// Why a path will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("path is empty")]
    Empty,
    #[error("`{0}` has a control character in it")]
    Control(String),
    #[error("`{0}` is absolute")]
    Absolute(String),
    #[error("`{0}` is outside the root `{1}`")]
    Outside(String, String),
    #[error("`{0}` leads outside the root `{1}` through a symlink")]
    Escapes(String, String),
    #[error("there is no {1} `{0}`")]
    Missing(String, &'static str, Option<String>),
    #[error("`{0}` is a folder, this takes a file")]
    NotAFile(String),
    #[error("`{0}` is a file, this takes a folder")]
    NotAFolder(String),
    #[error("`{0}` cannot be read: {1}")]
    Unreadable(String, String),
}

impl PathError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Missing(_, _, nearest) => nearest.as_ref().map(|found| format!("did you mean `{found}`?")),
            Self::Absolute(_) => Some("paths are relative to the pipeline file's folder".to_owned()),
            Self::Outside(..) => {
                Some("only what is below the root can be in the key; `root = \"…\"` in the `pipeline` block moves it".to_owned())
            }
            Self::Escapes(..) => Some("what it points to would not be in the key; copy it into the root".to_owned()),
            Self::Empty | Self::Control(_) | Self::NotAFile(_) | Self::NotAFolder(_) | Self::Unreadable(..) => None,
        }
    }
}

/// `a/./b/../c` → `a/c`; `None` when it would climb above its start.
pub(super) fn normalise(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => clean.push(component),
        }
    }
    Some(clean)
}

impl Places {
    /// A path as written → relative to the root. Does not ask the disk.
    pub(super) fn relative(&self, written: &str) -> Result<PathBuf, PathError> {
        if written.trim().is_empty() {
            return Err(PathError::Empty);
        }
        if written.chars().any(char::is_control) {
            return Err(PathError::Control(written.escape_debug().to_string()));
        }
        if Path::new(written).is_absolute() {
            return Err(PathError::Absolute(written.to_owned()));
        }
        let outside = || PathError::Outside(written.to_owned(), self.root.display().to_string());
        let full = normalise(&self.dir.join(written)).ok_or_else(outside)?;
        full.strip_prefix(&self.root).map(Path::to_path_buf).map_err(|_| outside())
    }

    /// The same, and it is there, is what was wanted, and no symlink leads out of the root.
    pub(super) fn existing(&self, written: &str, wanted: Wanted, what: &'static str) -> Result<PathBuf, PathError> {
        let relative = self.relative(written)?;
        let full = self.root.join(&relative);
        let metadata = match std::fs::metadata(&full) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Err(PathError::Missing(written.to_owned(), what, nearest_beside(&full, written)));
            }
            Err(error) => return Err(PathError::Unreadable(written.to_owned(), error.to_string())),
        };
        match (wanted, metadata.is_dir()) {
            (Wanted::File, true) => return Err(PathError::NotAFile(written.to_owned())),
            (Wanted::Folder, false) => return Err(PathError::NotAFolder(written.to_owned())),
            _ => {}
        }
        self.stays_inside(&full, written)?;
        Ok(relative)
    }

    /// Refuses what a symlink leads out of the root.
    pub(super) fn stays_inside(&self, full: &Path, written: &str) -> Result<(), PathError> {
        let real = |path: &Path| path.canonicalize().map_err(|error| PathError::Unreadable(written.to_owned(), error.to_string()));
        if real(full)?.starts_with(real(&self.root)?) {
            Ok(())
        } else {
            Err(PathError::Escapes(written.to_owned(), self.root.display().to_string()))
        }
    }
}

/// The name in the same folder that was probably meant, written the same way.
fn nearest_beside(full: &Path, written: &str) -> Option<String> {
    let name = full.file_name()?.to_str()?;
    let names: Vec<String> =
        std::fs::read_dir(full.parent()?).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(1000).collect();
    let found = schema::nearest(name, names.iter().map(String::as_str))?;
    let folder = written.trim_end_matches('/').strip_suffix(name)?;
    Some(format!("{folder}{found}"))
}

impl Cx {
    /// A path that has to exist, relative to the root.
    pub(super) fn existing(&mut self, places: &Places, path: &At<String>, wanted: Wanted, what: &'static str) -> Option<PathBuf> {
        let found = places.existing(&path.value, wanted, what);
        self.path_or_problem(path, found)
    }

    /// A path, or the problem that it is.
    pub(super) fn path_or_problem(&mut self, path: &At<String>, found: Result<PathBuf, PathError>) -> Option<PathBuf> {
        found.map_err(|error| self.error(path.span.clone(), error.to_string(), "", error.help())).ok()
    }

    /// Globs as written → relative to the root.
    pub(super) fn globs(&mut self, places: &Places, globs: Vec<At<String>>) -> Vec<String> {
        globs
            .into_iter()
            .filter_map(|glob| {
                let relative = places.relative(&glob.value);
                let path = self.path_or_problem(&glob, relative)?;
                let text = path.to_string_lossy().into_owned();
                if let Err(error) = globset::Glob::new(&text) {
                    self.error(glob.span, format!("`{}` is not a glob: {}", glob.value, error.kind()), "", None);
                    return None;
                }
                Some(text)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_to_the_root_and_below_it() {
        let places = Places { root: "/r".into(), dir: "/r/sub".into() };
        for (written, relative) in [("a.yml", "sub/a.yml"), ("./b/../a", "sub/a"), ("../a", "a"), ("a//b/", "sub/a/b")] {
            assert_eq!(places.relative(written), Ok(PathBuf::from(relative)), "{written}");
        }
        for written in ["", " ", "/etc/passwd", "../../etc/passwd", "../../../../../x", "a\0b"] {
            assert!(places.relative(written).is_err(), "{written:?}");
        }
    }
}
