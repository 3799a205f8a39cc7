//! Builds with a scripted account and a `packer` of three lines: what gets a seal, what is removed, what is left.
//!
//! Each test's name is the sentence that it proves. The real Packer against the local EC2 is in `tests/cloud/`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use crate::config::pipeline::{Pipeline, Recipe, Secret};
use crate::event::{Event, Failure, Outcome, StepId};
use crate::model::artifact::{Image, ImageState, Leftover, LeftoverKind};
use crate::model::digest::{Digest, StageKey};
use crate::model::node::{NodeId, RunId};
use crate::model::value::{Reference, Value};
use crate::model::verdict::Verdict;
use crate::model::verification::Verification;
use crate::plan::plan::{DryRunAction, Plan, PlannedParent};
use crate::plan::testing;
use crate::ports::{AwsError, Catalog, Claim, Claimed, Launch as _, Ready, SourceQuery, Stop, Wanted};
use crate::run::queue::tests::{build, plan};
use crate::run::step::{Engine, Ledger, Rekeyed, Steps};

mod guard;
mod interrupts;
mod verify;

const PARENT: &str = "ami-0aaaaaaaaaaaaaaaa";
const MADE: &str = "ami-0bbbbbbbbbbbbbbbb";

const START: &str = r#"{"event":"start","format":1,"playbook":"web.yml","ansible":"2.19.4","python":"3.11.2","guard":true}"#;
const TASK: &str = r#"{"event":"result","task":"install","path":"/root/web.yml:3","action":"apt","status":"changed","seconds":1}"#;
const FAILED: &str =
    r#"{"event":"result","task":"install","path":"ROOT/web.yml:3","action":"apt","status":"failed","seconds":1,"msg":"no such package"}"#;
const STATS: &str = r#"{"event":"stats","hosts":{}}"#;
const ARTIFACT: &str = "==> Builds finished. The artifacts of successful builds are:\n--> amazon-ebs.image: AMIs were created:\nap-northeast-1: ami-0bbbbbbbbbbbbbbbb";

/// Answers as it is told and remembers what it was asked.
#[derive(Default)]
struct Account {
    held: bool,
    image: RefCell<Option<Image>>,
    leftovers: Vec<Leftover>,
    calls: RefCell<Vec<String>>,
}

impl Account {
    fn call(&self, text: String) {
        self.calls.borrow_mut().push(text);
    }
}
fn image() -> Image {
    let key = StageKey(Digest::of(b"other"));
    Image { state: ImageState::Available, source_image: Some(PARENT.to_owned()), ..testing::sealed(MADE, &testing::node("web"), key, "") }
}

#[async_trait(?Send)]
impl Catalog for Account {
    async fn images(&self) -> Result<Vec<Image>, AwsError> {
        panic!("a step never lists all images")
    }
    async fn newest_source(&self, _: &SourceQuery) -> Result<Option<Image>, AwsError> {
        panic!("a step never looks for a source")
    }
    async fn claim(&self, wanted: Wanted) -> Result<Claimed, AwsError> {
        self.call(format!("claim {}", wanted.node));
        Ok(if self.held { Claimed::Held(image()) } else { Claimed::Claim(Claim { wanted }) })
    }
    async fn image(&self, id: &str) -> Result<Option<Image>, AwsError> {
        self.call(format!("image {id}"));
        Ok(self.image.borrow().clone())
    }
    async fn tag(&self, image: &Image, tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
        if let Some(mark) = tags.get("ovenbird:verified") {
            self.call(format!("mark {} {mark}", image.id));
            return Ok(());
        }
        assert!(!tags.contains_key("ovenbird:key"), "the key is written by the seal alone");
        assert_eq!((tags["ovenbird:parent"].as_str(), tags["team"].as_str()), (PARENT, "platform"));
        assert!(tags["ovenbird:tools"].contains("packer=1.15.0"), "{tags:?}");
        self.call(format!("tag {}", image.id));
        Ok(())
    }
    async fn seal(&self, claim: Claim, image: &Image) -> Result<(), AwsError> {
        self.call(format!("seal {} {}", image.id, claim.wanted.key.short()));
        Ok(())
    }
    async fn remove_image(&self, image: &Image) -> Result<(), AwsError> {
        self.call(format!("remove image {}", image.id));
        Ok(())
    }
    async fn leftovers(&self, _: &RunId, _: &NodeId, ids: &[String], keep: Option<&str>) -> Result<Vec<Leftover>, AwsError> {
        self.call(format!("leftovers of {} but {}", ids.join(" "), keep.unwrap_or("nothing")));
        Ok(self.leftovers.clone())
    }
    async fn remove(&self, leftover: &Leftover) -> Result<(), AwsError> {
        self.call(format!("remove {}", leftover.id));
        Ok(())
    }
}

/// Keys as planned, until an input "changes".
struct Books {
    key: Cell<StageKey>,
    checks: Cell<Digest>,
    verified: RefCell<Vec<Verification>>,
}

#[async_trait(?Send)]
impl Ledger for Books {
    async fn rekey(&self, _: &NodeId) -> Result<Rekeyed, String> {
        Ok(Rekeyed { stage_key: Some(self.key.get()), verify_key: Some(self.checks.get()), ..Rekeyed::default() })
    }
    async fn remember(&self, _: &Verdict) -> Result<(), String> {
        panic!("a build makes no verdict")
    }
    async fn sealed(&self, _: &NodeId, _: &StageKey) -> Result<(), String> {
        Ok(())
    }
    async fn verified(&self, verification: &Verification) -> Result<(), String> {
        self.verified.borrow_mut().push(verification.clone());
        Ok(())
    }
}

struct Setting {
    folder: tempfile::TempDir,
    pipeline: Pipeline,
    plan: Plan,
    account: Account,
    books: Books,
    stop: watch::Sender<Stop>,
    inputs: BTreeMap<crate::model::name::Name, crate::plan::inputs::StageInputs>,
}

struct Done {
    outcome: Outcome,
    events: Vec<Event>,
    calls: Vec<String>,
    setting: Setting,
}

impl Setting {
    /// Stage `web` on a source; `packer` prints `log` and reports `report`, then runs `more`.
    fn new(report: &[&str], log: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = StageKey(Digest::of(b"web"));
        let mut pipeline = testing::pipeline(&[("web", "")]);
        pipeline.root = folder.path().to_owned();
        pipeline.dir = folder.path().to_owned();
        pipeline.tags.insert("team".to_owned(), "platform".to_owned());
        let mut plan = plan(&[("web", "debian")]);
        plan.region = "ap-northeast-1".to_owned();
        plan.nodes[0].stage_key = Some(key);
        plan.nodes[0].dry_run = DryRunAction::Skip;
        plan.nodes[0].parent = PlannedParent::Source { name: "debian".to_owned(), id: Some(PARENT.to_owned()), docker: None };
        let setting = Self {
            account: Account { image: RefCell::new(Some(image())), ..Account::default() },
            books: Books { key: Cell::new(key), checks: Cell::new(Digest::of(b"checks")), verified: RefCell::default() },
            stop: watch::channel(Stop::No).0,
            inputs: BTreeMap::new(),
            folder,
            pipeline,
            plan,
        };
        let root = setting.folder.path().display().to_string();
        let report = report.join("\n").replace("ROOT", &root);
        let bin = setting.path("bin/packer");
        std::fs::create_dir(setting.path("bin")).unwrap();
        let script = format!(
            "#!/bin/sh\nfor a; do case $a in -var-file=/*) cp -p \"${{a#-var-file=}}\" '{root}/seen.json';; esac; done\n\
             echo \"5 python /usr\" >>\"$OVENBIRD_OPENED\"; cat >>\"$OVENBIRD_REPORT\" <<'REPORT'\n{report}\nREPORT\ncat <<'LOG'\n{log}\nLOG\n{more}\n"
        );
        write(&bin, &script);
        std::fs::set_permissions(&bin, Permissions::from_mode(0o700)).unwrap();
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(self) -> Done {
        self.launch(build("web"), Ready::default()).await
    }

    async fn launch(self, step: StepId, ready: Ready) -> Done {
        let run = RunId::new("20261122t000000", 7);
        let name = testing::name("web");
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let environment = BTreeMap::from([(name.clone(), BTreeMap::from([("PATH".to_owned(), path)]))]);
        let declared = ["source_ami", "image_tags", "run_tags", "ansible_arguments", "image_name"].map(str::to_owned);
        let declared = BTreeMap::from([(name, BTreeSet::from(declared))]);
        let secrets = BTreeMap::from([(testing::name("datadog"), "s3cr3t".to_owned())]);
        let (facts, mut said) = mpsc::unbounded_channel();
        let steps = Steps {
            pipeline: &self.pipeline,
            plan: &self.plan,
            run: &run,
            folder: &self.path("run"),
            environment: &environment,
            inputs: &self.inputs,
            configured: &BTreeMap::new(),
            declared: &declared,
            secrets: &secrets,
            catalog: Some(&self.account),
            ec2_endpoint: None,
            ledger: &self.books,
            packer: Some("1.15.0".to_owned()),
            plugins: vec![("github.com/hashicorp/amazon".to_owned(), "1.3.2".to_owned())],
            head: None,
            keep: false,
            engine: Engine::default(),
        };
        let outcome = steps.launch(step, ready, facts, self.stop.subscribe()).await;
        let events = std::iter::from_fn(|| said.try_recv().ok()).collect();
        let calls = self.account.calls.borrow().clone();
        Done { outcome, events, calls, setting: self }
    }
}

#[expect(clippy::disallowed_methods, reason = "a file of the test's own folder, which nobody else reads")]
fn write(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

impl Done {
    fn failure(&self) -> &Failure {
        match &self.outcome {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    fn sealed(&self) -> bool {
        self.calls.iter().any(|call| call.starts_with("seal"))
    }
}

#[tokio::test]
async fn an_image_is_confirmed_then_tagged_then_sealed_and_the_account_is_looked_at_after_success_too() {
    let done = Setting::new(&[START, TASK, STATS], ARTIFACT, "").run().await;
    assert_eq!(done.outcome, Outcome::Succeeded { artifact: MADE.to_owned(), tasks: 1, changed: 1, notes: vec![] });
    let key = Digest::of(b"web").short();
    let want = format!("claim web|image {MADE}|tag {MADE}|seal {MADE} {key}|leftovers of {MADE} but {MADE}");
    assert_eq!(done.calls.join("|"), want);
    assert!(done.events.iter().any(|e| matches!(e, Event::ImageSealed { .. })));
    assert!(done.events.iter().any(|e| matches!(e, Event::TaskFinished { .. })));
    assert!(!done.setting.path("run/tmp/build-web").exists(), "files with values are gone");
}

#[tokio::test]
async fn what_another_run_made_meanwhile_is_adopted_and_packer_is_not_started() {
    let mut setting = Setting::new(&[], "", "touch started");
    setting.account.held = true;
    let done = setting.run().await;
    assert!(matches!(&done.outcome, Outcome::Succeeded { artifact, .. } if artifact == MADE));
    assert!(!done.setting.path("started").exists());
    assert_eq!(done.calls, ["claim web"]);
}

#[tokio::test]
async fn an_image_of_another_source_is_removed_and_never_sealed() {
    let setting = Setting::new(&[START, TASK, STATS], ARTIFACT, "");
    setting.account.image.replace(Some(Image { source_image: Some("ami-0ccccccccccccccccc".to_owned()), ..image() }));
    let done = setting.run().await;
    insta::assert_snapshot!(done.failure().message, @"ami-0bbbbbbbbbbbbbbbb was made from ami-0ccccccccccccccccc, not from the parent ami-0aaaaaaaaaaaaaaaa: no seal; ami-0bbbbbbbbbbbbbbbb was removed");
    assert!(!done.sealed());
}

#[tokio::test]
async fn a_source_that_neither_ec2_nor_the_log_names_is_not_taken_on_trust() {
    let setting = Setting::new(&[START, TASK, STATS], ARTIFACT, "");
    setting.account.image.replace(Some(Image { source_image: None, ..image() }));
    let done = setting.run().await;
    assert!(done.failure().message.contains("an image that nobody names"), "{}", done.failure().message);
}

#[tokio::test]
async fn two_images_in_the_region_are_no_artifact() {
    let log = format!("{ARTIFACT}\nap-northeast-1: ami-0dddddddddddddddd");
    let done = Setting::new(&[START, TASK, STATS], &log, "").run().await;
    assert!(done.failure().message.starts_with("packer made 2 images in ap-northeast-1"), "{}", done.failure().message);
    assert!(!done.sealed());
}

#[tokio::test]
async fn inputs_that_changed_meanwhile_take_the_image_with_them() {
    let setting = Setting::new(&[START, TASK, STATS], ARTIFACT, "");
    setting.books.key.set(StageKey(Digest::of(b"edited")));
    let done = setting.run().await;
    insta::assert_snapshot!(done.failure().message, @"inputs changed while ami-0bbbbbbbbbbbbbbbb was being made: no seal; ami-0bbbbbbbbbbbbbbbb was removed");
    assert!(done.calls.contains(&format!("remove image {MADE}")) && !done.sealed());
}

#[tokio::test]
async fn a_play_without_hosts_and_a_run_without_tasks_fail_though_packer_is_content() {
    let play = r#"{"event":"play","name":"web","hosts":["web"]}"#;
    let done = Setting::new(&[START, play, r#"{"event":"no_hosts"}"#, STATS], ARTIFACT, "").run().await;
    assert!(done.failure().message.starts_with("no host matched in play `hosts: web`"), "{}", done.failure().message);
    let done = Setting::new(&[START, STATS], ARTIFACT, "").run().await;
    assert!(done.failure().message.starts_with("no task was executed; "), "{}", done.failure().message);
    assert!(!done.sealed());
}

#[tokio::test]
async fn a_failed_task_is_named_with_its_place_and_its_message() {
    let log = "amazon-ebs.image: TASK [install]\namazon-ebs.image: fatal: [default]: FAILED!\nPLAY RECAP\nfarewell";
    let done = Setting::new(&[START, FAILED, STATS], log, "exit 1").run().await;
    let failure = done.failure();
    assert_eq!((failure.tool.as_str(), failure.message.as_str()), ("ansible", "a task failed: no such package"));
    assert_eq!(failure.task.as_deref(), Some("install (web.yml:3)"));
    assert_eq!(failure.last_lines.last().unwrap(), "amazon-ebs.image: fatal: [default]: FAILED!");
    assert_eq!(done.calls, ["claim web", "leftovers of  but nothing"], "the account is looked at after a failure");
}

#[tokio::test]
async fn strays_are_removed_and_reported() {
    let mut setting =
        Setting::new(&[START, TASK, STATS], &format!("    amazon-ebs.image: Instance ID: i-0123456789abcdef0\n{ARTIFACT}"), "");
    setting.account.leftovers = vec![stray()];
    let done = setting.run().await;
    assert!(done.calls.contains(&"remove i-0123456789abcdef0".to_owned()));
    let want = Event::Reconciled { step: build("web"), removed: vec![stray()], left: vec![] };
    assert!(done.events.contains(&want), "{:?}", done.events);
}

fn stray() -> Leftover {
    Leftover {
        kind: LeftoverKind::Instance,
        id: "i-0123456789abcdef0".to_owned(),
        region: "ap-northeast-1".to_owned(),
        remove_with: String::new(),
    }
}

#[tokio::test]
async fn a_secret_reaches_ansible_in_a_private_file_and_stands_nowhere_else() {
    // The script keeps a copy of both files with their modes; the folder itself is gone afterwards.
    let more = "cp -p \"$(sed -n 's/.*\"@\\(.*\\)\".*/\\1/p' seen.json)\" vars.json";
    let mut setting = Setting::new(&[START, TASK, STATS], ARTIFACT, more);
    let secret = testing::name("datadog");
    setting.pipeline.secrets.insert(secret.clone(), Secret { env: "DD".to_owned(), version: "1".to_owned(), span: 0..0 });
    setting.pipeline.stages[0].vars.insert("dd_key".to_owned(), Value::Ref(Reference::Secret(secret)));
    let done = setting.run().await;
    let bits = |name: &str| std::fs::metadata(done.setting.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((bits("seen.json"), bits("vars.json")), (0o600, 0o600));
    assert_eq!(std::fs::read_to_string(done.setting.path("vars.json")).unwrap(), r#"{"dd_key":"s3cr3t"}"#);
    assert!(!std::fs::read_to_string(done.setting.path("seen.json")).unwrap().contains("s3cr3t"));
    let log = std::fs::read_to_string(done.setting.path("run/logs/build-web.log")).unwrap();
    assert!(!log.contains("s3cr3t") && log.contains("$ packer build"), "{log}");
}

#[tokio::test]
async fn a_foreign_template_gets_its_own_variables_and_is_tagged_by_us() {
    let mut setting = Setting::new(&[], &format!("    legacy: Found Image ID: {PARENT}\n{ARTIFACT}"), "");
    setting.account.image.replace(Some(Image { source_image: None, ..image() }));
    setting.pipeline.stages[0].recipe = Recipe::Template {
        template: "packer/legacy.json".into(),
        only: vec!["amazon-ebs".to_owned()],
        dry_run_only: vec![],
        packer_vars: BTreeMap::from([
            ("source".to_owned(), Value::Ref(Reference::ParentId)),
            ("name".to_owned(), Value::Ref(Reference::ArtifactName)),
        ]),
        var_files: vec!["packer/eu.json".into()],
    };
    let done = setting.run().await;
    assert!(done.sealed(), "{:?}", done.outcome);
    let seen: BTreeMap<String, String> = serde_json::from_str(&std::fs::read_to_string(done.setting.path("seen.json")).unwrap()).unwrap();
    assert_eq!(seen["source"], PARENT);
    assert_eq!(seen["name"], format!("shop-web-x86_64-{}-000007", Digest::of(b"web").short()));
    let log = std::fs::read_to_string(done.setting.path("run/logs/build-web.log")).unwrap();
    let line = log.lines().next().unwrap().replace(&done.setting.folder.path().display().to_string(), "ROOT");
    insta::assert_snapshot!(line, @"$ packer build -color=false -only=amazon-ebs -var-file=packer/eu.json -var-file=ROOT/run/tmp/build-web/packer.pkrvars.json packer/legacy.json");
}
