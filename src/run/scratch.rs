//! [`Scratch`]: a step's private folder: values for Packer and Ansible, plugins, reports, and TMPDIR of its children.
//!
//! Invariants: the folder is 0700, files with values are 0600, and the folder is gone when the step has ended, however it did (an
//! ssh key that a killed Ansible left lies in it).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::event::StepId;

/// A step's name as a file name: `build-web`, `dry-run-web-arm64`.
pub fn file_name(step: &StepId) -> String {
    step.to_string().replace([' ', '/'], "-")
}

/// Where a step's log is in a run's folder.
pub fn log_path(folder: &Path, step: &StepId) -> PathBuf {
    folder.join("logs").join(format!("{}.log", file_name(step)))
}

/// Longest TMPDIR below which every socket can be bound: a socket's path has 107 bytes, and Packer's plugins and ssh's control
/// master add up to 31 to it. With a longer one Packer only says "plugin exited before we could connect".
const LONGEST_TMP: usize = 76;

/// A step's private folder.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// TMPDIR where the run's folder lies too deep; removed with this value.
    short: Option<tempfile::TempDir>,
}

impl Scratch {
    /// Makes `tmp/<step>/` in the run's folder.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(folder: &Path, step: &StepId) -> io::Result<Self> {
        let path = folder.join("tmp").join(file_name(step));
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let mut scratch = Self { path, short: None };
        if scratch.folder("tmp")?.as_os_str().len() > LONGEST_TMP {
            let only_ours = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            scratch.short = Some(tempfile::Builder::new().prefix("ovenbird-").permissions(only_ours).tempdir()?);
        }
        Ok(scratch)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// TMPDIR of every child.
    pub fn tmp(&self) -> PathBuf {
        self.short.as_ref().map_or_else(|| self.path("tmp"), |short| short.path().to_owned())
    }

    /// Makes a folder in it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Writes a file that only this user can read; a fresh one, never over another.
    ///
    /// # Errors
    /// It is there already, or cannot be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        self.write_mode(name, text, 0o600)
    }

    /// Writes a script.
    ///
    /// # Errors
    /// It is there already, or cannot be written.
    pub fn script(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        self.write_mode(name, text, 0o700)
    }

    fn write_mode(&self, name: &str, text: &str, mode: u32) -> io::Result<PathBuf> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?.write_all(text.as_bytes())?;
        Ok(path)
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// Something in it could not be removed.
    pub fn remove(mut self) -> io::Result<()> {
        let short = self.short.take().map_or(Ok(()), tempfile::TempDir::close);
        std::fs::remove_dir_all(&self.path).and(short)
    }
}

impl Drop for Scratch {
    /// The last resort, behind [`Self::remove`].
    fn drop(&mut self) {
        if self.path.exists() {
            std::fs::remove_dir_all(&self.path).unwrap_or(());
        }
    }
}

/// Opens a step's log for appending; makes it and its folder.
///
/// # Errors
/// It cannot be made.
pub fn open_log(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::queue::tests::build;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn tmpdir_of_a_deep_checkout_is_short_enough_for_sockets_and_goes_too() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a-folder-with-a-rather-long-name".repeat(3));
        let scratch = Scratch::create(&deep, &build("web")).unwrap();
        let tmp = scratch.tmp();
        assert!(tmp.is_dir() && tmp.as_os_str().len() <= LONGEST_TMP, "{}", tmp.display());
        assert_eq!(std::fs::metadata(&tmp).unwrap().permissions().mode() & 0o777, 0o700);
        scratch.remove().unwrap();
        assert!(!tmp.exists());
    }

    #[test]
    fn values_are_readable_by_their_user_only_and_go_with_the_step() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(folder.path(), &build("web")).unwrap();
        let file = scratch.write("vars.json", "{}").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&scratch.tmp())), (0o600, 0o700));
        assert!(scratch.write("vars.json", "{}").is_err(), "never over another file");
        scratch.remove().unwrap();
        assert!(!file.exists());
    }
}
