//! [`AwsTraffic`]: the port [`Traffic`] over Auto Scaling, both kinds of load balancers, `CodeDeploy` and `CloudWatch`, in one region.
//!
//! Only reads. Decides nothing: what is good enough, `run::gate` says. Invariant: `None` is said only when AWS itself says that the
//! thing does not exist; every other failure is an error with service, operation, region and code.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_autoscaling::types as autoscaling;
use aws_sdk_ec2::types as ec2;
use jiff::Timestamp;

use crate::aws::convert::{filter, image};
use crate::aws::errors::{failed, failed_of};
use crate::model::artifact::Image;
use crate::model::traffic::{Activity, Deployed, Deployment, Group, Instance, LoadBalancer, Requests, Target};
use crate::ports::{AwsError, Traffic};

/// As IAM calls it.
const AUTO_SCALING: &str = "autoscaling";
/// EC2's tag on instances of a group.
const GROUP_TAG: &str = "tag:aws:autoscaling:groupName";

/// Clients of one region; each must have time-outs (the SDK's default has none: a hanging server hangs for ever).
#[derive(Debug, Clone)]
pub struct Clients {
    /// Region of all of them.
    pub region: String,
    /// EC2.
    pub ec2: aws_sdk_ec2::Client,
    /// Auto Scaling.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// Classic load balancers.
    pub elb: aws_sdk_elasticloadbalancing::Client,
    /// ALB and NLB.
    pub elbv2: aws_sdk_elasticloadbalancingv2::Client,
    /// `CodeDeploy`.
    pub codedeploy: aws_sdk_codedeploy::Client,
    /// `CloudWatch`.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
}

/// What serves, in one region.
#[derive(Debug, Clone)]
pub struct AwsTraffic {
    pub(super) clients: Clients,
}

impl AwsTraffic {
    /// Over these clients.
    pub fn new(clients: Clients) -> Self {
        Self { clients }
    }

    pub(super) fn region(&self) -> &str {
        &self.clients.region
    }

    /// What EC2 knows of a group's instances, by id; terminated ones are left out.
    async fn machines(&self, group: &str) -> Result<BTreeMap<String, ec2::Instance>, AwsError> {
        let states = ["pending", "running", "shutting-down", "stopping", "stopped"];
        let request = self.clients.ec2.describe_instances();
        let request = request.filters(filter(GROUP_TAG, [group])).filters(filter("instance-state-name", states)).max_results(1000);
        let mut pages = request.into_paginator().send();
        let mut found = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed("DescribeInstances", self.region(), &e))?;
            let machines = page.reservations().iter().flat_map(ec2::Reservation::instances);
            found.extend(machines.filter_map(|machine| Some((machine.instance_id()?.to_owned(), machine.clone()))));
        }
        Ok(found)
    }
}

#[async_trait(?Send)]
impl Traffic for AwsTraffic {
    async fn group(&self, name: &str) -> Result<Option<Group>, AwsError> {
        let request = self.clients.autoscaling.describe_auto_scaling_groups().auto_scaling_group_names(name);
        let answer = request.send().await.map_err(|e| failed_of(AUTO_SCALING, "DescribeAutoScalingGroups", self.region(), &e))?;
        let Some(found) = answer.auto_scaling_groups().iter().find(|g| g.auto_scaling_group_name() == Some(name)) else {
            return Ok(None);
        };
        let mut machines = self.machines(name).await?;
        let mut instances: Vec<Instance> =
            found.instances().iter().filter_map(|i| instance(i, machines.remove(i.instance_id()?).as_ref())).collect();
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        let classic = found.load_balancer_names().iter().cloned().map(LoadBalancer::Classic);
        let targets = found.target_group_arns().iter().cloned().map(LoadBalancer::TargetGroup);
        Ok(Some(Group {
            name: name.to_owned(),
            min: size(found.min_size()),
            max: size(found.max_size()),
            desired: size(found.desired_capacity()),
            template: template(found),
            load_balancers: classic.chain(targets).collect(),
            instances,
            outside: machines.into_keys().collect(),
            suspended: found.suspended_processes().iter().filter_map(|p| p.process_name().map(str::to_owned)).collect(),
        }))
    }

    async fn activities(&self, group: &str, since: Timestamp) -> Result<Vec<Activity>, AwsError> {
        let request = self.clients.autoscaling.describe_scaling_activities().auto_scaling_group_name(group).max_records(100);
        let mut pages = request.into_paginator().send();
        let mut found: Vec<Activity> = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed_of(AUTO_SCALING, "DescribeScalingActivities", self.region(), &e))?;
            let new: Vec<Activity> = page.activities().iter().filter_map(activity).collect();
            // AWS gives the newest first, six weeks of them.
            let old = new.last().is_some_and(|activity| activity.began < since);
            found.extend(new.into_iter().filter(|activity| activity.began >= since));
            if old {
                break;
            }
        }
        found.sort_by(|a, b| (b.began, &b.id).cmp(&(a.began, &a.id)));
        Ok(found)
    }

    async fn targets(&self, load_balancer: &LoadBalancer) -> Result<Option<Vec<Target>>, AwsError> {
        match load_balancer {
            LoadBalancer::Classic(name) => self.classic_targets(name).await,
            LoadBalancer::TargetGroup(arn) => self.group_targets(arn).await,
        }
    }

    async fn deployments(&self, application: &str, group: &str) -> Result<Option<Vec<Deployment>>, AwsError> {
        self.running_deployments(application, group).await
    }

    async fn deployed(&self, application: &str, group: &str, instances: &[String]) -> Result<Option<Deployed>, AwsError> {
        self.deployed_on(application, group, instances).await
    }

    async fn images(&self, ids: &[String]) -> Result<Vec<Image>, AwsError> {
        let mut found = BTreeMap::new();
        // A filter, not `ImageIds`: with those EC2 refuses the whole question for one id that it does not know.
        for some in ids.chunks(200) {
            let request = self.clients.ec2.describe_images().filters(filter("image-id", some.iter().map(String::as_str)));
            let mut pages = request.max_results(1000).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|e| failed("DescribeImages", self.region(), &e))?;
                found.extend(page.images().iter().filter_map(|i| image(i, self.region())).map(|image| (image.id.clone(), image)));
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    async fn requests(&self, load_balancer: &LoadBalancer, from: Timestamp, to: Timestamp) -> Result<Requests, AwsError> {
        self.counted_requests(load_balancer, from, to).await
    }
}

fn instance(instance: &autoscaling::Instance, machine: Option<&ec2::Instance>) -> Option<Instance> {
    Some(Instance {
        id: instance.instance_id()?.to_owned(),
        lifecycle: instance.lifecycle_state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        healthy: instance.health_status().is_some_and(|status| status.eq_ignore_ascii_case("healthy")),
        image: machine.and_then(|m| m.image_id()).map(str::to_owned),
        template_version: instance.launch_template().and_then(|template| template.version()).map(str::to_owned),
        architecture: machine.and_then(|m| m.architecture()).map(|architecture| architecture.as_str().to_owned()),
        launched: machine.and_then(|m| m.launch_time()).and_then(timestamp),
    })
}

fn template(group: &autoscaling::AutoScalingGroup) -> Option<String> {
    let mixed = || group.mixed_instances_policy()?.launch_template()?.launch_template_specification();
    match group.launch_template().or_else(mixed) {
        Some(template) => {
            let name = template.launch_template_name().or(template.launch_template_id())?;
            Some(format!("{name}:{}", template.version().unwrap_or("$Default")))
        }
        None => group.launch_configuration_name().map(str::to_owned),
    }
}

fn activity(activity: &autoscaling::Activity) -> Option<Activity> {
    let text = |text: Option<&str>| text.unwrap_or_default().trim().to_owned();
    Some(Activity {
        id: activity.activity_id()?.to_owned(),
        began: timestamp(activity.start_time()?)?,
        status: activity.status_code().map(|code| code.as_str().to_owned()).unwrap_or_default(),
        what: text(activity.description()),
        cause: text(activity.cause()),
        message: text(activity.status_message()),
    })
}

fn size(value: Option<i32>) -> u32 {
    value.and_then(|size| u32::try_from(size).ok()).unwrap_or_default()
}

/// The SDK's moment as jiff's.
pub(super) fn timestamp(moment: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::new(moment.secs(), i32::try_from(moment.subsec_nanos()).ok()?).ok()
}

/// The other way.
pub(super) fn moment(timestamp: Timestamp) -> aws_smithy_types::DateTime {
    aws_smithy_types::DateTime::from_millis(timestamp.as_millisecond())
}
