//! A dry run: the stage's own template and playbook, for real, in a container.
//!
//! Packer's docker builder starts systemd from the parent's dry-run image and provisions; a second pass in the same container must
//! change nothing; Packer commits; `verify` runs in a container that boots the committed image, as the AMI will. Only then the
//! image gets the name that its key gives it. Never calls AWS. Invariant: an image that failed at anything never has that name.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::config::pipeline::Recipe;
use crate::event::Outcome;
use crate::model::digest::DryRunKey;
use crate::model::verdict::Verdict;
use crate::process::spawn::Exit;
use crate::run::ground::Ground;
use crate::run::guard::Side;
use crate::run::step::{Current, Halt, came_to_its_end, judge, plain, task_failed};
use crate::run::watch::{Finished, Report};
use crate::tools::docker::{self, label};
use crate::tools::{ansible, packer};

/// What a dry run that read something else than its inputs loses.
pub(super) const NOT_PASSED: &str = "the dry run does not count as passed";

/// Docker image of a dry run that passed.
pub fn image_name(pipeline: &str, stage: &str, key: &DryRunKey) -> String {
    format!("ovenbird/{pipeline}/{stage}:{}", key.short())
}

impl Current<'_> {
    pub(super) async fn dry_run(&self) -> Result<Outcome, Halt> {
        let (parent, key) = match self.possible() {
            Ok(possible) => possible,
            Err(why) => return Ok(Outcome::NotPossible { why }),
        };
        let ground = self.ground(parent, key).await?;
        let mut kept = Vec::new();
        let outcome = self.dry_run_on(&ground, &mut kept).await;
        self.remove_containers([], &kept).await;
        outcome
    }

    /// Labels of a container of this step.
    pub(super) fn labels(&self, parent: &str) -> BTreeMap<String, String> {
        let node = &self.planned.node;
        let pairs = [
            (label::RUN, self.steps.run.to_string()),
            (label::PIPELINE, self.steps.pipeline.name.to_string()),
            (label::STAGE, node.stage.to_string()),
            (label::ARCHITECTURE, node.architecture.to_string()),
            (label::PARENT, parent.to_owned()),
        ];
        let mut labels: BTreeMap<String, String> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if self.keeps() {
            labels.insert(label::KEPT.to_owned(), self.kept_mark());
        }
        labels
    }

    /// The dry run. Containers that stay on purpose go into `kept`.
    pub(super) async fn dry_run_on(&self, ground: &Ground, kept: &mut Vec<String>) -> Result<Outcome, Halt> {
        let node = &self.planned.node;
        let name = image_name(self.steps.pipeline.name.as_str(), node.stage.as_str(), &ground.key);
        let (repository, _) = name.rsplit_once(':').expect("the name has a tag");
        let unproved = format!("unproved-{}-{}", self.steps.run.short(), node.architecture);

        let filling = self.filling(&ground.parent, &name);
        let vars_file = self.vars_file(&filling)?;
        let arguments = ansible::arguments(&self.stage.ansible_arguments, vars_file.as_deref());
        let mut reports = vec![Report::new(self.report("report.jsonl")?, "provision")];
        if self.stage.dry_run.idempotent {
            reports.push(Report::new(self.report("second.jsonl")?, "idempotence"));
        }
        let mut env = self.environment(&reports[0].path)?;
        self.stand_before_ansible(&mut env, reports.get(1).map(|report| report.path.as_path()))?;

        let (template, only, var_files) = match &self.stage.recipe {
            Recipe::Playbook { playbook, template } => {
                let mut labels = self.labels(&ground.parent);
                labels.remove(label::KEPT);
                labels.insert(label::KEY.to_owned(), ground.key.to_string());
                let values = BTreeMap::from([
                    ("playbook_file", json!(playbook)),
                    ("groups", json!(self.stage.groups)),
                    ("ansible_arguments", json!(arguments)),
                    ("image_name", json!(name)),
                    ("region", json!(self.steps.pipeline.region)),
                    ("docker_image", json!(ground.parent)),
                    ("docker_pull", json!(false)),
                    ("docker_run", json!(docker::run_arguments("{{.Image}}", ground.first, &self.labels(&ground.parent), None))),
                    ("docker_connection", json!(ansible::CONNECTION)),
                    ("docker_user", json!(self.container_user())),
                    ("docker_repository", json!(repository)),
                    ("docker_tag", json!(unproved)),
                    ("docker_labels", json!(labels)),
                ]);
                (template, vec![packer::own::DOCKER.to_owned()], vec![self.own_var_file(values)?])
            }
            Recipe::Template { template, dry_run_only, packer_vars, var_files, .. } => {
                let ours = self.foreign_var_file(template, packer_vars, &filling)?;
                (template, dry_run_only.clone(), var_files.iter().cloned().chain([ours]).collect())
            }
        };
        let command = self.packer_build(&env, template, &only, &var_files, self.keeps());
        let finished = self.watch.run(&command, &mut reports).await.map_err(|error| Self::not_started(&error))?;
        let named = self.named().await?;
        let image = named.docker_image.clone();
        let proved = self.prove(ground, finished, &reports, image.as_deref(), vars_file.as_deref(), kept).await;
        if matches!(self.stage.recipe, Recipe::Template { .. }) && !self.keeps() {
            self.remove_containers(named.containers.into_values(), kept).await;
        }
        let proved = match proved {
            Ok((seconds, notes)) => self.file(ground, &name, image.as_deref().unwrap_or_default(), seconds, notes, &reports).await,
            Err(halt) => Err(halt),
        };
        // The name that Packer gave goes in any case; with it the image, when it got no other.
        let temporary = format!("{repository}:{unproved}");
        if self.docker(|docker| docker.image_id(&temporary)).await.is_ok() {
            self.docker(|docker| docker.remove_image(&temporary)).await?;
        }
        proved
    }

    /// Judges the passes, then runs `verify` in a container of the image. Gives seconds of the verification, and notes.
    async fn prove(
        &self,
        ground: &Ground,
        finished: Finished,
        reports: &[Report],
        image: Option<&str>,
        vars_file: Option<&Path>,
        kept: &mut Vec<String>,
    ) -> Result<(f64, Vec<String>), Halt> {
        let own = matches!(self.stage.recipe, Recipe::Playbook { .. });
        let exit = match finished {
            Finished::Stopped => return Err(Halt::Cancelled),
            Finished::Exited(exit) => exit,
        };
        let first = &reports[0].pass;
        if exit != Exit::Code(0) {
            if self.keeps() {
                kept.extend(self.find_kept().await?);
            }
            let second = reports.get(1).map(|report| &report.pass).filter(|pass| pass.failed.is_some());
            return Err(match second {
                Some(pass) => self.failed("ansible", format!("second pass: {}", task_failed(pass)), Some(pass)),
                None if first.failed.is_some() => self.failed("ansible", task_failed(first), Some(first)),
                None => self.packer_ended(exit, None),
            });
        }
        judge(first, own).map_err(|why| self.failed("ansible", why, Some(first)))?;
        if let Some(second) = reports.get(1) {
            if !second.pass.changed.is_empty() {
                return Err(self.not_idempotent(&second.pass.changed));
            }
            came_to_its_end(&second.pass).map_err(|why| self.failed("ansible", format!("second pass: {why}"), Some(&second.pass)))?;
        }
        let image = image.ok_or_else(|| self.failed("packer", "packer ended well but its log names no Docker image".to_owned(), None))?;
        let mut notes = self.guard(reports, Side::Image, NOT_PASSED).await?.notes;
        self.check_stop()?;
        if self.stage.verify.is_none() && !self.keeps() {
            return Ok((0.0, notes));
        }
        let container = self.start_container(ground, image).await?;
        let verified = self.verify_in(&container, vars_file).await;
        if self.keeps() {
            kept.push(container);
        } else {
            // Its end is part of the step, nothing stray; what cannot be removed is found by its label afterwards and reported.
            self.docker(|docker| docker.remove_container(&container)).await.ok();
        }
        let (seconds, more) = verified?;
        notes.extend(more);
        Ok((seconds, notes))
    }

    fn not_idempotent(&self, changed: &[crate::tools::ansible_report::Place]) -> Halt {
        let mut failure = plain("ansible", format!("{} changed something in the second pass", tasks(changed.len())));
        failure.task = changed.first().map(ToString::to_string);
        failure.last_lines = changed.iter().take(15).map(ToString::to_string).collect();
        failure.log = Some(self.watch.log.display().to_string());
        failure.help = Some("a task that always changes something can be tagged `idempotence-notest`".to_owned());
        failure.into()
    }

    /// `verify` straight into a container that booted the image.
    async fn verify_in(&self, container: &str, vars_file: Option<&Path>) -> Result<(f64, Vec<String>), Halt> {
        let Some(verify) = &self.stage.verify else { return Ok((0.0, Vec::new())) };
        let mut reports = [Report::new(self.report("verify.jsonl")?, "verify")];
        let finished = self.play_in(container, verify, vars_file, &mut reports).await?;
        let pass = &reports[0].pass;
        match finished {
            Finished::Stopped => Err(Halt::Cancelled),
            Finished::Exited(Exit::Code(0)) => {
                judge(pass, true).map_err(|why| self.failed("ansible", format!("verify: {why}"), Some(pass)))?;
                let notes = self.guard(&reports, Side::Verification, NOT_PASSED).await?.notes;
                Ok((reports[0].seconds, notes))
            }
            Finished::Exited(_) if pass.failed.is_some() => {
                Err(self.failed("ansible", format!("verify: {}", task_failed(pass)), Some(pass)))
            }
            Finished::Exited(exit) => Err(self.failed("ansible", format!("verify: ansible-playbook ended with {exit}"), None)),
        }
    }

    /// Gives the image its name, and remembers the verdict. Both only while the inputs are still those that the key names.
    async fn file(
        &self,
        ground: &Ground,
        name: &str,
        image: &str,
        verify_seconds: f64,
        read: Vec<String>,
        reports: &[Report],
    ) -> Result<Outcome, Halt> {
        self.check_stop()?;
        let now = self.steps.ledger.rekey(&self.planned.node).await.map_err(|why| plain("ovenbird", why))?;
        if now.dry_run_key != Some(ground.key) {
            let mut failure = plain("ovenbird", format!("inputs changed while the dry run ran{}; nothing is remembered of it", now.told()));
            failure.help = Some("run it again".to_owned());
            return Err(failure.into());
        }
        let image = match self.stage.recipe {
            Recipe::Playbook { .. } => {
                let before = self.docker(|docker| docker.image_id(name)).await;
                self.docker(|docker| docker.tag(image, name)).await?;
                // An image of an earlier dry run of the same key has lost its only name; children that stand on it keep it.
                if let Some(before) = before.ok().filter(|before| before.trim() != image) {
                    self.docker(|docker| docker.remove_image(before.trim())).await.ok();
                }
                image.to_owned()
            }
            Recipe::Template { .. } => self.label_foreign(ground, image, name).await?,
        };
        let pass = &reports[0].pass;
        let mut notes = ground.notes.clone();
        notes.extend(read);
        if !self.stage.dry_run.skip_tags.is_empty() {
            notes.push(format!("tasks tagged {} were skipped", self.stage.dry_run.skip_tags.join(", ")));
        }
        notes.extend(pass.not_here.iter().map(|(place, condition)| format!("{place} was skipped: {condition}")));
        if pass.started == 0 {
            notes.push("no ansible-playbook of this machine ran: tasks, second pass and no-host check are not known".to_owned());
        } else if reports.get(1).is_some_and(|second| second.pass.started == 0) {
            notes.push("no second pass: the template starts another program than `ansible-playbook`".to_owned());
        }
        let mut seconds = BTreeMap::from([("converge".to_owned(), reports[0].seconds)]);
        if let Some(second) = reports.get(1) {
            seconds.insert("idempotence".to_owned(), second.seconds);
        }
        if self.stage.verify.is_some() {
            seconds.insert("verify".to_owned(), verify_seconds);
        }
        let verdict = Verdict {
            key: ground.key,
            verify_key: self.planned.verify_key,
            node: self.planned.node.clone(),
            run: self.steps.run.clone(),
            passed: true,
            image: name.to_owned(),
            image_id: image,
            tasks: pass.tasks,
            not_idempotent: Vec::new(),
            not_exercised: notes.clone(),
            seconds,
        };
        self.steps.ledger.remember(&verdict).await.map_err(|why| plain("ovenbird", format!("the dry run passed, but {why}")))?;
        let changed = u32::try_from(pass.changed.len()).unwrap_or(u32::MAX);
        let notes = notes.iter().map(|note| format!("not exercised: {note}")).collect();
        Ok(Outcome::Succeeded { artifact: name.to_owned(), tasks: pass.tasks, changed, notes })
    }

    /// A foreign template commits without our labels; a container of its image is committed once more with them.
    async fn label_foreign(&self, ground: &Ground, image: &str, name: &str) -> Result<String, Halt> {
        let mut labels = self.labels(&ground.parent);
        labels.remove(label::KEPT);
        labels.insert(label::KEY.to_owned(), ground.key.to_string());
        let container = self.docker(|docker| docker.create(image, &self.labels(&ground.parent))).await?;
        let container = container.trim();
        let done = self.docker(|docker| docker.commit(container, name, &labels, &["CMD [\"/bin/bash\"]".to_owned()])).await;
        self.docker(|docker| docker.remove_container(container)).await?;
        Ok(done?.trim().to_owned())
    }

    /// Puts a script of ours first on PATH under the name `ansible-playbook`; see [`ansible::second_pass_script`].
    fn stand_before_ansible(&self, env: &mut BTreeMap<String, String>, second: Option<&Path>) -> Result<(), Halt> {
        let path = env.get("PATH").cloned().unwrap_or_default();
        // Without Ansible there is nothing to stand before: a foreign template may do without.
        let Some(real) = crate::process::command::find("ansible-playbook", &path) else { return Ok(()) };
        let script = ansible::second_pass_script(&real, second, &self.stage.dry_run.skip_tags);
        let script = self.scratch.script("bin/ansible-playbook", &script).map_err(|error| self.unwritable(&error))?;
        let folder = script.parent().expect("it lies in bin/");
        env.insert("PATH".to_owned(), format!("{}:{path}", folder.display()));
        Ok(())
    }
}

fn tasks(count: usize) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}
