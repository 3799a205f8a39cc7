//! A small model of the world for the order of a swap: a file, git, what Terraform applied, gates, and a place to be killed at.
//!
//! It stands in for tools, never for decisions: planner, splice and guard are the real ones. Invariant: whatever is applied, in full or
//! by half, some colour with a minimum above 0 is on live, or the model panics.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Notify;

use crate::config::swap_spec::SwapSpec;
use crate::disk::swap_tfvars::{self, Found};
use crate::event::swap::SwapFact;
use crate::model::gate::{FailedGate, Verdict, Why};
use crate::model::swap::{Colour, Field};
use crate::plan::swap::Values;
use crate::plan::swap_guard::Foreign;
use crate::plan::swap_steps::Move;
use crate::plan::swap_tests::{spec, steady};
use crate::plan::terraform_plan::{AttributeChange, Group, ResourceChange, TerraformPlan};
use crate::run::swap::{Ended, Mover};
use crate::run::swap_asks::{Earlier, Halt, HaltKind, Hands, Question, Way};

const NEW: &str = "ami-00000000000000002";

pub(super) struct World {
    pub(super) spec: SwapSpec,
    pub(super) file: RefCell<String>,
    /// What git has.
    pub(super) recorded: RefCell<String>,
    /// What Terraform applied.
    pub(super) applied: RefCell<Values>,
    pub(super) planned: RefCell<Option<Values>>,
    /// Text that was written and is not known to be applied.
    pub(super) written: RefCell<Option<String>>,
    /// Questions that a gate says no to.
    pub(super) refuses: RefCell<Vec<Question>>,
    /// A resource that is no part of the swap and that every plan would change, but a targeted one.
    pub(super) stranger: Cell<bool>,
    /// The next apply does the half of it, then fails.
    pub(super) breaks: Cell<bool>,
    /// Dies at this point.
    pub(super) dies_at: Cell<Option<usize>>,
    pub(super) points: Cell<usize>,
    pub(super) died: Notify,
    pub(super) facts: RefCell<Vec<SwapFact>>,
}

fn text(values: &Values) -> String {
    let line = |(colour, field): (Colour, Field)| {
        let value = values.text(colour, field);
        let value = if field.is_size() { value } else { format!("\"{value}\"") };
        format!("{colour}_{} = {value}\n", field.as_str())
    };
    Colour::BOTH.into_iter().flat_map(|colour| Field::ALL.into_iter().map(move |field| (colour, field))).map(line).collect()
}

impl World {
    pub(super) fn new() -> Self {
        let values = steady(Colour::Blue, 2, 4, "elb-test");
        Self {
            spec: spec(),
            file: RefCell::new(text(&values)),
            recorded: RefCell::new(text(&values)),
            applied: RefCell::new(values),
            planned: RefCell::default(),
            written: RefCell::default(),
            refuses: RefCell::default(),
            stranger: Cell::new(false),
            breaks: Cell::new(false),
            dies_at: Cell::new(None),
            points: Cell::new(0),
            died: Notify::new(),
            facts: RefCell::default(),
        }
    }

    /// A place between two things at which the process may be killed.
    async fn point(&self) {
        let n = self.points.get();
        self.points.set(n + 1);
        if self.dies_at.get() == Some(n) {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }

    fn become_(&self, values: Values) {
        let serves = |c: Colour| values.of(c).elb_name == "elb-prd" && values.of(c).min_size > 0;
        assert!(Colour::BOTH.into_iter().any(serves), "nothing serves: {values:?}");
        self.applied.replace(values);
    }

    pub(super) fn found(&self) -> Found {
        swap_tfvars::read(&self.spec, self.file.borrow().as_bytes()).unwrap()
    }

    fn mover(&self) -> Mover<'_> {
        Mover { spec: &self.spec, hands: self, run: "r".to_owned(), ami: NEW.to_owned(), retire: None }
    }

    /// Runs until the end; `None`: it was killed.
    pub(super) async fn run(&self, all: bool, rollback: bool) -> Option<Result<Ended, Halt>> {
        let mover = self.mover();
        tokio::select! {
            biased;
            ended = async { if rollback { mover.rollback().await } else { mover.forward(all).await } } => Some(ended),
            () = self.died.notified() => None,
        }
    }

    pub(super) fn live(&self) -> Vec<Colour> {
        Colour::BOTH.into_iter().filter(|c| self.applied.borrow().of(*c).elb_name == "elb-prd").collect()
    }
}

fn group(values: &Values, colour: Colour) -> Group {
    let side = values.of(colour);
    Group {
        name: Some(format!("web-{colour}")),
        min_size: Some(side.min_size),
        max_size: Some(side.max_size),
        load_balancers: Some(BTreeSet::from_iter(Some(side.elb_name.clone()).filter(|name| !name.is_empty()))),
        target_groups: Some(BTreeSet::new()),
        ami: Some(side.ami_id.clone()),
        template: Some(format!("module.web.aws_launch_template.{colour}")),
        waits: Vec::new(),
    }
}

fn update(address: String, attributes: Vec<&str>) -> ResourceChange {
    let attributes = attributes.into_iter().map(|name| AttributeChange { name: name.to_owned(), ..AttributeChange::default() }).collect();
    ResourceChange { address, actions: vec!["update".to_owned()], deposed: false, attributes }
}

#[async_trait(?Send)]
impl Hands for World {
    async fn read(&self) -> Result<Found, Halt> {
        self.point().await;
        Ok(self.found())
    }

    async fn check(&self, found: &Found, finish: bool, leniently: bool) -> Result<Earlier, Halt> {
        self.point().await;
        let text = found.source.text.clone();
        let ours = self.written.borrow().as_ref() == Some(&text);
        if *self.recorded.borrow() != text {
            assert!(ours, "nobody but a swap edits in this model");
            if finish && !leniently {
                self.recorded.replace(text);
            }
        }
        self.point().await;
        Ok(Earlier { written: ours, passed: false })
    }

    async fn quiet(&self) -> Result<Vec<Foreign>, Halt> {
        Ok(Vec::new())
    }

    async fn fit(&self, _ami: &str) -> Result<(), Halt> {
        Ok(())
    }

    async fn serving(&self, _colour: Colour) -> Result<u32, Halt> {
        Ok(3)
    }

    async fn plan(&self, way: Way, over: Option<(&Found, &Values)>) -> Result<Option<TerraformPlan>, Halt> {
        self.point().await;
        if way == Way::Recorded {
            return Ok(None);
        }
        let wanted = over.map_or_else(|| self.found().values, |(_, values)| values.clone());
        let now = self.applied.borrow().clone();
        let mut plan = TerraformPlan::default();
        for colour in Colour::BOTH {
            let address = self.spec.colour(colour).group.clone();
            plan.before.insert(address.clone(), group(&now, colour));
            plan.after.insert(address.clone(), group(&wanted, colour));
            let (old, new) = (now.of(colour), wanted.of(colour));
            let differs = [
                ("min_size", old.min_size != new.min_size),
                ("max_size", old.max_size != new.max_size),
                ("load_balancers", old.elb_name != new.elb_name),
                ("launch_template", old.ami_id != new.ami_id),
            ];
            let names: Vec<&str> = differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
            if names.contains(&"launch_template") {
                plan.changes.push(update(format!("module.web.aws_launch_template.{colour}"), vec!["image_id"]));
            }
            if !names.is_empty() {
                plan.changes.push(update(address, names));
            }
        }
        if self.stranger.get() && way == Way::Whole {
            plan.changes.push(update("aws_s3_bucket.logs".to_owned(), vec!["bucket"]));
        }
        plan.variables = self.spec.variables().map(|(c, f, name)| (name.to_owned(), json!(wanted.text(c, f)))).collect::<BTreeMap<_, _>>();
        self.planned.replace(Some(wanted));
        self.point().await;
        Ok(Some(plan))
    }

    async fn write(&self, found: &Found, text: &str, _step: &Move) -> Result<(), Halt> {
        self.point().await;
        assert_eq!(*self.file.borrow(), found.source.text);
        self.written.replace(Some(text.to_owned()));
        self.point().await;
        self.file.replace(text.to_owned());
        self.point().await;
        Ok(())
    }

    async fn record(&self, _found: &Found, text: &str, _step: &Move) -> Result<(), Halt> {
        self.point().await;
        self.recorded.replace(text.to_owned());
        self.point().await;
        Ok(())
    }

    async fn apply(&self) -> Result<(), Halt> {
        self.point().await;
        let wanted = self.planned.take().expect("a plan that the guard has seen");
        // Terraform changes the two groups in any order, and may be stopped between them.
        for colour in Colour::BOTH {
            let mut half = self.applied.borrow().clone();
            *half.of_mut(colour) = wanted.of(colour).clone();
            self.become_(half);
            if self.breaks.take() {
                return Err(Halt::new(HaltKind::Failed, "apply failed halfway"));
            }
            self.point().await;
        }
        if self.written.borrow().as_ref() == Some(&*self.file.borrow()) {
            self.written.replace(None);
        }
        Ok(())
    }

    async fn arrive(&self, _values: &Values) -> Result<(), Halt> {
        unreachable!("the model applies by Terraform")
    }

    async fn gate(&self, question: Question) -> Result<Verdict, Halt> {
        self.point().await;
        if self.refuses.borrow().contains(&question) {
            return Ok(Verdict::Failed(FailedGate::new(Why::NotHealthy, "not healthy")));
        }
        Ok(Verdict::Passed)
    }

    async fn passed(&self) {
        self.point().await;
    }

    fn stopped(&self) -> bool {
        false
    }

    fn say(&self, fact: SwapFact) {
        self.facts.borrow_mut().push(fact);
    }
}
