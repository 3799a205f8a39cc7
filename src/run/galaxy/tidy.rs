//! What ansible-galaxy left in a folder: what differs from installation to installation taken out, and the versions read.
//!
//! Works in a folder that nobody else knows yet, so nothing has to be atomic. Invariant: the same roles and collections leave the
//! same bytes, whenever and from whichever server they came.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::{GalaxyError, remove};
use crate::inputs::requirements::{Requirement, Requirements};
use crate::tools::galaxy::{self, COLLECTIONS, ROLES};

/// Takes out what differs from installation to installation, and reads which versions are there.
pub(super) fn tidy(
    folder: &Path,
    requirements: &Requirements,
    exact: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, GalaxyError> {
    let mut versions = BTreeMap::new();
    let or_none = |version: String| if version.is_empty() { "-".to_owned() } else { version };
    for (name, role) in folders(&folder.join(ROLES)) {
        let info = role.join("meta/.galaxy_install_info");
        let version = std::fs::read_to_string(&info).map(|text| galaxy::parse_role_info(&text)).unwrap_or_default();
        if info.exists() {
            std::fs::remove_file(&info).map_err(|source| GalaxyError::Folder { path: info, what: "removed", source })?;
        }
        versions.insert(format!("role {name}"), or_none(version));
    }
    let collections = folder.join(COLLECTIONS).join("ansible_collections");
    for (name, namespace) in folders(&collections) {
        // `acme.tools-1.2.3.info` says from which server it came, which is no part of what it is.
        if Path::new(&name).extension().is_some_and(|extension| extension == "info") {
            remove(&namespace)?;
            continue;
        }
        for (_, collection) in folders(&namespace) {
            let (list, about) = (collection.join("FILES.json"), collection.join("MANIFEST.json"));
            let read = |path: &Path| std::fs::read_to_string(path).ok();
            let (Some(files), Some(manifest)) = (read(&list), read(&about)) else { continue };
            if let Some((files, manifest)) = galaxy::in_order(&files, &manifest) {
                for (path, text) in [(list, files), (about, manifest.clone())] {
                    rewrite(&path, &text).map_err(|source| GalaxyError::Folder { path, what: "written", source })?;
                }
            }
            if let Some((fqcn, version)) = galaxy::parse_manifest(&manifest) {
                versions.insert(format!("collection {fqcn}"), version);
            }
        }
    }
    // A repository's commit says more than the version that its content claims.
    let from_git = |requirement: &&Requirement| requirement.git.is_some();
    for requirement in requirements.roles.iter().chain(&requirements.collections).filter(from_git) {
        if let Some(commit) = exact.get(&requirement.key) {
            versions.insert(requirement.key.clone(), commit.clone());
        }
    }
    Ok(versions)
}

fn rewrite(path: &Path, text: &str) -> io::Result<()> {
    io::Write::write_all(&mut std::fs::File::create(path)?, text.as_bytes())
}

/// Folders in a folder with their names, sorted; nothing when it is not there.
fn folders(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = |path: PathBuf| Some((path.file_name().and_then(OsStr::to_str)?.to_owned(), path));
    let mut found: Vec<(String, PathBuf)> = entries.map(|e| e.path()).filter(|p| p.is_dir()).filter_map(named).collect();
    found.sort();
    found
}
