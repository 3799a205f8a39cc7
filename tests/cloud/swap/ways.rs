//! The ways in which a team may have it: ALBs with target groups, a workspace, no record, somebody else's apply, `CodeDeploy`.
//!
//! One test for all, so that the short form, which takes a step and the way back with three of them at once, counts as one.
//! Invariant: in a whole swap the client asks throughout, and no request of it fails.

#![expect(clippy::print_stdout, reason = "figures, for whoever looks")]

use serde_json::{Value as Json, json};

use crate::harness::until;
use crate::project::Project;
use crate::swap::ci::Ci;
use crate::swap::fit::required;
use crate::swap::page::followed_word_for_word;
use crate::swap::stage::{ENVIRONMENT, Stage, TFVARS};
use crate::swap::{proof, trouble};

fn setting(project: &Project, line: &str) {
    let path = format!("{ENVIRONMENT}/terraform.tfvars");
    project.write(&path, &format!("{}{line}\n", project.read(&path)));
}

/// ALBs in place of classic load balancers.
fn application(project: &mut Project) {
    setting(project, "balancer = \"application\"");
}

/// The swap block names the target groups.
fn name_target_groups(stage: &Stage) {
    let arns: Json = serde_json::from_str(&stage.terraform(&["output", "-json", "target_groups"])).expect("JSON");
    for (name, value) in [("live", "elb-prd"), ("test", "elb-test")] {
        let arn = arns[value].as_str().unwrap_or_else(|| panic!("no ARN: {arns}"));
        let block = format!("= {{ value = \"{value}\", target_group = \"{arn}\" }}");
        stage.project.edit("ovenbird.hcl", &format!("{name}      = \"{value}\""), &format!("{name}      {block}"));
    }
}

/// The environment lives in a workspace that is not the selected one.
fn workspace(project: &mut Project) {
    project.environment.insert("TF_WORKSPACE".to_owned(), "production".to_owned());
}

fn say_workspace(stage: &mut Stage) {
    stage.project.environment.remove("TF_WORKSPACE");
    assert_eq!(stage.terraform(&["workspace", "show"]).trim(), "default");
    stage.project.edit("ovenbird.hcl", "  blue {", "  terraform { workspace = \"production\" }\n  blue {");
}

fn say_no_record(stage: &Stage) {
    stage.project.edit("ovenbird.hcl", "  blue {", "  record    = \"none\"\n  blue {");
}

/// A whole swap and a way back under the client.
fn whole(stage: &Stage) {
    let client = stage.client();
    stage.swap(0, &["plan"]).said("step 4 of 4");
    stage.swap(0, &["next"]);
    assert_eq!(stage.stands(), "started green");
    stage.swap(0, &["next"]);
    stage.swap(0, &["rollback"]);
    assert_eq!(stage.stands(), "started green");
    stage.swap(0, &["run"]);
    assert_eq!((stage.stands().as_str(), stage.serving()), ("steady green", vec![stage.new.clone()]));
    let counted = client.end();
    println!("{} answers, longest {:?}, failed {}", counted.answered, counted.longest, counted.failed.len());
    assert_eq!(counted.failed, [""; 0]);
}

/// In the proof, each on an environment of its own.
const WAYS: &[(&str, fn())] = &[
    ("alb", alb),
    ("workspace", in_a_workspace),
    ("no record", no_record),
    ("external", external),
    ("codedeploy", codedeploy),
    ("requires", required),
    ("page", followed_word_for_word),
];

/// A step and the way back with three of them at once.
fn short() {
    let mut stage = Stage::of("swap-ways", |project| {
        application(project);
        workspace(project);
    });
    name_target_groups(&stage);
    say_workspace(&mut stage);
    say_no_record(&stage);
    let head = stage.git(&["rev-parse", "HEAD"]);
    stage.swap(0, &["next"]);
    assert_eq!(stage.stands(), "started green");
    stage.swap(0, &["rollback"]);
    assert_eq!((stage.stands().as_str(), stage.git(&["rev-parse", "HEAD"])), ("steady blue", head));
}

/// ALBs with target groups, and an error rate that `CloudWatch` counts.
fn alb() {
    let stage = Stage::of("swap-alb", application);
    name_target_groups(&stage);
    let rate = "gate \"leave\" {\n    timeout = \"2m\"\n    soak    = \"3m\"\n    error_rate {\n      max  = \"1%\"\n      from = \"cloudwatch\"\n    }\n  }";
    stage.project.edit("ovenbird.hcl", "gate \"leave\" { timeout = \"2m\" }", rate);
    stage.push("Target groups");
    whole(&stage);
}

/// The environment is in a workspace.
fn in_a_workspace() {
    let mut stage = Stage::of("swap-workspace", workspace);
    say_workspace(&mut stage);
    stage.push("In a workspace");
    whole(&stage);
    // A change that touches both colours: only the code of the last step leads back.
    stage.emit_and_push();
    stage.swap(0, &["next"]);
    let main = "terraform/environments/local/main.tf";
    stage.project.edit(main, "CONSUL_SERVER = \"consul.local\"", "CONSUL_SERVER = \"consul.other\"");
    stage.swap(65, &["next"]).said("user_data");
    stage.swap(0, &["rollback"]).said("with the code of the last step that was recorded");
    stage.project.edit(main, "CONSUL_SERVER = \"consul.other\"", "CONSUL_SERVER = \"consul.local\"");
    assert_eq!(stage.stands(), "steady green");
    assert!(!stage.project.path(ENVIRONMENT).join("terraform.tfstate").exists(), "the state is that of the workspace");
}

/// Nothing is recorded where nobody wants it.
fn no_record() {
    let stage = Stage::new("swap-none");
    say_no_record(&stage);
    stage.push("No record");
    let head = stage.git(&["rev-parse", "HEAD"]);
    // Not even a folder under git's eyes: edits that are not committed stand in nobody's way.
    whole(&stage);
    assert_eq!((stage.git(&["rev-parse", "HEAD"]), stage.git(&["diff", "--name-only"]).trim()), (head, TFVARS));
}

/// Somebody else applies.
fn external() {
    let stage = Stage::of("swap-external", |project| {
        let state = project.beside("state/terraform.tfstate");
        let backend = format!("terraform {{\n  backend \"local\" {{\n    path = \"{}\"\n  }}\n}}\n", state.display());
        project.write(&format!("{ENVIRONMENT}/backend.tf"), &backend);
    });
    stage.project.edit("ovenbird.hcl", "  blue {", "  apply     = \"external\"\n  blue {");
    stage.project.edit("ovenbird.hcl", "\"2m\"", "\"5s\"");
    stage.push("CI applies");
    let client = stage.client();

    // Nobody does: it is written and pushed, and says so.
    stage.swap(1, &["next"]).said("nobody has applied the step within 5 s").said("`local-web-green` has the sizes 0/0, not 2/4");
    let status = stage.status();
    assert_eq!((&status["state"]["state"], status["differences"] == json!([])), (&json!("started"), false));
    assert_eq!(stage.git(&["rev-parse", "HEAD"]), stage.git(&["rev-parse", "@{upstream}"]));
    stage.swap(1, &["next"]).said("nobody has applied the step");

    let ci = Ci::start(&stage);
    stage.edit_and_push("ovenbird.hcl", "\"5s\"", "\"2m\"");
    stage.swap(0, &["next"]);
    assert_eq!(stage.stands(), "joined green");
    stage.swap(0, &["rollback"]);
    assert_eq!(stage.stands(), "started green");
    // Killed while it waits for CI, it goes on.
    let mut running = stage.project.start(&["swap", "local", "next", "--json"]);
    running.says("until the groups are as the tfvars say");
    running.signal(nix::sys::signal::Signal::SIGKILL);
    drop(running.end());
    stage.swap(0, &["run"]);
    assert_eq!((stage.stands().as_str(), stage.serving()), ("steady green", vec![stage.new.clone()]));

    // A gate's verdict goes back by way of CI, too.
    let bad = stage.emit_and_push();
    stage.ec2.turn(&json!({ "behave": { "mode": "unhealthy", "image": bad } }));
    stage.edit_and_push("ovenbird.hcl", "timeout = \"2m\"\n  }\n  gate \"join\"", "timeout = \"20s\"\n  }\n  gate \"join\"");
    stage.swap(1, &["run"]).said("rolled back to `steady`");
    assert_eq!((stage.stands().as_str(), stage.serving()), ("steady green", vec![stage.new.clone()]));

    let applied = ci.end();
    println!("{applied} applies of CI");
    let runs = std::fs::read_dir(stage.project.path(".ovenbird/runs")).expect("there were runs");
    let logs = runs.flat_map(|run| std::fs::read_dir(run.expect("a folder").path().join("logs")).into_iter().flatten());
    let names: Vec<String> = logs.map(|log| log.expect("a file").file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().any(|name| name.contains("terraform-plan")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("terraform-apply")), "ovenbird itself has applied: {names:?}");
    assert_eq!(client.end().failed, [""; 0]);
}

/// What `CodeDeploy` brings is waited for.
fn codedeploy() {
    let stage = Stage::new("swap-codedeploy");
    let client = stage.client();
    let deploy = |key: &str| {
        let revision = format!("revision={{'revisionType': 'S3', 's3Location': {{'bucket': 'b', 'key': '{key}', 'bundleType': 'zip'}}}}");
        let call = format!("create_deployment(applicationName='local-web', deploymentGroupName='local-web', {revision})");
        stage.aws("codedeploy", &call)["deploymentId"].as_str().expect("it has an id").to_owned()
    };
    let over = |id: &str| {
        until("the deployment is over", || {
            let info = stage.aws("codedeploy", &format!("get_deployment(deploymentId='{id}')"));
            (info["deploymentInfo"]["status"] == "Succeeded").then_some(())
        });
    };
    stage.edit_and_push("ovenbird.hcl", "gate \"start\" {", "gate \"start\" {\n    codedeploy = \"local-web/local-web\"");
    stage.edit_and_push("ovenbird.hcl", "timeout = \"2m\"\n  }\n  gate \"join\"", "timeout = \"40s\"\n  }\n  gate \"join\"");
    // Nothing was ever deployed.
    stage.swap(1, &["run"]).said("rolled back to `steady`").said("no deployment of it has succeeded yet");
    over(&deploy("one.zip"));

    // One that runs now would leave the new instances with the old revision.
    stage.ec2.turn(&json!({ "deploy_seconds": 30 }));
    let running = deploy("two.zip");
    stage.swap(65, &["run"]).said("codedeploy local-web/local-web").said(&running).said("nothing was written");
    over(&running);
    stage.calm();

    // It fails on the new instances.
    stage.ec2.turn(&json!({ "fail_deployment": { "group": "local-web" } }));
    stage.swap(1, &["run"]).said("rolled back to `steady`").said("ended as Failed");
    assert_eq!(stage.serving(), std::slice::from_ref(&stage.old));
    stage.calm();

    let ran = stage.swap(0, &["run"]);
    ran.said("codedeploy local-web/local-web");
    assert_eq!((stage.stands().as_str(), stage.serving()), ("steady green", vec![stage.new.clone()]));
    assert_eq!(client.end().failed, [""; 0]);
}

#[test]
fn each_way_of_having_it_goes_there_and_back() {
    if !proof() {
        return short();
    }
    let only = trouble();
    let wanted: Vec<_> = WAYS.iter().filter(|way| only.is_empty() || only.split(',').any(|name| name == way.0)).collect();
    assert!(!wanted.is_empty(), "no way is called `{only}`");
    for (name, way) in wanted {
        println!("{name}");
        way();
    }
}
