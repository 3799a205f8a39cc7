//! AMIs that must not come into service, each refused before the first step; and `requires`, refused before and allowed after.
//!
//! Invariant: after a refusal nothing is written, committed or applied.

use serde_json::{Value as Json, json};

use crate::swap::proof;
use crate::swap::stage::{ENVIRONMENT, Stage, TFVARS};

const FIRST: &str = "terraform/environments/first";

/// What is wrong with an image, and what is said of it.
type Unfit = (fn(&mut Json), &'static str);

const UNFIT: &[Unfit] = &[
    (|image| lacks(image, "ovenbird:verified"), "it is not verified: it has no `ovenbird:verified` tag"),
    // In the proof.
    (|image| lacks(image, "ovenbird:key"), "it is not sealed"),
    (|image| image["tags"]["ovenbird:verified"] = json!(format!("failed R sha256:{:064}", 0)), "its verification failed in run R"),
    (|image| image["tags"]["ovenbird:revoked"] = json!("bad openssl"), "it is revoked: bad openssl"),
    (|image| image["architecture"] = json!("arm64"), "it is for arm64, and the stage is for x86_64"),
    (|image| image["region"] = json!("us-west-2"), "ap-northeast-1 has no such image"),
    (|image| image["tags"]["ovenbird:stage"] = json!("api"), "it is stage `api`"),
    (|image| image["tags"]["ovenbird:pipeline"] = json!("other"), "of pipeline `other`"),
];

fn lacks(image: &mut Json, tag: &str) {
    image["tags"].as_object_mut().and_then(|tags| tags.remove(tag));
}

/// One of them; in the proof all.
pub fn unfit(stage: &Stage) {
    for (spoil, why) in &UNFIT[..if proof() { UNFIT.len() } else { 1 }] {
        let image = stage.image_like(spoil);
        stage.emit(&image);
        stage.push("Emit what must not serve");
        let (before, head) = (stage.project.read(TFVARS), stage.git(&["rev-parse", "HEAD"]));
        for command in if proof() { &["plan", "next", "run"][..] } else { &["run"] } {
            stage.swap(65, &[command]).said(&image).said("cannot come into service").said(why).said("nothing was written");
        }
        assert_eq!((stage.project.read(TFVARS), stage.git(&["rev-parse", "HEAD"])), (before, head), "{why}");
    }
    stage.emit(&stage.new);
    stage.push("Emit what may");
}

/// A second environment of the same kind, `first`, and its swap, which the one of `local` requires.
fn first(stage: &Stage) {
    for file in stage.git(&["ls-files", "--", ENVIRONMENT]).lines() {
        let text = stage.project.read(file).replace("\"local-", "\"first-").replace("\"elb-", "\"one-");
        stage.project.write(&file.replace(ENVIRONMENT, FIRST), &text);
    }
    stage.terraform_in(FIRST, &["init", "-input=false"]);
    stage.terraform_in(FIRST, &["apply", "-input=false", "-auto-approve", "-var-file=variables.tfvars"]);
    let urls: Json = serde_json::from_str(&stage.terraform_in(FIRST, &["output", "-json", "urls"])).expect("JSON");
    let test = urls["one-test"].as_str().expect("it has a URL").to_owned();
    let pipeline = stage.project.read("ovenbird.hcl");
    let (head, swap) = pipeline.split_once("swap \"local\"").expect("there is a swap");
    let other = swap.replace("environments/local", "environments/first").replace("\"elb-", "\"one-");
    let other = other.replace(&format!("http://{}", stage.test), &test);
    let emit = format!("emit \"{FIRST}/images.auto.tfvars\" {{\n  web_ami_id = stage.web.id\n}}\n\n");
    let local = swap.replacen("stage.web\n", "stage.web\n  requires  = swap.first\n", 1);
    stage.project.write("ovenbird.hcl", &format!("{head}{emit}swap \"first\"{other}\nswap \"local\"{local}"));
    stage.push("A second environment");
}

/// An image goes into service only when it has been through the swap before.
pub fn required() {
    let stage = Stage::new("swap-requires");
    first(&stage);
    let refused = || {
        stage.swap(65, &["run"]).said("it has not been through swap `first`").said("`ovenbird swap first run` first");
    };
    refused();
    // Half of the way is not through.
    stage.project.expect(0, &["swap", "first", "next"]);
    refused();
    stage.project.expect(0, &["swap", "first", "run"]);
    stage.swap(0, &["run"]);
    assert_eq!((stage.stands().as_str(), stage.serving()), ("steady green", vec![stage.new.clone()]));
    // And back to the old image, which never came through.
    stage.emit(&stage.old);
    stage.push("Back");
    stage.swap(65, &["run"]).said(&stage.old).said("it has not been through swap `first`");
}
