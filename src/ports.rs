//! The few traits that a temp dir or a fake binary cannot stand for: [`Catalog`] (EC2's images), [`Traffic`] (what serves) and
//! [`Launch`] (one step).
//!
//! Invariant: an error of a port is never an empty answer, and every error says operation, region and AWS's own code.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::event::{Event, Outcome, StepId};
use crate::model::artifact::{Image, Leftover};
use crate::model::digest::StageKey;
use crate::model::node::{Architecture, NodeId, RunId};
use crate::model::traffic::{Activity, Deployed, Deployment, Group, LoadBalancer, Requests, Target};

/// A call to AWS that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} in {region} failed: {code}: {message}")]
pub struct AwsError {
    /// Whose operation, as IAM calls it: `ec2`, `autoscaling`, `elasticloadbalancing`, `codedeploy`, `cloudwatch`.
    pub service: &'static str,
    /// `DescribeImages` ….
    pub operation: &'static str,
    /// Region.
    pub region: String,
    /// AWS's error code, or `timeout`, `connection`, `credentials`.
    pub code: String,
    /// AWS's message, never with a secret.
    pub message: String,
    /// Request id, where there is one.
    pub request_id: Option<String>,
    /// What has been changed already, if anything; stands first in the report.
    pub changed: Option<String>,
}

/// What a claim is for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which node.
    pub node: NodeId,
    /// Its key.
    pub key: StageKey,
}

/// Answer to [`Catalog::claim`].
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a step, and taken apart at once")]
pub enum Claimed {
    /// Another run made it meanwhile.
    Held(Image),
    /// Ours to make. Leases between machines come with a later issue; their place is here.
    Claim(Claim),
}

/// The right to seal one image. Made only by [`Catalog::claim`], used up by [`Catalog::seal`].
#[derive(Debug)]
#[must_use]
pub struct Claim {
    /// For what.
    pub wanted: Wanted,
}

/// How to look for a source AMI.
#[derive(Debug, Clone)]
pub struct SourceQuery {
    /// Architecture.
    pub architecture: Architecture,
    /// `owners`, or an id.
    pub owners: Vec<String>,
    /// Filter name → values; architecture, hvm, ebs, available are added by the catalog.
    pub filters: BTreeMap<String, Vec<String>>,
    /// A fixed id instead of filters.
    pub id: Option<String>,
    /// An SSM parameter instead of filters.
    pub ssm_parameter: Option<String>,
}

/// EC2's images, as far as a run needs them. All in the pipeline's region.
#[async_trait(?Send)]
pub trait Catalog {
    /// Own images with the pipeline's tag, every state: one paginated `DescribeImages`.
    async fn images(&self) -> Result<Vec<Image>, AwsError>;
    /// Newest source AMI; `None`: nothing matches.
    async fn newest_source(&self, query: &SourceQuery) -> Result<Option<Image>, AwsError>;
    /// Looks again, and gives the image that is there or the right to make one.
    async fn claim(&self, wanted: Wanted) -> Result<Claimed, AwsError>;
    /// One image by id, waiting out the time in which EC2 does not know a new id yet; `None`: it is gone.
    async fn image(&self, id: &str) -> Result<Option<Image>, AwsError>;
    /// Sets tags on an image and its snapshots.
    async fn tag(&self, image: &Image, tags: &BTreeMap<String, String>) -> Result<(), AwsError>;
    /// Writes the key tag on the image, last. Only a claim can.
    async fn seal(&self, claim: Claim, image: &Image) -> Result<(), AwsError>;
    /// Deregisters an image and deletes its snapshots.
    async fn remove_image(&self, image: &Image) -> Result<(), AwsError>;
    /// Everything that carries the run's tag for this node, or whose id is in `ids` (ids that the log named), and is not
    /// terminated, not deleted and not `keep`.
    async fn leftovers(&self, run: &RunId, node: &NodeId, ids: &[String], keep: Option<&str>) -> Result<Vec<Leftover>, AwsError>;
    /// Removes one of them and waits until it is gone.
    async fn remove(&self, leftover: &Leftover) -> Result<(), AwsError>;
}

/// What serves, as far as a swap has to see it; nothing is changed through it. All in one region.
#[async_trait(?Send)]
pub trait Traffic {
    /// A group with its instances; `None`: there is none of that name.
    async fn group(&self, name: &str) -> Result<Option<Group>, AwsError>;
    /// What a group did since then, newest first.
    async fn activities(&self, group: &str, since: Timestamp) -> Result<Vec<Activity>, AwsError>;
    /// What a load balancer says of each of its instances, sorted by id; `None`: there is no such load balancer.
    async fn targets(&self, load_balancer: &LoadBalancer) -> Result<Option<Vec<Target>>, AwsError>;
    /// Deployments of a deployment group that are not over; `None`: there is no such application or group.
    async fn deployments(&self, application: &str, group: &str) -> Result<Option<Vec<Deployment>>, AwsError>;
    /// What a deployment group should have, and what of it came to these instances; `None` as above.
    async fn deployed(&self, application: &str, group: &str, instances: &[String]) -> Result<Option<Deployed>, AwsError>;
    /// These images, in the order of the ids; one that the region does not have, or that may not be seen, is left out.
    async fn images(&self, ids: &[String]) -> Result<Vec<Image>, AwsError>;
    /// Requests that a load balancer counted between two moments; `CloudWatch` is a minute or two behind.
    async fn requests(&self, load_balancer: &LoadBalancer, from: Timestamp, to: Timestamp) -> Result<Requests, AwsError>;
}

/// Where a step sends its facts; only the driver reads them.
pub type Facts = tokio::sync::mpsc::UnboundedSender<Event>;

/// How far a run has been stopped. Steps watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on.
    No,
    /// First signal: stop politely, in the tools' own order.
    Polite,
    /// Second signal: skip the waits.
    Now,
}

/// Artifacts of nodes that are ready, handed to a step that starts.
#[derive(Debug, Clone, Default)]
pub struct Ready {
    /// AMI of the parent, where it is a node.
    pub parent_image: Option<String>,
    /// Docker image of the parent's dry run, where it is a node.
    pub parent_docker: Option<String>,
    /// The node's own AMI, where it is there already.
    pub image: Option<String>,
}

/// One step, start to finish. The real one is `run::step`; a scripted one tests the driver under paused time.
#[async_trait(?Send)]
pub trait Launch {
    /// Runs the step. Facts go out while it runs; the outcome comes back when nothing of it is running any more.
    async fn launch(&self, step: StepId, ready: Ready, facts: Facts, stop: tokio::sync::watch::Receiver<Stop>) -> Outcome;
}
