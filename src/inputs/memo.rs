//! What following the stages found, kept from one call to the next with everything that it hangs on.
//!
//! Following fifty stages through thousands of tasks takes longer than hashing what they read, and mostly nothing has changed. What
//! is kept is used again only when every folder that was listed, every file that was parsed, every link and every single place that
//! was asked for is as it was then (by listing and digest, never by time), and when the pipeline, the settings, the environment and
//! the program are the same. Digests of inputs are not kept: files are hashed at each call. Invariant: with a memo or without one,
//! the same checkout gives the same inputs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::collect::{Found, Side};
use super::reach::Take;
use super::snapshot::{Seen, Snapshot};
use super::walk::{Part, Rules};
use super::world::World;
use crate::config::pipeline::Stage;
use crate::model::digest::Digest;
use crate::plan::inputs::{Imprecise, StageInputs};
use crate::plan::why::{Chain, Place};

/// Raised with the form of what is kept.
const FORM: &str = "ovenbird memo 1";

/// A stage as it is kept: [`Found`] without what the pipeline says anyway.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<'f> {
    image: Vec<KeptTree<'f>>,
    verify: Vec<KeptTree<'f>>,
    asked: Cow<'f, BTreeSet<String>>,
    ansible_config: Cow<'f, Option<String>>,
    imprecise: Cow<'f, [Imprecise]>,
    never: Cow<'f, BTreeMap<String, String>>,
    notes: Cow<'f, BTreeSet<String>>,
}

/// A tree that counts. Its path is left out where the name in the key tells it.
#[derive(Debug, Serialize, Deserialize)]
struct KeptTree<'f> {
    #[serde(rename = "l")]
    label: Cow<'f, str>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'f, Path>>,
    #[serde(rename = "t", default, skip_serializing_if = "is_whole")]
    part: Cow<'f, Part>,
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    exact: bool,
    #[serde(rename = "w")]
    why: Reasons<'f>,
}

/// A chain, each link as its text and its place.
#[derive(Debug)]
struct Reasons<'f>(Cow<'f, Chain>);

impl Serialize for Reasons<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Written without being put together before.
        struct At<'p>(&'p Place);
        impl Serialize for At<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self.0)
            }
        }
        serializer.collect_seq(self.0.links().into_iter().map(|(what, via)| (what, via.map(At))))
    }
}

impl<'de> Deserialize<'de> for Reasons<'_> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let links: Vec<(String, Option<String>)> = Vec::deserialize(deserializer)?;
        let chain =
            links.into_iter().fold(Chain::default(), |chain, (what, via)| chain.then(what, via.map(|file| Place { file, line: None })));
        Ok(Self(Cow::Owned(chain)))
    }
}

fn is_whole(part: &Part) -> bool {
    *part == Part::Whole
}

/// Everything but the disk that following hangs on. Of the environment only what [`super::environment`] puts into keys by its name:
/// what a stage asks for beside that is kept by name and looked up anew.
pub(super) fn surroundings(world: &World<'_>, stages: &[&Stage], program: &str) -> Digest {
    let (pipeline, context) = (world.pipeline, world.context);
    let set: BTreeMap<_, _> = context.environment.iter().filter(|(name, _)| super::environment::is_keyed(name)).collect();
    let places = (&world.root, &pipeline.root, &pipeline.file, &context.home, &world.never, &world.begun);
    let text = &pipeline.source.text;
    let all = format!("{FORM}\n{program:?}\n{places:?}\n{:?}\n{set:?}\n{stages:?}\n{text}", world.config);
    Digest::of(all.as_bytes())
}

/// What an earlier call found, when all of it still holds.
pub(super) fn recall(bytes: &[u8], surroundings: Digest, world: &World<'_>, stages: &[&Stage]) -> Option<Vec<Found>> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let head: Digest = serde_json::from_slice(lines.next()?).ok()?;
    if head != surroundings {
        return None;
    }
    let seen = lines.next()?;
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    if lines.len() != stages.len() {
        return None;
    }
    let stage = |(line, stage): (&[u8], &&Stage)| found(serde_json::from_slice(line).ok()?, stage, world);
    let read = || lines.into_par_iter().zip(stages).map(stage).collect::<Option<Vec<Found>>>();
    let (holds, found) = rayon::join(|| serde_json::from_slice::<Seen>(seen).is_ok_and(|seen| world.disk.is_as(&seen)), read);
    found.filter(|_| holds)
}

/// What the next call may use, line by line. `None`: it hangs on something that cannot be written down.
pub(super) fn keep(found: &[Found], surroundings: Digest, disk: &Snapshot) -> Option<Vec<Vec<u8>>> {
    let stage = |stage: &Found| line(&kept(stage, disk.root()), (stage.image.trees.len() + stage.verify.trees.len()) * 256);
    let seen = || {
        let seen = disk.seen()?;
        line(&seen, (seen.folders.len() + seen.files.len()) * 192)
    };
    let (seen, stages) = rayon::join(seen, || found.par_iter().map(stage).collect::<Option<Vec<Vec<u8>>>>());
    let mut lines = vec![line(&surroundings, 0)?, seen?];
    lines.extend(stages?);
    Some(lines)
}

/// One line of JSON of about `size` bytes.
fn line(value: &impl Serialize, size: usize) -> Option<Vec<u8>> {
    let mut line = Vec::with_capacity(size);
    serde_json::to_writer(&mut line, value).ok()?;
    line.push(b'\n');
    Some(line)
}

/// The path that a name in the key mostly stands for.
fn told(root: &Path, label: &str) -> PathBuf {
    if label == "." { root.to_owned() } else { root.join(label) }
}

fn is_told(path: &Path, root: &Path, label: &str) -> bool {
    let (path, root) = (path.as_os_str().as_encoded_bytes(), root.as_os_str().as_encoded_bytes());
    match path.strip_prefix(root) {
        Some(b"") => label == ".",
        Some([b'/', rest @ ..]) => rest == label.as_bytes(),
        Some(_) | None => false,
    }
}

fn kept<'f>(stage: &'f Found, root: &Path) -> Kept<'f> {
    let tree = |(path, part, take): &'f (PathBuf, Part, Take)| KeptTree {
        path: (!is_told(path, root, &take.label)).then_some(Cow::Borrowed(path.as_path())),
        label: Cow::Borrowed(&take.label),
        part: Cow::Borrowed(part),
        exact: take.exact,
        why: Reasons(Cow::Borrowed(&take.why)),
    };
    let side = |side: &'f Side| side.trees.iter().map(tree).collect();
    let StageInputs { ansible_config, imprecise, never, notes, .. } = &stage.inputs;
    Kept {
        image: side(&stage.image),
        verify: side(&stage.verify),
        asked: Cow::Borrowed(&stage.asked),
        ansible_config: Cow::Borrowed(ansible_config),
        imprecise: Cow::Borrowed(imprecise),
        never: Cow::Borrowed(never),
        notes: Cow::Borrowed(notes),
    }
}

fn found(kept: Kept<'_>, stage: &Stage, world: &World<'_>) -> Option<Found> {
    let tree = |kept: KeptTree<'_>| {
        let path = kept.path.map_or_else(|| told(&world.root, &kept.label), Cow::into_owned);
        (path, kept.part.into_owned(), Take { label: kept.label.into_owned(), exact: kept.exact, why: kept.why.0.into_owned() })
    };
    let side = |trees: Vec<KeptTree<'_>>| Side { trees: trees.into_iter().map(tree).collect() };
    let Kept { image, verify, asked, ansible_config, imprecise, never, notes } = kept;
    let inputs = StageInputs {
        ansible_config: ansible_config.into_owned(),
        imprecise: imprecise.into_owned(),
        never: never.into_owned(),
        notes: notes.into_owned(),
        ..StageInputs::default()
    };
    let rules = Rules::new(&world.root, &stage.ignore, world.never.clone()).ok()?;
    Some(Found { name: stage.name.clone(), rules, image: side(image), verify: side(verify), asked: asked.into_owned(), inputs })
}
