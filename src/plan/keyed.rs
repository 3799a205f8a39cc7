//! [`manifests`]: from the pipeline, the pins and what was read from disk to the manifest and keys of every node.
//!
//! One function fills both kinds of manifest, so that they cannot drift apart; where they differ stands `KeyKind`. Invariant: a
//! parent is keyed before its children; nothing but the arguments goes in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::config::lock::Pins;
use crate::config::pipeline::{Pipeline, Recipe, Source, Stage, Tool};
use crate::model::digest::{Digest, DryRunKey, StageKey};
use crate::model::name::Name;
use crate::model::node::{Architecture, NodeId};
use crate::model::value::{Reference, Value};
use crate::plan::canonical;
use crate::plan::graph::{Graph, Parent};
use crate::plan::inputs::{Entry, StageInputs, Tree};
use crate::plan::manifest::{Contents, FORMAT, InputManifest, KeyKind, ManifestGalaxy, ManifestParent, Provision, RECIPE};

/// A node's manifests and keys.
#[derive(Debug, Clone)]
pub struct Keyed {
    /// What the AMI is made of.
    pub manifest: InputManifest,
    /// What the dry run proves.
    pub dry_run_manifest: InputManifest,
    /// Key of the AMI; `None`: [`Self::missing`] says what is not pinned, here or above.
    pub stage_key: Option<StageKey>,
    /// Key of the dry run; `None`: [`Self::not_possible`] says why, or something is not pinned.
    pub dry_run_key: Option<DryRunKey>,
    /// Key of the AMI's verification.
    pub verify_key: Option<Digest>,
    /// Key of the dry run's verification.
    pub dry_run_verify_key: Option<Digest>,
    /// What the checks are made of, as [`checks`] says it.
    pub checks: BTreeMap<String, Digest>,
    /// What of this node itself is not in the lock file.
    pub missing: Vec<Unpinned>,
    /// Why there can be no dry run in Docker.
    pub not_possible: Option<String>,
    /// What a person should know: imprecise inputs, floating downloads. One line each, with the stage's name.
    pub warnings: Vec<String>,
}

/// Key of the verification of the image that `key` names, by the checks as `inputs` has them; `None`: the stage has none.
pub fn verify_key(stage: &Stage, inputs: &StageInputs, key: StageKey) -> Option<Digest> {
    Some(InputManifest::verify_key(key.0, &text(stage.verify.as_ref()?), &checks(inputs)))
}

/// What a stage's checks are made of: files and folders with the digest of each.
pub fn checks(inputs: &StageInputs) -> BTreeMap<String, Digest> {
    inputs.verify_trees.iter().map(|(name, tree)| (name.clone(), canonical::tree_digest(tree))).collect()
}

/// Something that a key needs and that the lock file does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpinned {
    /// A source's AMI. A dry run does not need it.
    Source(Name, Architecture),
    /// What a galaxy requirement file installs, or the pin is of other bytes of it.
    Galaxy(String),
}

impl std::fmt::Display for Unpinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source(name, architecture) => write!(f, "source {name} {architecture}"),
            Self::Galaxy(file) => write!(f, "galaxy {file}"),
        }
    }
}

/// Manifests and keys of all nodes. `docker` maps a reference (`debian:12`) to the id of that image on this machine.
///
/// # Panics
/// When a stage has no entry in `inputs`.
pub fn manifests(
    pipeline: &Pipeline,
    graph: &Graph,
    pins: &Pins,
    inputs: &BTreeMap<Name, StageInputs>,
    docker: &BTreeMap<String, String>,
) -> BTreeMap<NodeId, Keyed> {
    let digests = Digests::of(inputs);
    let contents = digests.contents();
    let mut digested: BTreeMap<&Name, Digested<'_>> = BTreeMap::new();
    for (name, read) in inputs {
        let (trees, verify_trees) = (digests.named(&read.trees), digests.named(&read.verify_trees));
        digested.insert(name, Digested { read, trees, verify_trees });
    }

    let mut all: BTreeMap<NodeId, Keyed> = BTreeMap::new();
    let mut waiting: Vec<&NodeId> = graph.nodes().iter().collect();
    while !waiting.is_empty() {
        let ready = |node: &&NodeId| match graph.parent(node) {
            Parent::Source(_) => true,
            Parent::Node(parent) => all.contains_key(parent),
        };
        let (now, later): (Vec<&NodeId>, Vec<&NodeId>) = waiting.into_iter().partition(ready);
        let keyed = |node: &&NodeId| {
            let stage = pipeline.stage(&node.stage).expect("the graph is of this pipeline");
            let source = pipeline.sources.get(graph.source(node)).expect("config resolved every source");
            let of = Of { pipeline, stage, source, node, pins, inputs: digested.get(&stage.name).expect("every stage's inputs were read") };
            ((*node).clone(), of.keyed(graph.parent(node), &all, docker, &contents))
        };
        assert!(!now.is_empty(), "the graph has no circle");
        let done: Vec<(NodeId, Keyed)> = now.par_iter().map(keyed).collect();
        all.extend(done);
        waiting = later;
    }
    all
}

struct Digested<'a> {
    read: &'a StageInputs,
    trees: BTreeMap<String, Digest>,
    verify_trees: BTreeMap<String, Digest>,
}

/// Digest of each tree. Stages that read the same role share its tree, so it is known by where it lies.
struct Digests<'a>(BTreeMap<*const Tree, (&'a Arc<Tree>, Digest)>);

impl<'a> Digests<'a> {
    fn of(inputs: &'a BTreeMap<Name, StageInputs>) -> Self {
        let all = inputs.values().flat_map(|read| read.trees.values().chain(read.verify_trees.values()));
        let trees: BTreeMap<*const Tree, &Arc<Tree>> = all.map(|tree| (Arc::as_ptr(tree), tree)).collect();
        let trees: Vec<&Arc<Tree>> = trees.into_values().collect();
        let digests: Vec<Digest> = trees.par_iter().map(|tree| canonical::tree_digest(tree)).collect();
        Self(trees.into_iter().zip(digests).map(|(tree, digest)| (Arc::as_ptr(tree), (tree, digest))).collect())
    }

    fn named(&self, trees: &BTreeMap<String, Arc<Tree>>) -> BTreeMap<String, Digest> {
        trees.iter().map(|(name, tree)| (name.clone(), self.0[&Arc::as_ptr(tree)].1)).collect()
    }

    /// Each tree once.
    fn contents(&self) -> Contents {
        self.0.values().map(|(tree, digest)| (*digest, Arc::clone(tree))).collect()
    }
}

/// What a node's manifests are made from, its parent aside.
struct Of<'a> {
    pipeline: &'a Pipeline,
    stage: &'a Stage,
    source: &'a Source,
    node: &'a NodeId,
    pins: &'a Pins,
    inputs: &'a Digested<'a>,
}

impl Of<'_> {
    fn keyed(&self, parent: &Parent, all: &BTreeMap<NodeId, Keyed>, docker: &BTreeMap<String, String>, contents: &Contents) -> Keyed {
        let mut missing = Vec::new();
        let mut not_possible = self.own_dry_run_obstacle();
        let (ami, container) = match parent {
            Parent::Source(name) => {
                // A pin of another region names an image that the builds cannot boot.
                let pin = self.pins.sources.get(&(name.clone(), self.node.architecture)).filter(|pin| pin.region == self.pipeline.region);
                let ami = pin.map(|pin| ManifestParent::Ami { id: pin.id.clone(), name: pin.name.clone() });
                if ami.is_none() {
                    missing.push(Unpinned::Source(name.clone(), self.node.architecture));
                }
                let container = self
                    .source
                    .docker
                    .as_ref()
                    .map(|reference| ManifestParent::Docker { reference: reference.clone(), id: docker.get(reference).cloned() });
                if container.is_none() {
                    not_possible.get_or_insert_with(|| format!("source `{name}` names no `docker` image"));
                }
                (ami, container)
            }
            Parent::Node(node) => {
                let above = all.get(node).expect("parents are keyed first");
                if above.not_possible.is_some() {
                    not_possible.get_or_insert_with(|| format!("its parent `{node}` has no dry run"));
                }
                (above.stage_key.map(ManifestParent::Stage), above.dry_run_key.map(ManifestParent::DryRun))
            }
        };
        for file in &self.stage.galaxy {
            let file = text(file);
            if self.galaxy_content(&file).is_none() {
                missing.push(Unpinned::Galaxy(file));
            }
        }
        let manifest = self.manifest(KeyKind::Stage, ami.unwrap_or(ManifestParent::Unknown), contents);
        let dry_run_manifest = self.manifest(KeyKind::DryRun, container.unwrap_or(ManifestParent::Unknown), contents);
        let stage_key = manifest.key();
        let dry_run_key = if not_possible.is_some() { None } else { dry_run_manifest.key() };
        let verify =
            |key: Option<Digest>| Some(InputManifest::verify_key(key?, &text(self.stage.verify.as_ref()?), &self.inputs.verify_trees));
        Keyed {
            verify_key: verify(stage_key),
            dry_run_verify_key: verify(dry_run_key),
            checks: self.inputs.verify_trees.clone(),
            stage_key: stage_key.map(StageKey),
            dry_run_key: dry_run_key.map(DryRunKey),
            manifest,
            dry_run_manifest,
            missing,
            not_possible,
            warnings: self.warnings(),
        }
    }

    /// The one function behind both keys.
    fn manifest(&self, kind: KeyKind, parent: ManifestParent, contents: &Contents) -> InputManifest {
        let Self { pipeline, stage, inputs, .. } = self;
        let pin = self.pins.stages.get(&stage.name);
        let mut manifest = InputManifest {
            format: FORMAT,
            recipe: RECIPE,
            kind,
            pipeline: pipeline.name.clone(),
            stage: stage.name.clone(),
            architecture: self.node.architecture,
            parent,
            freshness: match kind {
                KeyKind::Stage => pin.and_then(|pin| pin.freshness.clone()),
                KeyKind::DryRun => None,
            },
            generation: pin.map_or(0, |pin| pin.generation),
            galaxy: stage
                .galaxy
                .iter()
                .map(|file| {
                    let requirements = text(file);
                    let content = self.galaxy_content(&requirements);
                    ManifestGalaxy { requirements, content }
                })
                .collect(),
            provision: provision(kind, &stage.recipe),
            groups: stage.groups.clone(),
            vars: stage.vars.clone(),
            arguments: stage.ansible_arguments.clone(),
            ansible_config: inputs.read.ansible_config.clone(),
            settings: self.settings(kind),
            tools: pipeline
                .tools
                .iter()
                .filter(|(tool, _)| acts_on(**tool, kind))
                .map(|(tool, constraint)| (tool.attribute().to_owned(), constraint.clone()))
                .collect(),
            environment: inputs.read.environment.clone(),
            secrets: BTreeMap::new(),
            trees: inputs.trees.clone(),
            contents: inputs.trees.values().filter_map(|digest| Some((*digest, Arc::clone(contents.get(digest)?)))).collect(),
        };
        manifest.secrets = self.secrets(&manifest);
        manifest
    }

    fn settings(&self, kind: KeyKind) -> BTreeMap<String, Value> {
        let mut settings = BTreeMap::from([("ssh_username".to_owned(), Value::String(self.source.ssh_username.clone()))]);
        match kind {
            KeyKind::Stage => settings.extend(self.stage.image.iter().map(|(name, value)| (format!("image.{name}"), value.clone()))),
            KeyKind::DryRun => {
                let dry_run = &self.stage.dry_run;
                let tags = dry_run.skip_tags.iter().cloned().map(Value::String).collect();
                settings.insert("dry_run.skip_tags".to_owned(), Value::List(tags));
                settings.insert("dry_run.idempotent".to_owned(), Value::Bool(dry_run.idempotent));
            }
        }
        settings
    }

    /// Versions of the secrets that this manifest refers to.
    fn secrets(&self, manifest: &InputManifest) -> BTreeMap<Name, String> {
        let packer_vars = match &manifest.provision {
            Provision::Playbook { .. } => None,
            Provision::Template { packer_vars, .. } => Some(packer_vars),
        };
        let values = manifest.vars.values().chain(manifest.settings.values()).chain(packer_vars.into_iter().flat_map(BTreeMap::values));
        let used: BTreeSet<&Name> = values
            .flat_map(Value::references)
            .filter_map(|reference| match reference {
                Reference::Secret(name) => Some(name),
                Reference::ParentId | Reference::ParentName | Reference::ArtifactName | Reference::Region | Reference::Architecture => None,
            })
            .collect();
        used.into_iter()
            .map(|name| {
                let secret = self.pipeline.secrets.get(name).expect("config resolved every secret");
                (name.clone(), secret.version.clone())
            })
            .collect()
    }

    /// What a requirement file installs. A pin that was made of other bytes of the file is none.
    fn galaxy_content(&self, requirements: &str) -> Option<Digest> {
        let pin = self.pins.galaxy.get(requirements)?;
        let now = self.inputs.read.trees.get(requirements).and_then(|tree| tree.get(""));
        match now {
            Some(Entry::File { digest, .. }) if *digest != pin.requirements => None,
            Some(_) | None => Some(pin.content),
        }
    }

    fn own_dry_run_obstacle(&self) -> Option<String> {
        if !self.stage.dry_run.enabled {
            return Some("switched off in its `dry_run` block".to_owned());
        }
        match &self.stage.recipe {
            Recipe::Template { dry_run_only, .. } if dry_run_only.is_empty() => {
                Some("no Docker builder of its template is named (`dry_run_only = [...]`)".to_owned())
            }
            Recipe::Template { .. } | Recipe::Playbook { .. } => None,
        }
    }

    fn warnings(&self) -> Vec<String> {
        let read = self.inputs.read;
        let imprecise = read.imprecise.iter().map(|place| {
            format!("{}: imprecise: {} is taken as a whole, because {} ({})", self.stage.name, place.taken, place.because, place.place)
        });
        imprecise.chain(read.notes.iter().map(|note| format!("{}: {note}", self.stage.name))).collect()
    }
}

fn provision(kind: KeyKind, recipe: &Recipe) -> Provision {
    match recipe {
        Recipe::Playbook { playbook, template } => Provision::Playbook { playbook: text(playbook), template: text(template) },
        Recipe::Template { template, only, dry_run_only, packer_vars, var_files } => Provision::Template {
            template: text(template),
            only: match kind {
                KeyKind::Stage => only.clone(),
                KeyKind::DryRun => dry_run_only.clone(),
            },
            packer_vars: packer_vars.clone(),
            var_files: var_files.iter().map(text).collect(),
        },
    }
}

/// Which tools have a hand in what the key names.
fn acts_on(tool: Tool, kind: KeyKind) -> bool {
    match tool {
        Tool::Packer | Tool::AnsibleCore => true,
        Tool::Docker => kind == KeyKind::DryRun,
        Tool::Terraform => false,
    }
}

/// Paths of the pipeline file come from an HCL string: always UTF-8, relative, with `/`.
fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().expect("a path from the pipeline file is UTF-8").to_owned()
}
