//! Are the tools there, and inside the constraints of the `tools` block: asked before the first step starts.
//!
//! Does not install anything. What a tool said is remembered in `.ovenbird/tools.json` under the stat of the files that its version
//! is in, so a second run starts no child for it. Invariant: a remembered version is used only while every one of those files is
//! the same; a tool outside its constraint is an error before anything is touched.

mod remembered;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::config::pipeline::Tool;
use crate::model::constraint::{Constraint, Version};
use crate::process::command::{self, CommandLine};
use crate::process::spawn;
use crate::tools::docker::{self, Docker};
use crate::tools::{packer, versions};
use remembered::{Cache, engine_files, stat};

/// A cold start of Python on a busy machine takes seconds.
const TIME: Duration = Duration::from_mins(1);

/// Something wrong with a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// One lowercase line.
    pub said: String,
    /// What mends it.
    pub mend: String,
}

/// Tools that will not do, all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|w| w.said.as_str()).collect::<Vec<_>>().join("; "))]
pub struct ToolsWrong(pub Vec<Wrong>);

/// What a tool is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The program that was found.
    pub program: PathBuf,
    /// Its version.
    pub version: String,
    /// What else it said: `python`, `jinja`, `cgroup` ….
    pub about: BTreeMap<String, String>,
    /// Files that the answer stands on, with their stat.
    files: BTreeMap<PathBuf, String>,
}

/// Where and in what tools are run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Working folder.
    pub root: &'a Path,
    /// The whole environment of children.
    pub env: &'a BTreeMap<String, String>,
    /// `.ovenbird`, where answers are remembered; `None`: ask anew, remember nothing.
    pub dot: Option<&'a Path>,
}

/// The program of a tool.
pub fn program(tool: Tool) -> &'static str {
    match tool {
        Tool::Packer => "packer",
        Tool::AnsibleCore => "ansible-playbook",
        Tool::Docker => "docker",
        Tool::Terraform => "terraform",
    }
}

/// Checks `needed` against `constraints`. A tool without constraint has only to be there.
///
/// # Errors
/// All that are not there, do not answer, or are outside their constraint.
pub async fn check(needed: &[Tool], constraints: &BTreeMap<Tool, String>, place: Place<'_>) -> Result<BTreeMap<Tool, Known>, ToolsWrong> {
    let mut cache = Cache::read(place.dot);
    let look = |tool: Tool| {
        let (cache, constrained) = (&cache, constraints.contains_key(&tool));
        async move {
            let path = which(program(tool), place.env).ok_or_else(|| format!("`{}` is not on PATH", program(tool)))?;
            // The engine is asked anyway by whoever starts a container.
            if tool == Tool::Docker && !constrained {
                return Ok(None);
            }
            match cache.get(tool, &path, place.env) {
                Some(known) => Ok(Some(known)),
                None => ask(tool, &path, place).await.map(Some),
            }
        }
    };
    // At once: Python alone takes a second to say its version.
    let looked = join_all(needed.iter().map(|tool| look(*tool))).await;
    let (mut found, mut wrong) = (BTreeMap::new(), Vec::new());
    for (tool, known) in needed.iter().zip(looked) {
        let constraint = constraints.get(tool).map(String::as_str);
        match known {
            Ok(None) => {}
            Ok(Some(known)) => {
                if let Some(constraint) = constraint {
                    wrong.extend(outside(*tool, &known, constraint));
                }
                cache.put(*tool, &known);
                found.insert(*tool, known);
            }
            Err(said) => wrong.push(Wrong { said, mend: install(*tool, constraint) }),
        }
    }
    cache.write();
    if wrong.is_empty() { Ok(found) } else { Err(ToolsWrong(wrong)) }
}

/// Is it outside its constraint.
pub fn outside(tool: Tool, known: &Known, constraint: &str) -> Option<Wrong> {
    let fits = match (constraint.parse::<Constraint>(), known.version.parse::<Version>()) {
        (Ok(constraint), Ok(version)) => constraint.allows(&version),
        (Err(_), _) | (_, Err(_)) => false,
    };
    (!fits).then(|| Wrong {
        said: format!("{} is {} (`{}`), the `tools` block wants `{constraint}`", tool.attribute(), known.version, known.program.display()),
        mend: install(tool, Some(constraint)),
    })
}

/// How a tool comes to be there.
pub fn install(tool: Tool, constraint: Option<&str>) -> String {
    let wanted = constraint.map_or_else(String::new, |c| format!(" {c}"));
    let change = constraint.map_or("", |_| "; another constraint in `tools` is another key, so every stage would be rebuilt");
    match tool {
        Tool::Packer => format!("put Packer{wanted} first on PATH: https://developer.hashicorp.com/packer/install{change}"),
        Tool::AnsibleCore => {
            let pip = constraint.map_or_else(String::new, pip);
            format!("`pip install 'ansible-core{pip}'` into the environment that is first on PATH{change}")
        }
        Tool::Docker => format!("install Docker Engine{wanted} and start it (`systemctl start docker`){change}"),
        Tool::Terraform => format!("put Terraform{wanted} first on PATH: https://developer.hashicorp.com/terraform/install"),
    }
}

/// A constraint as pip writes it: `~> 2.19.0` is `~=2.19.0`.
fn pip(constraint: &str) -> String {
    let one = |part: &str| {
        let part = part.trim();
        match part.strip_prefix("~>") {
            Some(version) => format!("~={}", version.trim()),
            None if part.starts_with(|c: char| c.is_ascii_digit()) => format!("=={part}"),
            None if part.starts_with('=') && !part.starts_with("==") => format!("={}", part.replace(' ', "")),
            None => part.replace(' ', ""),
        }
    };
    constraint.split(',').map(one).collect::<Vec<_>>().join(",")
}

/// Looks a program up in the PATH that children get.
pub fn which(program: &str, env: &BTreeMap<String, String>) -> Option<PathBuf> {
    command::find(program, env.get("PATH")?)
}

/// Asks a tool.
///
/// # Errors
/// One lowercase line.
pub async fn ask(tool: Tool, path: &Path, place: Place<'_>) -> Result<Known, String> {
    let docker = Docker { root: place.root, env: place.env };
    let command = match tool {
        Tool::Packer => packer::version(path, place.root, place.env),
        Tool::AnsibleCore => versions::ansible(path, place.root, place.env),
        Tool::Docker => docker.info(docker::INFO),
        Tool::Terraform => versions::terraform(path, place.root, place.env),
    };
    let said = said(&command).await?;
    let unclear = || format!("`{command}` does not say its version");
    let mut files = vec![path.to_owned()];
    let mut about = BTreeMap::new();
    let version = match tool {
        Tool::Packer => packer::parse_version(&said).ok_or_else(unclear)?,
        Tool::Terraform => versions::parse_terraform(&said).ok_or_else(unclear)?,
        Tool::AnsibleCore => {
            let found = versions::parse_ansible(&said).ok_or_else(unclear)?;
            // An upgrade replaces the package and leaves the little start script as it was.
            files.push(found.module.join("release.py"));
            about.extend([("python".to_owned(), found.python), ("jinja".to_owned(), found.jinja)]);
            found.core
        }
        Tool::Docker => {
            let (version, cgroup, architecture) = docker::parse_info(&said).ok_or_else(unclear)?;
            files.extend(engine_files(place.env));
            let cgroup = if cgroup == docker::Cgroup::V2 { "2" } else { "1" };
            about.extend([("cgroup".to_owned(), cgroup.to_owned()), ("architecture".to_owned(), architecture)]);
            version
        }
    };
    let files = files.into_iter().filter_map(|file| stat(&file).map(|stat| (file, stat))).collect();
    Ok(Known { program: path.to_owned(), version, about, files })
}

/// Runs a short command: what it wrote to stdout.
///
/// # Errors
/// One lowercase line.
pub async fn said(command: &CommandLine) -> Result<String, String> {
    let output = spawn::output(command, TIME, 1 << 20).await.map_err(|error| error.in_full())?;
    if output.exit.success() {
        return Ok(output.stdout);
    }
    let text = format!("{}\n{}", output.stdout, output.stderr);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    Err(format!("`{command}` failed with {}: {last}", output.exit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::atomic;

    struct Machine {
        folder: tempfile::TempDir,
        env: BTreeMap<String, String>,
    }

    impl Machine {
        /// A `packer` that says a version and counts its calls.
        fn new(version: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("bin")).unwrap();
            let path = format!("{}:/usr/bin:/bin", folder.path().join("bin").display());
            let machine = Self { folder, env: BTreeMap::from([("PATH".to_owned(), path)]) };
            machine.packer(version);
            machine
        }

        fn packer(&self, version: &str) {
            let calls = self.folder.path().join("calls").display().to_string();
            let file = self.folder.path().join("bin/packer");
            drop(std::fs::remove_file(&file));
            atomic::write_with_mode(&file, 0o755, format!("#!/bin/sh\necho x >> {calls}\necho 'Packer v{version}'\n").as_bytes()).unwrap();
        }

        fn calls(&self) -> usize {
            std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default().lines().count()
        }

        async fn check(&self, constraint: &str) -> Result<BTreeMap<Tool, Known>, ToolsWrong> {
            let constraints = BTreeMap::from([(Tool::Packer, constraint.to_owned())]);
            let dot = self.folder.path().join(".ovenbird");
            check(&[Tool::Packer], &constraints, Place { root: self.folder.path(), env: &self.env, dot: Some(&dot) }).await
        }
    }

    #[tokio::test]
    async fn a_second_check_starts_no_child_until_the_binary_changes() {
        let machine = Machine::new("1.15.0");
        for _ in 0..3 {
            assert_eq!(machine.check("~> 1.15").await.unwrap()[&Tool::Packer].version, "1.15.0");
        }
        assert_eq!(machine.calls(), 1);
        machine.packer("1.14.2");
        let wrong = machine.check("~> 1.15").await.unwrap_err();
        assert_eq!(machine.calls(), 2);
        let program = machine.folder.path().join("bin/packer").display().to_string();
        assert_eq!(wrong.to_string(), format!("packer is 1.14.2 (`{program}`), the `tools` block wants `~> 1.15`"));
        assert!(wrong.0[0].mend.contains("put Packer ~> 1.15 first on PATH"), "{}", wrong.0[0].mend);
        // Outside of one constraint and inside of another: the answer was remembered all the same.
        assert!(machine.check(">= 1.14").await.is_ok());
        assert_eq!(machine.calls(), 2);
    }

    #[tokio::test]
    async fn every_tool_that_is_not_there_is_named_at_once() {
        let env = BTreeMap::from([("PATH".to_owned(), "/nonexistent".to_owned())]);
        let place = Place { root: Path::new("/"), env: &env, dot: None };
        let wrong = check(&[Tool::Packer, Tool::AnsibleCore], &BTreeMap::new(), place).await.unwrap_err();
        assert_eq!(wrong.to_string(), "`packer` is not on PATH; `ansible-playbook` is not on PATH");
    }

    #[tokio::test]
    async fn a_tool_that_fails_is_quoted() {
        let machine = Machine::new("1.15.0");
        let file = machine.folder.path().join("bin/packer");
        atomic::write(&file, b"#!/bin/sh\necho 'no such plugin' >&2\nexit 3\n").unwrap();
        let wrong = machine.check("~> 1.15").await.unwrap_err();
        assert!(wrong.to_string().ends_with("version` failed with exit status 3: no such plugin"), "{wrong}");
    }

    #[test]
    fn pip_is_told_the_same_constraint() {
        assert_eq!(pip("~> 2.19.0"), "~=2.19.0");
        assert_eq!(pip(">= 2.19, < 3"), ">=2.19,<3");
        assert_eq!(pip("2.19.4"), "==2.19.4");
        assert_eq!(pip("= 2.19.4"), "==2.19.4");
    }
}
