//! What is a hit: the one place that says whether an image may be used for a key.
//!
//! Looks at images as EC2 told them, asks nobody. Invariant: an image without seal, of another pipeline, stage or architecture,
//! not available or revoked is never a hit, whatever its name.

use crate::model::artifact::{Image, ImageState, tags};
use crate::model::digest::StageKey;
use crate::model::name::Name;
use crate::model::node::NodeId;

/// Why an image is no hit; the first condition that it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Miss {
    /// Tag `ovenbird:pipeline` or `ovenbird:stage`, or the architecture, is another's.
    OtherNode,
    /// No key tag: never sealed.
    NoSeal,
    /// Sealed with another key.
    OtherKey,
    /// Not available: pending, failed, deregistered ….
    NotAvailable,
    /// Not `hvm` on `ebs`.
    OtherKind,
    /// Tag `ovenbird:revoked`.
    Revoked,
}

/// What was found for a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// The image to use: of several the oldest, then the one with the smallest id, so that all machines choose the same.
    pub hit: Option<&'a Image>,
    /// Others that would do as well; worth a warning.
    pub twins: Vec<&'a Image>,
    /// Would be hits, had they not been revoked.
    pub revoked: Vec<&'a Image>,
}

/// Does `image` stand for `key` of `node`.
///
/// # Errors
/// The first condition that fails.
pub fn judge(image: &Image, pipeline: &Name, node: &NodeId, key: StageKey) -> Result<(), Miss> {
    if !is_of(image, pipeline, node) {
        return Err(Miss::OtherNode);
    }
    let Some(seal) = image.tag(tags::KEY) else { return Err(Miss::NoSeal) };
    if seal != key.to_string() {
        return Err(Miss::OtherKey);
    }
    if image.state != ImageState::Available {
        return Err(Miss::NotAvailable);
    }
    if image.virtualization != "hvm" || image.root_device != "ebs" {
        return Err(Miss::OtherKind);
    }
    if image.tag(tags::REVOKED).is_some() {
        return Err(Miss::Revoked);
    }
    Ok(())
}

/// Looks for `key` among the pipeline's images of one region.
pub fn find<'a>(images: &'a [Image], pipeline: &Name, node: &NodeId, key: StageKey) -> Found<'a> {
    let mut hits = Vec::new();
    let mut revoked = Vec::new();
    for image in images {
        match judge(image, pipeline, node, key) {
            Ok(()) => hits.push(image),
            Err(Miss::Revoked) => revoked.push(image),
            Err(Miss::OtherNode | Miss::NoSeal | Miss::OtherKey | Miss::NotAvailable | Miss::OtherKind) => {}
        }
    }
    hits.sort_by_key(|image| (&image.created, &image.id));
    let mut hits = hits.into_iter();
    Found { hit: hits.next(), twins: hits.collect(), revoked }
}

/// Earlier sealed images of a node with their keys, newest first, whatever the key.
pub fn earlier<'a>(images: &'a [Image], pipeline: &Name, node: &NodeId) -> Vec<(&'a Image, StageKey)> {
    let sealed = |image: &'a Image| Some((image, StageKey(image.tag(tags::KEY)?.parse().ok()?)));
    let mut found: Vec<_> = images.iter().filter(|image| is_of(image, pipeline, node)).filter_map(sealed).collect();
    found.sort_by(|(a, _), (b, _)| (&b.created, &b.id).cmp(&(&a.created, &a.id)));
    found
}

fn is_of(image: &Image, pipeline: &Name, node: &NodeId) -> bool {
    image.tag(tags::PIPELINE) == Some(pipeline.as_str())
        && image.tag(tags::STAGE) == Some(node.stage.as_str())
        && image.architecture == node.architecture.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;
    use crate::plan::testing::{name, node, sealed};

    fn key(text: &str) -> StageKey {
        StageKey(Digest::of(text.as_bytes()))
    }

    type Case = (&'static str, fn(&mut Image), Miss);

    #[test]
    fn every_condition_of_a_hit_is_asked_for() {
        let (pipeline, web) = (name("shop"), node("web"));
        let good = sealed("ami-1", &web, key("a"), "2026-11-20T00:00:00Z");
        assert_eq!(judge(&good, &pipeline, &web, key("a")), Ok(()));
        let cases: [Case; 13] = [
            ("no key tag", |i| drop(i.tags.remove(tags::KEY)), Miss::NoSeal),
            ("other key", |i| drop(i.tags.insert(tags::KEY.into(), key("b").to_string())), Miss::OtherKey),
            ("key in another form", |i| drop(i.tags.insert(tags::KEY.into(), key("a").0.hex())), Miss::OtherKey),
            ("no pipeline tag", |i| drop(i.tags.remove(tags::PIPELINE)), Miss::OtherNode),
            ("other pipeline", |i| drop(i.tags.insert(tags::PIPELINE.into(), "shop2".into())), Miss::OtherNode),
            ("other stage", |i| drop(i.tags.insert(tags::STAGE.into(), "api".into())), Miss::OtherNode),
            ("other architecture", |i| i.architecture = "arm64".into(), Miss::OtherNode),
            ("pending", |i| i.state = ImageState::Pending, Miss::NotAvailable),
            ("failed", |i| i.state = ImageState::Failed, Miss::NotAvailable),
            ("deregistered", |i| i.state = ImageState::Other("deregistered".into()), Miss::NotAvailable),
            ("paravirtual", |i| i.virtualization = "paravirtual".into(), Miss::OtherKind),
            ("instance store", |i| i.root_device = "instance-store".into(), Miss::OtherKind),
            ("revoked", |i| drop(i.tags.insert(tags::REVOKED.into(), String::new())), Miss::Revoked),
        ];
        for (case, spoil, miss) in cases {
            let mut image = good.clone();
            spoil(&mut image);
            assert_eq!(judge(&image, &pipeline, &web, key("a")), Err(miss), "{case}");
        }
    }

    #[test]
    fn of_twins_the_oldest_then_the_smallest_id_is_taken() {
        let web = node("web");
        let images = [
            sealed("ami-3", &web, key("a"), "2026-11-21T00:00:00Z"),
            sealed("ami-2", &web, key("a"), "2026-11-20T00:00:00Z"),
            sealed("ami-1", &web, key("a"), "2026-11-20T00:00:00Z"),
            sealed("ami-0", &web, key("b"), "2026-11-01T00:00:00Z"),
        ];
        let found = find(&images, &name("shop"), &web, key("a"));
        assert_eq!(found.hit.map(|i| i.id.as_str()), Some("ami-1"));
        assert_eq!(found.twins.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["ami-2", "ami-3"]);
        assert_eq!(earlier(&images, &name("shop"), &web)[0].0.id, "ami-3");
    }

    #[test]
    fn a_revoked_image_is_no_hit_but_its_twin_is() {
        let web = node("web");
        let mut images = [sealed("ami-1", &web, key("a"), "1"), sealed("ami-2", &web, key("a"), "2")];
        images[0].tags.insert(tags::REVOKED.into(), "bad openssl".into());
        let found = find(&images, &name("shop"), &web, key("a"));
        assert_eq!((found.hit.map(|i| i.id.as_str()), found.revoked.len()), (Some("ami-2"), 1));
        assert_eq!(find(&images[..1], &name("shop"), &web, key("a")).hit, None);
    }
}
