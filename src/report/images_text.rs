//! The table of `ovenbird images`: what exists, by stage, newest first.
//!
//! Invariant: every image that was given is shown, sealed or not.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;

use crate::model::artifact::{Image, ImageState, tags};
use crate::model::verification::Mark;
use crate::report::style::{age, clean, count};

/// The table, and a line that counts.
pub fn render(images: &[Image], now: Timestamp, width: usize) -> String {
    if images.is_empty() {
        return "no images\n".to_owned();
    }
    let mut sorted: Vec<&Image> = images.iter().collect();
    sorted.sort_by(|a, b| {
        let stage = |i: &Image| (i.tag(tags::STAGE).unwrap_or_default().to_owned(), i.architecture.clone());
        stage(a).cmp(&stage(b)).then_with(|| (&b.created, &b.id).cmp(&(&a.created, &a.id)))
    });
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.set_header(["stage", "arch", "image", "key", "state", "built", "git"]);
    for image in sorted {
        let git = image.tag(tags::GIT).map(|commit| commit.chars().take(12).collect::<String>()).unwrap_or_default();
        let dirty = if image.tag(tags::DIRTY) == Some("true") { "+" } else { "" };
        let row = [
            image.tag(tags::STAGE).unwrap_or("?").to_owned(),
            image.architecture.clone(),
            image.id.clone(),
            key(image),
            state(image),
            age(&image.created, now).unwrap_or_default(),
            format!("{git}{dirty}"),
        ];
        table.add_row(row.map(|cell| clean(&cell)));
    }
    format!("{}\n\n{}\n", table.trim_fmt(), count(images.len(), "image"))
}

/// The key as people know it; an image without one was never finished.
fn key(image: &Image) -> String {
    let hex = image.tag(tags::KEY).map(|key| key.trim_start_matches("sha256:").chars().take(12).collect());
    hex.unwrap_or_else(|| "not sealed".to_owned())
}

fn state(image: &Image) -> String {
    let state = match &image.state {
        ImageState::Pending => "pending",
        ImageState::Available => "available",
        ImageState::Failed => "failed",
        ImageState::Other(other) => other,
    };
    match (image.tag(tags::REVOKED), Mark::of(image)) {
        (Some(""), _) => "revoked".to_owned(),
        (Some(why), _) => format!("revoked: {why}"),
        (None, Some(Mark::Passed(_))) => format!("{state}, verified"),
        (None, Some(Mark::Failed { run, .. })) => format!("{state}, verification failed in run {run}"),
        (None, None) => state.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::image;

    #[test]
    fn images_are_listed_by_stage_newest_first() {
        let now = "2026-11-22T04:15:00Z".parse().expect("a time");
        let mut images = [
            image("ami-1", "web", "2026-11-20T00:00:00Z"),
            image("ami-2", "web", "2026-11-21T00:00:00Z"),
            image("ami-3", "base", "2026-11-01T00:00:00Z"),
        ];
        images[0].tags.insert(tags::REVOKED.to_owned(), "bad openssl".to_owned());
        images[1].tags.remove(tags::KEY);
        images[1].state = ImageState::Pending;
        images[2].tags.insert(tags::DIRTY.to_owned(), "true".to_owned());
        insta::assert_snapshot!(render(&images, now, 100), @r##"
 stage  arch    image  key           state                 built     git
 base   x86_64  ami-3  15a7d95f5822  available             21 d ago  0123456789ab+
 web    x86_64  ami-2  not sealed    pending               1 d ago   0123456789ab
 web    x86_64  ami-1  33fd095edec1  revoked: bad openssl  2 d ago   0123456789ab

3 images
"##);
        let key = crate::model::digest::Digest::of(b"checks");
        for (image, mark) in images.iter_mut().zip([Mark::Passed(key), Mark::Passed(key), Mark::Failed { key, run: "R".to_owned() }]) {
            image.tags.insert(tags::VERIFIED.to_owned(), mark.to_string());
        }
        assert_eq!(
            images.each_ref().map(state),
            ["revoked: bad openssl", "pending, verified", "available, verification failed in run R"],
            "what keeps an image from use stands first"
        );
        assert_eq!(render(&[], now, 100), "no images\n");
    }
}
