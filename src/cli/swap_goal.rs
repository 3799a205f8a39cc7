//! Which AMI a swap brings into service, and whether it may.
//!
//! Invariant: an AMI that is not sealed, not available in the region, of another architecture, revoked, whose verification is missing
//! or failed, or that has not been through the swap before it, is refused before anything is written.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::survey::Survey;
use crate::cli::swap::Swapping;
use crate::cli::swap_verified;
use crate::cli::world::World;
use crate::config::pipeline::EmitValue;
use crate::disk::tfvars;
use crate::model::artifact::{Image, ImageState, tags};
use crate::model::node::NodeId;
use crate::plan::hit;
use crate::ports::{AwsError, Traffic as _};
use crate::run::swap_asks::{Halt, HaltKind};
use crate::run::swap_work::Fit;
use crate::store::State;

/// The AMI that an emit wrote into the swap's folder for its stage; none there: the newest sealed one.
///
/// # Errors
/// There is none, or EC2 does not answer.
pub async fn ami(swapping: &Swapping, world: &World, output: Output) -> Result<String, Failure> {
    let pipeline = &swapping.loaded.pipeline;
    let spec = &swapping.spec;
    for emit in pipeline.emits.iter().filter(|emit| emit.path.parent() == Some(&spec.directory)) {
        let Some(name) = emit.names.iter().find(|name| name.value.node().0 == &spec.stage) else { continue };
        let target = tfvars::inspect(&pipeline.root, &pipeline.source, emit);
        let path = emit.path.display();
        let held = target.present.get(&name.name).filter(|text| !text.is_empty());
        let Some(text) = held else {
            return Err(Failure::data(format!("`{}` is not set in `{path}`, which says the AMI of stage `{}`", name.name, spec.stage))
                .help("`ovenbird build` writes it"));
        };
        if matches!(name.value, EmitValue::Id { .. }) {
            return Ok(text.clone());
        }
        let ids: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
        return ids.get(&pipeline.region).cloned().ok_or_else(|| {
            Failure::data(format!("`{}` in `{path}` has no AMI in {}", name.name, pipeline.region)).help("`ovenbird build` writes it")
        });
    }
    let survey = Survey::open(pipeline, world).await?;
    let images = survey.images(output).await?;
    let stage = pipeline.stage(&spec.stage).ok_or_else(|| Failure::data(format!("there is no stage `{}`", spec.stage)))?;
    let nodes = stage.architectures.iter().map(|architecture| NodeId { stage: stage.name.clone(), architecture: *architecture });
    let sealed =
        nodes.flat_map(|node| hit::earlier(&images, &pipeline.name, &node).into_iter().map(|(image, _)| image).collect::<Vec<_>>());
    let usable = sealed.filter(|image| image.state == ImageState::Available && image.tag(tags::REVOKED).is_none());
    let newest = usable.max_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    newest.map(|image| image.id.clone()).ok_or_else(|| {
        Failure::data(format!(
            "there is no sealed image of stage `{}`, and no emit writes one into `{}`",
            spec.stage,
            spec.directory.display()
        ))
        .help("`ovenbird build` makes one")
    })
}

/// Asks EC2 and the state.
pub struct Fitness<'a> {
    /// The swap.
    pub swapping: &'a Swapping,
    /// Records of the swaps before.
    pub state: &'a State,
}

#[async_trait(?Send)]
impl Fit for Fitness<'_> {
    async fn fit(&self, ami: &str) -> Result<(), Halt> {
        let refused = |why: String| Halt::new(HaltKind::Refused, format!("{ami} cannot come into service: {why}"));
        let images = self.swapping.traffic.images(&[ami.to_owned()]).await.map_err(unasked)?;
        let pipeline = &self.swapping.loaded.pipeline;
        let Some(image) = images.first() else {
            let why = format!("{} has no such image, or it may not be seen from here", pipeline.region);
            return Err(refused(why).help("`regions` in the pipeline block gives copies to other regions; nothing was written"));
        };
        let spec = &self.swapping.spec;
        if let Some(why) = unfit(image, pipeline.name.as_str(), spec.stage.as_str(), &self.architectures()) {
            return Err(refused(why).help("`ovenbird images` lists what there is; nothing was written"));
        }
        let parent = async |id: &str| Ok(self.swapping.traffic.images(&[id.to_owned()]).await.map_err(unasked)?.into_iter().next());
        if let Some((why, stage)) = swap_verified::unverified(pipeline, self.state, image, parent).await? {
            return Err(refused(why).help(format!("`ovenbird build {stage}` verifies it; nothing was written")));
        }
        if let Some(before) = &spec.requires {
            let done = self.state.swapped(before, ami).await.map_err(|e| Halt::new(HaltKind::Unavailable, e.to_string()).help(e.help()))?;
            if !done {
                let why = format!("it has not been through swap `{before}`, which swap `{}` requires", spec.name);
                return Err(refused(why).help(format!("`ovenbird swap {before} run` first; nothing was written")));
            }
        }
        Ok(())
    }
}

fn unasked(error: AwsError) -> Halt {
    let message = error.to_string();
    Halt { aws: Some(Box::new(error)), ..Halt::new(HaltKind::Unavailable, message) }
}

impl Fitness<'_> {
    fn architectures(&self) -> Vec<&'static str> {
        let stage = self.swapping.loaded.pipeline.stage(&self.swapping.spec.stage);
        stage.map(|stage| stage.architectures.iter().map(|a| a.as_str()).collect()).unwrap_or_default()
    }
}

/// The first reason why an image must not serve.
fn unfit(image: &Image, pipeline: &str, stage: &str, architectures: &[&str]) -> Option<String> {
    if image.state != ImageState::Available {
        return Some(format!("it is {:?} and not available", image.state).to_lowercase());
    }
    if let Some(why) = image.tag(tags::REVOKED) {
        return Some(if why.is_empty() { "it is revoked".to_owned() } else { format!("it is revoked: {why}") });
    }
    if image.tag(tags::KEY).is_none() {
        return Some(format!("it is not sealed: it has no `{}` tag, so no build of it was finished", tags::KEY));
    }
    let (of, stage_of) = (image.tag(tags::PIPELINE).unwrap_or_default(), image.tag(tags::STAGE).unwrap_or_default());
    if (of, stage_of) != (pipeline, stage) {
        return Some(format!("it is stage `{stage_of}` of pipeline `{of}`, not `{stage}` of `{pipeline}`"));
    }
    if !architectures.contains(&image.architecture.as_str()) {
        return Some(format!("it is for {}, and the stage is for {}", image.architecture, architectures.join(", ")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::{Digest, StageKey};
    use crate::plan::testing::{node, sealed};

    #[test]
    fn every_reason_against_an_image_is_asked_for() {
        type Spoil = fn(&mut Image);
        let good = sealed("ami-1", &node("web"), StageKey(Digest::of(b"a")), "1");
        let reason = |image: &Image| unfit(image, "shop", "web", &["x86_64"]);
        assert_eq!(reason(&good), None);
        let cases: [(Spoil, &str); 6] = [
            (|i| i.state = ImageState::Pending, "it is pending and not available"),
            (|i| drop(i.tags.insert(tags::REVOKED.into(), "bad openssl".into())), "it is revoked: bad openssl"),
            (|i| drop(i.tags.remove(tags::KEY)), "it is not sealed: it has no `ovenbird:key` tag, so no build of it was finished"),
            (|i| drop(i.tags.insert(tags::STAGE.into(), "api".into())), "it is stage `api` of pipeline `shop`, not `web` of `shop`"),
            (|i| drop(i.tags.remove(tags::PIPELINE)), "it is stage `web` of pipeline ``, not `web` of `shop`"),
            (|i| i.architecture = "arm64".into(), "it is for arm64, and the stage is for x86_64"),
        ];
        for (spoil, wanted) in cases {
            let mut image = good.clone();
            spoil(&mut image);
            assert_eq!(reason(&image).as_deref(), Some(wanted));
        }
    }
}
