//! What is asked outside before a decision: EC2 for images, the state for manifests and verdicts, Docker for images.
//!
//! Invariant: every answer is asked for once a command; a question that fails ends the command, it is never an empty answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::aws::catalog::Ec2Catalog;
use crate::cli::client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::world::World;
use crate::config::pipeline::{Pipeline, StateLocation};
use crate::inputs::environment;
use crate::model::artifact::Image;
use crate::model::digest::{DryRunKey, StageKey};
use crate::model::node::NodeId;
use crate::model::verdict::Verdict;
use crate::model::verification::Verification;
use crate::plan::hit;
use crate::plan::keyed::Keyed;
use crate::plan::known::Known;
use crate::plan::manifest::InputManifest;
use crate::plan::plan::{DryRunAction, Plan, PlannedParent};
use crate::plan::verification;
use crate::ports::{AwsError, Catalog as _};
use crate::process::command::CommandLine;
use crate::process::spawn::{self, SpawnError};
use crate::store::{State, StateError};
use crate::tools::docker::Docker;

/// How long a command may be silent.
const QUIET: Duration = Duration::from_secs(5);

/// Adapters of one pipeline.
#[derive(Debug)]
pub struct Survey {
    /// EC2 in the pipeline's region.
    pub catalog: Ec2Catalog,
    /// Manifests and verdicts.
    pub state: State,
    /// What was asked ahead.
    ahead: RefCell<Option<Result<Vec<Image>, AwsError>>>,
}

impl Survey {
    /// Builds the adapters; asks nothing yet.
    ///
    /// # Errors
    /// The state's settings do not fit together.
    pub async fn open(pipeline: &Pipeline, world: &World) -> Result<Self, Failure> {
        let settings = client::settings(&pipeline.region).await;
        let catalog = Ec2Catalog::new(client::ec2(&settings), pipeline.region.clone(), pipeline.name.clone());
        let state = State::open(&pipeline.state, || client::s3(&settings, &world.environment))
            .map_err(|e| Failure::chain(Exit::Unavailable, &e).help(e.help()))?;
        Ok(Self { catalog, state, ahead: RefCell::default() })
    }

    /// Own images with the pipeline's tag. Says so when EC2 lets itself be waited for: the calls are repeated for two minutes.
    ///
    /// # Errors
    /// EC2 does not answer.
    pub async fn images(&self, output: Output) -> Result<Vec<Image>, Failure> {
        let known = self.ahead.take();
        Ok(match known {
            Some(answer) => answer,
            None => self.ask(output).await,
        }?)
    }

    /// Does `work` while EC2 is asked for the images. A failure of the work is said at once, one of EC2 when somebody wants them.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn beside<T>(&self, work: impl Future<Output = Result<T, Failure>>, output: Output) -> Result<T, Failure> {
        let (done, answer) = futures_util::try_join!(work, async { Ok(self.ask(output).await) })?;
        self.ahead.replace(Some(answer));
        Ok(done)
    }

    async fn ask(&self, output: Output) -> Result<Vec<Image>, AwsError> {
        let asked = self.catalog.images();
        tokio::pin!(asked);
        tokio::select! {
            biased;
            answer = &mut asked => answer,
            () = tokio::time::sleep(QUIET) => {
                output.say("waiting for EC2, which does not answer yet\n");
                asked.await
            }
        }
    }

    /// The state alone, for commands that never call EC2. A state in S3 needs AWS's credentials all the same.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn state(pipeline: &Pipeline, world: &World) -> Result<State, Failure> {
        let opened = match &pipeline.state {
            StateLocation::Folder(path) => Ok(State::folder(path)),
            StateLocation::S3 { .. } => {
                let settings = client::settings(&pipeline.region).await;
                State::open(&pipeline.state, || client::s3(&settings, &world.environment))
            }
        };
        opened.map_err(|e| Failure::chain(Exit::Unavailable, &e).help(e.help()))
    }
}

/// Manifests of the nearest earlier images of nodes that are no hit, as far as the state has them; and of the present key where it
/// was sealed once and its image is not there any more: EC2 soon forgets a deregistered image, the state does not.
///
/// # Errors
/// The state cannot be read.
pub async fn earlier(
    state: &State,
    known: &Known,
    pipeline: &Pipeline,
    keyed: &BTreeMap<NodeId, Keyed>,
) -> Result<BTreeMap<StageKey, InputManifest>, Failure> {
    /// Images looked at for a stage: one that CI built from another branch may stand before the one that is near.
    const NEAREST: usize = 3;
    let mut manifests = BTreeMap::new();
    // Nobody asked for images, so nobody will ask why there is none.
    let Some(images) = known.images.as_deref() else { return Ok(manifests) };
    for (node, keyed) in keyed {
        let Some(key) = keyed.stage_key else { continue };
        if hit::find(images, &pipeline.name, node, key).hit.is_some() {
            continue;
        }
        if let Some(manifest) = manifest(state, &key).await? {
            manifests.insert(key, manifest);
            continue;
        }
        for (_, old) in hit::earlier(images, &pipeline.name, node).into_iter().take(NEAREST) {
            if manifests.contains_key(&old) {
                continue;
            }
            if let Some(manifest) = manifest(state, &old).await? {
                manifests.insert(old, manifest);
                break;
            }
        }
    }
    Ok(manifests)
}

/// Last verifications of the nodes' images, where the tag does not say that the present checks passed.
///
/// # Errors
/// The state cannot be read.
pub async fn verifications(
    state: &State,
    known: &Known,
    pipeline: &Pipeline,
    keyed: &BTreeMap<NodeId, Keyed>,
) -> Result<BTreeMap<String, Verification>, Failure> {
    let mut found = BTreeMap::new();
    for (node, keyed) in keyed {
        let Some((image, Err(_))) = verification::standing(known, &pipeline.name, node, keyed) else { continue };
        let last = state.verification(&image.id).await.map_err(|e| Failure::chain(Exit::Unavailable, &e).help(e.help()))?;
        found.extend(last.map(|last| (image.id.clone(), last)));
    }
    Ok(found)
}

/// The manifest of a key; `None`: not known here, or in a form that this ovenbird does not read.
///
/// # Errors
/// The state cannot be read.
pub async fn manifest(state: &State, key: &StageKey) -> Result<Option<InputManifest>, Failure> {
    Ok(kept(state, key).await?.ok())
}

/// The same; where there is none, in words why.
///
/// # Errors
/// The state cannot be read.
pub async fn kept(state: &State, key: &StageKey) -> Result<Result<InputManifest, String>, Failure> {
    match state.input_manifest(key).await {
        Ok(Some(manifest)) => Ok(Ok(manifest)),
        Ok(None) => Ok(Err(format!("no manifest of {} is kept in `{}`", key.short(), state.place()))),
        Err(error @ StateError::Format { .. }) => Ok(Err(format!("its manifest, {error}"))),
        Err(error) => Err(Failure::chain(Exit::Unavailable, &error).help(error.help())),
    }
}

/// Ids of the Docker images that stand for sources, on this machine; a reference that is not here is absent.
///
/// # Errors
/// Docker does not answer.
pub async fn docker_ids(pipeline: &Pipeline, world: &World) -> Result<BTreeMap<String, String>, Failure> {
    let mut ids = BTreeMap::new();
    for reference in pipeline.sources.values().filter_map(|s| s.docker.as_ref()) {
        if let Some(id) = docker_id(reference, &pipeline.root, world).await? {
            ids.insert(reference.clone(), id);
        }
    }
    Ok(ids)
}

/// The id of a Docker image on this machine.
///
/// # Errors
/// Docker does not answer.
pub async fn docker_id(reference: &str, cwd: &Path, world: &World) -> Result<Option<String>, Failure> {
    let command = CommandLine::new("docker", cwd)
        .args(["image", "inspect", "--format", "{{.Id}}", "--", reference])
        .envs(environment::passed(&world.environment));
    let output = spawn::output(&command, Duration::from_secs(20), 64 * 1024).await.map_err(|error| match &error {
        SpawnError::Start { source, .. } if source.kind() == std::io::ErrorKind::NotFound => no_docker("`docker` is not on PATH"),
        _ => no_docker(&Failure::chain(Exit::Unavailable, &error).first_line()),
    })?;
    if output.exit.success() {
        return Ok(Some(output.stdout.trim().to_owned()).filter(|id| !id.is_empty()));
    }
    if output.stderr.contains("No such image") || output.stderr.contains("no such image") {
        return Ok(None);
    }
    Err(no_docker(output.stderr.trim().lines().next().unwrap_or_default()))
}

/// Fetches the Docker images that the dry runs of a plan start from and that are not among `here`; says so. `true`: there was one,
/// and keys that were made without its id are no longer what they would be.
///
/// # Errors
/// An image cannot be fetched.
pub async fn fetch(
    plan: &Plan,
    here: &BTreeMap<String, String>,
    pipeline: &Pipeline,
    world: &World,
    output: Output,
) -> Result<bool, Failure> {
    /// A registry may be slow, and its image large.
    const PATIENCE: Duration = Duration::from_mins(30);
    let mut lacking = BTreeMap::new();
    for planned in plan.nodes.iter().filter(|planned| planned.dry_run == DryRunAction::Run) {
        if let PlannedParent::Source { name, docker: Some(image), .. } = &planned.parent
            && !here.contains_key(image)
        {
            lacking.insert(image, name);
        }
    }
    let env = environment::passed(&world.environment);
    for (image, source) in &lacking {
        output.say(&format!("fetching Docker image `{image}` of source `{source}`\n"));
        let command = Docker { root: &pipeline.root, env: &env }.pull(image);
        let said = spawn::output(&command, PATIENCE, 64 * 1024)
            .await
            .map_err(|e| no_docker(&Failure::chain(Exit::Unavailable, &e).first_line()))?;
        if !said.exit.success() {
            let why = said.stderr.trim().lines().last().unwrap_or_default().to_owned();
            return Err(Failure::unavailable(format!("Docker image `{image}` is not on this machine and cannot be fetched: {why}"))
                .help(format!("`docker` of source `{source}` names an image that is here or in a registry")));
        }
    }
    Ok(!lacking.is_empty())
}

fn no_docker(cause: &str) -> Failure {
    Failure::unavailable(format!("docker does not answer: {cause}")).help(
        "start Docker (`systemctl start docker`); `plan` and `build` do without it with `--no-dry-run`; `ovenbird doctor` looks closer",
    )
}

/// Verdicts of these nodes whose Docker image is still here.
///
/// # Errors
/// The state cannot be read, or Docker does not answer.
pub async fn verdicts(
    state: &State,
    pipeline: &Pipeline,
    keyed: &BTreeMap<NodeId, Keyed>,
    world: &World,
) -> Result<BTreeMap<DryRunKey, Verdict>, Failure> {
    let mut found = BTreeMap::new();
    for keyed in keyed.values() {
        let Some(key) = keyed.dry_run_key else { continue };
        let verdict = state.verdict(&key).await.map_err(|e| Failure::chain(Exit::Unavailable, &e).help(e.help()))?;
        let Some(verdict) = verdict.filter(|v| v.passed) else { continue };
        // The id, not the name: somebody may have tagged another image with it.
        if docker_id(&verdict.image, &pipeline.root, world).await?.is_some_and(|id| id == verdict.image_id) {
            found.insert(key, verdict);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing;

    #[tokio::test]
    async fn an_image_that_ec2_has_forgotten_is_remembered_by_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::folder(folder.path());
        let (pipeline, web) = (testing::pipeline(&[("web", "")]), testing::node("web"));
        let keyed = testing::keyed(&pipeline);
        let key = keyed[&web].stage_key.unwrap();
        let nobody = Known { images: Some(Vec::new()), ..Known::default() };
        assert!(earlier(&state, &nobody, &pipeline, &keyed).await.unwrap().is_empty(), "never built");
        state.put_input_manifest(&key, &keyed[&web].manifest).await.unwrap();
        assert!(earlier(&state, &nobody, &pipeline, &keyed).await.unwrap().contains_key(&key), "sealed once");
        let there = Known { images: Some(vec![testing::sealed("ami-1", &web, key, "1")]), ..Known::default() };
        assert!(earlier(&state, &there, &pipeline, &keyed).await.unwrap().is_empty(), "a hit needs no reason");
    }
}
