//! What EC2 does to a run on a bad day: refusals, throttling, failed images, lost replies, and inputs edited meanwhile.

use serde_json::{Value as Json, json};

use crate::account::Account;
use crate::harness::LocalEc2;
use crate::project::Project;

/// One stage, no dry run: what a fault of EC2 needs.
fn one_stage(name: &str, cloud: &LocalEc2) -> Project {
    let project = Project::small(name, cloud);
    let text = project.read("ovenbird.hcl");
    let head = text.split("stage \"web\"").next().expect("it has a head");
    project.write("ovenbird.hcl", head);
    project
}

#[test]
fn a_lookup_that_is_denied_is_an_error_and_never_a_miss() {
    let cloud = LocalEc2::start(true);
    let mut project = Project::small("denied", &cloud);
    project.fake_packer(&json!([]));
    project.expect(0, &["plan"]);
    cloud.reset();
    cloud.turn(&json!({ "deny": { "action": "DescribeImages", "agent": "ovenbird" } }));
    for command in [&["build"][..], &["plan"], &["images"], &["emit"]] {
        project.expect(69, command).said("DescribeImages in ap-northeast-1 failed: UnauthorizedOperation").said("ec2:DescribeImages");
    }
    assert_eq!(project.packer_runs(), []);
    assert!(cloud.calls().iter().all(|c| c.agent == "ovenbird" && c.action == "DescribeImages"), "{:?}", cloud.calls());
    assert!(!project.read("terraform/images.auto.tfvars").contains("ami-"));

    cloud.reset();
    cloud.turn(&json!({ "throttle": { "action": "*", "agent": "ovenbird", "count": 3 } }));
    project.expect(0, &["build", "--no-dry-run"]);
    assert_eq!(cloud.calls().iter().filter(|c| c.knob == "throttle").count(), 3);
    Account::of(&cloud).only_sealed_images(&["api", "base", "web"]);
}

#[test]
fn a_stage_that_fails_blocks_its_descendants_only_and_leaves_nothing() {
    let cloud = LocalEc2::start(true);
    let mut project = Project::small("blocked", &cloud);
    let front = "stage \"front\" {\n  from     = stage.web\n  playbook = \"ansible/api.yml\"\n}\n\nemit ";
    project.edit("ovenbird.hcl", "emit ", front);
    project.fake_packer(&json!([{ "stage": "web", "kind": "build", "exit": 2 }]));
    let ran = project.expect(1, &["build", "--no-dry-run", "--keep-going", "--json"]);
    let blocked: Vec<_> = ran.events().into_iter().filter(|e| e["event"] == "step_blocked").collect();
    let step = |event: &Json, step: &str| format!("{} {}", event[step]["kind"], event[step]["node"]["stage"]).replace('"', "");
    let blocked: Vec<_> = blocked.iter().map(|event| format!("{} by {}", step(event, "step"), step(event, "by"))).collect();
    assert_eq!(blocked, ["verify web by build web", "build front by build web"], "{ran}");
    Account::of(&cloud).only_sealed_images(&["api", "base"]);
    assert!(!project.read("terraform/images.auto.tfvars").contains("ami-"), "a block is written only when all of its stages are there");

    // An image that EC2 says failed, though Packer ended well.
    project.fake_packer(&json!([]));
    cloud.turn(&json!({ "fail_image": { "name": "*-web-*", "action": "CreateImage" } }));
    let ran = project.expect(1, &["build", "--no-dry-run"]);
    ran.said("failed").said("no seal").said("front");
    Account::of(&cloud).only_sealed_images(&["api", "base"]);
    cloud.reset();
    project.expect(0, &["build", "--no-dry-run"]);
    Account::of(&cloud).only_sealed_images(&["api", "base", "front", "web"]);
}

#[test]
fn inputs_edited_while_packer_ran_mean_no_seal_and_no_image() {
    let cloud = LocalEc2::start(true);
    let mut project = one_stage("edited", &cloud);
    let gate = project.beside("gate");
    project.fake_packer(&json!([{ "until": gate }]));
    let mut running = project.start(&["build", "--no-dry-run", "--json"]);
    running.says("\"task_started\"");
    project.edit("ansible/roles/common/tasks/main.yml", "base\\n", "another base\\n");
    project.touch_beside("gate");
    let ran = running.end();
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.said("inputs changed while ami-").said("(M ansible/roles/common/tasks/main.yml): no seal").said("was removed");
    Account::of(&cloud).nothing();
}

#[test]
fn pending_and_failed_images_and_lost_replies_leave_no_twin() {
    let cloud = LocalEc2::start(false);
    let project = one_stage("twins", &cloud);
    let touch = |number: u32| project.write("ansible/roles/common/defaults/main.yml", &format!("# {number}\nnumber: {number}\n"));

    cloud.turn(&json!({ "fail_image": { "name": "*-base-*", "action": "CreateImage" } }));
    project.expect(1, &["build", "--no-dry-run"]).said("base");
    Account::of(&cloud).nothing();
    cloud.reset();

    // EC2 makes the image and the answer is lost; Packer asks again and meets its own image's name.
    touch(2);
    cloud.turn(&json!({ "lose_reply": { "action": "CreateImage", "agent": "packer", "count": 1, "how": "close" } }));
    let ran = project.run(&["build", "--no-dry-run"]);
    assert!(cloud.calls().iter().any(|c| c.action == "CreateImage" && c.knob == "lose_reply"), "{:?}", cloud.calls());
    let expected = if ran.code == Some(0) { &["base"][..] } else { &[] };
    assert!(matches!(ran.code, Some(0 | 1)), "{ran}");
    Account::of(&cloud).only_sealed_images(expected);
    cloud.reset();

    // The image is pending for a while, and the answer to the first of our tags is lost.
    touch(3);
    let lost = json!({ "action": "CreateTags", "agent": "ovenbird", "count": 1, "how": "500" });
    cloud.turn(&json!({ "lose_reply": lost, "pending_polls": 3 }));
    project.expect(0, &["build", "--no-dry-run"]);
    Account::of(&cloud).only_sealed_images(&[expected, &["base"]].concat());
}
