//! What a gate saw and what it says: [`Condition`] (one thing that it waits for) and [`Verdict`].
//!
//! Data only. Invariant: a verdict is about the world; that AWS could not be asked is an error and never a [`Verdict::Failed`].

use serde::{Deserialize, Serialize};

/// One thing that a gate waits for, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What: `group web-green`, `health on elb-test`, `http health`, `codedeploy app/app`, `command ./smoke.sh`, `soak`.
    pub name: String,
    /// Does it hold.
    pub holds: bool,
    /// What is seen beside what is wanted: `2 of 4 in service; i-0ab Pending`.
    pub detail: String,
}

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[must_use]
pub enum Verdict {
    /// Everything holds, and held through the soak.
    Passed,
    /// It will not, or did not in time. Only this rolls a swap back.
    Failed(FailedGate),
}

/// Why a gate did not let a step count as done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedGate {
    /// Which kind of trouble.
    pub why: Why,
    /// One lowercase line with names.
    pub message: String,
    /// What did not hold when it was given up.
    pub missing: Vec<Condition>,
    /// Last lines of the user's command, at most 15.
    pub last_lines: Vec<String>,
}

impl FailedGate {
    /// For one thing that went wrong, with nothing more to show.
    pub fn new(why: Why, message: impl Into<String>) -> Self {
        Self { why, message: message.into(), missing: Vec::new(), last_lines: Vec::new() }
    }
}

/// Kinds of trouble, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A scaling activity failed.
    LaunchFailed,
    /// Instances come and go, or turn healthy and unhealthy.
    Unstable,
    /// A deployment failed on an instance.
    DeploymentFailed,
    /// The user's command failed.
    CommandFailed,
    /// Too many requests fail.
    ErrorRate,
    /// Time ran out: a group has not got its instances.
    NoCapacity,
    /// Time ran out: instances are not healthy on the load balancer.
    NotHealthy,
    /// Time ran out: `CodeDeploy` has not brought the revision to every instance.
    NotDeployed,
    /// Time ran out: a probe got other answers than it wants.
    ProbeFailed,
    /// Time ran out: a probe got no answer in its time.
    ProbeHangs,
    /// Time ran out: a probe found no TLS, or a certificate that it cannot trust.
    ProbeTls,
    /// Time ran out: the old colour still has requests.
    NotDrained,
    /// Time ran out: something of the old colour still runs.
    StillRunning,
    /// Time ran out while everything held, but never for as long as the soak.
    Restless,
}
