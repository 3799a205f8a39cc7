//! Digests of files: streaming, in parallel, each file once a call.
//!
//! Never waits for anything but a disk: opens without blocking and looks at what it opened, so a FIFO or a device that took a
//! file's place gives [`Content::Special`]. Invariant: what could not be read is never given a digest.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::snapshot::Snapshot;
use crate::model::digest::Digest;

/// What a path held when it was read; links are followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Content {
    File {
        digest: Digest,
        mode: u32,
    },
    /// Gone between the listing and the reading, or a link to nothing.
    Gone,
    /// `fifo`, `socket`, `device`, `folder`, or `unreadable: …`.
    Special(String),
}

/// What files held, sorted by the bytes of their paths: to compare paths part by part takes longer than to read small files.
#[derive(Debug, Default)]
pub(super) struct Contents(Vec<(PathBuf, Content)>);

impl Contents {
    pub(super) fn of(&self, path: &Path) -> Option<&Content> {
        let at = self.0.binary_search_by(|(other, _)| other.as_os_str().cmp(path.as_os_str())).ok()?;
        Some(&self.0[at].1)
    }
}

/// Contents of `paths`, which may hold doubles.
pub(super) fn contents(mut paths: Vec<PathBuf>, disk: &Snapshot) -> Contents {
    paths.par_sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    paths.dedup_by(|a, b| a.as_os_str() == b.as_os_str());
    // Chunks: a file is a few microseconds of work, less than handing it to another thread costs.
    Contents(
        paths
            .into_par_iter()
            .with_min_len(64)
            .map(|path| {
                // What was parsed is told by the bytes that were parsed.
                let content = disk.content(&path).unwrap_or_else(|| content(&path));
                (path, content)
            })
            .collect(),
    )
}

pub(super) fn content(path: &Path) -> Content {
    match open(path).and_then(|opened| match opened {
        Ok(opened) => Ok(Content::File { mode: opened.mode, digest: digest(opened)? }),
        Err(special) => Ok(Content::Special(special)),
    }) {
        Ok(content) => content,
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Content::Gone,
            _ => Content::Special(format!("unreadable: {}", reason(&error))),
        },
    }
}

/// The words of an I/O error without its number.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// A regular file with its permission bits and its size in bytes.
struct Opened {
    file: File,
    mode: u32,
    size: u64,
}

/// Opens a regular file, or says what else it is.
fn open(path: &Path) -> std::io::Result<Result<Opened, String>> {
    let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = match opened {
        Ok(file) => file,
        // A socket cannot be opened at all.
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENXIO as i32) => return Ok(Err("socket".to_owned())),
        Err(error) => return Err(error),
    };
    let meta = file.metadata()?;
    let kind = meta.file_type();
    Ok(if kind.is_file() && meta.len() == 0 && is_of_kernel(&file) {
        Err("file that the kernel makes up".to_owned())
    } else if kind.is_file() {
        Ok(Opened { file, mode: meta.mode() & 0o7777, size: meta.len() })
    } else if kind.is_fifo() {
        Err("fifo".to_owned())
    } else if kind.is_dir() {
        Err("folder".to_owned())
    } else {
        Err("device".to_owned())
    })
}

/// `/proc/self/pagemap` says that it is empty, and never ends.
fn is_of_kernel(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    return nix::sys::statfs::fstatfs(file).is_ok_and(|on| on.filesystem_type() == nix::sys::statfs::PROC_SUPER_MAGIC);
    #[cfg(not(target_os = "linux"))]
    return false;
}

impl Opened {
    /// Hands the content to `take`, piece by piece, until it says that it has enough. A file that has given as many bytes as it has
    /// is not asked again: of what small files cost, system calls are the larger part.
    fn pieces(mut self, mut take: impl FnMut(&[u8]) -> bool) -> std::io::Result<()> {
        thread_local! {
            static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; 256 * 1024]);
        }
        BUFFER.with_borrow_mut(|buffer| {
            let mut given = 0;
            loop {
                match self.file.read(buffer) {
                    Ok(0) => return Ok(()),
                    Ok(n) => {
                        given += n as u64;
                        if !take(&buffer[..n]) || n < buffer.len() && given == self.size {
                            return Ok(());
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }
}

fn digest(opened: Opened) -> std::io::Result<Digest> {
    let mut hash = Sha256::new();
    opened.pieces(|piece| {
        hash.update(piece);
        true
    })?;
    Ok(Digest::from_bytes(hash.finalize().into()))
}

/// Bytes of a file for parsing, at most `limit`, and its permission bits.
///
/// # Errors
/// One lowercase line; `None` inside when nothing is there.
pub(super) fn read(path: &Path, limit: usize) -> Result<(Vec<u8>, u32), Option<String>> {
    let gone = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => None,
        _ => Some(format!("cannot be read: {}", reason(&error))),
    };
    let opened = open(path).map_err(gone)?.map_err(|special| Some(format!("is a {special}, not a file")))?;
    let (mut bytes, mode) = (Vec::new(), opened.mode);
    let keep = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        bytes.len() <= limit
    };
    opened.pieces(keep).map_err(gone)?;
    if bytes.len() > limit {
        return Err(Some(format!("has more than {limit} bytes")));
    }
    Ok((bytes, mode))
}
