//! The [`Hands`] of a swap in the real world: files, git, Terraform, AWS.
//!
//! Decides nothing that `run::swap` decides. Invariants: the tfvars are written only over the text that was read; what is about to be
//! done is remembered before it is done.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::config::gate::GateChecks;
use crate::disk::atomic;
use crate::disk::swap_memory::Memory;
use crate::disk::swap_tfvars::{self, Found};
use crate::event::Event;
use crate::event::swap::SwapFact;
use crate::model::digest::Digest;
use crate::model::gate::Verdict;
use crate::model::swap::Colour;
use crate::plan::swap::Values;
use crate::plan::swap_guard::Foreign;
use crate::plan::swap_steps::Move;
use crate::plan::terraform_plan::TerraformPlan;
use crate::ports::Stop;
use crate::run::swap_asks::{Earlier, Halt, HaltKind, Hands, Question, Way};
use crate::run::swap_gates;
use crate::run::swap_work::{Work, of_aws};
use crate::tools::terraform::parse_plan;

#[async_trait(?Send)]
impl Hands for Work<'_> {
    async fn read(&self) -> Result<Found, Halt> {
        let path = self.set.root.join(&self.set.spec.tfvars);
        let bytes = std::fs::read(&path)
            .map_err(|error| Halt::new(HaltKind::Refused, format!("`{}` cannot be read: {error}", self.set.spec.tfvars.display())))?;
        swap_tfvars::read(self.set.spec, &bytes).map_err(|problems| {
            let halt = Halt::new(HaltKind::Refused, "the tfvars cannot be read for certain, and nothing was written");
            Halt { problems: Some(problems), ..halt }
        })
    }

    async fn check(&self, found: &Found, finish: bool, leniently: bool) -> Result<Earlier, Halt> {
        self.check_record(found, finish, leniently).await
    }

    async fn quiet(&self) -> Result<Vec<Foreign>, Halt> {
        let listed = swap_tfvars::shadows(self.set.root, self.set.spec);
        let mut foreign = listed.map_err(|e| Halt::new(HaltKind::Refused, format!("the environment's folder cannot be read: {e}")))?;
        for (application, group) in self.set.gates.values().filter_map(|gate| gate.codedeploy.as_ref()) {
            let running = self.set.traffic.deployments(application, group).await.map_err(|e| of_aws(&e))?;
            foreign.extend(running.into_iter().flatten().map(|deployment| Foreign {
                address: format!("codedeploy {application}/{group}"),
                attribute: deployment.id,
                change: format!("is {}: new instances would get the old revision", deployment.status),
            }));
        }
        foreign.dedup();
        Ok(foreign)
    }

    async fn fit(&self, ami: &str) -> Result<(), Halt> {
        self.set.fit.fit(ami).await
    }

    async fn serving(&self, colour: Colour) -> Result<u32, Halt> {
        let name = self.group(colour).await?;
        let group = self.set.traffic.group(&name).await.map_err(|e| of_aws(&e))?;
        let serving = group.map_or(0, |group| group.in_service().count());
        match u32::try_from(serving) {
            Ok(serving) if serving > 0 => Ok(serving),
            _ => {
                let message = format!("{colour} is in service and its group `{name}` has no instance in service");
                Err(Halt::new(HaltKind::Refused, message).help("nothing was written; a swap needs a colour that serves"))
            }
        }
    }

    async fn plan(&self, way: Way, over: Option<(&Found, &Values)>) -> Result<Option<TerraformPlan>, Halt> {
        self.planned.replace(None);
        let terraform = match way {
            Way::Whole | Way::Targeted => self.set.terraform.clone(),
            Way::Recorded => match self.recorded().await {
                Some(terraform) => terraform,
                None => return Ok(None),
            },
        };
        self.plans.set(self.plans.get() + 1);
        let number = self.plans.get();
        let mut files = vec![self.set.root.join(&self.set.spec.tfvars)];
        if let Some((found, values)) = over {
            let file = self.set.scratch.join(format!("{number:02}.tfvars.json"));
            let written = atomic::write_with_mode(&file, 0o600, found.var_file(values).as_bytes());
            written.map_err(|e| Halt::new(HaltKind::Failed, e.to_string()))?;
            files.push(file);
        }
        let groups = self.set.spec.groups();
        let targets = if way == Way::Targeted { groups.map(str::to_owned).to_vec() } else { Vec::new() };
        let out = self.set.scratch.join(format!("{number:02}.plan"));
        self.terraform("plan", |lock| terraform.plan(&out, &files, &targets, lock)).await?;
        let shown = self.runner.show(&terraform.show(&out)).await?;
        let plan = parse_plan(&shown, &groups).map_err(|e| Halt::new(HaltKind::Failed, e.to_string()))?;
        self.learn(&plan.before);
        self.planned.replace(Some((out, terraform)));
        Ok(Some(plan))
    }

    async fn write(&self, found: &Found, text: &str, step: &Move) -> Result<(), Halt> {
        let path = self.set.root.join(&self.set.spec.tfvars);
        let now = std::fs::read(&path).unwrap_or_default();
        if now != found.source.text.as_bytes() {
            let message = format!("`{}` was edited meanwhile, and was not written", self.set.spec.tfvars.display());
            return Err(
                Halt::new(HaltKind::Refused, message).help("nothing was applied; look at the edit, then run the same command again")
            );
        }
        self.remember(&Memory {
            run: self.set.run.clone(),
            step: step.step.to_string(),
            message: self.message(found, step),
            after: Digest::of(text.as_bytes()),
            applied: false,
            passed: false,
        })?;
        atomic::write(&path, text.as_bytes()).map_err(|e| Halt::new(HaltKind::Failed, e.to_string()))
    }

    async fn record(&self, found: &Found, text: &str, step: &Move) -> Result<(), Halt> {
        self.write_record(found, text, step).await
    }

    async fn apply(&self) -> Result<(), Halt> {
        let Some((plan, terraform)) = self.planned.take() else {
            return Err(Halt::new(HaltKind::Failed, "there is no plan to apply"));
        };
        self.say(SwapFact::PhaseStarted { phase: "apply".to_owned(), detail: String::new() });
        self.since.set(self.now());
        let began = Instant::now();
        let applied = self.terraform("apply", |lock| terraform.apply(&plan, lock)).await;
        if let (true, Some(git)) = (terraform.folder != self.set.terraform.folder, self.git()) {
            git.drop_tree(&self.set.scratch.join("tree")).await;
        }
        applied.map_err(|halt| {
            let help =
                "what is missing is applied by `ovenbird swap NAME next`, or goes back with `rollback`; `status` tells where it stands";
            if halt.help.is_none() { halt.help(help) } else { halt }
        })?;
        self.note(|memory| memory.applied = true);
        self.say(SwapFact::Applied { seconds: began.elapsed().as_secs_f64() });
        Ok(())
    }

    async fn arrive(&self, values: &Values) -> Result<(), Halt> {
        const LOOK_AGAIN: Duration = Duration::from_secs(5);
        let detail = "until the groups are as the tfvars say: `apply = \"external\"`".to_owned();
        self.say(SwapFact::PhaseStarted { phase: "wait".to_owned(), detail });
        self.since.set(self.now());
        let limit = self.set.gates.values().map(|gate| gate.timeout).max().unwrap_or(GateChecks::default().timeout);
        let began = Instant::now();
        loop {
            let mut missing = Vec::new();
            for colour in Colour::BOTH {
                missing.extend(swap_gates::missing(self, colour, values.of(colour)).await?);
            }
            if missing.is_empty() {
                self.note(|memory| memory.applied = true);
                self.say(SwapFact::Applied { seconds: began.elapsed().as_secs_f64() });
                return Ok(());
            }
            if began.elapsed() > limit {
                let message = format!("nobody has applied the step within {} s: {}", limit.as_secs(), missing.join("; "));
                return Err(Halt::new(HaltKind::Failed, message).help("when it is applied, `ovenbird swap NAME next` goes on"));
            }
            let mut stop = self.set.stop.clone();
            tokio::select! {
                biased;
                Ok(_) = stop.wait_for(|stop| *stop != Stop::No) => return Err(Halt::new(HaltKind::Interrupted, "interrupted")),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    async fn gate(&self, question: Question) -> Result<Verdict, Halt> {
        let found = self.read().await?;
        swap_gates::ask(self, question, &found.values).await
    }

    async fn passed(&self) {
        self.note(|memory| memory.passed = true);
    }

    fn stopped(&self) -> bool {
        *self.set.stop.borrow() != Stop::No
    }

    fn say(&self, fact: SwapFact) {
        self.set.facts.send(Event::Swap(fact)).unwrap_or(());
    }
}
