//! A scripted world for the tests of gates: what serves, changed at moments of the paused clock. Compiled for tests only.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::config::gate::{GateChecks, GateStep};
use crate::event::Event;
use crate::model::artifact::Image;
use crate::model::gate::{FailedGate, Verdict};
use crate::model::traffic::{Activity, Deployed, Deployment, Group, Health, Instance, LoadBalancer, OnInstance, Requests, Target};
use crate::ports::{AwsError, Stop, Traffic};
use crate::run::gate::{Gate, Halt, Surroundings, Want, wait};

pub(super) const TEST: &str = "elb-test";
pub(super) const LIVE: &str = "elb-prd";

/// What is true at a moment.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) targets: BTreeMap<String, Vec<Target>>,
    pub(super) activities: Vec<Activity>,
    pub(super) deployed: Option<Deployed>,
    pub(super) requests: Requests,
    pub(super) error: Option<AwsError>,
}

type Change = Box<dyn Fn(&mut State)>;

/// States to come.
pub(super) struct World {
    state: RefCell<State>,
    script: RefCell<Vec<(Duration, Change)>>,
    begun: Instant,
    pub(super) asked: RefCell<Vec<(Timestamp, Timestamp)>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self { state: RefCell::default(), script: RefCell::default(), begun: Instant::now(), asked: RefCell::default() }
    }

    /// After so many seconds this is done to the world.
    pub(super) fn at(self, seconds: u64, change: impl Fn(&mut State) + 'static) -> Self {
        self.script.borrow_mut().push((Duration::from_secs(seconds), Box::new(change)));
        self
    }

    #[expect(clippy::result_large_err, reason = "as the port has it")]
    fn now(&self) -> Result<State, AwsError> {
        let mut script = self.script.borrow_mut();
        let due = script.iter().take_while(|(at, _)| *at <= self.begun.elapsed()).count();
        for (_, change) in script.drain(..due) {
            change(&mut self.state.borrow_mut());
        }
        let state = self.state.borrow().clone();
        state.error.clone().map_or(Ok(state), Err)
    }
}

#[async_trait(?Send)]
impl Traffic for World {
    async fn group(&self, name: &str) -> Result<Option<Group>, AwsError> {
        Ok(self.now()?.groups.get(name).cloned())
    }
    async fn activities(&self, _: &str, since: Timestamp) -> Result<Vec<Activity>, AwsError> {
        Ok(self.now()?.activities.into_iter().filter(|activity| activity.began >= since).collect())
    }
    async fn targets(&self, balancer: &LoadBalancer) -> Result<Option<Vec<Target>>, AwsError> {
        Ok(self.now()?.targets.get(&balancer.to_string()).cloned())
    }
    async fn deployments(&self, _: &str, _: &str) -> Result<Option<Vec<Deployment>>, AwsError> {
        unreachable!("a gate does not ask for what runs")
    }
    async fn deployed(&self, _: &str, _: &str, _: &[String]) -> Result<Option<Deployed>, AwsError> {
        Ok(self.now()?.deployed)
    }
    async fn images(&self, _: &[String]) -> Result<Vec<Image>, AwsError> {
        unreachable!("a gate does not ask for images")
    }
    async fn requests(&self, _: &LoadBalancer, from: Timestamp, to: Timestamp) -> Result<Requests, AwsError> {
        self.asked.borrow_mut().push((from, to));
        Ok(self.now()?.requests)
    }
}

pub(super) fn instance(id: &str, lifecycle: &str) -> Instance {
    Instance {
        id: id.to_owned(),
        lifecycle: lifecycle.to_owned(),
        healthy: true,
        image: Some("ami-new".to_owned()),
        template_version: None,
        architecture: None,
        launched: None,
    }
}

/// A group with instances in service, as many as it wants.
pub(super) fn group(name: &str, on: &[&str], ids: &[&str]) -> Group {
    Group {
        name: name.to_owned(),
        min: 2,
        max: 8,
        desired: u32::try_from(ids.len()).unwrap(),
        template: None,
        load_balancers: on.iter().map(|name| LoadBalancer::Classic((*name).to_owned())).collect(),
        instances: ids.iter().map(|id| instance(id, "InService")).collect(),
        outside: Vec::new(),
        suspended: Vec::new(),
    }
}

pub(super) fn targets(ids: &[&str], health: Health) -> Vec<Target> {
    let reason = if health == Health::Healthy { "" } else { "Health checks failed with these codes: [503]" };
    ids.iter().map(|id| Target { instance: (*id).to_owned(), health, reason: reason.to_owned() }).collect()
}

pub(super) fn activity(seconds: i64, status: &str, what: &str, message: &str) -> Activity {
    Activity {
        id: what.to_owned(),
        began: start() + jiff::SignedDuration::from_secs(seconds),
        status: status.to_owned(),
        what: what.to_owned(),
        cause: "an instance was taken out of service in response to an ELB system health check failure.".to_owned(),
        message: message.to_owned(),
    }
}

pub(super) fn on(deployment: &str, status: &str, succeeded: Option<&str>) -> OnInstance {
    OnInstance { deployment: deployment.to_owned(), status: status.to_owned(), succeeded: succeeded.map(str::to_owned) }
}

pub(super) fn refused() -> AwsError {
    AwsError {
        service: "autoscaling",
        operation: "DescribeAutoScalingGroups",
        region: "ap-northeast-1".to_owned(),
        code: "ExpiredToken".to_owned(),
        message: "The security token included in the request is expired".to_owned(),
        request_id: None,
        changed: None,
    }
}

/// The wall clock when every gate here begins.
pub(super) fn start() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

/// Two instances of `green` healthy on test.
pub(super) fn healthy_on_test() -> Want {
    let (group, on) = ("green".to_owned(), LoadBalancer::Classic(TEST.to_owned()));
    Want::Healthy { group, on, at_least: 2, image: Some("ami-new".to_owned()) }
}

pub(super) fn gate(step: GateStep, wants: Vec<Want>, checks: GateChecks) -> Gate {
    Gate { step, wants, checks, since: start(), variables: BTreeMap::from([("OVENBIRD_COLOUR".to_owned(), "green".to_owned())]) }
}

/// Folder, log and channel of one gate.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) log: PathBuf,
    pub(super) env: BTreeMap<String, String>,
    pub(super) stop: watch::Sender<Stop>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("logs/gate.log");
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Self { folder, log, env, stop: watch::channel(Stop::No).0 }
    }

    /// Runs a gate to its end: what it said and what happened.
    pub(super) async fn run(&self, gate: &Gate, traffic: &dyn Traffic) -> (Result<Verdict, Halt>, Vec<Event>) {
        let (facts, mut said) = mpsc::unbounded_channel();
        let root: &Path = self.folder.path();
        let around =
            Surroundings { traffic, facts: &facts, stop: self.stop.subscribe(), log: &self.log, root, env: &self.env, now: start() };
        let verdict = wait(gate, &around).await;
        let mut events = Vec::new();
        while let Ok(event) = said.try_recv() {
            events.push(event);
        }
        (verdict, events)
    }
}

/// The failure, or a panic that says what it was instead.
pub(super) fn failure(verdict: Result<Verdict, Halt>) -> FailedGate {
    match verdict {
        Ok(Verdict::Failed(failed)) => failed,
        other => panic!("no failed verdict but {other:?}"),
    }
}
