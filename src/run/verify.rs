//! The verification of a finished image: an instance is booted from it, the stage's checks run on it, the image is marked.
//!
//! Packer starts and ends the instance, by a template that ovenbird brings along: key pair, security group, signals, tags and the
//! look at the account afterwards are those of a build. Invariants: the mark of a pass is written only when the checks ran to their
//! end, watched, and are still those that its key names; nothing but the image is there afterwards.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::event::{Event, Failure, Outcome};
use crate::inputs::declared::declared_variables;
use crate::model::artifact::{Image, ImageState, tags};
use crate::model::digest::Digest;
use crate::model::verification::{Mark, Verification};
use crate::plan::keyed::checks;
use crate::plan::verification::VerifyAction;
use crate::ports::Catalog;
use crate::process::spawn::Exit;
use crate::run::fill::Filling;
use crate::run::guard::Side;
use crate::run::reconcile;
use crate::run::step::{Current, Halt, judge, plain, task_failed};
use crate::run::watch::{Finished, Report};
use crate::tools::packer_log::Named;
use crate::tools::{ansible, packer};

/// What ovenbird brings along.
const TEMPLATE: &str = include_str!("assets/verification/verification.pkr.hcl");

/// What a check that read something else than its inputs loses.
const NOT_VERIFIED: &str = "the image does not count as verified";

/// How a verification ended that was not passed.
enum Ended {
    /// The image was looked at, and is not as it should be.
    Verdict(Failure),
    /// Nothing was learnt about the image.
    Nothing(Halt),
}

impl From<Halt> for Ended {
    fn from(halt: Halt) -> Self {
        Self::Nothing(halt)
    }
}

impl Current<'_> {
    pub(super) async fn verify(&self) -> Result<Outcome, Halt> {
        let catalog = self.catalog()?;
        let (VerifyAction::Run { key, .. }, Some(playbook)) = (&self.planned.verification, &self.stage.verify) else {
            return Err(plain("ovenbird", "the plan holds no verification".to_owned()).into());
        };
        let id = self.ready.image.as_deref().ok_or_else(|| plain("ovenbird", "there is no image to verify".to_owned()))?;
        self.check_stop()?;
        self.watch.phase("launch");
        let image = catalog.image(id).await?.filter(|image| image.state == ImageState::Available);
        let image = image.ok_or_else(|| plain("ec2", format!("{id} is not there any more, or not available")))?;
        if Mark::of(&image) == Some(Mark::Passed(*key)) {
            let notes = vec!["verified by another run meanwhile".to_owned()];
            return Ok(Outcome::Succeeded { artifact: image.id, tasks: 0, changed: 0, notes });
        }
        let mut reports = [Report::new(self.report("verify.jsonl")?, "verify")];
        let finished = self.check_instance(&image, playbook, &mut reports).await;
        let named = self.named().await.unwrap_or_default();
        let judged = match finished {
            Ok(finished) => self.judge_checks(finished, &named, &reports, &image, *key).await,
            Err(halt) => Err(halt.into()),
        };
        // The instance ends with Packer, whatever it said. The image carries the run's tags where this run made it, and stays.
        reconcile::account(catalog, &self.watch, self.steps.run, &named.ids, Some(&image.id)).await;
        match judged {
            Ok(notes) => {
                self.mark(catalog, &image, &Mark::Passed(*key)).await?;
                self.keep_in_mind(&self.verification(&image, *key, &reports[0], None)).await;
                let pass = &reports[0].pass;
                let changed = u32::try_from(pass.changed.len()).unwrap_or(u32::MAX);
                Ok(Outcome::Succeeded { artifact: image.id, tasks: pass.tasks, changed, notes })
            }
            Err(Ended::Verdict(failure)) => {
                self.keep_in_mind(&self.verification(&image, *key, &reports[0], Some(&failure))).await;
                let mark = Mark::Failed { key: *key, run: self.steps.run.to_string() };
                if let Err(error) = catalog.tag(&image, &BTreeMap::from([(tags::VERIFIED.to_owned(), mark.to_string())])).await {
                    let message = format!("{}: {} does not carry the mark that it failed: {error}", self.watch.step, image.id);
                    self.watch.say(Event::Warned { message });
                }
                Err(Halt::Failed(Box::new(self.kept_out(&image, failure))))
            }
            Err(Ended::Nothing(halt)) => Err(halt),
        }
    }

    /// What is true now stands first.
    fn kept_out(&self, image: &Image, mut failure: Failure) -> Failure {
        failure.message = format!("{} did not pass its verification and stays out of every emit and swap: {}", image.id, failure.message);
        let stage = &self.stage.name;
        failure.help.get_or_insert_with(|| {
            format!("`ovenbird build {stage}` repeats the check alone; `ovenbird dry-run {stage}` tries a changed one without an account")
        });
        failure
    }

    async fn check_instance(&self, image: &Image, playbook: &Path, reports: &mut [Report]) -> Result<Finished, Halt> {
        // The variables of the build: an image knows what it was made from, though that may be gone.
        let parent = image.tag(tags::PARENT).unwrap_or_default().to_owned();
        let parent_name = self.parent_name(&parent).await?;
        let filling = Filling { parent_name: &parent_name, ..self.filling(&parent, &image.name) };
        let env = self.environment(&reports[0].path)?;
        let vars_file = self.vars_file(&filling)?;
        let template = self.scratch.write("verification/verification.pkr.hcl", TEMPLATE).map_err(|error| self.unwritable(&error))?;
        let folder = template.parent().expect("it lies in verification/");
        let mut values = BTreeMap::from([
            ("playbook_file", json!(playbook)),
            ("groups", json!(self.stage.groups)),
            ("ansible_arguments", json!(ansible::arguments(&self.stage.ansible_arguments, vars_file.as_deref()))),
            ("run_tags", json!(self.run_tags())),
            ("region", json!(image.region)),
            ("source_ami", json!(image.id)),
            ("ec2_endpoint", json!(self.steps.ec2_endpoint.clone().unwrap_or_default())),
        ]);
        if let Some(user) = self.ssh_username() {
            values.insert("ssh_username", json!(user));
        }
        for (name, value) in &self.stage.builder.values {
            let value = filling.value(value).map_err(|error| plain("ovenbird", format!("`{name}`: {error}")))?;
            values.insert(name, value);
        }
        let text = packer::var_file(values, &declared_variables(folder));
        let filled = self.scratch.write("packer.pkrvars.json", &text).map_err(|error| self.unwritable(&error))?;
        let command = self.packer_build(&env, folder, &[], &[filled], false);
        self.watch.run(&command, reports).await.map_err(|error| Self::not_started(&error))
    }

    /// Notes of a pass, or what there is against one.
    async fn judge_checks(
        &self,
        finished: Finished,
        named: &Named,
        reports: &[Report],
        image: &Image,
        key: Digest,
    ) -> Result<Vec<String>, Ended> {
        let pass = &reports[0].pass;
        let verdict = |halt: Halt| match halt {
            Halt::Failed(failure) => Ended::Verdict(*failure),
            Halt::Cancelled => Ended::Nothing(Halt::Cancelled),
        };
        match finished {
            Finished::Stopped => return Err(Halt::Cancelled.into()),
            Finished::Exited(Exit::Code(0)) => {}
            Finished::Exited(_) if pass.failed.is_some() => return Err(verdict(self.failed("ansible", task_failed(pass), Some(pass)))),
            // An image that does not boot, or is not reached, is a verdict; no room for an instance is none.
            Finished::Exited(exit) if named.ids.iter().any(|id| id.starts_with("i-")) => {
                return Err(verdict(self.packer_ended(exit, Some(pass))));
            }
            Finished::Exited(exit) => return Err(self.packer_ended(exit, Some(pass)).into()),
        }
        judge(pass, true).map_err(|why| verdict(self.failed("ansible", why, Some(pass))))?;
        let watched = self.guard(reports, Side::Verification, NOT_VERIFIED).await?;
        let now = self.steps.ledger.rekey(&self.planned.node).await.map_err(|why| Halt::from(plain("ovenbird", why)))?;
        if now.verify_key != Some(key) {
            let mut failure = plain("ovenbird", format!("the checks changed while they ran on {}: {NOT_VERIFIED}", image.id));
            failure.help = Some("build again; the plan is made from the checks as they are then".to_owned());
            return Err(Halt::from(failure).into());
        }
        self.check_stop()?;
        Ok(watched.notes)
    }

    async fn mark(&self, catalog: &dyn Catalog, image: &Image, mark: &Mark) -> Result<(), Halt> {
        let tag = BTreeMap::from([(tags::VERIFIED.to_owned(), mark.to_string())]);
        catalog.tag(image, &tag).await.map_err(|error| {
            let halt = plain("ec2", format!("{} passed its verification, but does not carry the mark of it: {error}", image.id));
            halt.into()
        })
    }

    fn verification(&self, image: &Image, key: Digest, report: &Report, failure: Option<&Failure>) -> Verification {
        Verification {
            image: image.id.clone(),
            key,
            node: self.planned.node.clone(),
            run: self.steps.run.clone(),
            passed: failure.is_none(),
            message: failure.map(|failure| failure.message.clone()),
            task: failure.and_then(|failure| failure.task.clone()),
            tasks: report.pass.tasks,
            seconds: report.seconds,
            checks: self.steps.inputs.get(&self.stage.name).map(checks).unwrap_or_default(),
        }
    }

    /// In the state it only explains, so a state that cannot be written takes no verdict away.
    async fn keep_in_mind(&self, verification: &Verification) {
        if let Err(why) = self.steps.ledger.verified(verification).await {
            let message = format!("{}: {} was verified, but {why}", self.watch.step, verification.image);
            self.watch.say(Event::Warned { message });
        }
    }
}
