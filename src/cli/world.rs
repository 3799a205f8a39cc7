//! [`World`]: environment, working folder, terminal and clock, read once and handed on as data.
//!
//! The only reader of `std::env` and of the clock. Invariant: nothing below `cli` knows where a value of it came from.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use crate::inputs::InputContext;
use crate::model::node::RunId;

/// What surrounds this process.
#[derive(Debug, Clone)]
pub struct World {
    /// Environment variables that are UTF-8; others cannot be passed on by name and are dropped.
    pub environment: BTreeMap<String, String>,
    /// Working folder.
    pub cwd: PathBuf,
    /// Is stdout a terminal.
    pub stdout_tty: bool,
    /// Is stderr a terminal.
    pub stderr_tty: bool,
    /// When this process started.
    pub started: jiff::Timestamp,
}

impl World {
    /// Reads it.
    ///
    /// # Errors
    /// The working folder is gone.
    pub fn read() -> std::io::Result<Self> {
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        Ok(Self {
            environment,
            cwd: std::env::current_dir()?,
            stdout_tty: std::io::stdout().is_terminal(),
            stderr_tty: std::io::stderr().is_terminal(),
            started: jiff::Timestamp::now(),
        })
    }

    /// Tells this program from another build of it: its path, size and time. `None`: it cannot be looked at.
    pub fn program(&self) -> Option<String> {
        use std::os::unix::fs::MetadataExt as _;
        let path = std::env::current_exe().ok()?;
        let meta = path.metadata().ok()?;
        Some(format!("{} {} {} {}.{}", path.display(), env!("CARGO_PKG_VERSION"), meta.size(), meta.mtime(), meta.mtime_nsec()))
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// What inputs are read with.
    pub fn input_context(&self) -> InputContext {
        let home = self.var("HOME").map(PathBuf::from);
        InputContext { environment: self.environment.clone(), home, ..InputContext::default() }
    }

    /// A new run's id: the start in UTC and 24 random bits.
    ///
    /// # Panics
    /// The system has no randomness.
    pub fn new_run(&self) -> RunId {
        let mut random = [0; 4];
        getrandom::fill(&mut random).expect("the system gives random bytes");
        let started = self.started.strftime("%Y%m%dt%H%M%S").to_string();
        RunId::new(&started, u32::from_le_bytes(random))
    }

    /// Today in UTC, `YYYY-MM-DD`.
    pub fn today(&self) -> String {
        self.started.strftime("%Y-%m-%d").to_string()
    }

    /// An absolute path from one that was typed here.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.cwd.join(path)
    }
}
