//! What Packer's log names: artifacts, the source image, machines, temporary names.
//!
//! A log is a hint, never a proof: `DescribeImages` confirms what was made, and nothing is removed because a log names it alone.
//! Invariant: memory is bounded whatever the log's size; a line is read up to 4 KiB.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::process::tail::cleaned;

/// Longest part of a line that is looked at.
const LINE: u64 = 4096;
/// More ids than any build has; a playbook that prints ids for ever stops counting.
const MAX_IDS: usize = 1000;

/// A line without any of these holds nothing for [`Reader::line`].
const WORTH_READING: [&str; 9] = ["i-", "snap-", "vol-", "sg-", "packer_", "ID: ", "artifacts of", "Docker image: ", "Creating "];

/// What a log named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// `(region, AMI id)` of the artifacts that Packer listed at its end, in order.
    pub artifacts: Vec<(String, String)>,
    /// Docker's id of the committed image, `sha256:…`.
    pub docker_image: Option<String>,
    /// AMIs that builders booted.
    pub sources: BTreeSet<String>,
    /// Everything that looks like something a build makes: `i-…`, `ami-…`, `snap-…`, `vol-…`, `sg-…`, `packer_…`.
    pub ids: BTreeSet<String>,
    /// Builder → container that Packer started for it. Only the first that is named: later lines may be a playbook's.
    pub containers: BTreeMap<String, String>,
    /// Was an AMI begun? Then an interrupted `CreateImage` may go on by itself.
    pub image_begun: bool,
}

/// Reads the log from `from` on.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path, from: u64) -> std::io::Result<Named> {
    use std::io::Seek as _;
    let mut file = std::fs::File::open(path)?;
    file.seek(std::io::SeekFrom::Start(from))?;
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let mut named = Reader::default();
    let mut line = Vec::new();
    let finders = WORTH_READING.map(memchr::memmem::Finder::new);
    loop {
        line.clear();
        if reader.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(named.named);
        }
        if !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
        }
        // Most lines of a flood hold nothing that is looked for; searching bytes is ten times cheaper than reading text.
        if named.at_end || finders.iter().any(|finder| finder.find(&line).is_some()) {
            named.line(&cleaned(&line));
        }
    }
}

#[derive(Default)]
struct Reader {
    named: Named,
    at_end: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if line.contains("The artifacts of successful builds are:") {
            self.at_end = true;
        } else if self.at_end {
            // `--> amazon-ebs.image: AMIs were created:` and then `eu-west-1: ami-0123` lines.
            if let Some((region, id)) = line.trim().split_once(": ")
                && is_id(id, "ami-")
                && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            {
                let artifact = (region.to_owned(), id.to_owned());
                // A post-processor that keeps what it gets (`manifest`) lists the same image once more.
                if !self.named.artifacts.contains(&artifact) {
                    self.named.artifacts.push(artifact);
                }
            }
        }
        if let Some((_, id)) = line.split_once("Found Image ID: ") {
            self.named.sources.insert(id.trim().to_owned());
        }
        for before in [": Image ID: sha256:", ": Imported Docker image: sha256:"] {
            if let Some((_, id)) = line.split_once(before) {
                let id: String = id.chars().take_while(char::is_ascii_hexdigit).collect();
                self.named.docker_image = Some(format!("sha256:{id}"));
            }
        }
        if let Some((builder, id)) = line.split_once(": Container ID: ") {
            self.named.containers.entry(builder.trim().to_owned()).or_insert_with(|| id.trim().to_owned());
        }
        if line.contains(": Creating AMI ") || line.contains(": Creating unencrypted AMI ") || line.contains(": AMI: ami-") {
            self.named.image_begun = true;
        }
        for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')) {
            let known = ["i-", "ami-", "snap-", "vol-", "sg-"].iter().any(|prefix| is_id(word, prefix));
            if (known || (word.starts_with("packer_") && word.len() > 20)) && self.named.ids.len() < MAX_IDS {
                self.named.ids.insert(word.to_owned());
            }
        }
    }
}

/// `prefix` and 8 to 17 hex digits.
fn is_id(word: &str, prefix: &str) -> bool {
    word.strip_prefix(prefix).is_some_and(|rest| (8..=17).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What Packer says about a build that went wrong: the text behind `Build 'x' errored after 3 seconds: `.
pub fn why(lines: &[String]) -> Option<&str> {
    let said = lines.iter().rev().find_map(|line| line.split_once("' errored after ")?.1.split_once(": "));
    said.map(|(_, why)| why.trim()).filter(|why| !why.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMI: &str = "\
==> amazon-ebs.image: Prevalidating AMI Name: shop-web
    amazon-ebs.image: Found Image ID: ami-0aaaaaaaaaaaaaaaa
==> amazon-ebs.image: Creating temporary keypair: packer_6561c5a5-8a8b-aa09-73cd-f5a2f9fd7a4e
==> amazon-ebs.image: Launching a source AWS instance...
    amazon-ebs.image: Instance ID: i-0123456789abcdef0
==> amazon-ebs.image: Creating AMI shop-web from instance i-0123456789abcdef0
    amazon-ebs.image: AMI: ami-0bbbbbbbbbbbbbbbb
==> amazon-ebs.image: Terminating the source AWS instance...
==> Builds finished. The artifacts of successful builds are:
--> amazon-ebs.image: AMIs were created:
eu-west-1: ami-0bbbbbbbbbbbbbbbb
us-west-2: ami-0cccccccccccccccc
";

    fn read_text(text: &str) -> Named {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
        read(file.path(), 0).unwrap()
    }

    #[test]
    fn the_reason_of_an_error_is_what_stands_behind_the_time() {
        let lines = [
            "==> amazon-ebs: error validating regions: no such host",
            "Build 'amazon-ebs' errored after 45 seconds 341 milliseconds: error validating regions: no such host",
            "==> Some builds didn't complete successfully and had errors:",
        ];
        assert_eq!(why(&lines.map(str::to_owned)), Some("error validating regions: no such host"));
        assert_eq!(why(&["Build 'x' finished after 3 seconds.".to_owned()]), None);
    }

    #[test]
    fn an_image_that_a_post_processor_lists_again_is_one_image() {
        let again = "--> amazon-ebs.image: AMIs were created:\neu-west-1: ami-0bbbbbbbbbbbbbbbb\n";
        assert_eq!(read_text(&format!("{AMI}{again}")).artifacts, read_text(AMI).artifacts);
    }

    #[test]
    fn an_ami_build_names_its_artifacts_its_source_and_what_it_made() {
        let named = read_text(AMI);
        let pair = |region: &str, id: &str| (region.to_owned(), id.to_owned());
        assert_eq!(named.artifacts, [pair("eu-west-1", "ami-0bbbbbbbbbbbbbbbb"), pair("us-west-2", "ami-0cccccccccccccccc")]);
        assert_eq!(named.sources.iter().collect::<Vec<_>>(), ["ami-0aaaaaaaaaaaaaaaa"]);
        assert!(named.ids.contains("i-0123456789abcdef0"));
        assert!(named.ids.contains("packer_6561c5a5-8a8b-aa09-73cd-f5a2f9fd7a4e"));
        assert!(named.image_begun);
    }

    #[test]
    fn a_docker_build_names_its_container_and_its_image() {
        let named = read_text(
            "==> docker.image: Starting docker container...\n    docker.image: Container ID: 0a1b2c\n==> docker.image: Committing the \
             container\n    docker.image: Image ID: sha256:ffee\n",
        );
        assert_eq!(named.docker_image.as_deref(), Some("sha256:ffee"));
        assert_eq!(named.containers.values().collect::<Vec<_>>(), ["0a1b2c"]);
        assert!(!named.image_begun);
    }

    #[test]
    fn a_playbook_that_prints_an_artifact_line_makes_no_artifact() {
        let named =
            read_text("    amazon-ebs.image: ok: [default] => eu-west-1: ami-0bbbbbbbbbbbbbbbb\neu-west-1: ami-0bbbbbbbbbbbbbbbb\n");
        assert_eq!(named.artifacts, []);
    }

    #[test]
    fn a_line_of_a_megabyte_is_passed_over() {
        let named = read_text(&format!("{}\n    docker.image: Container ID: 0a1b2c\n", "x".repeat(1 << 20)));
        assert_eq!(named.containers.len(), 1);
    }
}
