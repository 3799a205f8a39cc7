//! What tools say about their versions: command lines and parsers that no other file of this room has.
//!
//! Decides nothing about whether a version will do. Invariant: a parser that does not find what it looks for gives `None`, never a
//! guess.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::constraint::{Constraint, Version};
use crate::process::command::CommandLine;

/// What `ansible-playbook --version` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsibleAbout {
    /// Version of ansible-core.
    pub core: String,
    /// Folder of the Python package; `release.py` in it changes with the version.
    pub module: PathBuf,
    /// Version of Python.
    pub python: String,
    /// Version of Jinja.
    pub jinja: String,
}

/// `ansible-playbook --version`.
pub fn ansible(program: &Path, root: &Path, env: &BTreeMap<String, String>) -> CommandLine {
    CommandLine::new(program, root).envs(env).arg("--version")
}

/// What it said.
pub fn parse_ansible(text: &str) -> Option<AnsibleAbout> {
    let value = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix('=').map(str::trim));
    let word = |name: &str| value(name).and_then(|v| v.split_whitespace().next()).map(str::to_owned);
    Some(AnsibleAbout {
        core: super::ansible::parse_version(text)?,
        module: value("ansible python module location").map(PathBuf::from)?,
        python: word("python version")?,
        jinja: word("jinja version")?,
    })
}

/// `packer plugins installed`.
pub fn packer_plugins(program: &Path, root: &Path, env: &BTreeMap<String, String>) -> CommandLine {
    CommandLine::new(program, root).envs(env).env("CHECKPOINT_DISABLE", "1").args(["plugins", "installed"])
}

/// Source and version of each plugin: a line is the path of its binary,
/// `…/github.com/hashicorp/amazon/packer-plugin-amazon_v1.3.2_x5.0_linux_amd64`.
pub fn parse_packer_plugins(text: &str) -> Vec<(String, String)> {
    let one = |line: &str| {
        let (folder, file) = line.trim().rsplit_once('/')?;
        let version = file.split_once("_v")?.1.split('_').next()?;
        let parts: Vec<&str> = folder.rsplit('/').take(3).collect();
        let [name, organisation, host] = parts[..] else { return None };
        Some((format!("{host}/{organisation}/{name}"), version.to_owned()))
    };
    text.lines().filter_map(one).collect()
}

/// The one of the installed plugins (source and version) that Packer takes for a line of `required_plugins`: the newest that fits.
/// Without a constraint every version does; with one that cannot be read none, which Packer refuses, too.
pub fn selected<'i>(installed: &'i [(String, String)], source: &str, constraint: &str) -> Option<&'i str> {
    let constraint = if constraint.trim().is_empty() { None } else { Some(constraint.parse::<Constraint>().ok()?) };
    let of = installed.iter().filter(|(other, _)| other == source).filter_map(|(_, text)| Some((text.parse::<Version>().ok()?, text)));
    let fits = of.filter(|(version, _)| constraint.as_ref().is_none_or(|constraint| constraint.allows(version)));
    let newest = fits.reduce(|a, b| if b.0.partial_cmp(&a.0) == Some(std::cmp::Ordering::Greater) { b } else { a });
    newest.map(|(_, text)| text.as_str())
}

/// `terraform version -json`; `OpenTofu` has the same.
pub fn terraform(program: &Path, root: &Path, env: &BTreeMap<String, String>) -> CommandLine {
    CommandLine::new(program, root).envs(env).env("CHECKPOINT_DISABLE", "1").args(["version", "-json"])
}

/// What it said.
pub fn parse_terraform(text: &str) -> Option<String> {
    // A warning about its settings may stand before the JSON.
    let json: serde_json::Value = serde_json::from_str(&text[text.find('{')?..]).ok()?;
    Some(json.get("terraform_version")?.as_str()?.to_owned())
}

/// `git --version`.
pub fn git(program: &Path, root: &Path, env: &BTreeMap<String, String>) -> CommandLine {
    CommandLine::new(program, root).envs(env).arg("--version")
}

/// `git version 2.39.5` → `2.39.5`.
pub fn parse_git(text: &str) -> Option<String> {
    Some(text.strip_prefix("git version ")?.split_whitespace().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ansible_says_core_python_jinja_and_where_it_lies() {
        let said = "ansible-playbook [core 2.19.4]\n  config file = None\n  ansible python module location = /v/lib/python3.11/site-packages/ansible\n  \
                    executable location = /v/bin/ansible-playbook\n  python version = 3.11.7 (main, May  9 2026) [GCC] (/v/bin/python)\n  jinja version = 3.1.6\n";
        let about = parse_ansible(said).unwrap();
        assert_eq!((about.core.as_str(), about.python.as_str(), about.jinja.as_str()), ("2.19.4", "3.11.7", "3.1.6"));
        assert_eq!(about.module, Path::new("/v/lib/python3.11/site-packages/ansible"));
        assert_eq!(parse_ansible("ansible-playbook 2.9.6\n"), None);
    }

    #[test]
    fn plugins_are_told_by_where_their_binaries_lie() {
        let said = "/p/github.com/hashicorp/amazon/packer-plugin-amazon_v1.3.2_x5.0_linux_amd64\nno plugin\n";
        assert_eq!(parse_packer_plugins(said), [("github.com/hashicorp/amazon".to_owned(), "1.3.2".to_owned())]);
    }

    #[test]
    fn packer_takes_the_newest_plugin_that_fits() {
        let installed: Vec<(String, String)> =
            ["1.3.2", "1.10.0", "2.0.0"].map(|version| ("github.com/hashicorp/amazon".to_owned(), version.to_owned())).into();
        assert_eq!(selected(&installed, "github.com/hashicorp/amazon", "~> 1.3"), Some("1.10.0"));
        assert_eq!(selected(&installed, "github.com/hashicorp/amazon", ""), Some("2.0.0"));
        assert_eq!(selected(&installed, "github.com/hashicorp/amazon", ">= 3"), None);
        assert_eq!(selected(&installed, "github.com/hashicorp/amazon", "newest"), None);
        assert_eq!(selected(&installed, "github.com/hashicorp/docker", ""), None);
    }

    #[test]
    fn the_others_say_a_version_somewhere() {
        assert_eq!(parse_terraform("warning\n{\"terraform_version\": \"1.11.4\"}").as_deref(), Some("1.11.4"));
        assert_eq!(parse_terraform("Terraform v0.11"), None);
        assert_eq!(parse_git("git version 2.39.5 (Apple Git-1)\n").as_deref(), Some("2.39.5"));
    }
}
