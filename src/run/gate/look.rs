//! One look at groups, load balancers and deployments, and what earlier looks remember: instances that come and go.
//!
//! Invariant: an instance is judged by its id. A group that has as many healthy instances as before, but others, is not steady.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::gate::{FailedGate, Why};
use crate::model::traffic::{Deployed, Group, Health, Instance, LoadBalancer, Target};
use crate::ports::{AwsError, Traffic};
use crate::run::gate::{Gate, Seen, Want};

/// Instances of a group that may end and be replaced, and times that one instance may stop being healthy, before it is a verdict.
/// One is an accident (a machine of Amazon's broke), two are a habit.
const BORNE: usize = 1;
/// Names that are listed; of more only the number.
const LISTED: usize = 4;

/// What earlier looks saw.
#[derive(Debug, Default)]
pub(super) struct Memory {
    groups: BTreeMap<String, Known>,
}

/// A group as it was.
#[derive(Debug, Default)]
struct Known {
    desired: u32,
    present: BTreeSet<String>,
    healthy: BTreeSet<String>,
    /// Ended though the group wanted no fewer.
    ended: BTreeSet<String>,
    /// Times that each stopped being healthy.
    falls: BTreeMap<String, usize>,
}

type Look = Result<Result<Vec<Seen>, FailedGate>, AwsError>;

impl Memory {
    /// What is seen now, or trouble that no waiting ends.
    pub(super) async fn look(&mut self, gate: &Gate, traffic: &dyn Traffic) -> Look {
        let mut seen = Vec::new();
        let mut serving: Vec<Group> = Vec::new();
        for want in &gate.wants {
            let (Want::Healthy { group: name, .. } | Want::Drained { group: name, .. } | Want::Gone { group: name }) = want;
            let group = traffic.group(name).await?;
            match (want, group) {
                (Want::Gone { .. }, group) => seen.push(gone(name, group.as_ref())),
                (Want::Healthy { .. } | Want::Drained { .. }, None) => {
                    seen.push(Seen::new(format!("group {name}"), false, "there is no such group", Why::NoCapacity));
                }
                (Want::Drained { from, .. }, Some(group)) => {
                    let targets = traffic.targets(from).await?;
                    seen.push(drained(&group, from, targets.as_deref()));
                }
                (Want::Healthy { on, at_least, image, .. }, Some(group)) => {
                    let targets = traffic.targets(on).await?;
                    if let Some(failed) = self.trouble(&group, targets.as_deref(), gate, traffic).await? {
                        return Ok(Err(failed));
                    }
                    seen.push(capacity(&group, *at_least, image.as_deref()));
                    seen.push(health(&group, on, targets.as_deref()));
                    serving.push(group);
                }
            }
        }
        if let (Some((application, deployments)), Some(group)) = (&gate.checks.codedeploy, serving.first()) {
            let ids: Vec<String> = group.instances.iter().map(|instance| instance.id.clone()).collect();
            let deployed = traffic.deployed(application, deployments, &ids).await?;
            let name = format!("codedeploy {application}/{deployments}");
            match deployment(&name, group, deployed.as_ref()) {
                Ok(condition) => seen.push(condition),
                Err(failed) => return Ok(Err(failed)),
            }
        }
        Ok(Ok(seen))
    }

    /// A failed scaling activity, or instances that come and go.
    async fn trouble(
        &mut self,
        group: &Group,
        targets: Option<&[Target]>,
        gate: &Gate,
        traffic: &dyn Traffic,
    ) -> Result<Option<FailedGate>, AwsError> {
        let activities = traffic.activities(&group.name, gate.since).await?;
        if let Some(activity) = activities.iter().find(|activity| activity.status == "Failed") {
            let message = if activity.message.is_empty() { &activity.cause } else { &activity.message };
            let message = format!("`{}`: {}: {}", group.name, first_line(&activity.what), first_line(message));
            return Ok(Some(FailedGate::new(Why::LaunchFailed, message)));
        }
        let known = self.groups.entry(group.name.clone()).or_default();
        known.note(group, targets);
        let ended = known.ended.len() > BORNE;
        let fallen = known.falls.iter().find(|(_, times)| **times > BORNE);
        let message = match (ended, fallen) {
            (true, _) => {
                let ending = activities.iter().find(|activity| activity.what.contains("erminat") && !activity.cause.is_empty());
                let cause = ending.map(|activity| format!("; {}", first_line(&activity.cause))).unwrap_or_default();
                format!("instances of `{}` come and go: {} ended{cause}", group.name, listed(known.ended.iter().map(String::as_str)))
            }
            (false, Some((id, times))) => format!("{id} of `{}` turned unhealthy {times} times", group.name),
            (false, None) => return Ok(None),
        };
        Ok(Some(FailedGate::new(Why::Unstable, message)))
    }
}

impl Known {
    fn note(&mut self, group: &Group, targets: Option<&[Target]>) {
        let staying = group.instances.iter().filter(|i| !i.lifecycle.starts_with("Terminat") && !i.lifecycle.starts_with("Detach"));
        let present: BTreeSet<String> = staying.map(|instance| instance.id.clone()).collect();
        // A group that wants fewer ends some on purpose.
        if group.desired >= self.desired {
            self.ended.extend(self.present.difference(&present).cloned());
        }
        self.desired = group.desired;
        if let Some(targets) = targets {
            let healthy = targets.iter().filter(|t| t.health == Health::Healthy && present.contains(&t.instance));
            let healthy: BTreeSet<String> = healthy.map(|target| target.instance.clone()).collect();
            for id in self.healthy.difference(&healthy).filter(|id| present.contains(*id)) {
                *self.falls.entry(id.clone()).or_default() += 1;
            }
            self.healthy = healthy;
        }
        self.present = present;
    }
}

fn capacity(group: &Group, at_least: u32, image: Option<&str>) -> Seen {
    let name = format!("group {}", group.name);
    let serving: Vec<&Instance> = group.in_service().collect();
    let other = serving.iter().filter(|i| image.is_some_and(|image| i.image.as_deref() != Some(image)));
    let other = other.map(|i| format!("{} runs {}", i.id, i.image.as_deref().unwrap_or("an unknown image"))).collect::<Vec<_>>();
    let wanted = usize::try_from(at_least.max(1)).unwrap_or(usize::MAX);
    let mut detail = format!("{} of {wanted} in service", serving.len());
    let waiting = group.instances.iter().filter(|instance| !instance.in_service());
    let waiting: Vec<String> = waiting
        .map(|i| if i.lifecycle == "InService" { format!("{} Unhealthy", i.id) } else { format!("{} {}", i.id, i.lifecycle) })
        .collect();
    let enough = serving.len() >= wanted;
    if !enough && !waiting.is_empty() {
        detail = format!("{detail}; {}", listed(waiting.iter().map(String::as_str)));
    }
    if !enough && !group.suspended.is_empty() {
        detail = format!("{detail}; suspended: {}", group.suspended.join(", "));
    }
    if !other.is_empty() {
        detail = format!("{detail}; {}, wanted {}", listed(other.iter().map(String::as_str)), image.unwrap_or_default());
    }
    Seen::new(name, enough && other.is_empty(), detail, Why::NoCapacity)
}

fn health(group: &Group, on: &LoadBalancer, targets: Option<&[Target]>) -> Seen {
    let name = format!("health on {on}");
    let Some(targets) = targets else { return Seen::new(name, false, "there is no such load balancer", Why::NotHealthy) };
    let serving: Vec<&Instance> = group.in_service().collect();
    let mut healthy = 0;
    let mut waiting = Vec::new();
    for instance in &serving {
        match targets.iter().find(|target| target.instance == instance.id) {
            Some(target) if target.health == Health::Healthy => healthy += 1,
            Some(target) => {
                let reason = if target.reason.is_empty() { String::new() } else { format!(" ({})", target.reason) };
                waiting.push(format!("{} {}{reason}", instance.id, target.health.as_str()));
            }
            None => waiting.push(format!("{} not registered", instance.id)),
        }
    }
    let mut detail = format!("{healthy} of {} healthy", serving.len());
    if !waiting.is_empty() {
        detail = format!("{detail}; {}", listed(waiting.iter().map(String::as_str)));
    }
    Seen::new(name, healthy > 0 && waiting.is_empty(), detail, Why::NotHealthy)
}

fn drained(group: &Group, from: &LoadBalancer, targets: Option<&[Target]>) -> Seen {
    let name = format!("drain of {} from {from}", group.name);
    let Some(targets) = targets else { return Seen::new(name, false, "there is no such load balancer", Why::NotDrained) };
    let ids: BTreeSet<&str> = group.instances.iter().map(|i| i.id.as_str()).chain(group.outside.iter().map(String::as_str)).collect();
    // Registered, whatever its health: an unhealthy one comes back.
    let left = targets.iter().filter(|target| ids.contains(target.instance.as_str()));
    let left: Vec<String> = left.map(|target| format!("{} {}", target.instance, target.health.as_str())).collect();
    let attached = group.load_balancers.contains(from);
    let detail = match (attached, left.is_empty()) {
        (true, _) => format!("the group is still attached; {} registered", left.len()),
        (false, true) => "none registered".to_owned(),
        (false, false) => listed(left.iter().map(String::as_str)),
    };
    Seen::new(name, !attached && left.is_empty(), detail, Why::NotDrained)
}

fn gone(name: &str, group: Option<&Group>) -> Seen {
    let left: Vec<&str> = group.map_or_else(Vec::new, |group| {
        group.instances.iter().map(|i| i.id.as_str()).chain(group.outside.iter().map(String::as_str)).collect()
    });
    let wanted = group.map_or(0, |group| group.desired);
    let detail = match (left.is_empty(), wanted) {
        (true, 0) => "nothing runs".to_owned(),
        (true, wanted) => format!("the group wants {wanted}"),
        (false, _) => format!("{} left", listed(left.iter().copied())),
    };
    Seen::new(format!("end of {name}"), left.is_empty() && wanted == 0, detail, Why::StillRunning)
}

fn deployment(name: &str, group: &Group, deployed: Option<&Deployed>) -> Result<Seen, FailedGate> {
    let not_yet = |detail: String| Ok(Seen::new(name, false, detail, Why::NotDeployed));
    let Some(deployed) = deployed else { return not_yet("there is no such deployment group".to_owned()) };
    // Also of instances that are not in service: those whose deployment fails never will be.
    for instance in &group.instances {
        if let Some(on) = deployed.instances.get(&instance.id).filter(|on| on.status == "Failed") {
            let message = format!("{name}: deployment {} failed on {} of `{}`", on.deployment, instance.id, group.name);
            return Err(FailedGate::new(Why::DeploymentFailed, message));
        }
    }
    let Some(wanted) = &deployed.wanted else { return not_yet("no deployment of it has succeeded yet".to_owned()) };
    let serving: Vec<&Instance> = group.in_service().collect();
    let waiting = serving.iter().filter_map(|instance| match deployed.instances.get(&instance.id) {
        Some(on) if on.succeeded.as_ref() == Some(wanted) && on.status == "Succeeded" => None,
        Some(on) if on.status == "Succeeded" => Some(format!("{} has {}", instance.id, on.succeeded.as_deref().unwrap_or("nothing"))),
        Some(on) => Some(format!("{} {} {}", instance.id, on.deployment, on.status)),
        None => Some(format!("{} no deployment", instance.id)),
    });
    let waiting: Vec<String> = waiting.collect();
    let mut detail = format!("{} of {} have {wanted}", serving.len() - waiting.len(), serving.len());
    if !waiting.is_empty() {
        detail = format!("{detail}; {}", listed(waiting.iter().map(String::as_str)));
    }
    Ok(Seen::new(name, !serving.is_empty() && waiting.is_empty(), detail, Why::NotDeployed))
}

fn listed<'t>(names: impl Iterator<Item = &'t str>) -> String {
    let names: Vec<&str> = names.collect();
    let more = names.len().saturating_sub(LISTED);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim().trim_end_matches('.')
}
