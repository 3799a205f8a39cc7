//! What following the stages found, kept from one call to the next with everything that it hangs on.
//!
//! Following fifty stages through thousands of tasks takes longer than hashing what they read, and mostly nothing has changed. What
//! is kept is used again only when every folder that was listed, every file that was parsed, every link and every single place that
//! was asked for is as it was then (by listing and digest, never by time), and when the pipeline, the settings, the environment and
//! the program are the same. Digests of inputs are not kept: files are hashed at each call. Invariant: with a memo or without one,
//! the same checkout gives the same inputs.

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
use crate::plan::inputs::{Imprecise, StageInputs, Why};

/// Raised with the form of what is kept.
const FORM: &str = "ovenbird memo 1";

/// A stage as it is kept: [`Found`] without what the pipeline says anyway.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    image: Vec<KeptTree>,
    verify: Vec<KeptTree>,
    asked: BTreeSet<String>,
    ansible_config: Option<String>,
    imprecise: Vec<Imprecise>,
    never: BTreeMap<String, String>,
    notes: BTreeSet<String>,
}

/// A tree that counts. Its path is left out where the name in the key tells it.
#[derive(Debug, Serialize, Deserialize)]
struct KeptTree {
    #[serde(rename = "l")]
    label: String,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(rename = "t", default, skip_serializing_if = "is_whole")]
    part: Part,
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    exact: bool,
    #[serde(rename = "w")]
    why: Vec<(String, Option<String>)>,
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

/// What the next call may use. `None`: it hangs on something that cannot be written down.
pub(super) fn keep(found: &[Found], surroundings: Digest, disk: &Snapshot) -> Option<Vec<u8>> {
    let mut lines = vec![serde_json::to_vec(&surroundings).ok()?, serde_json::to_vec(&disk.seen()?).ok()?];
    let stages: Option<Vec<Vec<u8>>> = found.par_iter().map(|stage| serde_json::to_vec(&kept(stage, disk.root())).ok()).collect();
    lines.extend(stages?);
    Some(lines.join(&b'\n'))
}

/// The path that a name in the key mostly stands for.
fn told(root: &Path, label: &str) -> PathBuf {
    if label == "." { root.to_owned() } else { root.join(label) }
}

fn kept(stage: &Found, root: &Path) -> Kept {
    let tree = |(path, part, take): &(PathBuf, Part, Take)| KeptTree {
        path: (told(root, &take.label).as_os_str() != path.as_os_str()).then(|| path.clone()),
        label: take.label.clone(),
        part: part.clone(),
        exact: take.exact,
        why: take.why.iter().map(|why| (why.what.clone(), why.via.clone())).collect(),
    };
    let StageInputs { ansible_config, imprecise, never, notes, .. } = stage.inputs.clone();
    let side = |side: &Side| side.trees.iter().map(tree).collect();
    Kept { image: side(&stage.image), verify: side(&stage.verify), asked: stage.asked.clone(), ansible_config, imprecise, never, notes }
}

fn found(kept: Kept, stage: &Stage, world: &World<'_>) -> Option<Found> {
    let tree = |kept: KeptTree| {
        let path = kept.path.unwrap_or_else(|| told(&world.root, &kept.label));
        let why = kept.why.into_iter().map(|(what, via)| Why { what, via }).collect();
        (path, kept.part, Take { label: kept.label, exact: kept.exact, why })
    };
    let side = |trees: Vec<KeptTree>| Side { trees: trees.into_iter().map(tree).collect() };
    let Kept { image, verify, asked, ansible_config, imprecise, never, notes } = kept;
    let inputs = StageInputs { ansible_config, imprecise, never, notes, ..StageInputs::default() };
    let rules = Rules::new(&world.root, &stage.ignore, world.never.clone()).ok()?;
    Some(Found { name: stage.name.clone(), rules, image: side(image), verify: side(verify), asked, inputs })
}
