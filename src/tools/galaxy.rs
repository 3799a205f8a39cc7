//! ansible-galaxy, and git as far as a requirement names a repository: command lines, and what they left behind.
//!
//! Decides nothing about versions. Invariant: an installation looks at nothing that was installed before it (`--force-with-deps`,
//! own folders on both paths), so the same requirements give the same files on every machine.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use crate::process::command::CommandLine;

/// Folder of roles in an installation.
pub const ROLES: &str = "roles";
/// Folder of an installation that holds `ansible_collections`.
pub const COLLECTIONS: &str = "collections";

/// What a child of this room runs in.
#[derive(Debug, Clone, Copy)]
pub struct Galaxy<'a> {
    /// Working folder: the root, so that relative sources are found.
    pub root: &'a Path,
    /// The whole environment.
    pub env: &'a BTreeMap<String, String>,
}

impl Galaxy<'_> {
    fn line(&self, program: &str) -> CommandLine {
        let mut line = CommandLine::new(program, self.root).envs(self.env).env("GIT_TERMINAL_PROMPT", "0");
        // Without a terminal a question of ssh is answered by nobody; it would wait for ever.
        if !self.env.contains_key("GIT_SSH_COMMAND") && !self.env.contains_key("GIT_SSH") {
            line = line.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
        }
        line
    }

    fn install(&self, kind: &str, file_option: &str, file: &Path, path_option: &str, into: &Path) -> CommandLine {
        self.line("ansible-galaxy")
            .env("ANSIBLE_ROLES_PATH", into.join(ROLES))
            .env("ANSIBLE_COLLECTIONS_PATH", into.join(COLLECTIONS))
            .env("ANSIBLE_NOCOLOR", "1")
            .args([kind, "install", "--force-with-deps", file_option])
            .arg(file)
            .arg(path_option)
            .arg(into.join(if kind == "role" { ROLES } else { COLLECTIONS }))
    }

    /// Installs the roles of a requirement file into `into/roles`.
    pub fn roles(&self, file: &Path, into: &Path) -> CommandLine {
        self.install("role", "--role-file", file, "--roles-path", into)
    }

    /// Installs the collections of a requirement file into `into/collections`.
    pub fn collections(&self, file: &Path, into: &Path) -> CommandLine {
        self.install("collection", "--requirements-file", file, "--collections-path", into)
    }

    /// Asks a repository which commit a branch or tag is.
    pub fn commit_of(&self, url: &str, reference: &str) -> CommandLine {
        let peeled = format!("{reference}^{{}}");
        self.line("git").args(["ls-remote", "--exit-code", "--", url, reference, &peeled])
    }
}

/// The commit in what [`Galaxy::commit_of`] said: what an annotated tag points to, before the tag itself; a branch before a tag, as
/// `git checkout` takes it.
pub fn parse_commit(text: &str, reference: &str) -> Option<String> {
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let named = |name: &str| lines.iter().find(|(_, found)| *found == name).map(|(commit, _)| *commit);
    let found = named(&format!("refs/heads/{reference}"))
        .or_else(|| named(&format!("refs/tags/{reference}^{{}}")))
        .or_else(|| named(&format!("refs/tags/{reference}")))
        .or_else(|| named(reference))
        .or_else(|| lines.first().map(|(commit, _)| *commit))?;
    is_commit(found).then(|| found.to_owned())
}

/// Is this a whole commit id.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The version in a role's `meta/.galaxy_install_info`; empty: none was asked for, or the source has none.
pub fn parse_role_info(text: &str) -> String {
    let version = text.lines().find_map(|line| line.strip_prefix("version:")).unwrap_or_default();
    version.trim().trim_matches(['\'', '"']).to_owned()
}

/// Full name and version in a collection's `MANIFEST.json`.
pub fn parse_manifest(text: &str) -> Option<(String, String)> {
    let manifest: Json = serde_json::from_str(text).ok()?;
    let info = manifest.get("collection_info")?;
    let word = |name: &str| info.get(name).and_then(Json::as_str);
    Some((format!("{}.{}", word("namespace")?, word("name")?), word("version")?.to_owned()))
}

/// `FILES.json` and `MANIFEST.json` as they would be if ansible-galaxy listed files in an order. For a collection from a repository
/// or a folder it writes them itself, in the file system's order, which differs from machine to machine.
pub fn in_order(files: &str, manifest: &str) -> Option<(String, String)> {
    let mut listed: Json = serde_json::from_str(files).ok()?;
    let entries = listed.get_mut("files")?.as_array_mut()?;
    entries.sort_by(|a, b| a.get("name").and_then(Json::as_str).cmp(&b.get("name").and_then(Json::as_str)));
    let files = serde_json::to_string_pretty(&listed).ok()?;
    let mut manifest: Json = serde_json::from_str(manifest).ok()?;
    let digest = crate::model::digest::Digest::of(files.as_bytes()).hex();
    *manifest.get_mut("file_manifest_file")?.get_mut("chksum_sha256")? = Json::String(digest);
    Some((files, serde_json::to_string_pretty(&manifest).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_or_what_a_tag_points_to_is_the_commit() {
        let (a, b, c) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let annotated = format!("{a}\trefs/tags/v1\n{b}\trefs/tags/v1^{{}}\n");
        assert_eq!(parse_commit(&annotated, "v1"), Some(b.clone()));
        let both = format!("{c}\trefs/heads/v1\n{annotated}");
        assert_eq!(parse_commit(&both, "v1"), Some(c));
        assert_eq!(parse_commit(&format!("{a}\tHEAD\n"), "HEAD"), Some(a));
        assert_eq!(parse_commit("", "v1"), None);
    }

    #[test]
    fn versions_of_what_is_installed_are_read() {
        assert_eq!(parse_role_info("install_date: 'Sun'\nversion: 3.1.0\n"), "3.1.0");
        assert_eq!(parse_role_info("install_date: x\nversion: ''\n"), "");
        let manifest = r#"{"collection_info": {"namespace": "acme", "name": "tools", "version": "1.2.3"}}"#;
        assert_eq!(parse_manifest(manifest), Some(("acme.tools".to_owned(), "1.2.3".to_owned())));
        assert_eq!(parse_manifest("{}"), None);
    }

    #[test]
    fn the_order_of_the_file_system_does_not_show_in_a_manifest() {
        let manifest = r#"{"file_manifest_file": {"chksum_sha256": "x"}, "format": 1}"#;
        let one = in_order(r#"{"files": [{"name": "b"}, {"name": "a"}]}"#, manifest).unwrap();
        let two = in_order(r#"{"files": [{"name": "a"}, {"name": "b"}]}"#, manifest).unwrap();
        assert_eq!(one, two);
        assert!(one.1.contains(&crate::model::digest::Digest::of(one.0.as_bytes()).hex()));
    }

    #[test]
    fn an_installation_looks_at_its_own_folders_only() {
        let env = BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]);
        let galaxy = Galaxy { root: Path::new("/r"), env: &env };
        let line = galaxy.roles(Path::new("/t/req.json"), Path::new("/t/in"));
        assert_eq!(line.to_string(), "ansible-galaxy role install --force-with-deps --role-file /t/req.json --roles-path /t/in/roles");
        assert_eq!(line.env.get(std::ffi::OsStr::new("ANSIBLE_COLLECTIONS_PATH")).unwrap(), "/t/in/collections");
    }
}
