//! [`Node`]: one instance of a cluster, looked into through Docker, as its owner would by ssh.
//!
//! Must not hold any expectation. Invariant: a node is the instance that it was when it was asked for, also after a group replaced it.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]
#![expect(clippy::disallowed_types, reason = "a test starts processes as a user does")]

use std::process::Command;

use serde_json::Value as Json;

use crate::cluster::http;
use crate::tools::tools;

/// An instance.
#[derive(Debug, Clone)]
pub struct Node {
    /// `i-…`
    pub id: String,
    /// `consul_server`, `web` or `api`.
    pub kind: String,
    /// Name of its container.
    pub container: String,
    /// Address in its region.
    pub private: String,
    /// Address that other regions reach.
    pub public: String,
    /// Image that it was booted from.
    pub ami: String,
}

impl Node {
    /// Runs a script as root; whether it succeeded, and what it said on both streams.
    pub fn try_sh(&self, script: &str) -> (bool, String) {
        let output = Command::new("docker").args(["exec", &self.container, "sh", "-c", script]).env_clear().envs(tools()).output();
        let output = output.expect("docker starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said.trim().to_owned())
    }

    /// The same, and wants success.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let (done, said) = self.try_sh(script);
        assert!(done, "{} {}: {script}\n{said}", self.kind, self.id);
        said
    }

    /// Where its part of the app listens.
    pub fn address(&self) -> String {
        format!("{}:{}", self.private, if self.kind == "api" { 8080 } else { 80 })
    }

    /// What the app says about itself, if it answers.
    pub fn answer(&self) -> Option<Json> {
        http::answer(&self.address())
    }

    /// Everything that a person would look at first, for the message of a failed test.
    pub fn state(&self) -> String {
        let look = "cloud-init status --long; systemctl --failed --no-pager; cat /etc/instance/environment | sed 's/ENCRYPT=.*/ENCRYPT=…/'; \
                    journalctl --no-pager -n 60 -u instance-configure -u consul -u consul-template -u app -u dnsmasq -u 'stretcher*'";
        format!("{} {} {}:\n{}", self.kind, self.id, self.private, self.try_sh(look).1)
    }
}
