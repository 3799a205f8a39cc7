//! A new colour that is not good: the old one serves throughout, and it is rolled back as the description says.
//!
//! Invariant: each case turns one knob on the new AMI only, so that what fails is the new colour.

use serde_json::{Value as Json, json};

use crate::swap::stage::Stage;

/// Runs into a new AMI that behaves so; the reason must be named.
fn refused(stage: &Stage, behave: &Json, reason: &str) {
    let image = stage.emit_and_push();
    let mut knob = behave.clone();
    knob["image"] = json!(image);
    stage.ec2.turn(&json!({ "behave": knob }));
    stage.swap(1, &["run"]).said("rolled back to `steady`").said(reason);
    assert_eq!((stage.stands().as_str(), stage.serving()), ("steady blue", vec![stage.old.clone()]), "{behave}");
    stage.calm();
}

/// Never healthy, 500, hanging, flapping, refusing, dying.
pub fn bad_colours(stage: &Stage) {
    stage.edit_and_push("ovenbird.hcl", "timeout = \"2m\"\n  }\n  gate \"join\"", "timeout = \"20s\"\n  }\n  gate \"join\"");
    refused(stage, &json!({ "mode": "unhealthy" }), "not within");
    refused(stage, &json!({ "mode": "500" }), "not within");
    refused(stage, &json!({ "mode": "hang" }), "not within");
    refused(stage, &json!({ "mode": "refuse" }), "not within");
    refused(stage, &json!({ "mode": "flap", "seconds": 2 }), "because the gate failed");
    refused(stage, &json!({ "mode": "die", "seconds": 3 }), "because the gate failed");
}

/// The start gate's probe asks this from now on; what else is said of it stands behind.
fn probed(stage: &Stage, probe: &str) {
    let text = stage.project.read("ovenbird.hcl");
    let (before, rest) = text.split_once("http \"health\" {").expect("there is a probe");
    let (_, after) = rest.split_once('}').expect("it ends");
    stage.project.write("ovenbird.hcl", &format!("{before}http \"health\" {{\n      every = \"1s\"\n      {probe}\n    }}{after}"));
    stage.push("Probe otherwise");
}

/// No TLS at all behind `https:`, a certificate that nobody trusts, instances that refuse TLS; taken when the gate says to take it.
pub fn tls(stage: &Stage) {
    let more = "  listener {\n    instance_port     = 443\n    instance_protocol = \"tcp\"\n    lb_port           = 443\n    \
        lb_protocol       = \"tcp\"\n  }\n\n  health_check {\n    target ";
    stage.project.edit("terraform/environments/local/balancers.tf", "  health_check {\n    target ", more);
    stage.apply();
    stage.edit_and_push("ovenbird.hcl", "timeout = \"2m\"\n  }\n  gate \"join\"", "timeout = \"20s\"\n  }\n  gate \"join\"");
    let tls = format!("https://{}/health", stage.test.trim_end_matches(":80"));
    probed(stage, &format!("url = \"https://{}/health\"", stage.test));
    refused(stage, &json!({ "mode": "ok" }), "TLS refused: ");
    probed(stage, &format!("url = \"{tls}\""));
    refused(stage, &json!({ "mode": "ok" }), "TLS refused: invalid peer certificate");
    probed(stage, &format!("url = \"{tls}\"\n      insecure = true"));
    refused(stage, &json!({ "mode": "refuse_tls" }), "TLS refused: ");
    let image = stage.emit_and_push();
    stage.swap(0, &["run"]);
    assert_eq!((stage.stands().as_str(), stage.serving()), ("steady green", vec![image]));
}

/// A launch that fails is a verdict and no time-out.
pub fn launch_fails(stage: &Stage) {
    stage.ec2.turn(&json!({ "fail_launch": { "group": "*-green", "message": "InsufficientInstanceCapacity" } }));
    stage.swap(1, &["run"]).said("rolled back to `steady`").said("InsufficientInstanceCapacity");
    stage.calm();
}

/// A gate that says no on live leaves the new colour on test to be looked at.
pub fn join_refused(stage: &Stage) {
    stage.edit_and_push("ovenbird.hcl", "gate \"join\" { timeout = \"2m\" }", "gate \"join\" { command = [\"false\"] }");
    stage.swap(1, &["run"]).said("rolled back to `started`").said("green stays on test");
    assert_eq!((stage.stands().as_str(), stage.serving()), ("started green", vec![stage.old.clone()]));
    stage.swap(0, &["rollback"]);
    assert_eq!(stage.stands(), "steady blue");
}
