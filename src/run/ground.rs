//! What a dry run starts from: the parent's Docker image, whether it has systemd, and what the engine is.
//!
//! Found out before Packer starts, because it decides how Packer starts the container. Invariant: nothing is started for it, and
//! nothing stays of it.

use crate::config::pipeline::Recipe;
use crate::model::digest::DryRunKey;
use crate::plan::plan::PlannedParent;
use crate::run::step::{Current, Halt};
use crate::tools::docker::{self, FirstProcess, label};

/// What of the container was found out before Packer starts.
pub(super) struct Ground {
    /// Docker image of the parent.
    pub(super) parent: String,
    pub(super) first: FirstProcess,
    pub(super) key: DryRunKey,
    pub(super) notes: Vec<String>,
}

impl Current<'_> {
    /// Docker image of the parent and the key of the dry run, or why there can be none.
    pub(super) fn possible(&self) -> Result<(String, DryRunKey), String> {
        let not_possible = |why: &str| Err(why.to_owned());
        if let Recipe::Template { dry_run_only, .. } = &self.stage.recipe
            && dry_run_only.is_empty()
        {
            return not_possible("no Docker builder of its template is named (`dry_run_only = [...]`)");
        }
        let parent = match (&self.planned.parent, &self.ready.parent_docker) {
            (PlannedParent::Source { docker: Some(docker), .. }, _) | (PlannedParent::Node { .. }, Some(docker)) => docker.clone(),
            (PlannedParent::Source { name, .. }, _) => return not_possible(&format!("source `{name}` has no `docker` image")),
            (PlannedParent::Node { node }, None) => return not_possible(&format!("`{node}` has no dry-run image")),
        };
        let Some(key) = self.planned.dry_run_key else { return not_possible("its dry run has no key") };
        Ok((parent, key))
    }

    /// Looks at what the dry run starts from.
    pub(super) async fn ground(&self, parent: String, key: DryRunKey) -> Result<Ground, Halt> {
        self.watch.phase("launch");
        if self.docker(|docker| docker.image_id(&parent)).await.is_err() {
            self.docker(|docker| docker.pull(&parent)).await?;
        }
        let (cgroup, host) = self.engine().await?;
        let mut notes = Vec::new();
        if host != self.planned.node.architecture.as_str() && !(host == "aarch64" && self.planned.node.architecture.as_str() == "arm64") {
            notes.push(format!("ran on {host}, not on {}", self.planned.node.architecture));
        }
        let first = if self.has_init(&parent).await? {
            FirstProcess::Systemd(*cgroup)
        } else {
            notes.push(format!("services were not started: `{parent}` has no /sbin/init"));
            FirstProcess::Sleep
        };
        Ok(Ground { parent, first, key, notes })
    }

    /// Looked up in a container that is never started: starting one takes most of a second.
    async fn has_init(&self, image: &str) -> Result<bool, Halt> {
        let mut labels = self.labels(image);
        labels.remove(label::KEPT);
        let container = self.docker(|docker| docker.create(image, &labels)).await?.trim().to_owned();
        let copy = self.scratch.path("init");
        let found = self.docker(|docker| docker.copy(&container, docker::INIT, &copy)).await.is_ok();
        self.docker(|docker| docker.remove_container(&container)).await?;
        Ok(found)
    }
}
