//! What `CodeDeploy` did: deployments that are not over, and the last revision that came to each instance.
//!
//! Invariant: a revision is said of an instance only after a deployment *of that instance* succeeded; a deployment that succeeded
//! as a whole may have skipped or failed some.

use std::collections::BTreeSet;

use aws_sdk_codedeploy::types::{DeploymentInfo, DeploymentStatus as Status, InstanceTarget, RevisionLocation, TimeRange};

use crate::aws::errors::failed_of;
use crate::aws::traffic::{AwsTraffic, moment};
use crate::model::traffic::{Deployed, Deployment, OnInstance};
use crate::ports::AwsError;

const CODE_DEPLOY: &str = "codedeploy";
/// Most ids in one `BatchGet…` call.
const BATCH: usize = 25;
/// Deployments that are looked at for the revision of an instance: newest first, until all are found. A scale-out makes one for
/// each instance, so a group of forty that was never deployed to as a whole needs as many.
const DEPLOYMENTS: usize = 100;

impl AwsTraffic {
    pub(super) async fn running_deployments(&self, application: &str, group: &str) -> Result<Option<Vec<Deployment>>, AwsError> {
        let running = vec![Status::Created, Status::Queued, Status::InProgress, Status::Ready, Status::Baking];
        let Some(ids) = self.deployment_ids(application, group, running, usize::MAX).await? else { return Ok(None) };
        let found = self.deployment_infos(&ids).await?;
        Ok(Some(found.iter().map(deployment).collect()))
    }

    pub(super) async fn deployed_on(&self, application: &str, group: &str, instances: &[String]) -> Result<Option<Deployed>, AwsError> {
        let request = self.clients.codedeploy.get_deployment_group().application_name(application).deployment_group_name(group);
        let answer = match request.send().await.map_err(|e| self.deploy_failed("GetDeploymentGroup", &e)) {
            Err(error) if is_missing(&error) => return Ok(None),
            answer => answer?,
        };
        let last = answer.deployment_group_info().and_then(|info| info.last_successful_deployment()).and_then(|last| last.deployment_id());
        let mut deployed = Deployed::default();
        if let Some(last) = last {
            deployed.wanted = self.deployment_infos(&[last.to_owned()]).await?.first().map(|info| revision(info.revision()));
        }
        let Some(ids) = self.deployment_ids(application, group, Vec::new(), DEPLOYMENTS).await? else { return Ok(None) };
        let mut infos = self.deployment_infos(&ids).await?;
        infos.sort_by_key(|info| std::cmp::Reverse(info.create_time().map(|time| (time.secs(), time.subsec_nanos()))));
        let mut open: BTreeSet<&String> = instances.iter().collect();
        for info in &infos {
            if open.is_empty() {
                break;
            }
            let Some(id) = info.deployment_id() else { continue };
            for target in self.deployment_targets(id, &open).await? {
                let Some(instance) = target.target_id().map(|id| id.rsplit('/').next().unwrap_or(id)) else { continue };
                let status = target.status().map_or("Unknown", |status| status.as_str());
                let known = deployed.instances.entry(instance.to_owned()).or_insert_with(|| OnInstance {
                    deployment: id.to_owned(),
                    status: status.to_owned(),
                    succeeded: None,
                });
                if status == "Succeeded" {
                    known.succeeded = Some(revision(info.revision()));
                    open.retain(|open| *open != instance);
                }
            }
        }
        Ok(Some(deployed))
    }

    /// Newest first, at most `most`; `None`: no such application or group.
    async fn deployment_ids(
        &self,
        application: &str,
        group: &str,
        statuses: Vec<Status>,
        most: usize,
    ) -> Result<Option<Vec<String>>, AwsError> {
        let request = self.clients.codedeploy.list_deployments().application_name(application).deployment_group_name(group);
        // Without a range CodeDeploy promises no order; with one the newest come first.
        let range = TimeRange::builder().start(moment(jiff::Timestamp::UNIX_EPOCH)).build();
        let statuses = (!statuses.is_empty()).then_some(statuses);
        let mut pages = request.create_time_range(range).set_include_only_statuses(statuses).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            match page.map_err(|e| self.deploy_failed("ListDeployments", &e)) {
                Ok(page) => found.extend(page.deployments().iter().cloned()),
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
            if found.len() >= most {
                found.truncate(most);
                break;
            }
        }
        Ok(Some(found))
    }

    async fn deployment_infos(&self, ids: &[String]) -> Result<Vec<DeploymentInfo>, AwsError> {
        let mut found = Vec::new();
        for some in ids.chunks(BATCH) {
            let request = self.clients.codedeploy.batch_get_deployments().set_deployment_ids(Some(some.to_vec()));
            let answer = request.send().await.map_err(|e| self.deploy_failed("BatchGetDeployments", &e))?;
            found.extend(answer.deployments_info().iter().cloned());
        }
        Ok(found)
    }

    /// Targets of a deployment among `wanted`.
    async fn deployment_targets(&self, deployment: &str, wanted: &BTreeSet<&String>) -> Result<Vec<InstanceTarget>, AwsError> {
        let mut ids = Vec::new();
        let mut token = None;
        loop {
            let request = self.clients.codedeploy.list_deployment_targets().deployment_id(deployment).set_next_token(token);
            let answer = match request.send().await.map_err(|e| self.deploy_failed("ListDeploymentTargets", &e)) {
                // Created a moment ago: it has not chosen its instances yet.
                Err(error) if error.code == "DeploymentNotStartedException" => return Ok(Vec::new()),
                answer => answer?,
            };
            let is_wanted = |id: &&String| wanted.iter().any(|wanted| id.rsplit('/').next() == Some(wanted.as_str()));
            ids.extend(answer.target_ids().iter().filter(is_wanted).cloned());
            token = answer.next_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        let mut found = Vec::new();
        for some in ids.chunks(BATCH) {
            let request = self.clients.codedeploy.batch_get_deployment_targets().deployment_id(deployment);
            let answer = request.set_target_ids(Some(some.to_vec())).send().await;
            let answer = answer.map_err(|e| self.deploy_failed("BatchGetDeploymentTargets", &e))?;
            found.extend(answer.deployment_targets().iter().filter_map(|target| target.instance_target().cloned()));
        }
        Ok(found)
    }

    fn deploy_failed<E>(&self, operation: &'static str, error: &aws_sdk_codedeploy::error::SdkError<E>) -> AwsError
    where
        E: aws_sdk_codedeploy::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        failed_of(CODE_DEPLOY, operation, self.region(), error)
    }
}

fn deployment(info: &DeploymentInfo) -> Deployment {
    Deployment {
        id: info.deployment_id().unwrap_or_default().to_owned(),
        status: info.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        revision: revision(info.revision()),
    }
}

/// One text that is the same exactly when the revision is.
fn revision(location: Option<&RevisionLocation>) -> String {
    let Some(location) = location else { return "unknown".to_owned() };
    let part = |name: &str, value: Option<&str>| value.filter(|v| !v.is_empty()).map(|v| format!("{name}{v}")).unwrap_or_default();
    if let Some(s3) = location.s3_location() {
        let place = format!("s3://{}/{}", s3.bucket().unwrap_or_default(), s3.key().unwrap_or_default());
        return place + &part("?versionId=", s3.version()) + &part("#", s3.e_tag().map(|tag| tag.trim_matches('"')));
    }
    if let Some(github) = location.git_hub_location() {
        return format!("{}@{}", github.repository().unwrap_or_default(), github.commit_id().unwrap_or_default());
    }
    let sha = location.app_spec_content().and_then(|content| content.sha256());
    part("sha256:", sha)
}

fn is_missing(error: &AwsError) -> bool {
    matches!(error.code.as_str(), "ApplicationDoesNotExistException" | "DeploymentGroupDoesNotExistException")
}
