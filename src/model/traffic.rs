//! What serves: Auto Scaling groups, load balancers and their health, deployments, as AWS tells them.
//!
//! Data only. Invariant: what AWS did not say is `None` or [`Health::Unknown`], never a guess; whether something is good enough is
//! decided by `run::gate` alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that instances are attached to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancer {
    /// A classic load balancer, by its name.
    Classic(String),
    /// A target group of an ALB or NLB, by its ARN.
    TargetGroup(String),
}

impl std::fmt::Display for LoadBalancer {
    /// The name; of an ARN `arn:…:targetgroup/NAME/ID` the name in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Classic(name) => name,
            Self::TargetGroup(arn) => arn.split('/').nth(1).unwrap_or(arn),
        })
    }
}

/// An Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Least instances.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// Instances that it aims at now.
    pub desired: u32,
    /// Launch template or configuration: `name:version`, or its name.
    pub template: Option<String>,
    /// What it is attached to.
    pub load_balancers: Vec<LoadBalancer>,
    /// In the group, sorted by id.
    pub instances: Vec<Instance>,
    /// Instances of EC2 that carry the group's tag, are not terminated, and are not in the group (any more): on their way out, or
    /// detached by hand. Sorted.
    pub outside: Vec<String>,
    /// Processes that somebody has suspended (`Launch`, `AddToLoadBalancer` …).
    pub suspended: Vec<String>,
}

impl Group {
    /// Instances that serve as far as the group knows.
    pub fn in_service(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.in_service())
    }
}

/// An instance in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// `Pending`, `Pending:Wait`, `InService`, `Terminating` …, as Auto Scaling says.
    pub lifecycle: String,
    /// What Auto Scaling thinks of its health.
    pub healthy: bool,
    /// AMI, where EC2 knows the instance.
    pub image: Option<String>,
    /// Version of the launch template that it was launched from.
    pub template_version: Option<String>,
    /// `x86_64`, `arm64`, where EC2 knows the instance.
    pub architecture: Option<String>,
    /// When it was launched.
    pub launched: Option<Timestamp>,
}

impl Instance {
    /// Serves as far as its group knows.
    pub fn in_service(&self) -> bool {
        self.lifecycle == "InService" && self.healthy
    }
}

/// Something that a group did or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Its id.
    pub id: String,
    /// When it began.
    pub began: Timestamp,
    /// `Successful`, `Failed`, `Cancelled`, `InProgress` …, as Auto Scaling says.
    pub status: String,
    /// What: `Launching a new EC2 instance: i-…`.
    pub what: String,
    /// Why it was done.
    pub cause: String,
    /// Why it failed; may be empty.
    pub message: String,
}

/// Health of a target, the same words for every kind of load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Gets requests.
    Healthy,
    /// Was registered a moment ago; checks have not decided.
    Initial,
    /// Checks fail.
    Unhealthy,
    /// On its way out, finishing what it has.
    Draining,
    /// Gets no requests because nothing listens for its group, or it is not running.
    Unused,
    /// The load balancer cannot say.
    Unknown,
}

impl Health {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Initial => "initial",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::Unused => "unused",
            Self::Unknown => "unknown",
        }
    }
}

/// What a load balancer says of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `i-…`.
    pub instance: String,
    /// The worst of its ports.
    pub health: Health,
    /// The load balancer's reason, in its words; may be empty.
    pub reason: String,
}

/// A deployment of `CodeDeploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// `d-…`.
    pub id: String,
    /// `Created`, `Queued`, `InProgress`, `Ready`, `Succeeded` …, as `CodeDeploy` says.
    pub status: String,
    /// What it brings, as one text.
    pub revision: String,
}

/// What `CodeDeploy` did on the instances of a deployment group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// Revision of the group's last deployment that succeeded: what every instance should have.
    pub wanted: Option<String>,
    /// Instance → the last deployment that had it as a target.
    pub instances: BTreeMap<String, OnInstance>,
}

/// The last deployment on an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnInstance {
    /// `d-…`.
    pub deployment: String,
    /// `Pending`, `InProgress`, `Succeeded`, `Failed`, `Skipped`, `Unknown`, as `CodeDeploy` says.
    pub status: String,
    /// Revision of the last deployment that succeeded on it; `None`: none did, or it lies further back than was looked.
    pub succeeded: Option<String>,
}

/// Requests that a load balancer counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// All.
    pub all: f64,
    /// Answered with 5xx by the instances, or by the load balancer for want of an instance.
    pub failed: f64,
}
