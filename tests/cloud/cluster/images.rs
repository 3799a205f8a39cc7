//! [`dry_images`]: what the dry runs of the repository's pipeline made, kept from one run of the tests to the next.
//!
//! Must not build an AMI. Invariant: the images are those of the checkout as it is; the ones of earlier checkouts are removed.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a test prepares folders, and one folder is for one at a time")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::{LocalEc2, root};
use crate::project::{copy_folder, docker};
use crate::tools::{set_by, tools};

/// Dry runs of three stages on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(30);
/// What a checkout of the pipeline consists of.
const PARTS: [&str; 4] = ["ansible", "packer", "terraform/modules", "terraform/environments/cluster"];
const FILES: [&str; 3] = ["ovenbird.hcl", "ovenbird.lock", "ansible.cfg"];
/// What Terraform leaves where somebody worked in the repository itself.
const LEFT: [&str; 4] = [".terraform", ".terraform.lock.hcl", "terraform.tfstate", "terraform.tfstate.d"];

/// Copies the repository's pipeline.
pub fn copy_pipeline(to: &Path) {
    for part in PARTS {
        copy_folder(&root().join(part), &to.join(part));
    }
    for file in FILES {
        std::fs::copy(root().join(file), to.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    }
    for left in LEFT {
        let path = to.join("terraform/environments/cluster").join(left);
        if path.is_dir() {
            std::fs::remove_dir_all(path).ok()
        } else {
            std::fs::remove_file(path).ok()
        };
    }
}

/// Dry-runs these stages, as far as they have not passed yet, and gives the Docker image of each.
#[track_caller]
pub fn dry_images(ec2: &LocalEc2, stages: &[&str]) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shop");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let lock = File::create(folder.join("lock")).expect("a file can be made");
    lock.lock().expect("it can be locked");
    let checkout = folder.join("checkout");
    fresh(&checkout);
    let variables = release_site();
    // Packer keeps things at home, and this home is nobody's.
    let home = folder.join("home");
    std::fs::create_dir_all(&home).expect("a folder can be made");
    ec2.ovenbird(&checkout).envs(&variables).env("HOME", &home).arg("dry-run").args(stages).timeout(PATIENCE).assert().success();

    let output = ec2.ovenbird(&checkout).envs(&variables).env("HOME", &home).args(["plan", "--json"]).output().expect("ovenbird starts");
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut images = BTreeMap::new();
    for node in plan["nodes"].as_array().expect("nodes are a list") {
        let stage = node["node"]["stage"].as_str().expect("a name");
        let key = node["dry_run_key"].as_str().expect("every stage can be dry-run").trim_start_matches("sha256:");
        images.insert(stage.to_owned(), format!("ovenbird/shop-small/{stage}:{}", &key[..12]));
    }
    for name in docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", "ovenbird/shop-small/*"]) {
        if !images.values().any(|kept| *kept == name) {
            docker(&["rmi", "--force", &name]);
        }
    }
    images.retain(|stage, _| stages.contains(&stage.as_str()));
    images
}

/// Has what stands for the vendors' release sites answer. Gives what the pipeline's variables are then.
#[track_caller]
pub fn release_site() -> BTreeMap<String, String> {
    let status = std::process::Command::new(root().join("dev/releases")).args(["up", "--quiet"]).env_clear().envs(tools()).status();
    assert!(status.expect("dev/releases starts").success(), "what it said stands above");
    let mut variables = set_by(&Path::new(&tools()["OVENBIRD_TOOLS"]).join("releases/env.sh"));
    variables.retain(|name, _| name.starts_with("OVENBIRD_VAR_"));
    variables
}

/// Everything as in the repository, but for the state of earlier dry runs.
fn fresh(checkout: &PathBuf) {
    std::fs::create_dir_all(checkout).expect("a folder can be made");
    for entry in std::fs::read_dir(checkout).expect("it can be listed") {
        let entry = entry.expect("it can be listed");
        if entry.file_name() == ".ovenbird" {
            continue;
        }
        let path = entry.path();
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.expect("it can be removed");
    }
    copy_pipeline(checkout);
    let file = checkout.join("ovenbird.hcl");
    let text = std::fs::read_to_string(&file).expect("it can be read");
    // Second passes and checks are the long form's: they take as long again, and the cluster that follows is a check too.
    let text: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("verify ")).collect();
    let text = text.join("\n").replace("idempotent = true", "idempotent = false") + "\n";
    let text = text.replace("pipeline \"shop\"", "pipeline \"shop-small\"");
    std::fs::write(&file, text).expect("it can be written");
}
