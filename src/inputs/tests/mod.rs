//! Trees on disk → inputs. Each test is one way in which an image can change, or must not.
//!
//! Owns [`Project`], a pipeline in a temporary folder. Invariant: tests go through [`collect`] and the pipeline file, as a plan does.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{InputContext, Memory, collect};
use crate::config::load::{LoadRequest, load};
use crate::model::name::Name;
use crate::model::problem::Problems;
use crate::plan::inputs::{Entry, StageInputs};

mod attempts;
mod bad;
mod files;
mod reading;
mod templates;
mod traps;

/// A pipeline in a temporary folder.
struct Project {
    dir: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    kept: std::cell::RefCell<Vec<u8>>,
}

const PLAIN: &str = "playbook = \"ansible/web.yml\"";

impl Project {
    /// One stage `web` with one role `nginx`.
    fn new() -> Self {
        Self::with(PLAIN)
    }

    /// The stage's body says what it is made of.
    fn with(stage: &str) -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap(), environment: BTreeMap::new(), kept: std::cell::RefCell::default() };
        project
            .file("ansible/web.yml", "- hosts: all\n  roles:\n    - nginx\n")
            .file("ansible/roles/nginx/tasks/main.yml", "- debug:\n    msg: hello\n")
            .file("packer/image.pkr.hcl", "# nothing\n")
            .stage(stage);
        project
    }

    fn stage(&self, body: &str) -> &Self {
        let text = format!(
            "pipeline \"shop\" {{ region = \"us-east-1\" }}\nsource \"debian\" {{\n  ami \"x86_64\" {{ id = \"ami-0123456789abcdef0\" }}\n  ssh_username = \"admin\"\n}}\nstage \"web\" {{\n  from = source.debian\n  {body}\n}}\n"
        );
        self.file("ovenbird.hcl", &text)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("repo").join(name)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(&path).and_then(|mut f| std::io::Write::write_all(&mut f, text.as_ref())).unwrap();
        self
    }

    fn folder(&self, name: &str) -> &Self {
        std::fs::create_dir_all(self.path(name)).unwrap();
        self
    }

    fn link(&self, name: &str, target: &str) -> &Self {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, self.path(name)).unwrap();
        self
    }

    fn remove(&self, name: &str) -> &Self {
        let path = self.path(name);
        if path.is_dir() && !path.is_symlink() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        self
    }

    fn mode(&self, name: &str, mode: u32) -> &Self {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn try_inputs(&self) -> Result<StageInputs, Problems> {
        let request = LoadRequest {
            file: self.path("ovenbird.hcl"),
            root: Some(self.dir.path().join("repo")),
            vars: Vec::new(),
            var_files: Vec::new(),
            env_vars: BTreeMap::new(),
            env_present: &|_| false,
            require_secrets: false,
        };
        let loaded = load(&request).unwrap_or_else(|problems| panic!("{:?}", problems.0));
        let context =
            InputContext { environment: self.environment.clone(), home: Some(self.dir.path().join("home")), ..InputContext::default() };
        let mut all = collect(&loaded.pipeline, &context)?.inputs;
        // Whatever the memo of the state before says, it says the same.
        let memory = Memory { kept: self.kept.borrow().clone(), program: String::new() };
        let remembered = collect(&loaded.pipeline, &InputContext { memory: Some(memory), ..context })?;
        assert_eq!(all, remembered.inputs);
        if let Some(kept) = remembered.keep.map(|pieces| pieces.concat()) {
            self.kept.replace(kept);
        }
        Ok(all.remove(&Name::new("web").unwrap()).unwrap())
    }

    fn inputs(&self) -> StageInputs {
        self.try_inputs().unwrap_or_else(|problems| panic!("{:?}", problems.0))
    }

    /// What would be in the key.
    fn key(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let inputs = self.inputs();
        (inputs.trees, inputs.environment, inputs.ansible_config)
    }

    /// Changes something, and says whether the key changed with it.
    fn changes(&self, change: impl FnOnce(&Self)) -> bool {
        let before = self.key();
        change(self);
        before != self.key()
    }
}

/// Full names of everything that is there, absent things left out.
fn present(inputs: &StageInputs) -> BTreeSet<String> {
    named(inputs, |entry| *entry != Entry::Absent)
}

/// Full names of what was looked for in vain.
fn absent(inputs: &StageInputs) -> BTreeSet<String> {
    named(inputs, |entry| *entry == Entry::Absent)
}

fn named(inputs: &StageInputs, wanted: impl Fn(&Entry) -> bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (tree, entries) in &inputs.trees {
        for (name, _) in entries.iter().filter(|(_, entry)| wanted(entry)) {
            names.insert(match (tree.as_str(), name.as_str()) {
                (tree, "") => tree.to_owned(),
                (".", name) => name.to_owned(),
                (tree, name) => format!("{tree}/{name}"),
            });
        }
    }
    names
}

fn has(inputs: &StageInputs, name: &str) -> bool {
    present(inputs).contains(name)
}

fn outside(project: &Project, name: &str, text: &str) -> PathBuf {
    let path = project.dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(&path).and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes())).unwrap();
    path
}

/// No name may hold where the checkout lies.
fn holds_no_machine_path(inputs: &StageInputs, root: &Path) -> bool {
    let root = root.to_string_lossy();
    assert!(!inputs.why.is_empty());
    let text = format!("{:?}", (&inputs.trees, &inputs.why, &inputs.imprecise, &inputs.notes));
    !text.contains(&*root)
}
