//! Small pipelines for the tests of this room. Compiled for tests only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::lock::{Pins, SourcePin};
use crate::config::pipeline::{
    AmiQuery, Builder, DryRunSettings, Emit, EmitName, EmitValue, ParentRef, Pipeline, Recipe, Source, Stage, StateLocation,
};
use crate::model::artifact::{Image, ImageState, tags};
use crate::model::digest::{Digest, StageKey};
use crate::model::name::Name;
use crate::model::node::{Architecture, NodeId, RunId};
use crate::model::problem::SourceText;
use crate::model::verdict::Verdict;
use crate::plan::graph::Graph;
use crate::plan::inputs::{Entry, StageInputs, Tree};
use crate::plan::keyed::{Keyed, manifests};
use crate::plan::known::{EmitTarget, Known};
use crate::plan::manifest::InputManifest;
use crate::plan::plan::{Plan, Wishes};
use crate::plan::planner::{Given, PlanError, plan};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// `web`, `web/arm64`.
pub(crate) fn node(text: &str) -> NodeId {
    let (stage, architecture) = text.split_once('/').unwrap_or((text, "x86_64"));
    NodeId { stage: name(stage), architecture: architecture.parse().unwrap() }
}

/// Stages with their parents; `""` is source `debian`.
pub(crate) fn pipeline(stages: &[(&str, &str)]) -> Pipeline {
    let amis = Architecture::ALL.map(|a| (a, AmiQuery::Id(format!("ami-{a}"))));
    let debian = Source {
        name: name("debian"),
        amis: amis.into(),
        docker: Some("debian:12".to_owned()),
        ssh_username: "admin".to_owned(),
        span: 0..0,
    };
    Pipeline {
        name: name("shop"),
        source: Arc::new(SourceText { path: PathBuf::from("ovenbird.hcl"), text: String::new() }),
        root: PathBuf::from("/root"),
        dir: PathBuf::from("/root"),
        file: PathBuf::from("/root/ovenbird.hcl"),
        region: "ap-northeast-1".to_owned(),
        regions: Vec::new(),
        tags: BTreeMap::new(),
        state: StateLocation::Folder(PathBuf::from("/root/.ovenbird/state")),
        tools: BTreeMap::new(),
        secrets: BTreeMap::new(),
        sources: BTreeMap::from([(name("debian"), debian)]),
        stages: stages.iter().map(|(stage, parent)| self::stage(stage, parent)).collect(),
        emits: Vec::new(),
        swaps: Vec::new(),
    }
}

pub(crate) fn stage(stage: &str, parent: &str) -> Stage {
    Stage {
        name: name(stage),
        from: if parent.is_empty() { ParentRef::Source(name("debian")) } else { ParentRef::Stage(name(parent)) },
        architectures: vec![Architecture::X86_64],
        recipe: Recipe::Playbook { playbook: PathBuf::from(format!("ansible/{stage}.yml")), template: PathBuf::from("packer") },
        galaxy: Vec::new(),
        freshness_days: None,
        groups: Vec::new(),
        vars: BTreeMap::new(),
        ansible_arguments: Vec::new(),
        verify: None,
        dry_run: DryRunSettings { skip_tags: Vec::new(), idempotent: true, enabled: true },
        image: BTreeMap::new(),
        inputs: Vec::new(),
        ignore: Vec::new(),
        ami_name: None,
        tags: BTreeMap::new(),
        builder: Builder::default(),
        span: 0..0,
    }
}

pub(crate) fn pins() -> Pins {
    let pin = |architecture: Architecture| SourcePin {
        region: "ap-northeast-1".to_owned(),
        id: format!("ami-{architecture}"),
        name: format!("debian-12-{architecture}"),
        pinned: "2026-11-16".to_owned(),
    };
    Pins { sources: Architecture::ALL.map(|a| ((name("debian"), a), pin(a))).into(), ..Pins::default() }
}

pub(crate) fn tree(files: &[(&str, &str)]) -> Arc<Tree> {
    let entries = files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), Entry::File { digest: Digest::of(text.as_bytes()), executable: false, mode: None }));
    Arc::new(entries.collect())
}

/// Every stage has its playbook and the role of its name.
pub(crate) fn inputs(pipeline: &Pipeline) -> BTreeMap<Name, StageInputs> {
    let read = |stage: &Stage| {
        let role = tree(&[("tasks/main.yml", stage.name.as_str()), ("templates/site.conf.j2", "site")]);
        let playbook = tree(&[("", stage.name.as_str())]);
        let trees = [("packer".to_owned(), tree(&[("image.pkr.hcl", "template")])), (format!("ansible/{}.yml", stage.name), playbook)];
        StageInputs {
            trees: trees.into_iter().chain([(format!("ansible/roles/{}", stage.name), role)]).collect(),
            ..StageInputs::default()
        }
    };
    pipeline.stages.iter().map(|stage| (stage.name.clone(), read(stage))).collect()
}

pub(crate) fn docker() -> BTreeMap<String, String> {
    BTreeMap::from([("debian:12".to_owned(), "sha256:d0c".to_owned())])
}

/// Keys of a pipeline with [`pins`], [`inputs`] and [`docker`].
pub(crate) fn keyed(pipeline: &Pipeline) -> BTreeMap<NodeId, Keyed> {
    manifests(pipeline, &Graph::new(pipeline), &pins(), &inputs(pipeline), &docker())
}

/// A sealed image.
pub(crate) fn sealed(id: &str, node: &NodeId, key: StageKey, created: &str) -> Image {
    Image {
        id: id.to_owned(),
        region: "ap-northeast-1".to_owned(),
        name: format!("shop-{}-{}", node.stage, node.architecture),
        state: ImageState::Available,
        created: created.to_owned(),
        architecture: node.architecture.to_string(),
        owner: "123456789012".to_owned(),
        virtualization: "hvm".to_owned(),
        root_device: "ebs".to_owned(),
        snapshots: vec![format!("snap-{id}")],
        tags: BTreeMap::from([
            (tags::KEY.to_owned(), key.to_string()),
            (tags::PIPELINE.to_owned(), "shop".to_owned()),
            (tags::STAGE.to_owned(), node.stage.to_string()),
        ]),
        source_image: None,
    }
}

/// What a plan is made from, all of it.
pub(crate) struct World {
    pub(crate) pipeline: Pipeline,
    pub(crate) pins: Pins,
    pub(crate) inputs: BTreeMap<Name, StageInputs>,
    pub(crate) known: Known,
    pub(crate) targets: BTreeMap<PathBuf, EmitTarget>,
    pub(crate) earlier: BTreeMap<StageKey, InputManifest>,
}

/// base → web → edge, base → api; `web` is emitted.
pub(crate) fn world() -> World {
    let mut pipeline = pipeline(&[("base", ""), ("web", "base"), ("edge", "web"), ("api", "base")]);
    let value = EmitValue::Id { stage: name("web"), architecture: Architecture::X86_64 };
    let names = vec![EmitName { name: "web_ami_id".to_owned(), value, span: 0..0 }];
    pipeline.emits = vec![Emit { path: PathBuf::from("images.auto.tfvars"), names, span: 0..0 }];
    let target = EmitTarget { path: PathBuf::from("images.auto.tfvars"), exists: false, present: BTreeMap::new(), problems: Vec::new() };
    World {
        inputs: inputs(&pipeline),
        pipeline,
        pins: pins(),
        known: Known { images: Some(Vec::new()), ..Known::default() },
        targets: BTreeMap::from([(target.path.clone(), target)]),
        earlier: BTreeMap::new(),
    }
}

impl World {
    pub(crate) fn keyed(&self) -> BTreeMap<NodeId, Keyed> {
        manifests(&self.pipeline, &Graph::new(&self.pipeline), &self.pins, &self.inputs, &docker())
    }

    pub(crate) fn try_plan(&self, wishes: &Wishes) -> Result<Plan, PlanError> {
        let (graph, keyed) = (Graph::new(&self.pipeline), self.keyed());
        let Self { pipeline, pins, known, targets, earlier, .. } = self;
        plan(Given { pipeline, graph: &graph, keyed: &keyed, pins, known, targets, earlier }, wishes)
    }

    pub(crate) fn plan(&self, stages: &[&str]) -> Plan {
        self.try_plan(&wishes(stages)).unwrap()
    }

    pub(crate) fn dry_run(&self, stages: &[&str]) -> Plan {
        self.try_plan(&Wishes { build: false, ..wishes(stages) }).unwrap()
    }

    /// Seals an image for the present key of each stage.
    pub(crate) fn built(mut self, stages: &[&str]) -> Self {
        for stage in stages {
            let keyed = self.keyed().remove(&node(stage)).unwrap();
            let key = keyed.stage_key.unwrap();
            self.images().push(sealed(&format!("ami-{stage}"), &node(stage), key, "2026-11-20T00:00:00Z"));
            self.earlier.insert(key, keyed.manifest);
        }
        self
    }

    /// Remembers a dry run that passed for the present key of each stage.
    pub(crate) fn passed(mut self, stages: &[&str]) -> Self {
        for stage in stages {
            let keyed = self.keyed().remove(&node(stage)).unwrap();
            let key = keyed.dry_run_key.unwrap();
            let verdict = Verdict {
                key,
                verify_key: keyed.dry_run_verify_key,
                node: node(stage),
                run: RunId::new("20261120t000000", 1),
                passed: true,
                image: format!("ovenbird/shop/{stage}:{}", key.short()),
                image_id: "sha256:1".to_owned(),
                tasks: 3,
                not_idempotent: Vec::new(),
                not_exercised: Vec::new(),
                seconds: BTreeMap::new(),
            };
            self.known.verdicts.insert(key, verdict);
        }
        self
    }

    pub(crate) fn images(&mut self) -> &mut Vec<Image> {
        self.known.images.as_mut().unwrap()
    }

    pub(crate) fn touch(&mut self, stage: &str) {
        let tree = tree(&[("tasks/main.yml", "edited"), ("templates/site.conf.j2", "site")]);
        self.inputs.get_mut(stage).unwrap().trees.insert(format!("ansible/roles/{stage}"), tree);
    }
}

pub(crate) fn wishes(stages: &[&str]) -> Wishes {
    Wishes { stages: stages.iter().map(|stage| name(stage)).collect(), build: true, dry_run: true, again: false, emit: None }
}
