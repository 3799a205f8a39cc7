//! What load balancers say of their instances, in the words of [`Health`], whatever kind of load balancer it is.
//!
//! Invariant: an instance that is being drained is never called healthy: a classic load balancer goes on calling it `InService`.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::types::TargetHealthStateEnum as State;

use crate::aws::errors::failed_of;
use crate::aws::traffic::AwsTraffic;
use crate::model::traffic::{Health, Target};
use crate::ports::AwsError;

/// As IAM calls both kinds.
pub(super) const ELB: &str = "elasticloadbalancing";

impl AwsTraffic {
    pub(super) async fn classic_targets(&self, name: &str) -> Result<Option<Vec<Target>>, AwsError> {
        let answer = self.clients.elb.describe_instance_health().load_balancer_name(name).send().await;
        let answer = match answer.map_err(|e| failed_of(ELB, "DescribeInstanceHealth", self.region(), &e)) {
            Err(error) if is_missing(&error) => return Ok(None),
            answer => answer?,
        };
        let targets = answer.instance_states().iter().filter_map(|state| {
            let text = |text: Option<&str>| text.filter(|t| *t != "N/A").unwrap_or_default().trim().trim_end_matches('.').to_owned();
            let reason = text(state.description());
            Some(Target {
                instance: state.instance_id()?.to_owned(),
                health: classic(state.state().unwrap_or_default(), state.reason_code().unwrap_or_default(), &reason),
                reason,
            })
        });
        Ok(Some(sorted(targets)))
    }

    pub(super) async fn group_targets(&self, arn: &str) -> Result<Option<Vec<Target>>, AwsError> {
        let answer = self.clients.elbv2.describe_target_health().target_group_arn(arn).send().await;
        let answer = match answer.map_err(|e| failed_of(ELB, "DescribeTargetHealth", self.region(), &e)) {
            Err(error) if is_missing(&error) => return Ok(None),
            answer => answer?,
        };
        let targets = answer.target_health_descriptions().iter().filter_map(|described| {
            let health = described.target_health();
            let reason =
                [health.and_then(|h| h.reason()).map(|r| r.as_str().to_owned()), health.and_then(|h| h.description()).map(str::to_owned)];
            Some(Target {
                instance: described.target()?.id()?.to_owned(),
                health: health.and_then(|h| h.state()).map_or(Health::Unknown, target),
                reason: reason.into_iter().flatten().collect::<Vec<_>>().join(": ").trim_end_matches('.').to_owned(),
            })
        });
        Ok(Some(sorted(targets)))
    }
}

/// One a machine: an instance that is registered with several ports is as healthy as its worst.
fn sorted(targets: impl Iterator<Item = Target>) -> Vec<Target> {
    let mut found: BTreeMap<String, Target> = BTreeMap::new();
    for target in targets {
        let worst = found.get(&target.instance).is_none_or(|known| known.health < target.health);
        if worst {
            found.insert(target.instance.clone(), target);
        }
    }
    found.into_values().collect()
}

fn classic(state: &str, reason: &str, description: &str) -> Health {
    match state {
        _ if description.to_lowercase().contains("deregistration currently in progress") => Health::Draining,
        "InService" => Health::Healthy,
        // `ELB`: the load balancer's side, such as a registration that is still going on. `Instance`: the checks fail.
        "OutOfService" if reason == "ELB" => Health::Initial,
        "OutOfService" => Health::Unhealthy,
        _ => Health::Unknown,
    }
}

fn target(state: &State) -> Health {
    match state {
        State::Healthy => Health::Healthy,
        State::Initial => Health::Initial,
        State::Unhealthy => Health::Unhealthy,
        State::Draining | State::UnhealthyDraining => Health::Draining,
        State::Unused => Health::Unused,
        _ => Health::Unknown,
    }
}

fn is_missing(error: &AwsError) -> bool {
    matches!(error.code.as_str(), "LoadBalancerNotFound" | "TargetGroupNotFound" | "AccessPointNotFound")
}
