//! What a run left in the account: found by the run's tag, and by the ids that Packer's log named.
//!
//! A log may name anything (a playbook prints the id of a production instance), so a name alone is no proof. Invariant: a thing is
//! listed only when it carries this run's and node's tags, or when it hangs on a temporary key pair or group of Packer's
//! (`packer_…`) that the log named: instance by its key, image by its instance, snapshot by its image. A sealed image never is.

use std::collections::BTreeSet;

use aws_sdk_ec2::types;

use crate::aws::catalog::Ec2Catalog;
use crate::aws::convert::{filter, tags as our_tags};
use crate::aws::errors::failed;
use crate::model::artifact::{Leftover, LeftoverKind, tags};
use crate::model::node::{NodeId, RunId};
use crate::ports::AwsError;

/// Values that one filter takes.
const FILTER_VALUES: usize = 200;
/// What Packer's temporary key pairs and groups are called.
const TEMPORARY: &str = "packer_";

/// Ids to ask about, by kind. Asking by filter, not by id: one id that is gone would fail the whole call.
#[derive(Debug, Default, PartialEq, Eq)]
struct Candidates {
    instances: BTreeSet<String>,
    images: BTreeSet<String>,
    snapshots: BTreeSet<String>,
    volumes: BTreeSet<String>,
    /// `key-…`, from tags.
    key_ids: BTreeSet<String>,
    /// `sg-…`
    groups: BTreeSet<String>,
    /// Temporary names of Packer's, for key pairs and groups alike.
    names: BTreeSet<String>,
}

impl Candidates {
    fn add(&mut self, id: &str) {
        let set = match id.split_once('-').map(|(prefix, _)| prefix) {
            Some("i") => &mut self.instances,
            Some("ami") => &mut self.images,
            Some("snap") => &mut self.snapshots,
            Some("vol") => &mut self.volumes,
            Some("key") => &mut self.key_ids,
            Some("sg") => &mut self.groups,
            _ if id.starts_with(TEMPORARY) => &mut self.names,
            _ => return,
        };
        set.insert(id.to_owned());
    }
}

/// Whose things are looked for.
struct Owner<'a> {
    run: &'a RunId,
    node: &'a NodeId,
}

impl Owner<'_> {
    /// Our tags on it say this run and this node. A thing of the same stage's other architecture is somebody else's.
    fn tagged(&self, on: &[types::Tag]) -> bool {
        let on = our_tags(on);
        let is = |key: &str, value: &str| on.get(key).is_some_and(|v| v == value);
        is(tags::RUN, self.run.as_str())
            && is(tags::STAGE, self.node.stage.as_str())
            && on.get(tags::ARCHITECTURE).is_none_or(|v| v == self.node.architecture.as_str())
    }
}

fn untagged(on: &[types::Tag]) -> bool {
    !on.iter().any(|tag| tag.key() == Some(tags::RUN))
}

impl Ec2Catalog {
    pub(super) async fn find_leftovers(
        &self,
        run: &RunId,
        node: &NodeId,
        ids: &[String],
        keep: Option<&str>,
    ) -> Result<Vec<Leftover>, AwsError> {
        let owner = Owner { run, node };
        let mut candidates = Candidates::default();
        for id in self.tagged_ids(run).await? {
            candidates.add(&id);
        }
        for id in ids {
            candidates.add(id);
        }
        if let Some(keep) = keep {
            candidates.images.remove(keep);
            for snapshot in self.snapshots_of(keep).await? {
                candidates.snapshots.remove(&snapshot);
            }
        }
        let mut found = Vec::new();
        let instances = self.instances(&owner, &candidates, &mut found).await?;
        let images = self.unsealed_images(&owner, &candidates, &instances, &mut found).await?;
        self.loose_snapshots(&owner, &candidates, &images, &mut found).await?;
        self.volumes(&owner, &candidates, &mut found).await?;
        self.key_pairs(&owner, &candidates, &mut found).await?;
        self.groups(&owner, &candidates, &mut found).await?;
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// One call for all kinds; what it lists may be gone already, so every kind is asked about again.
    async fn tagged_ids(&self, run: &RunId) -> Result<Vec<String>, AwsError> {
        let request = self.client.describe_tags().filters(filter("key", [tags::RUN])).filters(filter("value", [run.as_str()]));
        let mut pages = request.into_paginator().send();
        let mut ids = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed("DescribeTags", &self.region, &e))?;
            ids.extend(page.tags().iter().filter_map(|t| t.resource_id()).map(str::to_owned));
        }
        Ok(ids)
    }

    async fn snapshots_of(&self, image: &str) -> Result<Vec<String>, AwsError> {
        if let Some(known) = self.snapshots.borrow().get(image) {
            return Ok(known.clone());
        }
        let found = self.describe(vec![filter("image-id", [image])]).await?;
        Ok(found.into_iter().flat_map(|i| i.snapshots).collect())
    }

    /// Lists what runs; gives the ids of all of ours, ended ones too, because images are traced to them.
    async fn instances(&self, owner: &Owner<'_>, asked: &Candidates, found: &mut Vec<Leftover>) -> Result<BTreeSet<String>, AwsError> {
        let mut ours = BTreeSet::new();
        for ids in chunks(&asked.instances) {
            let mut pages = self.client.describe_instances().filters(filter("instance-id", ids)).into_paginator().items().send();
            while let Some(reservation) = pages.next().await {
                let reservation = reservation.map_err(|e| failed("DescribeInstances", &self.region, &e))?;
                for instance in reservation.instances() {
                    let by_key = untagged(instance.tags()) && instance.key_name().is_some_and(|name| asked.names.contains(name));
                    let Some(id) = instance.instance_id().filter(|_| owner.tagged(instance.tags()) || by_key) else { continue };
                    ours.insert(id.to_owned());
                    let state = instance.state().and_then(types::InstanceState::name);
                    // Shutting down never comes back: it is on its way without us.
                    if !matches!(state, Some(types::InstanceStateName::Terminated | types::InstanceStateName::ShuttingDown)) {
                        found.push(self.leftover(LeftoverKind::Instance, id));
                    }
                }
            }
        }
        Ok(ours)
    }

    /// Lists images without seal; gives their snapshots.
    async fn unsealed_images(
        &self,
        owner: &Owner<'_>,
        asked: &Candidates,
        instances: &BTreeSet<String>,
        found: &mut Vec<Leftover>,
    ) -> Result<BTreeSet<String>, AwsError> {
        let mut snapshots = BTreeSet::new();
        for ids in chunks(&asked.images) {
            let request = self.client.describe_images().owners("self").filters(filter("image-id", ids));
            let mut pages = request.max_results(1000).into_paginator().items().send();
            while let Some(image) = pages.next().await {
                let image = image.map_err(|e| failed("DescribeImages", &self.region, &e))?;
                let by_instance = untagged(image.tags()) && image.source_instance_id().is_some_and(|id| instances.contains(id));
                let sealed = image.tags().iter().any(|t| t.key() == Some(tags::KEY));
                let ours = !sealed && (owner.tagged(image.tags()) || by_instance);
                let Some(id) = image.image_id().filter(|_| ours) else { continue };
                found.push(self.leftover(LeftoverKind::Image, id));
                let of_image = image.block_device_mappings().iter().filter_map(|m| m.ebs()?.snapshot_id());
                snapshots.extend(of_image.map(str::to_owned));
            }
        }
        Ok(snapshots)
    }

    async fn loose_snapshots(
        &self,
        owner: &Owner<'_>,
        asked: &Candidates,
        of_images: &BTreeSet<String>,
        found: &mut Vec<Leftover>,
    ) -> Result<(), AwsError> {
        let all = asked.snapshots.union(of_images).cloned().collect();
        for ids in chunks(&all) {
            let request = self.client.describe_snapshots().owner_ids("self").filters(filter("snapshot-id", ids));
            let mut pages = request.into_paginator().items().send();
            while let Some(snapshot) = pages.next().await {
                let snapshot = snapshot.map_err(|e| failed("DescribeSnapshots", &self.region, &e))?;
                let Some(id) = snapshot.snapshot_id() else { continue };
                if owner.tagged(snapshot.tags()) || of_images.contains(id) {
                    found.push(self.leftover(LeftoverKind::Snapshot, id));
                }
            }
        }
        Ok(())
    }

    async fn volumes(&self, owner: &Owner<'_>, asked: &Candidates, found: &mut Vec<Leftover>) -> Result<(), AwsError> {
        for ids in chunks(&asked.volumes) {
            let mut pages = self.client.describe_volumes().filters(filter("volume-id", ids)).into_paginator().items().send();
            while let Some(volume) = pages.next().await {
                let volume = volume.map_err(|e| failed("DescribeVolumes", &self.region, &e))?;
                let going = matches!(volume.state(), Some(types::VolumeState::Deleting | types::VolumeState::Deleted));
                if let Some(id) = volume.volume_id().filter(|_| !going && owner.tagged(volume.tags())) {
                    found.push(self.leftover(LeftoverKind::Volume, id));
                }
            }
        }
        Ok(())
    }

    async fn key_pairs(&self, owner: &Owner<'_>, asked: &Candidates, found: &mut Vec<Leftover>) -> Result<(), AwsError> {
        for (name, values) in [("key-pair-id", &asked.key_ids), ("key-name", &asked.names)] {
            for values in chunks(values) {
                let answer = self.client.describe_key_pairs().filters(filter(name, values)).send().await;
                let answer = answer.map_err(|e| failed("DescribeKeyPairs", &self.region, &e))?;
                for pair in answer.key_pairs() {
                    let named = untagged(pair.tags()) && pair.key_name().is_some_and(|n| asked.names.contains(n));
                    if let Some(name) = pair.key_name().filter(|_| named || owner.tagged(pair.tags())) {
                        found.push(self.leftover(LeftoverKind::KeyPair, name));
                    }
                }
            }
        }
        Ok(())
    }

    async fn groups(&self, owner: &Owner<'_>, asked: &Candidates, found: &mut Vec<Leftover>) -> Result<(), AwsError> {
        for (name, values) in [("group-id", &asked.groups), ("group-name", &asked.names)] {
            for values in chunks(values) {
                let mut pages = self.client.describe_security_groups().filters(filter(name, values)).into_paginator().items().send();
                while let Some(group) = pages.next().await {
                    let group = group.map_err(|e| failed("DescribeSecurityGroups", &self.region, &e))?;
                    let temporary = untagged(group.tags()) && group.group_name().is_some_and(|n| n.starts_with(TEMPORARY));
                    if let Some(id) = group.group_id().filter(|_| temporary || owner.tagged(group.tags())) {
                        found.push(self.leftover(LeftoverKind::SecurityGroup, id));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn leftover(&self, kind: LeftoverKind, id: &str) -> Leftover {
        Leftover { kind, id: id.to_owned(), region: self.region.clone(), remove_with: remove_with(kind, id, &self.region) }
    }
}

fn remove_with(kind: LeftoverKind, id: &str, region: &str) -> String {
    let what = match kind {
        LeftoverKind::Instance => format!("terminate-instances --instance-ids {id}"),
        LeftoverKind::Image => format!("deregister-image --image-id {id}"),
        LeftoverKind::Snapshot => format!("delete-snapshot --snapshot-id {id}"),
        LeftoverKind::Volume => format!("delete-volume --volume-id {id}"),
        LeftoverKind::KeyPair => format!("delete-key-pair --key-name {id}"),
        LeftoverKind::SecurityGroup => format!("delete-security-group --group-id {id}"),
        LeftoverKind::Container => return format!("docker rm --force --volumes {id}"),
        LeftoverKind::File => return format!("rm -r {id}"),
    };
    format!("aws ec2 {what} --region {region}")
}

fn chunks(ids: &BTreeSet<String>) -> impl Iterator<Item = Vec<String>> {
    ids.iter().cloned().collect::<Vec<_>>().chunks(FILTER_VALUES).map(<[String]>::to_vec).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::Name;
    use crate::model::node::Architecture;

    fn tag(key: &str, value: &str) -> types::Tag {
        types::Tag::builder().key(key).value(value).build()
    }

    #[test]
    fn only_this_run_and_this_node_count() {
        let run = RunId::new("20261122t041500", 0x3f_9a1c);
        let node = NodeId { stage: Name::new("web").expect("a name"), architecture: Architecture::X86_64 };
        let owner = Owner { run: &run, node: &node };
        let mine = || vec![tag(tags::RUN, run.as_str()), tag(tags::STAGE, "web")];
        assert!(owner.tagged(&mine()));
        assert!(owner.tagged(&[mine(), vec![tag(tags::ARCHITECTURE, "x86_64")]].concat()));
        assert!(!owner.tagged(&[mine(), vec![tag(tags::ARCHITECTURE, "arm64")]].concat()), "the other architecture still builds");
        assert!(!owner.tagged(&[tag(tags::RUN, run.as_str()), tag(tags::STAGE, "api")]), "another stage still builds");
        assert!(!owner.tagged(&[tag(tags::RUN, "20261122t041500-000000"), tag(tags::STAGE, "web")]));
        assert!(!owner.tagged(&[]));
    }

    #[test]
    fn ids_are_told_apart_and_strangers_left_out() {
        let mut candidates = Candidates::default();
        for id in ["i-1", "ami-1", "snap-1", "vol-1", "key-1", "sg-1", "packer_65-1", "subnet-1", "production", ""] {
            candidates.add(id);
        }
        let one = |id: &str| BTreeSet::from([id.to_owned()]);
        let expected = Candidates {
            instances: one("i-1"),
            images: one("ami-1"),
            snapshots: one("snap-1"),
            volumes: one("vol-1"),
            key_ids: one("key-1"),
            groups: one("sg-1"),
            names: one("packer_65-1"),
        };
        assert_eq!(candidates, expected);
    }

    #[test]
    fn the_removing_command_can_be_pasted() {
        assert_eq!(
            remove_with(LeftoverKind::Instance, "i-1", "us-west-2"),
            "aws ec2 terminate-instances --instance-ids i-1 --region us-west-2"
        );
        assert_eq!(remove_with(LeftoverKind::Container, "abc", "docker"), "docker rm --force --volumes abc");
    }
}
