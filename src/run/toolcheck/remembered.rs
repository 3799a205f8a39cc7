//! [`Cache`]: what tools said about themselves, kept in `.ovenbird/tools.json` from one run to the next.
//!
//! Asks no tool. Invariant: an answer holds only while every file that it stands on has the stat that it had.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Known;
use crate::config::pipeline::Tool;
use crate::disk::atomic;

/// Device, inode, size and time of a file.
pub(super) fn stat(file: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = file.metadata().ok()?;
    Some(format!("{}:{}:{}:{}.{:09}", meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// May an answer be remembered at all. pyenv's and asdf's shims choose a version by the folder they are called in.
fn rememberable(tool: Tool, known: &Known, env: &BTreeMap<String, String>) -> bool {
    let shim = known.program.components().any(|part| part.as_os_str() == "shims");
    let enough = match tool {
        Tool::AnsibleCore => known.files.len() == 2,
        Tool::Docker => !env.contains_key("DOCKER_CONTEXT") && engine_files(env).first().is_some_and(|s| known.files.contains_key(s)),
        Tool::Packer | Tool::Terraform => known.files.len() == 1,
    };
    !shim && enough
}

/// `.ovenbird/tools.json`. One that cannot be read is none: it costs a second, not a wrong answer.
pub(super) struct Cache {
    file: Option<PathBuf>,
    known: BTreeMap<String, Known>,
    changed: bool,
}

impl Cache {
    pub(super) fn read(dot: Option<&Path>) -> Self {
        let file = dot.map(|dot| dot.join("tools.json"));
        let known = file.as_ref().and_then(|f| serde_json::from_slice(&std::fs::read(f).ok()?).ok()).unwrap_or_default();
        Self { file, known, changed: false }
    }

    pub(super) fn get(&self, tool: Tool, path: &Path, env: &BTreeMap<String, String>) -> Option<Known> {
        let known = self.known.get(tool.attribute()).filter(|known| known.program == path && rememberable(tool, known, env))?;
        known.files.iter().all(|(file, seen)| stat(file).as_ref() == Some(seen)).then(|| known.clone())
    }

    pub(super) fn put(&mut self, tool: Tool, known: &Known) {
        if self.known.get(tool.attribute()) != Some(known) {
            self.known.insert(tool.attribute().to_owned(), known.clone());
            self.changed = true;
        }
    }

    /// A folder that cannot be written is somebody else's to report.
    pub(super) fn write(&self) {
        let (Some(file), true) = (&self.file, self.changed) else { return };
        if let (Some(folder), Ok(json)) = (file.parent(), serde_json::to_vec_pretty(&self.known)) {
            drop(std::fs::create_dir_all(folder).map(|()| atomic::write(file, &json)));
        }
    }
}

/// What a docker engine's version stands on: its socket is made anew whenever the engine starts, and the client's settings say
/// which engine is meant. An engine elsewhere has no file here.
pub(super) fn engine_files(env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let socket = match env.get("DOCKER_HOST").filter(|host| !host.is_empty()) {
        None => "/var/run/docker.sock",
        Some(host) => host.strip_prefix("unix://").unwrap_or_default(),
    };
    let settings = env.get("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(Path::new(env.get("HOME")?).join(".docker")));
    std::iter::once(PathBuf::from(socket)).chain(settings.map(|folder| folder.join("config.json"))).collect()
}
