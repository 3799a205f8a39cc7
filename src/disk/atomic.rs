//! [`write()`]: replaces a file as a whole, or leaves it as it was.
//!
//! A temp file in the same folder, flushed to disk, then renamed over the old one, then the folder flushed: after a crash there is
//! the old file or the new one, never half of one. Links are followed first, because a rename would replace the link. Invariant: on
//! error the old file has its old bytes and no temp file is left.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A file that could not be written. The old one is as it was.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is unchanged: it could not be written", path.display())]
pub struct WriteError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Writes `bytes`. Keeps the mode of a file that is there; a new one gets what the umask leaves of 0666.
///
/// # Errors
/// [`WriteError`]: folder missing, not permitted, disk full, link to nowhere.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    replace(path, None, |file| file.write_all(bytes))
}

/// Writes `bytes` with exactly this mode, for files that hold values of secrets.
///
/// # Errors
/// As [`write()`].
pub fn write_with_mode(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), WriteError> {
    replace(path, Some(mode), |file| file.write_all(bytes))
}

/// The same for what can be made again: nobody waits for the disk, so a crash of the machine may leave a file that whoever reads it
/// has to find unreadable.
///
/// # Errors
/// As [`write()`].
pub fn write_cache(path: &Path, mode: u32, pieces: &[Vec<u8>]) -> Result<(), WriteError> {
    try_replace(path, Some(mode), false, |file| pieces.iter().try_for_each(|piece| file.write_all(piece)))
        .map_err(|source| WriteError { path: path.to_owned(), source })
}

fn replace(path: &Path, mode: Option<u32>, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), WriteError> {
    try_replace(path, mode, true, fill).map_err(|source| WriteError { path: path.to_owned(), source })
}

fn try_replace(path: &Path, mode: Option<u32>, flush: bool, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let target = match path.symlink_metadata() {
        Ok(_) => path.canonicalize()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let old = match target.metadata() {
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // tempfile's own default is 0600, which Terraform in a container of another user could not read.
    let mut temp =
        tempfile::Builder::new().prefix(".ovenbird-").permissions(Permissions::from_mode(mode.unwrap_or(0o666))).tempfile_in(folder)?;
    fill(temp.as_file_mut())?;
    match (mode, old) {
        (Some(mode), _) => temp.as_file().set_permissions(Permissions::from_mode(mode))?,
        (None, Some(old)) => temp.as_file().set_permissions(old)?,
        (None, None) => {}
    }
    if flush {
        temp.as_file().sync_all()?;
    }
    temp.persist(&target).map_err(|error| error.error)?;
    if flush { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tfvars");
        write(&file, b"one").unwrap();
        assert_eq!(mode(&file) & 0o600, 0o600);
        File::open(&file).unwrap().set_permissions(Permissions::from_mode(0o640)).unwrap();
        write(&file, b"two").unwrap();
        assert_eq!((std::fs::read(&file).unwrap(), mode(&file)), (b"two".to_vec(), 0o640));
        write_with_mode(&file, 0o600, b"three").unwrap();
        assert_eq!(mode(&file), 0o600);
        write_cache(&file, 0o640, &[b"fo".to_vec(), b"ur".to_vec()]).unwrap();
        assert_eq!((std::fs::read(&file).unwrap(), mode(&file)), (b"four".to_vec(), 0o640));
        assert_eq!(names(folder.path()), ["a.tfvars"]);
    }

    #[test]
    fn a_link_stays_a_link_and_its_target_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real"), folder.path().join("link"));
        write(&file, b"one").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        write(&link, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        let nowhere = folder.path().join("nowhere");
        std::os::unix::fs::symlink("missing", &nowhere).unwrap();
        assert!(write(&nowhere, b"x").is_err());
        assert!(nowhere.symlink_metadata().unwrap().is_symlink());
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tfvars");
        write(&file, b"old").unwrap();
        let error = replace(&file, None, |temp| {
            temp.write_all(b"ne")?;
            // What the system says on a full disk, from the device that is always full.
            std::fs::OpenOptions::new().write(true).open("/dev/full")?.write_all(b"w")
        })
        .unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(error.to_string(), format!("`{}` is unchanged: it could not be written", file.display()));
        assert_eq!((std::fs::read(&file).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["a.tfvars".to_owned()]));
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("no/a"), b"x").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    }
}
