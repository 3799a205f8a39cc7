//! A tree with an input of every class, and its keys: what the tests of keys share.
//!
//! Keys are made as a plan makes them: both files loaded, inputs collected, manifests filled, nothing asked outside. Must not hold
//! any expectation.

#![expect(clippy::unwrap_used, reason = "a fixture: what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use ovenbird::config::load::{LoadRequest, Loaded, load};
use ovenbird::inputs::InputContext;
use ovenbird::model::artifact::{Image, ImageState, tags};
use ovenbird::model::digest::StageKey;
use ovenbird::model::name::Name;
use ovenbird::model::node::NodeId;
use ovenbird::model::problem::Problems;
use ovenbird::plan::graph::Graph;
use ovenbird::plan::inputs::{Entry, StageInputs};
use ovenbird::plan::keyed::{Keyed, manifests};
use ovenbird::plan::known::Known;
use ovenbird::plan::plan::{Plan, Wishes};
use ovenbird::plan::planner::{Given, plan};

use crate::remembering::Remembering;

/// Stages: `base`, `web` and `db` on it, `legacy` from the source by somebody's template.
const PIPELINE: &str = r#"pipeline "shop" {
  region = "ap-northeast-1"
}
tools {
  packer       = "~> 1.15"
  ansible_core = "~> 2.19.0"
}
secret "datadog" {
  env     = "DD_API_KEY"
  version = "2026-11"
}
source "debian" {
  ami "x86_64" { id = "ami-0123456789abcdef0" }
  docker       = "debian:12"
  ssh_username = "admin"
}
stage "base" {
  from     = source.debian
  playbook = "ansible/base.yml"
  inputs   = ["conf/**"]
}
stage "web" {
  from              = stage.base
  playbook          = "ansible/web.yml"
  groups            = ["web"]
  vars              = { a = "1", b = "2", key = secret.datadog }
  ansible_arguments = ["--skip-tags", "slow", "-e", "@ansible/extra.yml"]
  verify            = "ansible/verify/web.yml"
}
stage "db" {
  from     = stage.base
  playbook = "ansible/db.yml"
}
stage "legacy" {
  from        = source.debian
  template    = "legacy/app.json"
  only        = ["amazon-ebs"]
  packer_vars = { source_ami = parent.id, ami_name = artifact.name }
  var_files   = ["legacy/vars.json"]
}
"#;

const LOCK: &str = r#"format = 1

source "debian" "x86_64" {
  region = "ap-northeast-1"
  id     = "ami-0123456789abcdef0"
  name   = "debian-12-amd64-20261116-2299"
  pinned = "2026-11-16"
}
"#;

/// Path, text.
const FILES: &[(&str, &str)] = &[
    ("ovenbird.hcl", PIPELINE),
    ("ovenbird.lock", LOCK),
    ("ansible.cfg", "[defaults]\nroles_path = roles:../shared\ngathering = smart\n"),
    ("packer/image.pkr.hcl", "variable \"image_name\" { default = \"x\" }\n"),
    ("packer/variables.pkr.hcl", "# nothing yet\n"),
    ("conf/app.ini", "[app]\nport = 1\n"),
    ("ansible/base.yml", "- hosts: all\n  roles:\n    - common\n"),
    (
        "ansible/web.yml",
        "- import_playbook: more.yml\n- hosts: web\n  vars_files:\n    - vars/site.yml\n  roles:\n    - role: nginx\n    - org\n  tasks:\n    - include_tasks: tasks/extra.yml\n    - include_vars: {dir: many}\n    - script: run.sh --all\n",
    ),
    ("ansible/more.yml", "- hosts: web\n  tasks:\n    - debug: {msg: more}\n"),
    ("ansible/extra.yml", "extra: 1\n"),
    ("ansible/db.yml", "- hosts: all\n  roles:\n    - common\n  tasks:\n    - copy: {src: data/, dest: /data}\n"),
    ("ansible/verify/web.yml", "- hosts: all\n  tasks:\n    - debug: {msg: verified}\n"),
    ("ansible/group_vars/web.yml", "port: 80\n"),
    ("ansible/host_vars/default.yml", "name: one\n"),
    ("ansible/vars/site.yml", "site: one\n"),
    ("ansible/many/1.yml", "one: 1\n"),
    ("ansible/tasks/extra.yml", "- template: {src: motd.j2, dest: /etc/motd}\n"),
    ("ansible/templates/motd.j2", "{% include 'part.j2' %}\n"),
    ("ansible/templates/part.j2", "{{ lookup('file', 'motd.txt') }}\n"),
    ("ansible/files/motd.txt", "welcome\n"),
    ("ansible/files/run.sh", "#!/bin/sh\ntrue\n"),
    ("ansible/data/a.bin", "\u{1}\u{2}\u{3}"),
    ("ansible/data/.hidden", "x\n"),
    ("ansible/library/thing.py", "#!/usr/bin/python\nprint('{}')\n"),
    ("ansible/filter_plugins/twice.py", "def twice(x):\n    return x + x\n"),
    ("ansible/roles/common/tasks/main.yml", "- include_tasks: more.yml\n"),
    ("ansible/roles/common/tasks/more.yml", "- debug: {msg: common}\n"),
    ("ansible/roles/common/defaults/main.yml", "level: 1\n"),
    ("ansible/roles/nginx/tasks/main.yml", "- copy: {src: site.conf, dest: /etc/site.conf}\n  notify: restart\n"),
    ("ansible/roles/nginx/handlers/main.yml", "- name: restart\n  block:\n    - include_role: {name: restarter}\n"),
    ("ansible/roles/nginx/meta/main.yml", "dependencies:\n  - role: tls\n    when: false\n"),
    ("ansible/roles/nginx/files/site.conf", "server {}\n"),
    ("ansible/roles/nginx/templates/index.j2", "{{ site }}\n"),
    ("ansible/roles/restarter/tasks/main.yml", "- debug: {msg: restart}\n"),
    ("ansible/roles/tls/tasks/main.yml", "- debug: {msg: tls}\n"),
    ("ansible/roles/unused/tasks/main.yml", "- debug: {msg: unused}\n"),
    ("shared/secret.txt", "linked\n"),
    ("shared/tree/deep/a.txt", "linked folder\n"),
    ("docs/readme.md", "nobody reads this\n"),
    ("legacy/vars.json", "{\"motd\": \"legacy/motd.txt\"}\n"),
    ("legacy/motd.txt", "legacy\n"),
    ("legacy/setup.sh", "#!/bin/sh\ntrue\n"),
    (
        "legacy/app.json",
        "{\"variables\": {\"source_ami\": \"\", \"ami_name\": \"\", \"motd\": \"\"},\n \"builders\": [{\"type\": \"amazon-ebs\", \"source_ami\": \"{{user `source_ami`}}\", \"ami_name\": \"{{user `ami_name`}}\"}],\n \"provisioners\": [{\"type\": \"file\", \"source\": \"{{user `motd`}}\", \"destination\": \"/etc/motd\"},\n  {\"type\": \"shell\", \"script\": \"{{template_dir}}/setup.sh\"}]}\n",
    ),
];

/// Name, what it points to.
const LINKS: &[(&str, &str)] = &[
    ("ansible/roles/common/files/linked.txt", "../../../../shared/secret.txt"),
    ("ansible/roles/common/files/tree", "../../../../shared/tree"),
    ("ansible/roles/nginx/files/none", "nowhere"),
];

/// A checkout in a temporary folder.
pub(crate) struct Keys {
    folder: tempfile::TempDir,
    pub(crate) environment: BTreeMap<String, String>,
    memory: Remembering,
}

impl Keys {
    /// The tree with everything.
    pub(crate) fn new() -> Self {
        Self::in_order(FILES.iter())
    }

    /// The same, its files made in another order.
    pub(crate) fn reversed() -> Self {
        Self::in_order(FILES.iter().rev())
    }

    fn in_order<'f>(files: impl Iterator<Item = &'f (&'f str, &'f str)>) -> Self {
        let keys = Self::empty();
        for (path, text) in files {
            keys.write(path, text);
        }
        for (name, target) in LINKS {
            keys.link(name, target);
        }
        keys.write("ansible/roles/common/files/empty/x", "").remove("ansible/roles/common/files/empty/x");
        keys.mode("ansible/files/run.sh", 0o755).mode("legacy/setup.sh", 0o755);
        // What lies outside of the checkout.
        keys.write("../shared/org/tasks/main.yml", "- debug: {msg: org}\n");
        keys
    }

    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("checkout")).unwrap();
        Self { folder, environment: BTreeMap::new(), memory: Remembering::default() }
    }

    /// The pipeline of `examples/small`; what are links there are files here.
    pub(crate) fn example() -> Self {
        let keys = Self::empty();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/small");
        for part in ["ansible", "packer", "terraform", "ansible.cfg", "ovenbird.hcl", "ovenbird.lock"] {
            for file in ignore::WalkBuilder::new(here.join(part)).hidden(false).follow_links(true).build().map(Result::unwrap) {
                if file.file_type().is_some_and(|kind| kind.is_file()) {
                    let name = file.path().strip_prefix(&here).unwrap().to_str().unwrap().to_owned();
                    keys.write(&name, std::fs::read(file.path()).unwrap());
                }
            }
        }
        keys
    }

    /// The folder of the checkout, as the disk knows it.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("checkout")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "a fixture in a temp folder")]
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Replaces in the pipeline file.
    pub(crate) fn edit(&self, old: &str, new: &str) -> &Self {
        let text = std::fs::read_to_string(self.path("ovenbird.hcl")).unwrap();
        assert!(text.contains(old), "`{old}` is not in\n{text}");
        self.write("ovenbird.hcl", text.replacen(old, new, 1))
    }

    pub(crate) fn link(&self, name: &str, target: &str) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.is_symlink() {
            std::fs::remove_file(&path).unwrap();
        }
        symlink(target, path).unwrap();
        self
    }

    pub(crate) fn remove(&self, name: &str) -> &Self {
        let path = self.path(name);
        if path.is_dir() && !path.is_symlink() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        self
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) -> &Self {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn load(&self) -> Loaded {
        self.try_load().unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    pub(crate) fn try_load(&self) -> Result<Loaded, Problems> {
        let request = LoadRequest {
            file: self.path("ovenbird.hcl"),
            root: Some(self.root()),
            vars: Vec::new(),
            var_files: Vec::new(),
            env_vars: BTreeMap::new(),
            env_present: &|_| true,
            require_secrets: false,
        };
        load(&request)
    }

    pub(crate) fn try_inputs(&self) -> Result<BTreeMap<Name, StageInputs>, Problems> {
        let loaded = self.load();
        self.memory.collect(&loaded.pipeline, &self.context())
    }

    /// While another thread changes the tree.
    pub(crate) fn inputs_while_moving(&self) -> BTreeMap<Name, StageInputs> {
        let loaded = self.load();
        self.memory.collect_moving(&loaded.pipeline, &self.context()).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn context(&self) -> InputContext {
        let home = Some(self.folder.path().join("home"));
        InputContext { environment: self.environment.clone(), home, ..InputContext::default() }
    }

    pub(crate) fn inputs(&self) -> BTreeMap<Name, StageInputs> {
        self.try_inputs().unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    pub(crate) fn keyed(&self) -> BTreeMap<NodeId, Keyed> {
        let loaded = self.load();
        let docker = BTreeMap::from([("debian:12".to_owned(), "sha256:d0c".to_owned())]);
        manifests(&loaded.pipeline, &Graph::new(&loaded.pipeline), &loaded.pins, &self.inputs(), &docker)
    }

    /// Stage keys by stage; by `stage/architecture` for other architectures than the first.
    pub(crate) fn keys(&self) -> BTreeMap<String, StageKey> {
        let name = |node: &NodeId| if node.architecture.to_string() == "x86_64" { node.stage.to_string() } else { node.to_string() };
        self.keyed().iter().map(|(node, keyed)| (name(node), keyed.stage_key.expect("everything is pinned"))).collect()
    }

    /// Stages whose keys are others after `change`.
    pub(crate) fn moved(&self, change: impl FnOnce(&Self)) -> BTreeSet<String> {
        let before = self.keys();
        change(self);
        let after = self.keys();
        before.iter().filter(|(name, key)| after.get(*name) != Some(*key)).map(|(name, _)| name.clone()).collect()
    }

    /// A sealed image of a stage as it is now.
    pub(crate) fn sealed(&self, stage: &str, id: &str, created: &str) -> Image {
        let key = self.keys()[stage];
        let tags = [(tags::KEY, key.to_string()), (tags::PIPELINE, "shop".to_owned()), (tags::STAGE, stage.to_owned())];
        Image {
            id: id.to_owned(),
            region: "ap-northeast-1".to_owned(),
            name: format!("shop-{stage}"),
            state: ImageState::Available,
            created: created.to_owned(),
            architecture: "x86_64".to_owned(),
            owner: "123456789012".to_owned(),
            virtualization: "hvm".to_owned(),
            root_device: "ebs".to_owned(),
            snapshots: vec![format!("snap-{id}")],
            tags: tags.map(|(name, value)| (name.to_owned(), value)).into(),
            source_image: None,
        }
    }

    /// What a build would do if these images existed.
    pub(crate) fn plan(&self, images: &[Image]) -> Plan {
        let (loaded, keyed) = (self.load(), self.keyed());
        let graph = Graph::new(&loaded.pipeline);
        let known = Known { images: Some(images.to_vec()), ..Known::default() };
        let (targets, earlier) = (BTreeMap::new(), BTreeMap::new());
        let given = Given {
            pipeline: &loaded.pipeline,
            graph: &graph,
            keyed: &keyed,
            pins: &loaded.pins,
            known: &known,
            targets: &targets,
            earlier: &earlier,
        };
        plan(given, &Wishes { stages: Vec::new(), build: true, dry_run: false, again: false, emit: None }).unwrap()
    }

    /// Full names of everything of a stage's inputs that is there.
    pub(crate) fn present(inputs: &StageInputs) -> BTreeMap<String, Entry> {
        let mut found = BTreeMap::new();
        for (tree, entries) in &inputs.trees {
            for (name, entry) in entries.iter().filter(|(_, entry)| **entry != Entry::Absent) {
                let name = match (tree.as_str(), name.as_str()) {
                    (tree, "") => tree.to_owned(),
                    (".", name) => name.to_owned(),
                    (tree, name) => format!("{tree}/{name}"),
                };
                found.insert(name, entry.clone());
            }
        }
        found
    }
}
