//! A build: Packer makes an AMI, and it is sealed only after everything about it was confirmed.
//!
//! In this order: claim, Packer, reconcile's ids from the log, confirm by `DescribeImages`, digest the inputs again, tags, key tag
//! last; then whatever the run left is removed, success included. Invariant: an image whose source, inputs or tasks are not those
//! of the plan never gets the key tag and does not stay.

use std::collections::BTreeMap;

use serde_json::json;

use crate::config::pipeline::Recipe;
use crate::event::{Event, Outcome};
use crate::model::artifact::{Image, ImageState, tags};
use crate::model::digest::StageKey;
use crate::plan::plan::PlannedParent;
use crate::ports::{Catalog, Claim, Claimed, Wanted};
use crate::process::spawn::Exit;
use crate::run::fill::{Filling, artifact_name};
use crate::run::guard::{Side, Watched};
use crate::run::reconcile;
use crate::run::step::{Current, Halt, judge, plain, task_failed};
use crate::run::tags::tools_tag;
use crate::run::watch::{Finished, Report};
use crate::tools::packer_log::Named;
use crate::tools::{ansible, packer};

impl Current<'_> {
    pub(super) async fn build(&self) -> Result<Outcome, Halt> {
        let catalog = self.catalog()?;
        let node = &self.planned.node;
        let key = self.planned.stage_key.ok_or_else(|| plain("ovenbird", "its source is not pinned in the lock file".to_owned()))?;
        let parent = match (&self.planned.parent, &self.ready.parent_image) {
            (PlannedParent::Source { id: Some(id), .. }, _) | (PlannedParent::Node { .. }, Some(id)) => id.clone(),
            _ => return Err(plain("ovenbird", "its parent has no image".to_owned()).into()),
        };
        self.check_stop()?;
        self.watch.phase("claim");
        let claim = match catalog.claim(Wanted { node: node.clone(), key }).await? {
            Claimed::Held(image) => {
                self.watch.say(Event::ImageAdopted { node: node.clone(), image: image.id.clone() });
                let notes = vec!["made by another run meanwhile".to_owned()];
                return Ok(Outcome::Succeeded { artifact: image.id, tasks: 0, changed: 0, notes });
            }
            Claimed::Claim(claim) => claim,
        };
        let mut reports = [Report::new(self.report("report.jsonl")?, "provision")];
        self.watch.phase("launch");
        let finished = self.packer(&parent, key, &mut reports).await;
        // From here on the account may hold something of ours, whatever Packer said.
        let named = self.named().await.unwrap_or_default();
        let sealed = match finished {
            Ok(finished) => self.confirm_and_seal(catalog, claim, finished, &named, &reports, &parent, key).await,
            Err(halt) => Err(halt),
        };
        let keep = sealed.as_ref().ok().map(|(image, _)| image.id.as_str());
        reconcile::account(catalog, &self.watch, self.steps.run, &named.ids, keep).await;
        let (image, notes) = sealed?;
        if let Err(why) = self.steps.ledger.sealed(node, &key).await {
            self.watch.say(Event::Warned { message: format!("{}: {} is sealed, but {why}", self.watch.step, image.id) });
        }
        let pass = &reports[0].pass;
        let changed = u32::try_from(pass.changed.len()).unwrap_or(u32::MAX);
        Ok(Outcome::Succeeded { artifact: image.id, tasks: pass.tasks, changed, notes })
    }

    async fn packer(&self, parent: &str, key: StageKey, reports: &mut [Report]) -> Result<Finished, Halt> {
        let parent_name = self.parent_name(parent).await?;
        let node = &self.planned.node;
        let default =
            format!("{}-{}-{}-{}-{}", self.steps.pipeline.name, node.stage, node.architecture, key.short(), self.steps.run.short());
        let unnamed = Filling { parent_name: &parent_name, ..self.filling(parent, &default) };
        let artifact = artifact_name(self.stage.ami_name.as_ref(), default.clone(), &unnamed)
            .map_err(|error| plain("ovenbird", format!("name of `{}`: {error}", self.stage.name)))?;
        let filling = Filling { artifact_name: &artifact, ..unnamed };
        let env = self.environment(&reports[0].path)?;
        let vars_file = self.vars_file(&filling)?;
        let (template, only, var_files) = match &self.stage.recipe {
            Recipe::Playbook { playbook, template } => {
                let arguments = ansible::arguments(&self.stage.ansible_arguments, vars_file.as_deref());
                let mut values = BTreeMap::from([
                    ("playbook_file", json!(playbook)),
                    ("groups", json!(self.stage.groups)),
                    ("ansible_arguments", json!(arguments)),
                    ("image_name", json!(artifact)),
                    ("image_tags", json!(self.tags(parent))),
                    ("run_tags", json!(self.run_tags())),
                    ("region", json!(self.steps.pipeline.region)),
                    ("source_ami", json!(parent)),
                    ("ec2_endpoint", json!(self.steps.ec2_endpoint.clone().unwrap_or_default())),
                ]);
                if let Some(user) = self.ssh_username() {
                    values.insert("ssh_username", json!(user));
                }
                for (name, value) in self.stage.image.iter().chain(&self.stage.builder.values) {
                    let value = filling.value(value).map_err(|error| plain("ovenbird", format!("`{name}`: {error}")))?;
                    values.insert(name, value);
                }
                (template, vec![packer::own::AMI.to_owned()], vec![self.own_var_file(values)?])
            }
            Recipe::Template { template, only, packer_vars, var_files, .. } => {
                let ours = self.foreign_var_file(template, packer_vars, &filling)?;
                (template, only.clone(), var_files.iter().cloned().chain([ours]).collect())
            }
        };
        let command = self.packer_build(&env, template, &only, &var_files, false);
        self.watch.run(&command, reports).await.map_err(|error| Self::not_started(&error))
    }

    #[expect(clippy::too_many_arguments, reason = "each is a fact of its own; a struct for one call would only rename them")]
    async fn confirm_and_seal(
        &self,
        catalog: &dyn Catalog,
        claim: Claim,
        finished: Finished,
        named: &Named,
        reports: &[Report],
        parent: &str,
        key: StageKey,
    ) -> Result<(Image, Vec<String>), Halt> {
        let pass = &reports[0].pass;
        match finished {
            Finished::Stopped => return Err(Halt::Cancelled),
            Finished::Exited(Exit::Code(0)) => {}
            Finished::Exited(_) if pass.failed.is_some() => return Err(self.failed("ansible", task_failed(pass), Some(pass))),
            Finished::Exited(exit) => return Err(self.packer_ended(exit, Some(pass))),
        }
        self.watch.phase("image");
        let image = self.confirm(catalog, named, parent).await?;
        let watched = match self.check(&image, reports, key).await {
            Ok(watched) => watched,
            Err(halt) => return Err(self.take_back(catalog, &image, halt).await),
        };
        self.watch.phase("seal");
        let tools = self.tools(pass, watched.collections);
        let mut tags = self.tags(parent);
        tags.insert(tags::PARENT.to_owned(), parent.to_owned());
        tags.insert(tags::TOOLS.to_owned(), tools_tag(&tools));
        catalog.tag(&image, &tags).await?;
        self.check_stop()?;
        catalog.seal(claim, &image).await?;
        self.watch.say(Event::ImageSealed { node: self.planned.node.clone(), image: image.id.clone(), tools });
        Ok((image, watched.notes))
    }

    /// The one image that Packer made in the pipeline's region, as EC2 tells it, made from the planned parent.
    async fn confirm(&self, catalog: &dyn Catalog, named: &Named, parent: &str) -> Result<Image, Halt> {
        let region = &self.steps.plan.region;
        let here: Vec<&str> = named.artifacts.iter().filter(|(at, _)| at == region).map(|(_, id)| id.as_str()).collect();
        let id = match here.as_slice() {
            [id] => *id,
            [] => return Err(self.failed("packer", format!("packer ended well but made no image in {region}"), None)),
            more => {
                let message = format!("packer made {} images in {region} ({}), one is wanted: no seal", more.len(), more.join(", "));
                let mut halt = self.failed("packer", message, None);
                if let Halt::Failed(failure) = &mut halt {
                    failure.help = Some("`only = [...]` of the stage picks one builder".to_owned());
                }
                return Err(halt);
            }
        };
        let image = catalog.image(id).await?.ok_or_else(|| plain("ec2", format!("{id}, which packer named, is not there")))?;
        let used = image.source_image.clone().or_else(|| match named.sources.len() {
            1 => named.sources.first().cloned(),
            _ => None,
        });
        let wrong = if image.state != ImageState::Available {
            Some(format!("is in state {:?}", image.state).to_lowercase())
        } else if used.as_deref() != Some(parent) {
            let used = used.as_deref().unwrap_or("an image that nobody names");
            Some(format!("was made from {used}, not from the parent {parent}"))
        } else if image.architecture != self.planned.node.architecture.as_str() {
            Some(format!("has architecture {}, not {}", image.architecture, self.planned.node.architecture))
        } else {
            None
        };
        match wrong {
            None => Ok(image),
            Some(why) => {
                let halt = plain("ovenbird", format!("{id} {why}: no seal")).into();
                Err(self.take_back(catalog, &image, halt).await)
            }
        }
    }

    async fn check(&self, image: &Image, reports: &[Report], key: StageKey) -> Result<Watched, Halt> {
        let (own, pass) = (matches!(self.stage.recipe, Recipe::Playbook { .. }), &reports[0].pass);
        judge(pass, own).map_err(|why| self.failed("ansible", why, Some(pass)))?;
        let watched = self.guard(reports, Side::Image, "no seal").await?;
        let now = self.steps.ledger.rekey(&self.planned.node).await.map_err(|why| plain("ovenbird", why))?;
        if now.stage_key != Some(key) {
            let mut failure = plain("ovenbird", format!("inputs changed while {} was being made{}: no seal", image.id, now.told()));
            failure.help = Some("build again; the plan is made from the inputs as they are then".to_owned());
            return Err(failure.into());
        }
        self.check_stop()?;
        Ok(watched)
    }

    /// Removes an image that will not be sealed, and says so in the first line.
    async fn take_back(&self, catalog: &dyn Catalog, image: &Image, halt: Halt) -> Halt {
        let done = match catalog.remove_image(image).await {
            Ok(()) => format!("{} was removed", image.id),
            Err(error) => format!("{} is left in {} without seal ({error})", image.id, image.region),
        };
        match halt {
            Halt::Cancelled => Halt::Cancelled,
            Halt::Failed(mut failure) => {
                failure.message = format!("{}; {done}", failure.message);
                Halt::Failed(failure)
            }
        }
    }

    pub(super) async fn parent_name(&self, parent: &str) -> Result<String, Halt> {
        let wants_name = |value: &crate::model::value::Value| {
            value.references().iter().any(|reference| **reference == crate::model::value::Reference::ParentName)
        };
        let vars = match &self.stage.recipe {
            Recipe::Template { packer_vars, .. } => packer_vars.values().any(wants_name),
            Recipe::Playbook { .. } => false,
        };
        if !vars && !self.stage.vars.values().chain(&self.stage.ami_name).any(wants_name) {
            return Ok(String::new());
        }
        let planned = self.steps.plan.sources.iter().find(|source| source.id.as_deref() == Some(parent));
        if let Some(name) = planned.and_then(|source| source.image_name.clone()) {
            return Ok(name);
        }
        let image = self.catalog()?.image(parent).await?;
        image.map(|image| image.name).ok_or_else(|| plain("ec2", format!("parent {parent} is not there")).into())
    }
}
