//! How many requests fail during the soak, counted by the probes or by the load balancer.
//!
//! Invariant: nothing is concluded from fewer than [`ENOUGH`] requests: one failure out of two is no rate.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::config::gate::{Counter, ErrorRate};
use crate::model::gate::{FailedGate, Why};
use crate::model::traffic::{LoadBalancer, Requests};
use crate::ports::{AwsError, Traffic};
use crate::run::gate::probe::Probing;
use crate::run::gate::{Gate, Seen, Want};

const ENOUGH: f64 = 20.0;
/// `CloudWatch` has new numbers once a minute.
const PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Errors {
    limit: Option<ErrorRate>,
    /// Whose counters are read.
    balancer: Option<LoadBalancer>,
    from: Option<Timestamp>,
    before: Requests,
    counted: Requests,
    read: Option<Instant>,
}

impl Errors {
    pub(super) fn new(gate: &Gate) -> Self {
        // Where the new colour serves, or where the old one left.
        let balancer = gate.wants.iter().find_map(|want| match want {
            Want::Healthy { on, .. } => Some(on.clone()),
            Want::Drained { .. } | Want::Gone { .. } => None,
        });
        let left = || {
            gate.wants.iter().find_map(|want| match want {
                Want::Drained { from, .. } => Some(from.clone()),
                Want::Healthy { .. } | Want::Gone { .. } => None,
            })
        };
        let (before, counted) = (Requests::default(), Requests::default());
        Self { limit: gate.checks.error_rate, balancer: balancer.or_else(left), from: None, before, counted, read: None }
    }

    /// The soak begins, or begins again.
    pub(super) fn begin(&mut self, probing: &Probing<'_>, now: Timestamp) {
        // The first look comes later: CloudWatch refuses a span without length, and has nothing to say of it.
        (self.from, self.before, self.counted, self.read) = (Some(now), probing.counted(), Requests::default(), Some(Instant::now()));
    }

    pub(super) async fn look(
        &mut self,
        traffic: &dyn Traffic,
        probing: &Probing<'_>,
        now: Timestamp,
    ) -> Result<Option<FailedGate>, AwsError> {
        let (Some(limit), Some(from)) = (self.limit, self.from) else { return Ok(None) };
        match (limit.from, &self.balancer) {
            (Counter::CloudWatch, Some(balancer)) => {
                if self.read.is_none_or(|read| read.elapsed() >= PAUSE) {
                    self.counted = traffic.requests(balancer, from, now).await?;
                    self.read = Some(Instant::now());
                }
            }
            (Counter::CloudWatch, None) => {}
            (Counter::Probe, _) => {
                let all = probing.counted();
                self.counted = Requests { all: all.all - self.before.all, failed: all.failed - self.before.failed };
            }
        }
        // A load balancer counts what it answered itself in `failed` alone.
        let all = self.counted.all.max(self.counted.failed);
        if all < ENOUGH || self.counted.failed / all <= limit.max {
            return Ok(None);
        }
        let by = match limit.from {
            Counter::Probe => "the probes".to_owned(),
            Counter::CloudWatch => self.balancer.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let message = format!(
            "{} of {all} requests failed ({:.1} %), counted by {by}; {} % are borne",
            self.counted.failed,
            self.counted.failed / all * 100.0,
            limit.max * 100.0
        );
        Ok(Some(FailedGate::new(Why::ErrorRate, message)))
    }

    pub(super) fn seen(&self) -> Option<Seen> {
        let limit = self.limit?;
        Some(Seen::new(
            "error rate",
            true,
            format!("{} of {} requests failed; {} % are borne", self.counted.failed, self.counted.all, limit.max * 100.0),
            Why::ErrorRate,
        ))
    }
}
