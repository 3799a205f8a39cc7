//! [`Checkout`]: a tree on disk with a pipeline of one stage around it, its inputs and its key.
//!
//! Asks the library as `ovenbird inputs` and `ovenbird plan` do; must not know a rule of what counts. Invariant: everything lies in one
//! temporary folder: the root, what is beside it, a home folder, and `out`, where playbooks write to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ovenbird::config::load::{LoadRequest, Loaded, load};
use ovenbird::config::lock::{GalaxyPin, SourcePin};
use ovenbird::inputs::{InputContext, environment, installed};
use ovenbird::model::digest::{Digest, StageKey};
use ovenbird::model::name::Name;
use ovenbird::model::node::Architecture;
use ovenbird::plan::graph::Graph;
use ovenbird::plan::inputs::{Entry, StageInputs};
use ovenbird::plan::keyed::manifests;

use crate::remembering::Remembering;
use crate::tree::{Tree, write};

/// A tree on disk.
pub(crate) struct Checkout {
    folder: tempfile::TempDir,
    galaxy: Option<PathBuf>,
    loaded: Loaded,
    graph: Graph,
    pub(crate) context: InputContext,
    memory: Remembering,
}

/// What the library says of it, now.
pub(crate) struct Said {
    pub(crate) inputs: StageInputs,
    pub(crate) key: StageKey,
}

const STAGE: &str = "web";

impl Checkout {
    pub(crate) fn of(tree: &Tree) -> Self {
        let folder = tempfile::Builder::new().prefix("ovenbird-keys-").tempdir().expect("a folder can be made");
        let root = folder.path().join("repo");
        for name in ["repo", "home", "out", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder can be made");
        }
        tree.unpack(&root);
        if !root.join("ovenbird.hcl").exists() {
            write(&root.join("ovenbird.hcl"), pipeline(tree).as_bytes());
        }
        if !root.join("packer").exists() {
            std::fs::create_dir(root.join("packer")).expect("a folder can be made");
            write(&root.join("packer/image.pkr.hcl"), b"# nothing\n");
        }
        let environment = tree.environment.clone();
        let mut loaded = loaded(&root);
        let galaxy = tree.galaxy.then(|| folder.path().canonicalize().expect("it is there").join("galaxy"));
        if let Some(installed) = &galaxy {
            let pipeline = &loaded.pipeline;
            let files: Vec<_> = pipeline.stages.iter().flat_map(|stage| stage.galaxy.clone()).collect();
            for file in files {
                let bytes = std::fs::read(root.join(&file)).expect("the requirements are there");
                let content = installed::digest(installed).expect("it can be read");
                let pin = GalaxyPin { requirements: Digest::of(&bytes), versions: BTreeMap::new(), content };
                loaded.pins.galaxy.insert(file.display().to_string(), pin);
            }
        }
        let context = InputContext { environment, home: Some(folder.path().join("home")), ..InputContext::default() };
        Self { galaxy, folder, graph: Graph::new(&loaded.pipeline), loaded, context, memory: Remembering::default() }
    }

    /// Canonical.
    pub(crate) fn root(&self) -> PathBuf {
        self.beside("repo")
    }

    /// A path beside the root.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().expect("it is there").join(name)
    }

    /// Inputs and key of the stage, read anew.
    ///
    /// # Errors
    /// What `ovenbird plan` would refuse.
    pub(crate) fn ask(&self) -> Result<Said, String> {
        let Loaded { pipeline, pins, .. } = &self.loaded;
        let inputs = self.memory.collect(pipeline, &self.context).map_err(|problems| format!("{:?}", problems.0))?;
        let keyed = manifests(pipeline, &self.graph, pins, &inputs, &BTreeMap::new());
        let key = keyed.values().find(|k| k.manifest.stage.as_str() == STAGE).and_then(|k| k.stage_key).expect("the source is pinned");
        let inputs = inputs.into_iter().find(|(name, _)| name.as_str() == STAGE).expect("the stage is there").1;
        Ok(Said { inputs, key })
    }

    /// The environment that a child of this stage gets.
    pub(crate) fn child_environment(&self, inputs: &StageInputs) -> BTreeMap<String, String> {
        environment::prepare(&self.loaded.pipeline).expect("the folder can be written");
        let mut context = self.context.clone();
        for (name, value) in crate::tools::tools() {
            context.environment.entry(name.clone()).or_insert_with(|| value.clone());
        }
        context.environment.insert("HOME".to_owned(), self.beside("home").display().to_string());
        context.environment.insert("TMPDIR".to_owned(), self.beside("tmp").display().to_string());
        let mut all = environment::for_stage(&self.loaded.pipeline, &context, inputs).all();
        all.insert("TMPDIR".to_owned(), self.beside("tmp").display().to_string());
        if let Some(installed) = &self.galaxy {
            all.insert("ANSIBLE_ROLES_PATH".to_owned(), installed.join("roles").display().to_string());
        }
        all
    }

    pub(crate) fn stage(&self) -> &ovenbird::config::pipeline::Stage {
        self.loaded.pipeline.stages.iter().find(|s| s.name.as_str() == STAGE).expect("the stage is there")
    }
}

/// Full paths of everything that is an input and there, and of everything that is one and absent.
pub(crate) fn named(inputs: &StageInputs) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut there, mut absent) = (BTreeSet::new(), BTreeSet::new());
    for (tree, entries) in &inputs.trees {
        for (name, entry) in entries.iter() {
            let full = match (tree.as_str(), name.trim_end_matches('/')) {
                (tree, "") => tree.to_owned(),
                (".", name) => name.to_owned(),
                (tree, name) => format!("{tree}/{name}"),
            };
            if *entry == Entry::Absent { &mut absent } else { &mut there }.insert(full);
        }
    }
    (there, absent)
}

fn pipeline(tree: &Tree) -> String {
    let mut body: String = tree.stage.iter().map(|line| format!("  {line}\n")).collect();
    if !body.contains("template") {
        body.push_str(&format!("  playbook = \"{}\"\n", tree.playbook));
    }
    format!(
        "pipeline \"proof\" {{ region = \"us-east-1\" }}\nsource \"debian\" {{\n  ami \"x86_64\" {{ id = \"ami-0123456789abcdef0\" }}\n  \
         docker = \"ovenbird-base/debian:12\"\n  ssh_username = \"admin\"\n}}\nstage \"{STAGE}\" {{\n  from = source.debian\n{body}}}\n"
    )
}

fn loaded(root: &Path) -> Loaded {
    let request = LoadRequest {
        file: root.join("ovenbird.hcl"),
        root: Some(root.to_owned()),
        vars: Vec::new(),
        var_files: Vec::new(),
        env_vars: BTreeMap::new(),
        env_present: &|_| false,
        require_secrets: false,
    };
    let mut loaded = load(&request).unwrap_or_else(|problems| panic!("{:?}", problems.0));
    let pin = SourcePin {
        region: "us-east-1".to_owned(),
        id: "ami-0123456789abcdef0".to_owned(),
        name: "debian".to_owned(),
        pinned: "2026-11-22".to_owned(),
    };
    loaded.pins.sources.insert((Name::new("debian").expect("a name"), Architecture::X86_64), pin);
    loaded
}
