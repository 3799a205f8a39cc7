//! [`Ec2Catalog`]: the port [`Catalog`] over EC2, in one region.
//!
//! May not decide what is built: whether an image is a hit is asked of `plan`. Invariant: only [`Ec2Catalog::claim`] makes a
//! claim, and only after a look-up by key of its own; `images` is a snapshot for planning and is never trusted to build.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;

use crate::aws::convert::{filter, image, sdk_tags};
use crate::aws::errors::{failed, is_gone, is_not_found};
use crate::model::artifact::{Image, Leftover, tags};
use crate::model::name::Name;
use crate::model::node::{NodeId, RunId};
use crate::plan::hit;
use crate::ports::{AwsError, Catalog, Claim, Claimed, SourceQuery, Wanted};

/// How long the catalog's own loops wait. EC2 is eventually consistent: an id that it gave a second ago may be `NotFound`, and a
/// security group is in use until its instance's network interface is gone.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For an id that EC2 does not know yet.
    pub not_found: Duration,
    /// For a thing that is still in use, or an instance that is shutting down.
    pub in_use: Duration,
}

impl Default for Patience {
    /// A minute covers what was seen of the first (EC2 promises nothing; reports go up to five), an instance takes up to four to end.
    fn default() -> Self {
        Self { not_found: Duration::from_mins(1), in_use: Duration::from_mins(5) }
    }
}

/// EC2 in one region, for one pipeline.
#[derive(Debug)]
pub struct Ec2Catalog {
    pub(super) client: Client,
    pub(super) region: String,
    pipeline: Name,
    pub(super) patience: Patience,
    /// Snapshots of images that were looked at one by one, so that reconciling need not ask again for the image that is kept.
    pub(super) snapshots: RefCell<BTreeMap<String, Vec<String>>>,
}

impl Ec2Catalog {
    /// `client` must be of `region` and have time-outs (the SDK's default has none: a hanging server hangs for ever).
    pub fn new(client: Client, region: impl Into<String>, pipeline: Name) -> Self {
        Self { client, region: region.into(), pipeline, patience: Patience::default(), snapshots: RefCell::default() }
    }

    /// Other waits.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    pub(super) async fn describe(&self, filters: Vec<types::Filter>) -> Result<Vec<Image>, AwsError> {
        let request = self.client.describe_images().owners("self").set_filters(Some(filters)).max_results(1000);
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed("DescribeImages", &self.region, &e))?;
            found.extend(page.images().iter().filter_map(|i| image(i, &self.region)));
        }
        Ok(found)
    }

    async fn by_id(&self, id: &str) -> Result<Option<Image>, AwsError> {
        let answer = self.client.describe_images().image_ids(id).send().await;
        let answer = answer.map_err(|e| failed("DescribeImages", &self.region, &e))?;
        Ok(answer.images().iter().find_map(|i| image(i, &self.region)))
    }

    async fn create_tags(&self, ids: Vec<String>, tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
        let mut waits = Waits::new(self.patience.not_found);
        loop {
            let request = self.client.create_tags().set_resources(Some(ids.clone())).set_tags(Some(sdk_tags(tags)));
            match request.send().await.map_err(|e| failed("CreateTags", &self.region, &e)) {
                Ok(_) => return Ok(()),
                Err(error) if is_not_found(&error) && !is_gone(&error) => waits.wait(error).await?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// A loop's pauses: short at first, doubling to five seconds, up to a total.
pub(super) struct Waits {
    left: Duration,
    next: Duration,
}

impl Waits {
    pub(super) fn new(total: Duration) -> Self {
        Self { left: total, next: Duration::from_millis(250) }
    }

    /// Pauses, or gives `error` back when the time is used up.
    pub(super) async fn wait<E>(&mut self, error: E) -> Result<(), E> {
        if self.left.is_zero() {
            return Err(error);
        }
        let pause = self.next.min(self.left);
        tokio::time::sleep(pause).await;
        self.left -= pause;
        self.next = (self.next * 2).min(Duration::from_secs(5));
        Ok(())
    }
}

#[async_trait(?Send)]
impl Catalog for Ec2Catalog {
    async fn images(&self) -> Result<Vec<Image>, AwsError> {
        self.describe(vec![filter(format!("tag:{}", tags::PIPELINE), [self.pipeline.as_str()])]).await
    }

    async fn newest_source(&self, query: &SourceQuery) -> Result<Option<Image>, AwsError> {
        self.find_source(query).await
    }

    async fn claim(&self, wanted: Wanted) -> Result<Claimed, AwsError> {
        let filters = vec![
            filter(format!("tag:{}", tags::PIPELINE), [self.pipeline.as_str()]),
            filter(format!("tag:{}", tags::KEY), [wanted.key.to_string()]),
        ];
        let images = self.describe(filters).await?;
        Ok(match hit::find(&images, &self.pipeline, &wanted.node, wanted.key).hit {
            Some(image) => Claimed::Held(image.clone()),
            None => Claimed::Claim(Claim { wanted }),
        })
    }

    async fn image(&self, id: &str) -> Result<Option<Image>, AwsError> {
        let mut waits = Waits::new(self.patience.not_found);
        loop {
            let found = match self.by_id(id).await {
                Ok(found) => found,
                Err(error) if is_gone(&error) => return Ok(None),
                Err(error) if is_not_found(&error) => None,
                Err(error) => return Err(error),
            };
            if let Some(image) = found {
                self.snapshots.borrow_mut().insert(image.id.clone(), image.snapshots.clone());
                return Ok(Some(image));
            }
            if waits.wait(()).await.is_err() {
                return Ok(None);
            }
        }
    }

    async fn tag(&self, image: &Image, tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
        if tags.is_empty() {
            return Ok(());
        }
        let ids = std::iter::once(&image.id).chain(&image.snapshots).cloned().collect();
        self.create_tags(ids, tags).await
    }

    async fn seal(&self, claim: Claim, image: &Image) -> Result<(), AwsError> {
        let key = BTreeMap::from([(tags::KEY.to_owned(), claim.wanted.key.to_string())]);
        self.create_tags(vec![image.id.clone()], &key).await.map_err(|error| AwsError {
            changed: Some(format!("{} was made in {} but is not sealed: no plan will use it", image.id, self.region)),
            ..error
        })
    }

    async fn remove_image(&self, image: &Image) -> Result<(), AwsError> {
        self.deregister(&image.id, &image.snapshots).await
    }

    async fn leftovers(&self, run: &RunId, node: &NodeId, ids: &[String], keep: Option<&str>) -> Result<Vec<Leftover>, AwsError> {
        self.find_leftovers(run, node, ids, keep).await
    }

    async fn remove(&self, leftover: &Leftover) -> Result<(), AwsError> {
        self.remove_leftover(leftover).await
    }
}
