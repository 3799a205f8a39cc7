//! What a step left, in the account and in Docker: looked for after every run of Packer, success included, removed, reported.
//!
//! The exit code of Packer is no evidence either way. Invariant: only what carries this run's and node's mark is removed; what could
//! not be removed is named with the command that does it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::event::Event;
use crate::model::artifact::{Leftover, LeftoverKind};
use crate::model::node::{NodeId, RunId};
use crate::ports::{AwsError, Catalog, Stop};
use crate::process::spawn;
use crate::run::watch::Watch;
use crate::tools::docker::{Docker, label};

/// A short Docker command's time.
pub(super) const DOCKER_TIME: Duration = Duration::from_mins(2);
/// Bytes of a short command's output.
pub(super) const OUTPUT_LIMIT: u64 = 256 * 1024;
/// Looks at an account that does not answer.
const LOOKS: u32 = 4;
/// Time for the one look after a second Ctrl-C.
const HURRIED: Duration = Duration::from_secs(10);

/// Removes from the account what the step made and does not use. `keep`: the image that was sealed.
pub(super) async fn account(catalog: &dyn Catalog, watch: &Watch<'_>, run: &RunId, ids: &BTreeSet<String>, keep: Option<&str>) {
    let node = &watch.step.node;
    let ids: Vec<String> = ids.iter().cloned().collect();
    let hurried = || *watch.stop.borrow() == Stop::Now;
    let found = if hurried() {
        match tokio::time::timeout(HURRIED, catalog.leftovers(run, node, &ids, keep)).await {
            Ok(found) => found,
            Err(_) => return unlooked(watch, "EC2 did not answer in time"),
        }
    } else {
        look(catalog, run, node, &ids, keep).await
    };
    let mut found = match found {
        Ok(found) => found,
        Err(error) => return unlooked(watch, &error.to_string()),
    };
    found.sort();
    let (mut removed, mut left) = (Vec::new(), Vec::new());
    for leftover in found {
        if hurried() {
            left.push(leftover);
            continue;
        }
        match catalog.remove(&leftover).await {
            Ok(()) => removed.push(leftover),
            Err(error) => {
                watch.say(Event::Warned { message: format!("{}: `{}` could not be removed: {error}", watch.step, leftover.id) });
                left.push(leftover);
            }
        }
    }
    watch.say(Event::Reconciled { step: watch.step.clone(), removed, left });
}

async fn look(catalog: &dyn Catalog, run: &RunId, node: &NodeId, ids: &[String], keep: Option<&str>) -> Result<Vec<Leftover>, AwsError> {
    let mut pause = Duration::from_secs(1);
    for _ in 1..LOOKS {
        if let Ok(found) = catalog.leftovers(run, node, ids, keep).await {
            return Ok(found);
        }
        tokio::time::sleep(pause).await;
        pause *= 3;
    }
    catalog.leftovers(run, node, ids, keep).await
}

/// Removes the containers of a dry run. `named`: what Packer's log said it started; a foreign template's carries no label.
/// `keep`: containers that stay on purpose.
pub(super) async fn containers(
    docker: &Docker<'_>,
    watch: &Watch<'_>,
    run: &RunId,
    named: impl IntoIterator<Item = String>,
    keep: &[String],
) {
    let node = &watch.step.node;
    let labels = [(label::RUN, run.as_str()), (label::STAGE, node.stage.as_str()), (label::ARCHITECTURE, node.architecture.as_str())];
    let mut ids: BTreeSet<String> = BTreeSet::new();
    match spawn::output(&docker.containers(&labels, false), DOCKER_TIME, OUTPUT_LIMIT).await {
        Ok(listed) if listed.exit.success() => ids.extend(listed.stdout.split_whitespace().map(str::to_owned)),
        Ok(listed) => unknown(watch, listed.stderr.trim()),
        Err(error) => unknown(watch, &error.to_string()),
    }
    ids.extend(named);
    ids.retain(|id| !keep.iter().any(|kept| kept.starts_with(id.as_str()) || id.starts_with(kept.as_str())));
    let (mut removed, mut left) = (Vec::new(), Vec::new());
    for id in ids {
        // Packer mostly has removed it itself; asking first keeps the report to what really was left.
        if !exists(docker, &id).await {
            continue;
        }
        let remove_with = format!("docker rm --force --volumes {}", id.get(..12).unwrap_or(&id));
        let leftover = Leftover { kind: LeftoverKind::Container, id: id.clone(), region: "docker".to_owned(), remove_with };
        let done = spawn::output(&docker.remove_container(&id), DOCKER_TIME, OUTPUT_LIMIT).await;
        if done.is_ok_and(|done| done.exit.success()) || !exists(docker, &id).await { removed.push(leftover) } else { left.push(leftover) }
    }
    if !removed.is_empty() || !left.is_empty() {
        watch.say(Event::Reconciled { step: watch.step.clone(), removed, left });
    }
}

async fn exists(docker: &Docker<'_>, id: &str) -> bool {
    spawn::output(&docker.container_state(id), DOCKER_TIME, OUTPUT_LIMIT).await.is_ok_and(|said| said.exit.success())
}

fn unlooked(watch: &Watch<'_>, why: &str) {
    watch.say(Event::Warned { message: format!("{}: whether anything is left in the account is not known: {why}", watch.step) });
}

fn unknown(watch: &Watch<'_>, why: &str) {
    watch.say(Event::Warned { message: format!("{}: whether a container is left is not known: {why}", watch.step) });
}
