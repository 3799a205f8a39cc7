//! From the SDK's types to ours and back. Pure.
//!
//! Invariant: an answer with a part missing that we rely on (an image without id) is not repaired, it is left out by `None`.

use std::collections::BTreeMap;

use aws_sdk_ec2::types;

use crate::model::artifact::{Image, ImageState};

pub(super) fn image(from: &types::Image, region: &str) -> Option<Image> {
    Some(Image {
        id: from.image_id()?.to_owned(),
        region: region.to_owned(),
        name: from.name().unwrap_or_default().to_owned(),
        state: state(from.state()),
        created: from.creation_date().unwrap_or_default().to_owned(),
        architecture: from.architecture().map(|a| a.as_str().to_owned()).unwrap_or_default(),
        owner: from.owner_id().unwrap_or_default().to_owned(),
        virtualization: from.virtualization_type().map(|v| v.as_str().to_owned()).unwrap_or_default(),
        root_device: from.root_device_type().map(|r| r.as_str().to_owned()).unwrap_or_default(),
        snapshots: snapshots(from),
        tags: tags(from.tags()),
        source_image: from.source_image_id().filter(|id| !id.is_empty()).map(str::to_owned),
    })
}

fn state(state: Option<&types::ImageState>) -> ImageState {
    match state {
        Some(types::ImageState::Available) => ImageState::Available,
        Some(types::ImageState::Pending) => ImageState::Pending,
        Some(types::ImageState::Failed) => ImageState::Failed,
        Some(other) => ImageState::Other(other.as_str().to_owned()),
        None => ImageState::Other("unknown".to_owned()),
    }
}

fn snapshots(from: &types::Image) -> Vec<String> {
    from.block_device_mappings()
        .iter()
        .filter_map(|mapping| mapping.ebs()?.snapshot_id())
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect()
}

pub(super) fn tags(from: &[types::Tag]) -> BTreeMap<String, String> {
    from.iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))).collect()
}

pub(super) fn sdk_tags(from: &BTreeMap<String, String>) -> Vec<types::Tag> {
    from.iter().map(|(key, value)| types::Tag::builder().key(key).value(value).build()).collect()
}

pub(super) fn filter<V: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = V>) -> types::Filter {
    types::Filter::builder().name(name).set_values(Some(values.into_iter().map(Into::into).collect())).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_keeps_what_a_hit_is_decided_by() {
        let from = types::Image::builder()
            .image_id("ami-1")
            .name("shop-web")
            .state(types::ImageState::Available)
            .creation_date("2026-11-22T04:00:00.000Z")
            .architecture(types::ArchitectureValues::Arm64)
            .owner_id("123456789012")
            .virtualization_type(types::VirtualizationType::Hvm)
            .root_device_type(types::DeviceType::Ebs)
            .source_image_id("ami-0")
            .block_device_mappings(
                types::BlockDeviceMapping::builder()
                    .device_name("/dev/xvda")
                    .ebs(types::EbsBlockDevice::builder().snapshot_id("snap-1").build())
                    .build(),
            )
            .block_device_mappings(types::BlockDeviceMapping::builder().device_name("/dev/sdb").virtual_name("ephemeral0").build())
            .tags(types::Tag::builder().key("ovenbird:key").value("sha256:00").build())
            .build();
        let image = image(&from, "us-west-2").expect("it has an id");
        assert_eq!(image.state, ImageState::Available);
        assert_eq!((image.architecture.as_str(), image.virtualization.as_str(), image.root_device.as_str()), ("arm64", "hvm", "ebs"));
        assert_eq!(image.snapshots, ["snap-1"]);
        assert_eq!(image.tag("ovenbird:key"), Some("sha256:00"));
        assert_eq!(image.source_image.as_deref(), Some("ami-0"));
        assert_eq!(image.region, "us-west-2");
    }

    #[test]
    fn a_state_that_we_do_not_know_keeps_its_name() {
        let from = types::Image::builder().image_id("ami-1").state(types::ImageState::from("disabled")).build();
        assert_eq!(image(&from, "r").map(|i| i.state), Some(ImageState::Other("disabled".to_owned())));
        assert_eq!(image(&types::Image::builder().name("no id").build(), "r"), None);
    }
}
