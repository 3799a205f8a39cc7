//! Verification of finished images: whether an image has passed the present checks ([`judge`]), what is done about it
//! ([`VerifyAction`]), and what keeps an image out of an emit ([`unfit`]).
//!
//! An image's checks wait for its own build alone: children are built meanwhile, and what waits for the verdict is what leaves the
//! house, emit and swap. Invariant: an image counts only with all that it stands on: a base that failed takes its apps with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::artifact::Image;
use crate::model::digest::Digest;
use crate::model::name::Name;
use crate::model::node::NodeId;
use crate::model::verification::{Mark, Verification};
use crate::plan::graph::Graph;
use crate::plan::hit;
use crate::plan::keyed::Keyed;
use crate::plan::known::Known;

/// What is done about the verification of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verification", rename_all = "snake_case")]
pub enum VerifyAction {
    /// The stage has no `verify`, or there is no image to look at.
    #[default]
    None,
    /// The present checks have passed.
    Passed,
    /// An instance is booted from the image, and checked.
    Run {
        /// Key of the image and the checks: what the tag will say.
        key: Digest,
        /// Why.
        because: Unverified,
    },
    /// It would have to be verified, but this run is not about it.
    Skip {
        /// Why.
        because: Unverified,
    },
}

impl VerifyAction {
    /// Is an instance booted.
    pub fn runs(&self) -> bool {
        matches!(self, Self::Run { .. })
    }
}

/// Why the present checks of an image do not count as passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[must_use]
pub enum Unverified {
    /// The image is made in this run.
    Made,
    /// Nobody ever looked.
    Never,
    /// Others have passed.
    ChecksChanged {
        /// Files and folders that differ, where it is known here which passed.
        changed: Vec<String>,
    },
    /// They failed.
    Failed {
        /// In this run.
        run: String,
        /// Task, `name (file:line)`, where it is known here.
        task: Option<String>,
        /// What went wrong, where it is known here.
        message: Option<String>,
        /// Are the checks others now.
        changed: bool,
    },
}

/// Names of changed checks that are told.
const TOLD: usize = 3;

impl std::fmt::Display for Unverified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Made => write!(f, "made in this run"),
            Self::Never => write!(f, "never verified"),
            Self::ChecksChanged { changed } => {
                write!(f, "its checks changed since they passed")?;
                if changed.is_empty() {
                    return Ok(());
                }
                write!(f, ": {}", changed.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", "))?;
                if changed.len() > TOLD { write!(f, " and {} more", changed.len() - TOLD) } else { Ok(()) }
            }
            Self::Failed { run, task, message, changed } => {
                write!(f, "verification failed in run {run}")?;
                match (task, message) {
                    (Some(task), _) => write!(f, ": task {task}")?,
                    (None, Some(message)) => write!(f, ": {message}")?,
                    (None, None) => {}
                }
                if *changed { write!(f, "; its checks changed since") } else { Ok(()) }
            }
        }
    }
}

/// Have the checks that `key` names passed for `image`. `remembered`: the last verification of it that the state knows. The tag
/// counts, the state explains: it may be another machine's.
///
/// # Errors
/// Why not.
pub fn judge(image: &Image, key: Digest, checks: &BTreeMap<String, Digest>, remembered: Option<&Verification>) -> Result<(), Unverified> {
    let last = remembered.filter(|last| last.image == image.id);
    let remembered = last.filter(|last| !last.passed);
    match Mark::of(image) {
        Some(Mark::Passed(passed)) if passed == key => Ok(()),
        // A pass that is not the failure's own was before it: its tag could not be written over.
        Some(Mark::Passed(passed)) => Err(match remembered.filter(|last| last.key != passed) {
            Some(last) => failed(last, key),
            None => Unverified::ChecksChanged { changed: differing(last.filter(|last| last.key == passed), checks) },
        }),
        Some(Mark::Failed { key: with, run }) => Err(match remembered.filter(|last| last.run.as_str() == run) {
            Some(last) => failed(last, key),
            None => Unverified::Failed { run, task: None, message: None, changed: with != key },
        }),
        None => Err(remembered.map_or(Unverified::Never, |last| failed(last, key))),
    }
}

/// Has an image passed the checks that were its own when they ran last, whichever they were: a swap knows the image, not the checkout
/// that it was made from.
///
/// # Errors
/// Why not.
pub fn has_passed(image: &Image, remembered: Option<&Verification>) -> Result<(), Unverified> {
    let failed = remembered.filter(|last| !last.passed && last.image == image.id);
    let key = match (Mark::of(image), failed) {
        (Some(Mark::Passed(passed)), None) => passed,
        (Some(Mark::Failed { key, .. }), None) => key,
        (_, Some(last)) => last.key,
        (None, None) => return Err(Unverified::Never),
    };
    judge(image, key, &BTreeMap::new(), remembered)
}

/// Names that are in one of the two only, or with another digest. A record of before there were names tells none.
fn differing(last: Option<&Verification>, now: &BTreeMap<String, Digest>) -> Vec<String> {
    let Some(then) = last.map(|last| &last.checks).filter(|then| !then.is_empty()) else { return Vec::new() };
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    names.into_iter().filter(|name| then.get(*name) != now.get(*name)).cloned().collect()
}

fn failed(last: &Verification, key: Digest) -> Unverified {
    Unverified::Failed { run: last.run.to_string(), task: last.task.clone(), message: last.message.clone(), changed: last.key != key }
}

/// A node and all that it stands on, itself first.
pub fn lineage<'g>(graph: &'g Graph, node: &'g NodeId) -> impl Iterator<Item = &'g NodeId> {
    std::iter::successors(Some(node), |node| graph.parent_node(node))
}

/// The image of a node with its present key, where the stage has checks, and how it stands to them.
pub fn standing<'k>(known: &'k Known, pipeline: &Name, node: &NodeId, keyed: &Keyed) -> Option<(&'k Image, Result<(), Unverified>)> {
    let key = keyed.verify_key?;
    let image = hit::find(known.images.as_deref()?, pipeline, node, keyed.stage_key?).hit?;
    Some((image, judge(image, key, &keyed.checks, known.verifications.get(&image.id))))
}

/// Images of the present keys that keep `node` out of an emit: its own, or one that it stands on; AMI id and reason of each. An
/// ancestor whose image is gone can be asked by nobody, and keeps nothing out.
pub fn unfit<'g>(
    graph: &'g Graph,
    keyed: &BTreeMap<NodeId, Keyed>,
    known: &Known,
    pipeline: &Name,
    node: &'g NodeId,
) -> Vec<(&'g NodeId, String, Unverified)> {
    let found = lineage(graph, node).filter_map(|node| {
        let (image, stands) = standing(known, pipeline, node, keyed.get(node)?)?;
        Some((node, image.id.clone(), stands.err()?))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::artifact::tags;
    use crate::model::digest::StageKey;
    use crate::model::node::RunId;
    use crate::plan::testing::{node, sealed};

    fn last(key: Digest, passed: bool) -> Verification {
        Verification {
            image: "ami-1".to_owned(),
            key,
            node: node("web"),
            run: RunId::new("20261122t000000", 2),
            passed,
            message: Some("a task failed: no page".to_owned()),
            task: Some("ask (verify.yml:3)".to_owned()),
            tasks: 1,
            seconds: 1.0,
            checks: [("verify.yml", "old"), ("roles/ask", "same"), ("gone.yml", "")]
                .map(|(n, t)| (n.to_owned(), Digest::of(t.as_bytes())))
                .into(),
        }
    }

    #[test]
    fn the_tag_counts_and_the_state_explains() {
        let (now, old) = (Digest::of(b"now"), Digest::of(b"old"));
        let run = "20261122t000000-000002";
        let elsewhere = "20261122t000000-00000f";
        let failed = |key, run: &str| Some(Mark::Failed { key, run: run.to_owned() });
        let cases: [(&str, Option<Mark>, Option<Verification>, &str); 12] = [
            ("nothing", None, None, "never verified"),
            ("a pass", Some(Mark::Passed(now)), None, "passed"),
            ("a pass after a failure that stayed in the state", Some(Mark::Passed(now)), Some(last(now, false)), "passed"),
            ("older checks", Some(Mark::Passed(old)), None, "its checks changed since they passed"),
            (
                "older checks passed, remembered",
                Some(Mark::Passed(old)),
                Some(last(old, true)),
                "its checks changed since they passed: gone.yml, verify.yml",
            ),
            (
                "older checks failed and passed then",
                Some(Mark::Passed(old)),
                Some(last(old, false)),
                "its checks changed since they passed: gone.yml, verify.yml",
            ),
            (
                "failed, and the tag of the older pass stands",
                Some(Mark::Passed(old)),
                Some(last(now, false)),
                "RUN: task ask (verify.yml:3)",
            ),
            ("failed, and no tag could be written", None, Some(last(now, false)), "RUN: task ask (verify.yml:3)"),
            ("failed here", failed(now, run), Some(last(now, false)), "RUN: task ask (verify.yml:3)"),
            (
                "failed here, then changed",
                failed(old, run),
                Some(last(old, false)),
                "RUN: task ask (verify.yml:3); its checks changed since",
            ),
            ("failed elsewhere", failed(now, elsewhere), Some(last(now, false)), "verification failed in run 20261122t000000-00000f"),
            (
                "failed elsewhere, then changed",
                failed(old, elsewhere),
                None,
                "verification failed in run 20261122t000000-00000f; its checks changed since",
            ),
        ];
        let checks = [("verify.yml", "new"), ("roles/ask", "same")].map(|(n, t)| (n.to_owned(), Digest::of(t.as_bytes()))).into();
        for (case, mark, remembered, want) in cases {
            let mut image = sealed("ami-1", &node("web"), StageKey(Digest::of(b"web")), "1");
            image.tags.extend(mark.map(|mark| (tags::VERIFIED.to_owned(), mark.to_string())));
            let told = judge(&image, now, &checks, remembered.as_ref()).map_or_else(|why| why.to_string(), |()| "passed".to_owned());
            assert_eq!(told, want.replace("RUN", &format!("verification failed in run {run}")), "{case}");
        }
    }

    #[test]
    fn a_record_of_another_image_says_nothing() {
        let image = sealed("ami-2", &node("web"), StageKey(Digest::of(b"web")), "1");
        let now = Digest::of(b"now");
        assert_eq!(judge(&image, now, &BTreeMap::new(), Some(&last(now, false))), Err(Unverified::Never));
    }
}
