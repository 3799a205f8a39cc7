//! [`RunLock`]: one run at a time in a checkout, by a lock on `.ovenbird/lock`.
//!
//! The system's own file lock, so it is gone with the process that holds it, however that ends; the file stays. Between machines
//! it locks nothing. Invariant: what stands in the file is for people, and never decides who holds the lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::disk::run_folder;

/// How often a waiting run looks again. The system tells nobody when a lock is free except a thread that blocks, and such a
/// thread could not be stopped by Ctrl-C.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// Run.
    pub run: String,
    /// `build`, `dry-run` ….
    pub command: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`ovenbird {}`, run {}, process {}", self.command, self.run, self.pid)
    }
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run has it.
    #[error("held by {}", .0.as_ref().map_or_else(|| "another run".to_owned(), ToString::to_string))]
    Held(Option<Holder>),
    /// The file cannot be opened or locked.
    #[error("`{}` cannot be locked", path.display())]
    Io {
        /// Lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The lock, held until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Takes the lock of `.ovenbird/`, which is made where it is missing, or says who holds it.
    ///
    /// # Errors
    /// [`LockError::Held`], or the file cannot be opened.
    ///
    /// # Panics
    /// Never: a holder is always JSON.
    pub fn acquire(dot: &Path, me: &Holder) -> Result<Self, LockError> {
        let path = dot.join("lock");
        let wrong = |source| LockError::Io { path: path.clone(), source };
        run_folder::make_dot(dot).map_err(wrong)?;
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(read(&mut file))),
            Err(TryLockError::Error(error)) => return Err(wrong(error)),
        }
        let text = serde_json::to_string(me).expect("a holder is always JSON");
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes())).map_err(wrong)?;
        Ok(Self { file })
    }

    /// Waits until the lock is free. `waiting` hears once who holds it. Dropping the future stops the wait.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub async fn wait(dot: &Path, me: &Holder, waiting: impl FnOnce(Option<&Holder>)) -> Result<Self, LockError> {
        let mut waiting = Some(waiting);
        let mut clock = tokio::time::interval(LOOK_AGAIN);
        loop {
            clock.tick().await;
            match Self::acquire(dot, me) {
                Err(LockError::Held(holder)) => {
                    if let Some(tell) = waiting.take() {
                        tell(holder.as_ref());
                    }
                }
                other => return other,
            }
        }
    }
}

/// Who holds the lock now; `None`: nobody. Takes nothing.
pub fn held(dot: &Path) -> Option<Holder> {
    let mut file = File::open(dot.join("lock")).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(&mut file),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

impl Drop for RunLock {
    /// Empties the file, so that nobody reads a holder that is gone. The lock itself goes with the file handle, here or when the
    /// process is killed.
    fn drop(&mut self) {
        self.file.set_len(0).ok();
    }
}

/// `None`: the holder has not written itself down yet, or an older version of ovenbird holds it.
fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(run: &str) -> Holder {
        Holder { pid: 7, run: run.to_owned(), command: "build".to_owned() }
    }

    #[test]
    fn the_second_is_told_who_the_first_is_and_gets_it_afterwards() {
        let dot = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(dot.path(), &me("a")).unwrap();
        let error = RunLock::acquire(dot.path(), &me("b")).unwrap_err();
        assert_eq!(error.to_string(), "held by `ovenbird build`, run a, process 7");
        assert_eq!(held(dot.path()), Some(me("a")));
        drop(first);
        assert_eq!(held(dot.path()), None);
        let second = RunLock::acquire(dot.path(), &me("b")).unwrap();
        assert!(RunLock::acquire(dot.path(), &me("c")).unwrap_err().to_string().contains("run b"));
        drop(second);
        assert_eq!(std::fs::read(dot.path().join("lock")).unwrap(), b"");
    }

    #[test]
    fn a_holder_that_did_not_write_itself_down_is_another_run() {
        let dot = tempfile::tempdir().unwrap();
        let file = File::create(dot.path().join("lock")).unwrap();
        file.lock().unwrap();
        assert_eq!(RunLock::acquire(dot.path(), &me("b")).unwrap_err().to_string(), "held by another run");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_the_lock_is_free_and_tells_once_for_whom_it_waits() {
        let dot = tempfile::tempdir().unwrap();
        let mut first = Some(RunLock::acquire(dot.path(), &me("a")).unwrap());
        let mut told = Vec::new();
        let mine = me("b");
        let mut wait = Box::pin(RunLock::wait(dot.path(), &mine, |holder| told.push(holder.map(|h| h.run.clone()))));
        assert!(tokio::time::timeout(Duration::from_secs(3), &mut wait).await.is_err());
        drop(first.take());
        let second = tokio::time::timeout(Duration::from_secs(3), wait).await.unwrap().unwrap();
        drop(second);
        assert_eq!(told, [Some("a".to_owned())]);
    }
}
