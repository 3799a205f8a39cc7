//! `dry-run --keep`: a container that stays, and playbooks straight into it.
//!
//! A quick look for a developer: nothing is recorded as passed by it. Invariant: a kept container belongs to one checkout, one node
//! and one parent image; of another parent it is thrown away, because it would answer for something that is no more.

use std::path::Path;

use crate::config::pipeline::Recipe;
use crate::event::{Outcome, StepKind};
use crate::model::digest::{Digest, DryRunKey};
use crate::model::node::NodeId;
use crate::plan::plan::{DryRunAction, PlannedParent};
use crate::process::spawn::Exit;
use crate::run::dry_run::{NOT_PASSED, image_name};
use crate::run::ground::Ground;
use crate::run::guard::Side;
use crate::run::step::{Current, Halt, judge, task_failed};
use crate::run::watch::{Finished, Report};
use crate::tools::ansible;
use crate::tools::docker::{self, FirstProcess, label};

/// Value of the label of the container that is kept for a node of the pipeline in `dir`.
pub fn mark(dir: &Path, node: &NodeId) -> String {
    let checkout = Digest::of(dir.as_os_str().as_encoded_bytes()).short();
    format!("{checkout}/{}/{}", node.stage, node.architecture)
}

impl Current<'_> {
    pub(super) fn kept_mark(&self) -> String {
        mark(&self.steps.pipeline.dir, &self.planned.node)
    }

    /// Containers kept for this node, of any parent, newest first.
    pub(super) async fn find_kept(&self) -> Result<Vec<String>, Halt> {
        let mark = self.kept_mark();
        let listed = self.docker(|docker| docker.containers(&[(label::KEPT, &mark)], false)).await?;
        Ok(listed.split_whitespace().map(str::to_owned).collect())
    }

    pub(super) async fn kept_dry_run(&self) -> Result<Outcome, Halt> {
        let (parent, key) = match self.possible() {
            Ok(possible) => possible,
            Err(why) => return Ok(Outcome::NotPossible { why }),
        };
        // The desk loop is counted in seconds: with a container there, nothing but one look for it stands before Ansible.
        if let Recipe::Playbook { playbook, .. } = &self.stage.recipe
            && !self.needed_by_another()
        {
            let mark = self.kept_mark();
            let labels = [(label::KEPT, mark.as_str()), (label::PARENT, parent.as_str())];
            let listed = self.docker(|docker| docker.containers(&labels, true)).await?;
            if let Some(container) = listed.split_whitespace().next() {
                return self.converge(&parent, key, container, playbook).await;
            }
        }
        let old = self.find_kept().await?;
        self.full(&self.ground(parent, key).await?, old).await
    }

    /// A dry run as always, after which a container of its image stays.
    async fn full(&self, ground: &Ground, old: Vec<String>) -> Result<Outcome, Halt> {
        for container in old {
            self.docker(|docker| docker.remove_container(&container)).await?;
        }
        let mut kept = Vec::new();
        let outcome = self.dry_run_on(ground, &mut kept).await;
        let kept = if outcome.is_ok() || !kept.is_empty() { kept } else { Vec::new() };
        self.remove_containers([], &kept).await;
        let hint = kept.first().map(|container| container.get(..12).unwrap_or(container).to_owned());
        match (outcome, hint) {
            (Ok(Outcome::Succeeded { artifact, tasks, changed, mut notes }), Some(container)) => {
                notes.push(format!("container {container} is kept"));
                Ok(Outcome::Succeeded { artifact, tasks, changed, notes })
            }
            (Err(Halt::Failed(mut failure)), Some(container)) => {
                failure.help = Some(format!(
                    "container {container} is kept: `ovenbird dry-run --shell {}` looks into it, `--keep` tries again in it",
                    self.planned.node.stage
                ));
                Err(Halt::Failed(failure))
            }
            (outcome, _) => outcome,
        }
    }

    async fn converge(&self, parent: &str, key: DryRunKey, container: &str, playbook: &Path) -> Result<Outcome, Halt> {
        let name = image_name(self.steps.pipeline.name.as_str(), self.planned.node.stage.as_str(), &key);
        let vars_file = self.vars_file(&self.filling(parent, &name))?;
        let mut reports = [Report::new(self.report("report.jsonl")?, "provision")];
        let finished = self.play_in(container, playbook, vars_file.as_deref(), &mut reports).await?;
        let pass = &reports[0].pass;
        match finished {
            Finished::Stopped => Err(Halt::Cancelled),
            Finished::Exited(Exit::Code(0)) => {
                judge(pass, true).map_err(|why| self.failed("ansible", why, Some(pass)))?;
                let read = self.guard(&reports, Side::Image, NOT_PASSED).await?.notes;
                let short = container.get(..12).unwrap_or(container);
                let changed = u32::try_from(pass.changed.len()).unwrap_or(u32::MAX);
                let mut notes = vec![format!("converged in kept container {short}; a quick look, not recorded as passed")];
                notes.extend(read);
                Ok(Outcome::Succeeded { artifact: format!("container {short}"), tasks: pass.tasks, changed, notes })
            }
            Finished::Exited(exit) => Err(match pass.failed {
                Some(_) => self.failed("ansible", task_failed(pass), Some(pass)),
                None => self.failed("ansible", format!("ansible-playbook ended with {exit}"), None),
            }),
        }
    }

    /// Is there a dry run in this plan that starts from this node's image?
    fn needed_by_another(&self) -> bool {
        debug_assert_eq!(self.watch.step.kind, StepKind::DryRun);
        let me = &self.planned.node;
        self.steps
            .plan
            .nodes
            .iter()
            .any(|other| other.dry_run == DryRunAction::Run && matches!(&other.parent, PlannedParent::Node { node } if node == me))
    }

    /// Starts a container of an image and waits until it has come up.
    pub(super) async fn start_container(&self, ground: &Ground, image: &str) -> Result<String, Halt> {
        let arguments = docker::run_arguments(image, ground.first, &self.labels(&ground.parent), None);
        let container = self.docker(|docker| docker.run(&arguments)).await?.trim().to_owned();
        if let FirstProcess::Systemd(_) = ground.first {
            self.docker(|docker| docker.exec(&container, docker::WAIT_FOR_SYSTEMD)).await?;
        }
        Ok(container)
    }

    /// A playbook straight into a container.
    pub(super) async fn play_in(
        &self,
        container: &str,
        playbook: &Path,
        vars_file: Option<&Path>,
        reports: &mut [Report],
    ) -> Result<Finished, Halt> {
        let inventory = ansible::inventory(container, self.container_user(), &self.stage.groups);
        let inventory = self.scratch.write("inventory", &inventory).map_err(|error| self.unwritable(&error))?;
        let env = self.environment(&reports[0].path)?;
        let arguments = ansible::arguments(&self.stage.ansible_arguments, vars_file);
        let root = &self.steps.pipeline.root;
        let program = Path::new("ansible-playbook");
        let command = ansible::playbook(program, root, &env, &inventory, &arguments, &self.stage.dry_run.skip_tags, playbook);
        self.watch.run(&command, reports).await.map_err(|error| Self::not_started(&error))
    }
}
