//! [`Account`]: what an account's owner would find, and the contents of images.
//!
//! Must not change anything. Invariant: read from the server and Docker at the moment of the question.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]
#![expect(clippy::disallowed_types, reason = "a test starts a process as a user does, and prepares folders")]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value as Json;

use crate::harness::LocalEc2;
use crate::tools::tools;

/// What is in the account.
#[derive(Debug)]
pub struct Account(pub Json);

/// An own image.
#[derive(Debug, Clone)]
pub struct OwnImage {
    /// AMI id.
    pub id: String,
    /// `available` ….
    pub state: String,
    /// Its Docker image.
    pub docker: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl OwnImage {
    /// Value of a tag; empty where it has none.
    pub fn tag(&self, name: &str) -> &str {
        self.tags.get(name).map_or("", String::as_str)
    }

    /// Has it got its key tag?
    pub fn sealed(&self) -> bool {
        self.tag("ovenbird:key").starts_with("sha256:")
    }

    /// The text of a file in it.
    pub fn file(&self, path: &str) -> String {
        let output = Command::new("docker")
            .args(["run", "--rm", "--entrypoint=cat", &self.docker, path])
            .env_clear()
            .envs(tools())
            .output()
            .expect("docker starts");
        assert!(output.status.success(), "{path} in {}: {}", self.id, String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Account {
    /// As it is now.
    pub fn of(ec2: &LocalEc2) -> Self {
        Self(ec2.left())
    }

    /// Own images, by stage, then id.
    pub fn images(&self) -> Vec<OwnImage> {
        let list = self.0["images"].as_array().expect("a list");
        let mut images: Vec<OwnImage> = list
            .iter()
            .map(|i| OwnImage {
                id: i["id"].as_str().unwrap_or_default().to_owned(),
                state: i["state"].as_str().unwrap_or_default().to_owned(),
                docker: i["docker"].as_str().unwrap_or_default().to_owned(),
                tags: serde_json::from_value(i["tags"].clone()).expect("tags are text"),
            })
            .collect();
        images.sort_by_key(|i| (i.tag("ovenbird:stage").to_owned(), i.id.clone()));
        images
    }

    /// Nothing but images with their snapshots; of these, only sealed ones.
    #[track_caller]
    pub fn only_sealed_images(&self, stages: &[&str]) -> Vec<OwnImage> {
        for kind in ["instances", "key_pairs", "security_groups", "volumes", "network_interfaces", "launch_templates", "containers"] {
            assert_eq!(self.0[kind], serde_json::json!([]), "{kind} are left");
        }
        let images = self.images();
        assert_eq!(images.iter().map(|i| i.tag("ovenbird:stage")).collect::<Vec<_>>(), stages, "{}", self.0["images"]);
        assert!(images.iter().all(|i| i.sealed() && i.state == "available"), "{images:?}");
        let snapshots = self.0["snapshots"].as_array().expect("a list");
        assert!(snapshots.iter().all(|s| s["orphan"] == false), "{snapshots:?}");
        assert_eq!(snapshots.len(), images.len(), "{snapshots:?}");
        images
    }

    /// Nothing at all.
    #[track_caller]
    pub fn nothing(&self) {
        self.only_sealed_images(&[]);
    }
}
