//! A small working tree in a temp folder, and its pipeline file loaded: what the tests of pipeline files share.
//!
//! Must not hold any expectation.

#![expect(clippy::unwrap_used, reason = "a fixture: what fails here fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ovenbird::config::load::{LoadRequest, Loaded, load};
use ovenbird::model::problem::Problems;
use ovenbird::report::problems::render;

/// The working pipeline file that tests change.
pub(crate) const GOOD: &str = r#"pipeline "shop" {
  region = "ap-northeast-1"
}

tools {
  packer = "~> 1.15"
}

source "debian_12" {
  ami "x86_64" {
    owners = ["136693071363"]
    name   = "debian-12-amd64-*"
  }
  docker       = "debian:12"
  ssh_username = "admin"
}

stage "base" {
  from     = source.debian_12
  playbook = "ansible/base.yml"
}

stage "web" {
  from     = stage.base
  playbook = "ansible/web.yml"
}

emit "terraform/live/images.auto.tfvars" {
  web_ami_id = stage.web.id
}
"#;

/// The tree, and what is given from outside.
pub(crate) struct Tree {
    folder: tempfile::TempDir,
    pub(crate) vars: Vec<(String, String)>,
    pub(crate) env_vars: BTreeMap<String, String>,
    pub(crate) var_files: Vec<PathBuf>,
    pub(crate) secrets: Vec<String>,
    pub(crate) require_secrets: bool,
}

impl Tree {
    /// With everything that [`GOOD`] names, and [`GOOD`] itself.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = Self { folder, vars: vec![], env_vars: BTreeMap::new(), var_files: vec![], secrets: vec![], require_secrets: false };
        for file in [
            "ansible/base.yml",
            "ansible/web.yml",
            "ansible/requirements.yml",
            "packer/image.pkr.hcl",
            "legacy/app.json",
            "legacy/vars.pkrvars.hcl",
        ] {
            tree.write(file, b"---\n");
        }
        tree.write("terraform/live/main.tf", b"");
        tree.write("terraform/live/variables.tfvars", b"");
        tree.write("ovenbird.hcl", GOOD.as_bytes());
        tree
    }

    /// The root, as the disk knows it.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) -> &Self {
        let full = self.root().join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a fixture in a temp folder")]
        std::fs::write(full, bytes).unwrap();
        self
    }

    pub(crate) fn load(&self) -> Result<Loaded, Problems> {
        load(&LoadRequest {
            file: self.root().join("ovenbird.hcl"),
            root: None,
            vars: self.vars.clone(),
            var_files: self.var_files.clone(),
            env_vars: self.env_vars.clone(),
            env_present: &|name| self.secrets.iter().any(|s| s == name),
            require_secrets: self.require_secrets,
        })
    }

    /// Loads and expects errors; what a person sees, the temp folder's name replaced.
    pub(crate) fn refused(&self) -> String {
        match self.load() {
            Ok(_) => panic!("this pipeline file loads"),
            Err(problems) => {
                assert!(problems.has_errors(), "{problems:?}");
                self.redacted(&render(&problems, false, 110))
            }
        }
    }

    pub(crate) fn redacted(&self, text: &str) -> String {
        text.replace(&self.root().display().to_string(), "[ROOT]")
    }

    /// Every file of the tree with its bytes: nothing may be touched by what is refused.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, files);
                } else {
                    files.insert(path.clone(), std::fs::read(&path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(&self.root(), &mut files);
        files
    }
}

/// What is said about [`GOOD`] with `old` replaced by `new`.
pub(crate) fn refused(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    refused_text(&GOOD.replacen(old, new, 1))
}

/// What is said about [`GOOD`] with `more` behind it.
pub(crate) fn refused_with(more: &str) -> String {
    refused_text(&format!("{GOOD}\n{more}"))
}

/// What is said about a pipeline file in the tree; nothing in the tree has changed by it.
pub(crate) fn refused_text(text: &str) -> String {
    let tree = Tree::new();
    tree.write("ovenbird.hcl", text.as_bytes());
    let before = tree.files();
    let said = tree.refused();
    assert_eq!(before, tree.files());
    said
}
