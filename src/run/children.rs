//! What a step hands to its children: environment, plugins, files of variables, Packer's command line; and what it asks of Docker.
//!
//! Everything is written below the step's private folder. Invariant: a child's environment is the stage's own, which the key was made
//! with, and what is named here; values of secrets travel in files that only the user may read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::event::StepKind;
use crate::model::value::Value;
use crate::process::command::CommandLine;
use crate::process::{spawn, tail};
use crate::run::fill::{self, Filling};
use crate::run::reconcile::{self, DOCKER_TIME, OUTPUT_LIMIT};
use crate::run::step::{Current, Halt, plain};
use crate::tools::ansible::{self, Configured};
use crate::tools::docker::{self, Cgroup, Docker, parse_info};
use crate::tools::packer;

impl Current<'_> {
    /// The environment of this stage's children, with TMPDIR, our Ansible plugins and the guard.
    pub(super) fn environment(&self, report: &Path) -> Result<BTreeMap<String, String>, Halt> {
        let plugins = self.plugins()?;
        let none = Configured::default();
        let configured = self.steps.configured.get(&self.stage.name).unwrap_or(&none);
        let mut env = self.base_environment();
        env.extend(ansible::environment(&plugins, report, configured));
        self.start_record(report)?;
        let python_path = ansible::python_path(&plugins, env.get("PYTHONPATH").map(String::as_str));
        env.insert("PYTHONPATH".to_owned(), python_path);
        env.insert("TMPDIR".to_owned(), self.scratch.tmp().display().to_string());
        // By default it lies in ANSIBLE_HOME, and so below the checkout: in a deep one ssh finds its socket's path too long.
        env.insert("ANSIBLE_SSH_CONTROL_PATH_DIR".to_owned(), self.scratch.tmp().join("cp").display().to_string());
        Ok(env)
    }

    fn base_environment(&self) -> BTreeMap<String, String> {
        let mut env = self.steps.environment.get(&self.stage.name).cloned().unwrap_or_default();
        if self.watch.step.kind == StepKind::DryRun {
            // A dry run works without an account, and so without credentials for one: nothing in it can call AWS by accident.
            env.retain(|name, _| !name.starts_with("AWS_"));
            env.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
        }
        env
    }

    fn plugins(&self) -> Result<PathBuf, Halt> {
        let folder = self.scratch.path("plugins");
        if !folder.exists() {
            for (name, text) in ansible::PLUGINS {
                self.scratch.write(&format!("plugins/{name}"), text).map_err(|error| self.unwritable(&error))?;
            }
        }
        Ok(folder)
    }

    /// Whom Ansible works as in a container: the user that it is on EC2, where the template makes one.
    pub(super) fn container_user(&self) -> &str {
        let makes_one = self.steps.declared.get(&self.stage.name).is_some_and(|declared| declared.contains("docker_user"));
        self.ssh_username().filter(|_| makes_one).unwrap_or("root")
    }

    /// Whom Packer logs in as.
    pub(super) fn ssh_username(&self) -> Option<&str> {
        self.steps.pipeline.sources.get(self.source_name()?).map(|source| source.ssh_username.as_str())
    }

    /// What the pipeline's references stand for in this step.
    pub(super) fn filling<'f>(&'f self, parent: &'f str, artifact: &'f str) -> Filling<'f> {
        Filling {
            parent_id: parent,
            parent_name: parent,
            artifact_name: artifact,
            region: &self.steps.pipeline.region,
            architecture: self.planned.node.architecture,
            secrets: self.steps.secrets,
        }
    }

    /// Removes the containers of this step, but those that are kept.
    pub(super) async fn remove_containers(&self, named: impl IntoIterator<Item = String>, keep: &[String]) {
        let env = self.base_environment();
        let docker = Docker { root: &self.steps.pipeline.root, env: &env };
        reconcile::containers(&docker, &self.watch, self.steps.run, named, keep).await;
    }

    /// Layout of control groups and architecture of the Docker host.
    pub(super) async fn engine(&self) -> Result<&(Cgroup, String), Halt> {
        if let Some(known) = self.steps.engine.0.get() {
            return Ok(known);
        }
        let said = self.docker(|docker| docker.info(docker::INFO)).await?;
        let (_, cgroup, architecture) =
            parse_info(&said).ok_or_else(|| plain("docker", format!("`docker info` said `{}`, which is not understood", said.trim())))?;
        Ok(self.steps.engine.0.get_or_init(|| (cgroup, architecture)))
    }

    /// Writes the stage's `vars` for Ansible; `None`: there are none.
    pub(super) fn vars_file(&self, filling: &Filling<'_>) -> Result<Option<PathBuf>, Halt> {
        if self.stage.vars.is_empty() {
            return Ok(None);
        }
        let values = filling.map(&self.stage.vars).map_err(|error| plain("ovenbird", format!("vars of `{}`: {error}", self.stage.name)))?;
        let text = fill::extra_vars(values);
        self.scratch.write("ansible.vars.json", &text).map(Some).map_err(|error| self.unwritable(&error))
    }

    /// Writes an empty report, so that it can be followed from the start.
    pub(super) fn report(&self, name: &str) -> Result<PathBuf, Halt> {
        self.scratch.write(name, "").map_err(|error| self.unwritable(&error))
    }

    /// Writes the var file of our own template: of `values` those that it declares.
    pub(super) fn own_var_file(&self, values: BTreeMap<&str, Json>) -> Result<PathBuf, Halt> {
        let declared = self.steps.declared.get(&self.stage.name).cloned().unwrap_or_default();
        let text = packer::var_file(values, &declared);
        self.scratch.write("packer.pkrvars.json", &text).map_err(|error| self.unwritable(&error))
    }

    /// Writes the var file of a foreign template.
    pub(super) fn foreign_var_file(
        &self,
        template: &Path,
        packer_vars: &BTreeMap<String, Value>,
        filling: &Filling<'_>,
    ) -> Result<PathBuf, Halt> {
        let values = filling.map(packer_vars).map_err(|error| plain("ovenbird", format!("packer_vars: {error}")))?;
        let text = packer::foreign_var_file(values, packer::is_json(template));
        // Packer reads `*.pkrvars.json` for HCL and any JSON for a JSON template.
        self.scratch.write("packer.pkrvars.json", &text).map_err(|error| self.unwritable(&error))
    }

    /// Packer on this template; the last of `var_files` is ours.
    pub(super) fn packer_build(
        &self,
        env: &BTreeMap<String, String>,
        template: &Path,
        only: &[String],
        var_files: &[PathBuf],
        abort_on_error: bool,
    ) -> CommandLine {
        let root = &self.steps.pipeline.root;
        packer::build(&packer::Build { program: Path::new("packer"), root, env, template, only, var_files, abort_on_error })
    }

    /// A short Docker command; its stdout.
    pub(super) async fn docker(&self, command: impl FnOnce(&Docker<'_>) -> CommandLine) -> Result<String, Halt> {
        let env = self.base_environment();
        let line = command(&Docker { root: &self.steps.pipeline.root, env: &env });
        let said = spawn::output(&line, DOCKER_TIME, OUTPUT_LIMIT).await.map_err(|error| Self::not_started(&error))?;
        if said.exit.success() {
            return Ok(said.stdout);
        }
        let mut failure = plain("docker", format!("`{line}` ended with {}", said.exit));
        failure.last_lines = said.stderr.lines().rev().take(15).map(|l| tail::cleaned(l.as_bytes())).collect();
        failure.last_lines.reverse();
        Err(failure.into())
    }
}
