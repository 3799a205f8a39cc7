//! Galaxy content with the real ansible-galaxy and git: repositories and archives on this disk stand for servers.
//!
//! Needs `ansible-galaxy` and `git` on PATH, as `make tools` puts them. Invariant: nothing here reaches a network.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a fixture fails as a test does, and the tools are found on PATH")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ovenbird::config::load::{LoadRequest, load};
use ovenbird::config::lock::{GalaxyPin, Pins};
use ovenbird::config::pipeline::Pipeline;
use ovenbird::run::galaxy::{self, GalaxyError};

const FILE: &str = "ansible/requirements.yml";

struct Checkout {
    folder: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

impl Checkout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let path = std::env::var("PATH").unwrap();
        let env = [("PATH", path.as_str()), ("HOME", home.to_str().unwrap()), ("ANSIBLE_HOME", home.to_str().unwrap())]
            .into_iter()
            .chain([("LC_ALL", "C.UTF-8"), ("GIT_CONFIG_NOSYSTEM", "1")])
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let checkout = Self { folder, env };
        checkout.put(
            "ovenbird.hcl",
            "pipeline \"p\" {\n  region = \"us-east-1\"\n}\nsource \"s\" {\n  ami \"x86_64\" { id = \"ami-0123456789abcdef0\" }\n  ssh_username = \"admin\"\n}\n\
             stage \"base\" {\n  from = source.s\n  playbook = \"ansible/base.yml\"\n  galaxy = [\"ansible/requirements.yml\"]\n}\n",
        );
        checkout.put("ansible/base.yml", "- hosts: all\n  roles: [demo]\n");
        checkout.put("packer/image.pkr.hcl", "packer {}\n");
        checkout.put("home/.gitconfig", "[user]\n  name = t\n  email = t@example.com\n[init]\n  defaultBranch = main\n");
        checkout.put(FILE, "");
        checkout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn sh(&self, script: &str) {
        let run =
            assert_cmd::Command::new("sh").args(["-euc", script]).env_clear().envs(&self.env).current_dir(self.folder.path()).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{script}\n{}", String::from_utf8_lossy(&run.stderr));
    }

    /// A repository with a role: `demo`.
    fn role(&self, text: &str) {
        self.put("srv/demo/tasks/main.yml", text);
        self.put("srv/demo/meta/main.yml", "galaxy_info: {author: a, description: d, license: MIT, min_ansible_version: '2.1'}\n");
        self.sh("cd srv/demo && git init -q && git add -A && git commit -qm x");
    }

    /// A repository with a collection: `acme.tools`.
    fn collection(&self) {
        self.put("srv/tools/galaxy.yml", "namespace: acme\nname: tools\nversion: 1.2.3\nreadme: README.md\nauthors: [a]\n");
        self.put("srv/tools/README.md", "tools\n");
        self.put("srv/tools/plugins/filter/tools.py", "class FilterModule: pass\n");
        self.sh("cd srv/tools && git init -q && git add -A && git commit -qm x");
    }

    fn require(&self, text: &str) {
        self.put(FILE, &text.replace("SRV", self.path("srv").to_str().unwrap()));
    }

    fn pipeline(&self) -> Pipeline {
        let request = LoadRequest {
            file: self.path("ovenbird.hcl"),
            root: None,
            vars: Vec::new(),
            var_files: Vec::new(),
            env_vars: BTreeMap::new(),
            env_present: &|_| true,
            require_secrets: false,
        };
        load(&request).unwrap().pipeline
    }

    async fn resolve(&self) -> Result<GalaxyPin, GalaxyError> {
        galaxy::resolve(&self.pipeline(), FILE, &self.env).await
    }

    async fn ensure(&self, pin: &GalaxyPin) -> Result<PathBuf, GalaxyError> {
        let pins = Pins { galaxy: BTreeMap::from([(FILE.to_owned(), pin.clone())]), ..Pins::default() };
        galaxy::ensure(&self.pipeline(), &pins, &[FILE.to_owned()], &self.env).await?;
        Ok(galaxy::folder(&self.pipeline(), pin.content))
    }
}

fn remove(path: &Path) {
    std::fs::remove_dir_all(path).unwrap();
}

const BOTH: &str = "roles:\n- {src: 'git+file://SRV/demo', name: demo}\ncollections:\n- {name: 'git+file://SRV/tools', type: git}\n";

#[tokio::test]
async fn what_a_branch_installs_is_pinned_by_commit_and_comes_back_the_same() {
    let checkout = Checkout::new();
    checkout.role("- ping:\n");
    checkout.collection();
    checkout.require(BOTH);
    let pin = checkout.resolve().await.unwrap();
    let keys: Vec<String> = pin.versions.keys().map(|k| k.replace(checkout.path("srv").to_str().unwrap(), "SRV")).collect();
    assert_eq!(keys, ["collection acme.tools", "git file://SRV/tools", "role demo"]);
    assert_eq!(pin.versions["collection acme.tools"], "1.2.3");
    assert_eq!(pin.versions["role demo"].len(), 40, "a commit: {}", pin.versions["role demo"]);

    let folder = checkout.ensure(&pin).await.unwrap();
    assert!(folder.join("roles/demo/tasks/main.yml").is_file());
    assert!(folder.join("collections/ansible_collections/acme/tools/plugins/filter/tools.py").is_file());
    assert!(!folder.join("roles/demo/meta/.galaxy_install_info").exists(), "it holds the time");

    // Another machine, later: the branch has moved on, and what is pinned is installed all the same.
    remove(&checkout.path(".ovenbird"));
    checkout.role("- shell: id\n");
    let folder = checkout.ensure(&pin).await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("roles/demo/tasks/main.yml")).unwrap(), "- ping:\n");

    let next = checkout.resolve().await.unwrap();
    assert_ne!((next.content, &next.versions["role demo"]), (pin.content, &pin.versions["role demo"]));
    assert_eq!(next.versions["collection acme.tools"], "1.2.3");
    assert_eq!(std::fs::read_dir(checkout.path(".ovenbird/galaxy")).unwrap().count(), 2, "one folder a digest, nothing temporary");
}

#[tokio::test]
async fn content_that_is_there_starts_nothing_and_a_role_that_was_edited_in_place_is_made_anew() {
    let mut checkout = Checkout::new();
    checkout.role("- ping:\n");
    checkout.require("roles:\n- {src: 'git+file://SRV/demo', name: demo}\n");
    let pin = checkout.resolve().await.unwrap();
    let real = checkout.env.insert("PATH".to_owned(), "/nonexistent".to_owned()).unwrap();
    let folder = checkout.ensure(&pin).await.unwrap();

    let tasks = folder.join("roles/demo/tasks/main.yml");
    std::fs::File::create(&tasks).unwrap().write_all(b"- shell: id\n").unwrap();
    checkout.env.insert("PATH".to_owned(), real);
    checkout.ensure(&pin).await.unwrap();
    assert_eq!(std::fs::read_to_string(&tasks).unwrap(), "- ping:\n");
}

#[tokio::test]
async fn an_archive_that_was_replaced_is_refused_and_it_is_said_what_moved() {
    let checkout = Checkout::new();
    checkout.role("- ping:\n");
    checkout.collection();
    checkout
        .sh("tar czf srv/demo.tar.gz --exclude .git -C srv demo; ansible-galaxy collection build srv/tools --output-path srv >/dev/null");
    // Relative to the root, which is where ansible-galaxy runs.
    checkout.require("roles:\n- {src: srv/demo.tar.gz, name: demo}\ncollections:\n- ./srv/acme-tools-1.2.3.tar.gz\n");
    let pin = checkout.resolve().await.unwrap();
    let keys: Vec<&str> = pin.versions.keys().map(String::as_str).collect();
    assert_eq!(keys, ["collection acme.tools", "file ./srv/acme-tools-1.2.3.tar.gz", "role demo"]);
    assert_eq!(pin.versions["collection acme.tools"], "1.2.3");
    remove(&checkout.path(".ovenbird"));
    checkout.ensure(&pin).await.unwrap();

    remove(&checkout.path(".ovenbird"));
    checkout.put("srv/demo/tasks/main.yml", "- shell: id\n");
    checkout.sh("tar czf srv/demo.tar.gz --exclude .git -C srv demo");
    let error = checkout.ensure(&pin).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("galaxy requirements `ansible/requirements.yml` install something else than is pinned: role demo sha256:"),
        "{said}"
    );
    assert!(error.is_input() && error.help().unwrap().contains("`ovenbird update ansible/requirements.yml`"));
    let pins = Pins { galaxy: BTreeMap::from([(FILE.to_owned(), pin)]), ..Pins::default() };
    let changed = galaxy::changed(&checkout.pipeline(), &pins, &[FILE.to_owned()]).unwrap();
    assert_eq!(changed.len(), 1, "what lies in the checkout is looked at before every run");
    assert_eq!(std::fs::read_dir(checkout.path(".ovenbird/galaxy")).unwrap().count(), 0, "nothing of it is kept");
}

#[tokio::test]
async fn what_cannot_be_had_is_said_with_the_tools_words() {
    let checkout = Checkout::new();
    checkout.role("- ping:\n");
    checkout.require("roles:\n- {src: 'git+file://SRV/demo', name: demo, version: v9}\n");
    let error = checkout.resolve().await.unwrap_err();
    assert!(matches!(&error, GalaxyError::NoCommit { reference, .. } if reference == "v9"), "{error}");

    checkout.require("collections:\n- ./srv/none-1.0.0.tar.gz\n");
    let error = checkout.resolve().await.unwrap_err().to_string();
    assert!(error.contains("`ansible-galaxy collection` failed with exit status 1") && error.contains("none-1.0.0.tar.gz"), "{error}");

    checkout.require("roles:\n- {}\n");
    let error = checkout.resolve().await.unwrap_err();
    assert_eq!(error.to_string(), "`ansible/requirements.yml:2` is no requirement file");
}

#[tokio::test]
async fn a_requirement_file_that_was_edited_is_not_pinned_any_more() {
    let checkout = Checkout::new();
    checkout.role("- ping:\n");
    checkout.require("roles:\n- {src: 'git+file://SRV/demo', name: demo}\n");
    let pin = checkout.resolve().await.unwrap();
    checkout.require("roles:\n- {src: 'git+file://SRV/demo', name: other}\n");
    assert!(matches!(checkout.ensure(&pin).await.unwrap_err(), GalaxyError::NotPinned { .. }));
}
