//! Digests of files: streaming, in parallel, each file once a call.
//!
//! Never waits for anything but a disk: opens without blocking and looks at what it opened, so a FIFO or a device that took a
//! file's place gives [`Content::Special`]. Invariant: what could not be read is never given a digest.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::model::digest::Digest;

/// What a path held when it was read; links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
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
pub(super) fn contents(mut paths: Vec<PathBuf>) -> Contents {
    paths.par_sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    paths.dedup_by(|a, b| a.as_os_str() == b.as_os_str());
    // Chunks: a file is a few microseconds of work, less than handing it to another thread costs.
    Contents(
        paths
            .into_par_iter()
            .with_min_len(64)
            .map(|path| {
                let content = content(&path);
                (path, content)
            })
            .collect(),
    )
}

fn content(path: &Path) -> Content {
    match open(path).and_then(|opened| match opened {
        Ok((file, mode)) => Ok(Content::File { digest: digest(file)?, mode }),
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

/// Opens a regular file, or says what else it is.
fn open(path: &Path) -> std::io::Result<Result<(File, u32), String>> {
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
    Ok(if kind.is_file() {
        Ok((file, meta.mode() & 0o7777))
    } else if kind.is_fifo() {
        Err("fifo".to_owned())
    } else if kind.is_dir() {
        Err("folder".to_owned())
    } else {
        Err("device".to_owned())
    })
}

fn digest(mut file: File) -> std::io::Result<Digest> {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; 256 * 1024]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let mut hash = Sha256::new();
        loop {
            match file.read(buffer) {
                Ok(0) => return Ok(Digest::from_bytes(hash.finalize().into())),
                Ok(n) => hash.update(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    })
}

/// Bytes of a file for parsing, at most `limit`.
///
/// # Errors
/// One lowercase line; `None` inside when nothing is there.
pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Option<String>> {
    let gone = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => None,
        _ => Some(format!("cannot be read: {}", reason(&error))),
    };
    let (file, _) = open(path).map_err(gone)?.map_err(|special| Some(format!("is a {special}, not a file")))?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(gone)?;
    if bytes.len() > limit {
        return Err(Some(format!("has more than {limit} bytes")));
    }
    Ok(bytes)
}
