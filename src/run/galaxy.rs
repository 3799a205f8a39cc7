//! Galaxy content: installed once a digest into `.ovenbird/galaxy/<digest>/{roles,collections}`, and resolved for `update`.
//!
//! Does not decide which versions are right (the lock file does), nor when to ask. Invariant: a folder whose name is a digest holds
//! exactly that content: it is installed beside, digested, and then renamed into place; one that was changed since is made anew.

mod install;
mod tidy;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::lock::{GalaxyPin, Pins};
use crate::config::pipeline::{Pipeline, Stage};
use crate::inputs::installed::{self, InstalledError};
use crate::inputs::requirements::{Requirement, Requirements, RequirementsError};
use crate::model::digest::Digest;
use crate::process::spawn::{self, SpawnError};
use crate::tools::galaxy::{COLLECTIONS, ROLES};
use install::Installing;

/// Galaxy content that is not there as pinned.
#[derive(Debug, thiserror::Error)]
pub enum GalaxyError {
    /// The requirement file cannot be read.
    #[error("requirement file `{file}` cannot be read")]
    Read {
        /// Relative to the root.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It is none.
    #[error("`{file}:{}` is no requirement file", source.line)]
    Requirements {
        /// Relative to the root.
        file: String,
        /// What is wrong.
        source: RequirementsError,
    },
    /// A tool said no.
    #[error("galaxy requirements `{file}`: `{command}` failed with {exit}:\n{said}")]
    Tool {
        /// Relative to the root.
        file: String,
        /// As one would type it.
        command: String,
        /// How it ended.
        exit: spawn::Exit,
        /// Its last lines.
        said: String,
    },
    /// A tool did not start or did not end.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A branch or tag that the repository does not have.
    #[error("galaxy requirements `{file}`: `{url}` has no `{reference}`")]
    NoCommit {
        /// Relative to the root.
        file: String,
        /// Repository.
        url: String,
        /// Branch or tag.
        reference: String,
    },
    /// What was installed is not what is pinned.
    #[error("galaxy requirements `{file}` install something else than is pinned: {}", moved.join(", "))]
    Moved {
        /// Relative to the root.
        file: String,
        /// What moved, old → new.
        moved: Vec<String>,
    },
    /// Nothing is pinned, or for other bytes of the file.
    #[error("galaxy requirements `{file}` are not pinned as they are now")]
    NotPinned {
        /// Relative to the root.
        file: String,
    },
    /// The content cannot be digested.
    #[error(transparent)]
    Content(#[from] InstalledError),
    /// A folder below `.ovenbird/galaxy`.
    #[error("`{}` cannot be {what}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// `made`, `written`, `moved`, `removed`.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl GalaxyError {
    /// Is it the fault of an input (exit 65) rather than of a tool or service (69).
    pub fn is_input(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Requirements { .. } | Self::NoCommit { .. } | Self::Moved { .. } | Self::NotPinned { .. })
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Moved { file, .. } | Self::NotPinned { file } => Some(format!("`ovenbird update {file}` pins what they install now")),
            Self::Tool { command, .. } if command.starts_with("git") => {
                Some("no question can be answered here: credentials have to come from an SSH agent or a git credential helper".to_owned())
            }
            Self::Tool { .. } => Some("servers stand in ansible.cfg (`[galaxy] server_list`) or ANSIBLE_GALAXY_SERVER_LIST".to_owned()),
            Self::Spawn(SpawnError::Start { .. }) => Some("`ovenbird doctor` looks for every tool that is needed".to_owned()),
            Self::Read { .. }
            | Self::Requirements { .. }
            | Self::Spawn(_)
            | Self::NoCommit { .. }
            | Self::Content(_)
            | Self::Folder { .. } => None,
        }
    }
}

/// Where content with this digest lies.
pub fn folder(pipeline: &Pipeline, content: Digest) -> PathBuf {
    base(pipeline).join(content.hex())
}

fn base(pipeline: &Pipeline) -> PathBuf {
    pipeline.dir.join(".ovenbird/galaxy")
}

/// Folders of roles and of collections of a stage's requirement files, in their order: what goes first on Ansible's paths. A file
/// that is not pinned has none.
pub fn search_paths(pipeline: &Pipeline, stage: &Stage, pins: &Pins) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let pinned = stage.galaxy.iter().filter_map(|file| pins.galaxy.get(file.to_str()?));
    let folders: Vec<PathBuf> = pinned.map(|pin| folder(pipeline, pin.content)).collect();
    (folders.iter().map(|f| f.join(ROLES)).collect(), folders.iter().map(|f| f.join(COLLECTIONS)).collect())
}

/// Requirement files of these stages, with the digest of each as it is now.
///
/// # Errors
/// [`GalaxyError::Read`].
pub fn requirement_files<'s>(
    pipeline: &Pipeline,
    stages: impl IntoIterator<Item = &'s Stage>,
) -> Result<BTreeMap<String, Digest>, GalaxyError> {
    let files: BTreeSet<&str> = stages.into_iter().flat_map(|s| &s.galaxy).filter_map(|file| file.to_str()).collect();
    files.into_iter().map(|file| Ok((file.to_owned(), Digest::of(&read(pipeline, file)?)))).collect()
}

fn read(pipeline: &Pipeline, file: &str) -> Result<Vec<u8>, GalaxyError> {
    std::fs::read(pipeline.root.join(file)).map_err(|source| GalaxyError::Read { file: file.to_owned(), source })
}

fn parse(file: &str, bytes: &[u8]) -> Result<Requirements, GalaxyError> {
    Requirements::parse(bytes).map_err(|source| GalaxyError::Requirements { file: file.to_owned(), source })
}

/// Requirement files that take something from the checkout which is not as it was when they were pinned: what is pinned is then no
/// longer what the checkout asks for.
///
/// # Errors
/// A requirement file cannot be read.
pub fn changed<'f>(pipeline: &Pipeline, pins: &Pins, files: impl IntoIterator<Item = &'f String>) -> Result<BTreeSet<String>, GalaxyError> {
    let mut changed = BTreeSet::new();
    for file in files {
        let Some(pin) = pins.galaxy.get(file) else { continue };
        let requirements = parse(file, &read(pipeline, file)?)?;
        if from_checkout(pipeline, &requirements).iter().any(|(key, now)| pin.versions.get(key) != Some(now)) {
            changed.insert(file.clone());
        }
    }
    Ok(changed)
}

/// Digests of what requirements take from inside of the root, by their keys; what is not there has none.
fn from_checkout(pipeline: &Pipeline, requirements: &Requirements) -> BTreeMap<String, String> {
    let all = requirements.roles.iter().chain(&requirements.collections);
    let one = |requirement: &Requirement| {
        let path = pipeline.root.join(requirement.local.as_ref()?).canonicalize().ok()?;
        let inside = path.starts_with(pipeline.root.canonicalize().ok()?);
        let digest = inside.then(|| installed::digest(&path).ok()).flatten()?;
        Some((requirement.key.clone(), digest.to_string()))
    };
    all.filter_map(one).collect()
}

/// Makes the pinned content of these requirement files be there. Starts nothing for what is.
///
/// # Errors
/// Not pinned, cannot be installed, or what was installed is not what is pinned.
pub async fn ensure(pipeline: &Pipeline, pins: &Pins, files: &[String], env: &BTreeMap<String, String>) -> Result<(), GalaxyError> {
    for file in files {
        let bytes = read(pipeline, file)?;
        let not_pinned = || GalaxyError::NotPinned { file: file.clone() };
        let pin = pins.galaxy.get(file).filter(|pin| pin.requirements == Digest::of(&bytes)).ok_or_else(not_pinned)?;
        let place = folder(pipeline, pin.content);
        if place.is_dir() {
            // Somebody may have upgraded a role in place: then the name is no longer true.
            if digested(&place).await? == pin.content {
                continue;
            }
            remove(&place)?;
        }
        let installing = Installing { pipeline, file, env };
        let requirements = parse(file, &bytes)?;
        let (temp, versions, content) = installing.install(&requirements, &pin.versions).await?;
        if content != pin.content {
            return Err(GalaxyError::Moved { file: file.clone(), moved: moved(pin, &versions, content) });
        }
        put(pipeline, temp, content)?;
    }
    Ok(())
}

/// What a requirement file installs now; the content is kept, so a build does not install it again.
///
/// # Errors
/// It cannot be installed.
pub async fn resolve(pipeline: &Pipeline, file: &str, env: &BTreeMap<String, String>) -> Result<GalaxyPin, GalaxyError> {
    let bytes = read(pipeline, file)?;
    let requirements = parse(file, &bytes)?;
    let installing = Installing { pipeline, file, env };
    let mut commits = BTreeMap::new();
    for requirement in requirements.roles.iter().chain(&requirements.collections) {
        if let Some((url, reference)) = &requirement.git {
            commits.insert(requirement.key.clone(), installing.commit(url, reference).await?);
        }
    }
    let (temp, versions, content) = installing.install(&requirements, &commits).await?;
    put(pipeline, temp, content)?;
    Ok(GalaxyPin { requirements: Digest::of(&bytes), versions, content })
}

fn moved(pin: &GalaxyPin, versions: &BTreeMap<String, String>, content: Digest) -> Vec<String> {
    let names: BTreeSet<&String> = pin.versions.keys().chain(versions.keys()).collect();
    let or = |version: Option<&String>| version.map_or_else(|| "nothing".to_owned(), Clone::clone);
    let mut moved: Vec<String> = names
        .into_iter()
        .filter(|name| pin.versions.get(*name) != versions.get(*name))
        .map(|name| format!("{name} {} → {}", or(pin.versions.get(name)), or(versions.get(name))))
        .collect();
    if moved.is_empty() {
        moved.push(format!("the same versions with other files ({} → {})", pin.content.short(), content.short()));
    }
    moved
}

async fn digested(folder: &Path) -> Result<Digest, GalaxyError> {
    let path = folder.to_owned();
    let joined = tokio::task::spawn_blocking(move || installed::digest(&path)).await;
    Ok(joined.unwrap_or_else(|error| Err(InstalledError { path: folder.to_owned(), what: error.to_string() }))?)
}

fn put(pipeline: &Pipeline, temp: tempfile::TempDir, content: Digest) -> Result<(), GalaxyError> {
    use std::os::unix::fs::PermissionsExt as _;
    let place = folder(pipeline, content);
    if place.is_dir() {
        // Ours or another run's; `ensure` digests what it finds.
        return Ok(());
    }
    let failed = |source| GalaxyError::Folder { path: place.clone(), what: "moved", source };
    // A temporary folder is its owner's alone; the content is nobody's secret.
    std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
    let path = temp.keep();
    match std::fs::rename(&path, &place) {
        Ok(()) => Ok(()),
        Err(_) if place.is_dir() => remove(&path),
        Err(source) => {
            drop(std::fs::remove_dir_all(&path));
            Err(failed(source))
        }
    }
}

fn remove(path: &Path) -> Result<(), GalaxyError> {
    std::fs::remove_dir_all(path).map_err(|source| GalaxyError::Folder { path: path.to_owned(), what: "removed", source })
}
