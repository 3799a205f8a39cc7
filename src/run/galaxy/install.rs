//! Installs a requirement file into a folder of its own, by ansible-galaxy and git.
//!
//! Does not know what is pinned. Invariant: nothing stays of an installation that did not come to its end: its folder goes with it,
//! and what a killed process left goes with the next one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{GalaxyError, base, digested, from_checkout, tidy};
use crate::config::pipeline::Pipeline;
use crate::inputs::requirements::Requirements;
use crate::model::digest::Digest;
use crate::process::command::CommandLine;
use crate::process::spawn;
use crate::tools::galaxy::{self, COLLECTIONS, Galaxy, ROLES};

/// A download from the other end of the world with a few hundred megabytes of collections.
const INSTALL: Duration = Duration::from_mins(20);
const LOOK_UP: Duration = Duration::from_mins(1);
const OUTPUT: u64 = 1 << 20;

/// One requirement file that is installed.
pub(super) struct Installing<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) file: &'a str,
    pub(super) env: &'a BTreeMap<String, String>,
}

impl Installing<'_> {
    fn galaxy(&self) -> Galaxy<'_> {
        Galaxy { root: &self.pipeline.root, env: self.env }
    }

    async fn run(&self, command: &CommandLine, time: Duration) -> Result<String, GalaxyError> {
        let output = spawn::output(command, time, OUTPUT).await?;
        if output.exit.success() {
            return Ok(output.stdout);
        }
        let said = format!("{}\n{}", output.stdout.trim_end(), output.stderr.trim_end());
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let said = lines[lines.len().saturating_sub(15)..].join("\n");
        let command = format!("{} {}", command.name(), command.args.first().map_or_else(Default::default, |a| a.to_string_lossy()));
        Err(GalaxyError::Tool { file: self.file.to_owned(), command, exit: output.exit, said })
    }

    /// The commit that a branch or tag of a repository is.
    pub(super) async fn commit(&self, url: &str, reference: &str) -> Result<String, GalaxyError> {
        if galaxy::is_commit(reference) {
            return Ok(reference.to_owned());
        }
        let none = || GalaxyError::NoCommit { file: self.file.to_owned(), url: url.to_owned(), reference: reference.to_owned() };
        match self.run(&self.galaxy().commit_of(url, reference), LOOK_UP).await {
            Ok(said) => galaxy::parse_commit(&said, reference).ok_or_else(none),
            // What `--exit-code` gives when the repository answers and has no such reference.
            Err(GalaxyError::Tool { exit: spawn::Exit::Code(2), .. }) => Err(none()),
            Err(error) => Err(error),
        }
    }

    /// Installs into a folder of its own: that folder, the versions in it, its digest.
    pub(super) async fn install(
        &self,
        requirements: &Requirements,
        exact: &BTreeMap<String, String>,
    ) -> Result<(tempfile::TempDir, BTreeMap<String, String>, Digest), GalaxyError> {
        let base = base(self.pipeline);
        std::fs::create_dir_all(&base).map_err(|source| GalaxyError::Folder { path: base.clone(), what: "made", source })?;
        sweep(&base);
        let made = tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir_in(&base);
        let temp = made.map_err(|source| GalaxyError::Folder { path: base, what: "made", source })?;
        for name in [ROLES, COLLECTIONS] {
            let path = temp.path().join(name);
            std::fs::create_dir(&path).map_err(|source| GalaxyError::Folder { path, what: "made", source })?;
        }
        let mut file = tempfile::Builder::new().suffix(".yml").tempfile().map_err(|source| GalaxyError::Folder {
            path: temp.path().to_owned(),
            what: "written",
            source,
        })?;
        io::Write::write_all(&mut file, requirements.exact(exact).as_bytes()).map_err(|source| GalaxyError::Folder {
            path: file.path().to_owned(),
            what: "written",
            source,
        })?;
        if !requirements.roles.is_empty() {
            self.run(&self.galaxy().roles(file.path(), temp.path()), INSTALL).await?;
        }
        if !requirements.collections.is_empty() {
            self.run(&self.galaxy().collections(file.path(), temp.path()), INSTALL).await?;
        }
        let mut versions = tidy::tidy(temp.path(), requirements, exact)?;
        versions.extend(from_checkout(self.pipeline, requirements));
        let content = digested(temp.path()).await?;
        Ok((temp, versions, content))
    }
}

/// Temporary folders are named so that those of a process that is gone can be told.
const PREFIX: &str = ".installing-";

/// Removes what installations left behind that did not live to clean up.
fn sweep(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.split('-').next()).and_then(|n| n.parse().ok());
        let Some(pid) = pid.map(nix::unistd::Pid::from_raw) else { continue };
        if nix::sys::signal::kill(pid, None) == Err(nix::errno::Errno::ESRCH) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}
