//! Taking things out of the account: one at a time, waiting until each is gone.
//!
//! Invariant: what is gone already counts as removed; an error says what was removed before it.

use aws_sdk_ec2::types::{InstanceStateName, Reservation};

use crate::aws::catalog::{Ec2Catalog, Waits};
use crate::aws::convert::{filter, image};
use crate::aws::errors::{REQUEST, failed, is_in_use, is_not_found, refused};
use crate::model::artifact::{Leftover, LeftoverKind};
use crate::ports::AwsError;

/// What is gone was to be removed anyway.
#[expect(clippy::result_large_err, reason = "the port's error, passed through")]
fn gone_is_fine(result: Result<(), AwsError>) -> Result<(), AwsError> {
    match result {
        Err(error) if is_not_found(&error) => Ok(()),
        other => other,
    }
}

impl Ec2Catalog {
    pub(super) async fn deregister(&self, id: &str, snapshots: &[String]) -> Result<(), AwsError> {
        let answer = self.client.deregister_image().image_id(id).send().await;
        gone_is_fine(answer.map(drop).map_err(|e| failed("DeregisterImage", &self.region, &e)))?;
        for (at, snapshot) in snapshots.iter().enumerate() {
            self.delete_snapshot(snapshot).await.map_err(|error| AwsError {
                changed: Some(format!(
                    "{id} is deregistered in {}, its snapshots {} are still there",
                    self.region,
                    snapshots[at..].join(", ")
                )),
                ..error
            })?;
        }
        Ok(())
    }

    pub(super) async fn remove_leftover(&self, leftover: &Leftover) -> Result<(), AwsError> {
        let id = leftover.id.as_str();
        match leftover.kind {
            LeftoverKind::Instance => self.terminate(id).await,
            LeftoverKind::Image => {
                // Asked again: a pending image gets its snapshots only later.
                let found = self.client.describe_images().owners("self").filters(filter("image-id", [id])).send().await;
                let found = found.map_err(|e| failed("DescribeImages", &self.region, &e))?;
                let snapshots = found.images().iter().filter_map(|i| image(i, &self.region)).flat_map(|i| i.snapshots);
                self.deregister(id, &snapshots.collect::<Vec<_>>()).await
            }
            LeftoverKind::Snapshot => self.delete_snapshot(id).await,
            LeftoverKind::Volume => {
                self.once_free(async || {
                    let answer = self.client.delete_volume().volume_id(id).send().await;
                    answer.map(drop).map_err(|e| failed("DeleteVolume", &self.region, &e))
                })
                .await
            }
            LeftoverKind::KeyPair => {
                let answer = self.client.delete_key_pair().key_name(id).send().await;
                gone_is_fine(answer.map(drop).map_err(|e| failed("DeleteKeyPair", &self.region, &e)))
            }
            LeftoverKind::SecurityGroup => {
                self.once_free(async || {
                    let answer = self.client.delete_security_group().group_id(id).send().await;
                    answer.map(drop).map_err(|e| failed("DeleteSecurityGroup", &self.region, &e))
                })
                .await
            }
            LeftoverKind::Container | LeftoverKind::File => {
                Err(refused("remove", &self.region, REQUEST, format!("`{id}` is not in EC2; `{}` removes it", leftover.remove_with)))
            }
        }
    }

    async fn delete_snapshot(&self, id: &str) -> Result<(), AwsError> {
        // Its image was deregistered a moment ago, and EC2 does not know it everywhere yet.
        self.once_free(async || {
            let answer = self.client.delete_snapshot().snapshot_id(id).send().await;
            answer.map(drop).map_err(|e| failed("DeleteSnapshot", &self.region, &e))
        })
        .await
    }

    /// Deletes what something else may still use for a while.
    async fn once_free(&self, delete: impl AsyncFn() -> Result<(), AwsError>) -> Result<(), AwsError> {
        let mut waits = Waits::new(self.patience.in_use);
        loop {
            match gone_is_fine(delete().await) {
                Err(error) if is_in_use(&error) => waits.wait(error).await?,
                other => return other,
            }
        }
    }

    async fn terminate(&self, id: &str) -> Result<(), AwsError> {
        let answer = self.client.terminate_instances().instance_ids(id).send().await;
        match answer.map(drop).map_err(|e| failed("TerminateInstances", &self.region, &e)) {
            Err(error) if is_not_found(&error) => return Ok(()),
            other => other?,
        }
        let mut waits = Waits::new(self.patience.in_use);
        loop {
            let answer = self.client.describe_instances().filters(filter("instance-id", [id])).send().await;
            let answer = answer.map_err(|e| failed("DescribeInstances", &self.region, &e))?;
            let instance = answer.reservations().iter().flat_map(Reservation::instances).find(|i| i.instance_id() == Some(id));
            let state = instance.and_then(|i| i.state()?.name());
            if matches!(state, None | Some(InstanceStateName::Terminated)) {
                return Ok(());
            }
            let seen = state.map_or("unknown", InstanceStateName::as_str);
            let late = refused(
                "DescribeInstances",
                &self.region,
                crate::aws::errors::TIMEOUT,
                format!("{id} is still `{seen}`, wanted `terminated`"),
            );
            waits.wait(AwsError { changed: Some(format!("{id} was told to terminate")), ..late }).await?;
        }
    }
}
