//! Finding a source AMI: an image that we did not make.
//!
//! Invariant: nothing is ever searched without owners or a parameter of AWS's own. Anybody can publish an image under any name, and "the newest that is called
//! debian-12-…" without an owner is whoever published last.

use crate::aws::catalog::Ec2Catalog;
use crate::aws::convert::{filter, image};
use crate::aws::errors::{REQUEST, failed, is_not_found, refused};
use crate::model::artifact::{Image, ImageState};
use crate::ports::{AwsError, SourceQuery};

/// Namespace of the parameters that AWS keeps.
const PUBLIC: &str = "/aws/service/";

impl Ec2Catalog {
    pub(super) async fn find_source(&self, query: &SourceQuery) -> Result<Option<Image>, AwsError> {
        if let Some(parameter) = query.ssm_parameter.as_deref().filter(|p| !p.starts_with(PUBLIC)) {
            return Err(refused(
                "DescribeImages",
                &self.region,
                REQUEST,
                format!(
                    "only public Systems Manager parameters (`{PUBLIC}…`) can be followed, `{parameter}` is not one; write `id`, or \
                     `owners` and `name` (`aws ssm get-parameter --name {parameter} --query Parameter.Value --output text` prints the id)"
                ),
            ));
        }
        let mut request = self
            .client
            .describe_images()
            .filters(filter("architecture", [query.architecture.as_str()]))
            .filters(filter("virtualization-type", ["hvm"]))
            .filters(filter("root-device-type", ["ebs"]))
            .filters(filter("state", ["available"]));
        request = match (&query.id, &query.ssm_parameter) {
            (Some(id), _) => request.image_ids(id),
            // EC2 knows which AMIs a public parameter has ever named; the newest is the one it names now. It spares the SDK of a
            // second service. Only AWS can put an AMI under such a parameter, so nobody else's comes out of it.
            (None, Some(parameter)) => request.filters(filter("public-ssm-parameter-name", [parameter.as_str()])).max_results(1000),
            (None, None) if query.owners.is_empty() => {
                return Err(refused("DescribeImages", &self.region, REQUEST, "a source AMI is searched without `owners`"));
            }
            // MaxResults is refused beside image ids; without it EC2 answers up to its own limit in one page.
            (None, None) => request.set_owners(Some(query.owners.clone())).max_results(1000),
        };
        for (name, values) in &query.filters {
            request = request.filters(filter(name, values.iter().map(String::as_str)));
        }
        let mut found = Vec::new();
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            match page.map_err(|e| failed("DescribeImages", &self.region, &e)) {
                Ok(page) => found.extend(page.images().iter().filter_map(|i| image(i, &self.region))),
                Err(error) if query.id.is_some() && is_not_found(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(newest(found, query.architecture.as_str()))
    }
}

/// Newest by creation date, then greatest id, so that two images of one second do not take turns.
fn newest(images: Vec<Image>, architecture: &str) -> Option<Image> {
    images
        .into_iter()
        // Asked for already; a server that ignores a filter must not decide what boots.
        .filter(|i| {
            i.state == ImageState::Available && i.architecture == architecture && i.virtualization == "hvm" && i.root_device == "ebs"
        })
        .max_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn image(id: &str, created: &str) -> Image {
        Image {
            id: id.to_owned(),
            region: "r".to_owned(),
            name: id.to_owned(),
            state: ImageState::Available,
            created: created.to_owned(),
            architecture: "x86_64".to_owned(),
            owner: "1".to_owned(),
            virtualization: "hvm".to_owned(),
            root_device: "ebs".to_owned(),
            snapshots: Vec::new(),
            tags: BTreeMap::new(),
            source_image: None,
        }
    }

    #[test]
    fn the_newest_wins_and_the_id_breaks_ties() {
        let images = vec![image("ami-1", "2026-01-02"), image("ami-3", "2026-01-03"), image("ami-2", "2026-01-03")];
        assert_eq!(newest(images, "x86_64").map(|i| i.id), Some("ami-3".to_owned()));
    }

    #[test]
    fn an_image_that_cannot_boot_here_is_no_answer() {
        let wrong = [
            Image { state: ImageState::Pending, ..image("ami-1", "1") },
            Image { architecture: "arm64".to_owned(), ..image("ami-2", "1") },
            Image { virtualization: "paravirtual".to_owned(), ..image("ami-3", "1") },
            Image { root_device: "instance-store".to_owned(), ..image("ami-4", "1") },
        ];
        assert_eq!(newest(wrong.to_vec(), "x86_64"), None);
    }
}
