//! git, Terraform and people that say no in the middle: refused pushes, half applies, edits, locks, malformed files.
//!
//! Invariant: what was refused left every byte as it was; what was half done goes on by `next`.

#![expect(clippy::disallowed_methods, reason = "somebody else's hooks and processes")]

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::json;

use crate::harness::until;
use crate::swap::proof;
use crate::swap::stage::{ENVIRONMENT, Stage, TFVARS};

fn hook(stage: &Stage, script: &str) {
    let hook = stage.project.beside("remote.git/hooks/pre-receive");
    std::fs::write(&hook, script).expect("a hook can be written");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("its mode can be set");
}

fn no_hook(stage: &Stage) {
    std::fs::remove_file(stage.project.beside("remote.git/hooks/pre-receive")).expect("it is there");
}

/// Everything is as it was; in the proof also on a way back, which git does not stop.
pub fn push_refused(stage: &Stage) {
    hook(stage, "#!/bin/sh\necho 'the branch is protected' >&2\nexit 1\n");
    let (before, head) = (stage.project.read(TFVARS), stage.git(&["rev-parse", "HEAD"]));
    stage.swap(1, &["run"]).said("the branch is protected").said("is as it was and nothing was applied");
    assert_eq!((stage.project.read(TFVARS), stage.git(&["rev-parse", "HEAD"])), (before, head));
    assert_eq!(stage.git(&["status", "--porcelain"]), "");
    no_hook(stage);
    if !proof() {
        return;
    }
    stage.swap(0, &["next"]);
    stage.swap(0, &["next"]);
    hook(stage, "#!/bin/sh\nexit 1\n");
    stage.swap(0, &["rollback"]).said("going back all the same");
    assert_eq!(stage.stands(), "started green");
    no_hook(stage);
    // What was not pushed then is pushed now.
    stage.swap(0, &["rollback"]);
    assert_eq!(stage.git(&["rev-parse", "HEAD"]), stage.git(&["rev-parse", "@{upstream}"]));
}

/// The next step's apply fails halfway: the call to `action` that comes after so many of it.
fn fails_halfway(stage: &Stage, action: &str, after: u32, written: &str) {
    let no = json!({ "action": action, "agent": "terraform", "code": "InternalFailure", "message": "not today", "after": after });
    stage.ec2.turn(&json!({ "error": no }));
    stage.swap(1, &["next"]).said("terraform apply failed").said("not today").said("`ovenbird swap local next`");
    stage.calm();
    let status = stage.status();
    assert_eq!(status["state"]["state"], written, "{action}");
    assert!(status["differences"].as_array().is_some_and(|all| !all.is_empty()), "{action}: {status:#}");
}

/// Each step's apply fails halfway, and what comes next does the rest of it first; then the same, with a way back from each.
pub fn half(stage: &Stage) {
    // More serve than the minimum, so that the first and the last step have something to do with both groups.
    stage.aws("autoscaling", "set_desired_capacity(AutoScalingGroupName='local-web-blue', DesiredCapacity=3)");
    until("three serve", || (stage.status()["aws"]["Ok"]["blue"]["in_service"] == 3).then_some(()));
    fails_halfway(stage, "UpdateAutoScalingGroup", 1, "started");
    fails_halfway(stage, "AttachLoadBalancers", 0, "joined");
    fails_halfway(stage, "DetachLoadBalancers", 0, "left");
    fails_halfway(stage, "UpdateAutoScalingGroup", 1, "steady");
    stage.swap(0, &["run"]);
    assert_eq!(stage.stands(), "steady green");

    stage.emit_and_push();
    fails_halfway(stage, "UpdateAutoScalingGroup", 1, "started");
    stage.swap(0, &["rollback"]);
    assert_eq!(stage.stands(), "steady green");
    for (action, state) in [("AttachLoadBalancers", "joined"), ("DetachLoadBalancers", "left")] {
        // To started, and from there on to joined.
        stage.swap(0, &["next"]);
        fails_halfway(stage, action, 0, state);
        stage.swap(0, &["rollback"]);
        assert_eq!(stage.stands(), "started blue", "{action}");
    }
    stage.swap(0, &["run"]);
    assert_eq!(stage.stands(), "steady blue");
}

/// Credentials that expire: while a gate waits, and before an apply. Nobody knows then, and nothing is rolled back.
pub fn expired(stage: &Stage) {
    let expired =
        json!({ "error": { "code": "ExpiredToken", "message": "The security token included in the request is expired", "status": 403 } });
    stage.ec2.turn(&json!({ "behave": { "mode": "unhealthy", "image": stage.new } }));
    let mut running = stage.project.start(&["swap", "local", "run", "--json"]);
    running.says("0 of 2 healthy");
    stage.ec2.turn(&expired);
    let ran = running.end();
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.said("ExpiredToken").said("the credentials have expired; log in again").said("`ovenbird swap local next` goes on");
    let status = stage.status();
    assert_eq!(status["state"]["state"], "started");
    assert!(status["aws"]["Err"].as_str().is_some_and(|why| why.contains("ExpiredToken")), "{status:#}");
    stage.swap(1, &["next"]).said("ExpiredToken");
    stage.calm();
    assert_eq!(stage.stands(), "started green");

    let mut running = stage.project.start(&["swap", "local", "next", "--json"]);
    running.says("\"phase\":\"apply\"");
    stage.ec2.turn(&expired);
    let ran = running.end();
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.said("terraform apply failed").said("ExpiredToken");
    assert_eq!(stage.status()["state"]["state"], "joined");
    stage.calm();
    stage.swap(0, &["rollback"]);
    assert_eq!(stage.stands(), "started green");
    stage.swap(0, &["run"]);
    assert_eq!(stage.stands(), "steady green");
}

/// A person edits the tfvars in the middle.
pub fn edited(stage: &Stage) {
    stage.swap(0, &["next"]);
    let text = stage.project.read(TFVARS);
    let edited = text.replace("blue_max_size = \"4\"", "blue_max_size = \"6\"");
    stage.project.write(TFVARS, &edited);
    stage.swap(65, &["next"]).said("changes that are not committed");
    assert_eq!(stage.project.read(TFVARS), edited);
    // Committed, it is a change that is not the swap's.
    stage.git(&["commit", "--quiet", "--all", "--message", "More"]);
    stage.git(&["push", "--quiet"]);
    stage.swap(65, &["next"]).said("max_size");
    stage.git(&["revert", "--no-edit", "HEAD"]);
    stage.git(&["push", "--quiet"]);
    stage.swap(0, &["run"]);
    assert_eq!(stage.stands(), "steady green");
}

/// Somebody else holds the state, and be it the same person on this machine; two swaps never run at once.
#[expect(clippy::disallowed_types, reason = "somebody else's process")]
pub fn locked(stage: &Stage) {
    // A Terraform of ours was here before, and has ended.
    stage.swap(0, &["next"]);
    let script = "import datetime, fcntl, getpass, json, socket, sys\nf = open('terraform.tfstate', 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX)\n\
        info = {'ID': 'x', 'Operation': 'OperationTypeApply', 'Who': getpass.getuser() + '@' + socket.gethostname(), 'Version': '1', 'Created': datetime.datetime.now(datetime.timezone.utc).isoformat(), 'Path': 'terraform.tfstate', 'Info': ''}\n\
        json.dump(info, open('.terraform.tfstate.lock.info', 'w'))\nprint('locked', flush=True)\nsys.stdin.read()\n";
    let mut other = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(stage.project.path(ENVIRONMENT))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    other.stdout.as_mut().expect("piped").read_exact(&mut [0; 6]).expect("it says that it has the lock");
    stage.swap(75, &["run", "--no-wait"]).said("the Terraform state is locked by");
    let mut waiting = stage.project.start(&["swap", "local", "next"]);
    waiting.says("the state is locked");
    stage.swap(75, &["next", "--no-wait"]).said("the lock of this checkout is held by");
    drop(other.stdin.take());
    other.wait().expect("it ends");
    assert_eq!(waiting.end().code, Some(0));
    assert_eq!(stage.stands(), "joined green");
}

/// One of the forty, through the whole command: nothing is asked, nothing is written.
pub fn malformed(stage: &Stage) {
    let good = stage.project.read(TFVARS);
    let bad = good.replace("green_max_size = 0", "green_max_size = var.size");
    stage.project.write(TFVARS, &bad);
    for command in ["next", "run", "rollback", "plan", "status"] {
        stage.swap(65, &[command]).said("variables.tfvars:8:").said("`green_max_size` holds an expression");
    }
    assert_eq!(stage.project.read(TFVARS), bad);
    stage.project.write(TFVARS, &good);
}
