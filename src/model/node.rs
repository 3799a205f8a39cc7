//! [`Architecture`], [`NodeId`] (a stage for one architecture) and [`RunId`].
//!
//! Invariant: a `NodeId` names exactly one Packer build with one parent; everything that is planned, run or recorded is filed
//! under it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::name::Name;

/// A machine architecture, in EC2's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// `x86_64` (Docker calls it amd64).
    X86_64,
    /// `arm64`.
    Arm64,
}

impl Architecture {
    /// Both, in the order in which they are listed.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// EC2's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Architecture {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|a| a.as_str() == text).ok_or_else(|| format!("`{text}` is not an architecture (x86_64 or arm64)"))
    }
}

/// A stage for one architecture: one Packer build, one parent, one artifact a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId {
    /// The stage's name in the pipeline file.
    pub stage: Name,
    /// Which of the stage's architectures.
    pub architecture: Architecture,
}

impl fmt::Display for NodeId {
    /// `web` for `x86_64`, which is what nearly everybody builds; `web/arm64` otherwise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.architecture {
            Architecture::X86_64 => f.pad(self.stage.as_str()),
            Architecture::Arm64 => f.pad(&format!("{}/{}", self.stage, self.architecture)),
        }
    }
}

/// One execution: `20261122t041500-3f9a1c`. The text sorts by start; the six hex digits also stand in AMI names and run tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// `started` is the start in UTC as `YYYYMMDDtHHMMSS`, `random` any 24 random bits. Clock and randomness are the caller's.
    pub fn new(started: &str, random: u32) -> Self {
        Self(format!("{started}-{:06x}", random & 0x00ff_ffff))
    }

    /// The six hex digits at the end.
    pub fn short(&self) -> &str {
        self.0.rsplit('-').next().unwrap_or_default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
