//! Verification of finished images: what passes is marked, what fails stays out of emits, changed checks repeat only the checks.
//!
//! Most of it is about ovenbird and runs with the fake Packer; that the real one boots an image, checks it and leaves nothing stands in
//! the last test and in `whole.rs`.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::account::{Account, OwnImage};
use crate::harness::{LocalEc2, until};
use crate::project::Project;

const CHECKS: &str = "ansible/verify/web.yml";
const TFVARS: &str = "terraform/images.auto.tfvars";

fn web(cloud: &LocalEc2) -> OwnImage {
    let images = Account::of(cloud).only_sealed_images(&["api", "base", "web"]);
    images.into_iter().find(|image| image.tag("ovenbird:stage") == "web").expect("three images")
}

fn kinds(project: &Project) -> Vec<String> {
    project.packer_runs().into_iter().map(|(stage, kind)| format!("{kind} {stage}")).collect()
}

#[test]
fn an_image_leaves_the_house_only_after_its_checks_passed_and_changed_checks_repeat_only_themselves() {
    let cloud = LocalEc2::start(true);
    let mut project = Project::small("verified", &cloud);
    project.fake_packer(&json!([{ "stage": "web", "kind": "verify", "exit": 2 }]));
    let planned = project.expect(0, &["plan", "--no-dry-run"]);
    planned.said("3 to build, 1 to verify");

    // Built and sealed, but not as it should be: nothing of the block is written.
    let ran = project.expect(1, &["build", "--no-dry-run"]);
    let image = web(&cloud);
    ran.said(&format!("verify web failed: {} did not pass its verification and stays out of every emit and swap", image.id));
    ran.said("nothing much (fake.yml:1)").said("no verification of web").said("`ovenbird build web` repeats the check alone");
    assert!(image.tag("ovenbird:verified").starts_with("failed "), "{:?}", image.tags);
    assert!(!project.read(TFVARS).contains("ami-"), "{}", project.read(TFVARS));
    let run = image.tag("ovenbird:run").to_owned();
    let told = format!("verification failed in run {run}: task nothing much (fake.yml:1)");
    project.expect(2, &["plan", "--detailed-exitcode", "--no-dry-run"]).said("verify").said(&told).said("1 to verify, 2 to reuse");
    let plan = project.expect(0, &["plan", "--no-dry-run", "--json"]).json();
    let node = plan["nodes"].as_array().expect("a list").iter().find(|n| n["node"]["stage"] == "web").expect("it is planned");
    assert_eq!((&node["action"]["action"], &node["verification"]["verification"]), (&json!("reuse"), &json!("run")), "{node}");
    project.expect(1, &["emit"]).said(&format!("{} of web: {told}", image.id)).said("`ovenbird build web` verifies it");
    project.expect(2, &["emit", "--check"]);
    assert!(!project.read(TFVARS).contains("ami-"));

    // Another machine, which shares the account and not the state.
    std::fs::remove_dir_all(project.path(".ovenbird/state/verifications")).expect("it is there");
    project.expect(0, &["plan", "--no-dry-run"]).said(&format!("verification failed in run {run}"));

    // Repeated, and passed: written.
    project.fake_packer(&json!([]));
    let before = kinds(&project).len();
    project.expect(0, &["build", "--no-dry-run"]).said("verify web").said("1 to verify, 2 to reuse");
    assert_eq!(kinds(&project)[before..], ["verify web"], "nothing is built for it");
    let passed = web(&cloud);
    assert_eq!((&passed.id, passed.tag("ovenbird:verified").starts_with("sha256:")), (&image.id, true), "{:?}", passed.tags);
    assert!(project.read(TFVARS).contains(&image.id));
    project.expect(0, &["plan", "--no-dry-run", "--detailed-exitcode"]).said("3 to reuse").said(", verified");
    project.expect(0, &["emit", "--check"]);

    // Other checks: they alone run. An interrupt leaves image, mark and account as they were.
    project.edit(CHECKS, "from the small", "the small");
    project.expect(2, &["plan", "--no-dry-run", "--detailed-exitcode"]).said(&format!("its checks changed since they passed: {CHECKS}"));
    project.expect(1, &["emit"]).said("its checks changed since they passed");
    let matrix = project.expect(0, &["plan", "--no-dry-run", "--matrix", "github"]).json();
    assert_eq!((&matrix["include"][0]["stage"], matrix["include"].as_array().map(Vec::len)), (&json!("web"), Some(1)), "{matrix}");
    let before = kinds(&project).len();
    project.fake_packer(&json!([{ "kind": "verify", "until": project.beside("never") }]));
    let mut running = project.start(&["build", "--no-dry-run", "--json"]);
    running.says("\"task_started\"");
    running.signal(Signal::SIGINT);
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{ran}");
    assert_eq!(web(&cloud).tags, passed.tags);
    project.fake_packer(&json!([]));
    project.expect(0, &["build", "--no-dry-run", "web", "--emit"]);
    assert_eq!(kinds(&project)[before..], ["verify web", "verify web"]);
    assert_ne!(web(&cloud).tag("ovenbird:verified"), passed.tag("ovenbird:verified"));
    project.expect(0, &["emit", "--check"]);
}

#[test]
fn children_are_built_while_their_parent_is_verified_and_no_emit_outruns_its_verdict() {
    let cloud = LocalEc2::start(true);
    let mut project = Project::small("beside", &cloud);
    project.edit(
        "ovenbird.hcl",
        "playbook = \"ansible/base.yml\"",
        "playbook = \"ansible/base.yml\"\n  verify   = \"ansible/verify/web.yml\"",
    );
    let gate = project.beside("gate");
    project.fake_packer(&json!([{ "stage": "base", "kind": "verify", "exit": 2, "until": gate }]));
    let running = project.start(&["build", "--no-dry-run", "--keep-going"]);
    until("the builds of what stands on it", || (kinds(&project).len() == 4).then_some(()));
    project.touch_beside("gate");
    let ran = running.end();
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.said("verify base failed").said("no verification of base");
    assert!(web(&cloud).tag("ovenbird:verified").starts_with("sha256:"), "its own checks passed");
    assert!(!project.read(TFVARS).contains("ami-"), "what stands on an image that failed stays, too");
    project.expect(1, &["emit"]).said("of base: verification failed in run").said("`ovenbird build base` verifies it");
}

#[test]
fn an_instance_that_cannot_be_had_is_no_verdict_on_the_image() {
    let cloud = LocalEc2::start(true);
    let mut project = Project::small("no-room", &cloud);
    project.fake_packer(&json!([]));
    project.expect(0, &["build", "--no-dry-run"]);
    let before = web(&cloud);
    project.edit(CHECKS, "from the small", "the small");
    cloud.turn(&json!({ "deny": { "action": "RunInstances", "agent": "packer" } }));
    project.expect(1, &["build", "--no-dry-run"]).said("verify web failed").said("UnauthorizedOperation");
    assert_eq!(web(&cloud).tags, before.tags, "nothing was learnt about it");
    project.expect(0, &["plan", "--no-dry-run"]).said("its checks changed since they passed");
}

#[test]
fn the_real_packer_boots_the_image_and_leaves_nothing_whether_the_checks_fail_or_are_interrupted() {
    let cloud = LocalEc2::start(false);
    let project = Project::small("checked", &cloud);
    let head = project.read("ovenbird.hcl").split("stage \"web\"").next().expect("it has a head").to_owned();
    project.write("ovenbird.hcl", &head.replace("base.yml\"", "base.yml\"\n  verify   = \"ansible/verify/base.yml\""));
    let checks = |task: &str| {
        let play =
            "- name: Verify base\n  hosts: all\n  become: true\n  gather_facts: false\n  tasks:\n    - name: The mark is there\n      ";
        project.write("ansible/verify/base.yml", &format!("{play}{task}\n"));
    };
    checks("ansible.builtin.command: grep -q another /etc/base-mark\n      changed_when: false");
    let ran = project.expect(1, &["build", "--no-dry-run"]);
    ran.said("did not pass its verification").said("The mark is there (ansible/verify/base.yml:6)");
    let failed = Account::of(&cloud).only_sealed_images(&["base"]).remove(0);
    assert!(failed.tag("ovenbird:verified").starts_with("failed "), "{:?}", failed.tags);
    assert_eq!(project.scratch_left(), Vec::<std::path::PathBuf>::new());

    checks("ansible.builtin.wait_for: path=/srv/never timeout=600");
    let mut running = project.start(&["build", "--no-dry-run", "--json"]);
    running.says("\"task_started\"");
    running.signal(Signal::SIGINT);
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{ran}");
    let interrupted = Account::of(&cloud).only_sealed_images(&["base"]).remove(0);
    assert_eq!((&interrupted.id, &interrupted.tags), (&failed.id, &failed.tags));
    assert_eq!(project.scratch_left(), Vec::<std::path::PathBuf>::new());
}
