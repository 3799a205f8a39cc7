//! [`Verification`]: what the checks of a finished image found, and [`Mark`]: the tag on the image that says the same to all machines.
//!
//! Decides nothing; what follows from a mark is `plan::verification`'s. Invariant: a mark is about a key that holds the image's key
//! and the checks, so a tag that was copied to another image, or that older checks left, never counts for the present ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::artifact::{Image, tags};
use crate::model::digest::Digest;
use crate::model::node::{NodeId, RunId};

/// The last verification of an image, kept in the state under the image's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// AMI that was booted.
    pub image: String,
    /// Key of the image and the checks.
    pub key: Digest,
    /// Whose image.
    pub node: NodeId,
    /// Run that did it.
    pub run: RunId,
    /// Did everything pass.
    pub passed: bool,
    /// What went wrong, one line.
    pub message: Option<String>,
    /// Task that failed, `name (file:line)`.
    pub task: Option<String>,
    /// Tasks that ran.
    pub tasks: u32,
    /// Seconds that they took.
    pub seconds: f64,
    /// What the checks were made of: files and folders with the digest of each.
    #[serde(default)]
    pub checks: BTreeMap<String, Digest>,
}

/// What the tag [`tags::VERIFIED`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Passed, with this key.
    Passed(Digest),
    /// Failed, in this run. Written over an earlier pass: a swap on another machine, which does not see our state, must know.
    Failed {
        /// With this key.
        key: Digest,
        /// There.
        run: String,
    },
}

/// First word of a mark of a failure.
const FAILED: &str = "failed";

impl Mark {
    /// The mark of an image.
    pub fn of(image: &Image) -> Option<Self> {
        Self::parse(image.tag(tags::VERIFIED)?)
    }

    /// From the tag's value. One that nobody here writes is none.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(key) = text.parse() {
            return Some(Self::Passed(key));
        }
        let mut words = text.split(' ');
        match (words.next(), words.next(), words.next().map(str::parse), words.next()) {
            (Some(FAILED), Some(run), Some(Ok(key)), None) => Some(Self::Failed { key, run: run.to_owned() }),
            _ => None,
        }
    }
}

impl std::fmt::Display for Mark {
    /// The tag's value; at most 110 of the 256 characters that one may have.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed(key) => write!(f, "{key}"),
            Self::Failed { key, run } => write!(f, "{FAILED} {run} {key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_other_texts_are_none() {
        let key = Digest::of(b"checks");
        for mark in [Mark::Passed(key), Mark::Failed { key, run: "20261122t041500-3f9a1c".to_owned() }] {
            assert!(mark.to_string().len() <= 110);
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
        for text in ["", "true", "failed", "failed run", &format!("passed run {key}"), &format!("failed run {key} more")] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }
}
