//! Ctrl-C, SIGTERM and `kill -9` at bad moments: nothing is left, or it is named.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::account::Account;
use crate::harness::{LocalEc2, until};
use crate::project::{Project, Running};

/// One stage whose playbook waits for a file that nobody makes.
fn waiting(name: &str, cloud: &LocalEc2) -> Project {
    let project = Project::small(name, cloud);
    let text = project.read("ovenbird.hcl");
    project.write("ovenbird.hcl", text.split("stage \"web\"").next().expect("it has a head"));
    let task = "\n- name: Wait for nobody\n  ansible.builtin.wait_for:\n    path: /srv/never\n    timeout: 600\n";
    project.write("ansible/roles/common/tasks/main.yml", &(project.read("ansible/roles/common/tasks/main.yml") + task));
    project
}

fn in_the_task(project: &Project, arguments: &[&str]) -> Running {
    let mut running = project.start(arguments);
    running.says("Wait for nobody");
    running
}

#[test]
fn the_first_interrupt_while_provisioning_cleans_up() {
    let cloud = LocalEc2::start(false);
    let project = waiting("interrupted", &cloud);

    let running = in_the_task(&project, &["build", "--no-dry-run", "--json"]);
    running.signal(Signal::SIGINT);
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{ran}");
    Account::of(&cloud).nothing();
    assert_eq!(project.scratch_left(), Vec::<std::path::PathBuf>::new());

    let running = in_the_task(&project, &["dry-run", "--json"]);
    running.signal(Signal::SIGTERM);
    let ran = running.end();
    assert_eq!(ran.code, Some(143), "{ran}");
    assert_eq!((project.containers(), project.dry_run_images()), (vec![], vec![]));
    assert_eq!(project.scratch_left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_interrupt_while_the_image_is_pending_leaves_no_image() {
    let cloud = LocalEc2::start(false);
    let project = Project::small("pending", &cloud);
    let text = project.read("ovenbird.hcl");
    project.write("ovenbird.hcl", text.split("stage \"web\"").next().expect("it has a head"));
    cloud.turn(&json!({ "pending_polls": 1_000_000 }));
    let running = project.start(&["build", "--no-dry-run"]);
    until("the image", || (!Account::of(&cloud).images().is_empty()).then_some(()));
    running.signal(Signal::SIGINT);
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{ran}");
    Account::of(&cloud).nothing();
}

#[test]
fn a_second_interrupt_does_not_wait_and_names_what_is_left() {
    let cloud = LocalEc2::start(false);
    let project = waiting("twice", &cloud);
    let mut running = in_the_task(&project, &["build", "--no-dry-run", "--json"]);
    // Packer's own clean-up hangs.
    cloud.turn(&json!({ "latency": { "action": "TerminateInstances", "agent": "packer", "seconds": 600 } }));
    running.signal(Signal::SIGINT);
    running.says("Terminating the source AWS instance");
    running.signal(Signal::SIGINT);
    let ran = running.end();
    assert_eq!(ran.code, Some(4), "{ran}");
    let left = Account::of(&cloud);
    let instances = left.0["instances"].as_array().expect("a list");
    assert_eq!(instances.len(), 1, "{left:?}");
    let id = instances[0]["id"].as_str().expect("it has an id");
    ran.said(id).said("terminate-instances");
}

#[test]
fn packer_cleans_up_by_itself_when_ovenbird_is_killed() {
    let cloud = LocalEc2::start(false);
    let project = waiting("killed", &cloud);
    let running = in_the_task(&project, &["build", "--no-dry-run", "--json"]);
    running.signal(Signal::SIGKILL);
    let ran = running.end();
    assert_eq!(ran.code, None, "{ran}");
    until("an empty account", || {
        let left = Account::of(&cloud);
        ["instances", "key_pairs", "security_groups", "images", "snapshots"].iter().all(|kind| left.0[kind] == json!([])).then_some(())
    });
    // The lock went with its holder, and the next run is not in the way of anything.
    project.expect(0, &["plan"]);
}
