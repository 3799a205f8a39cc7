//! Canned events, plans and images for the tests of this room. Compiled for tests only.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use crate::event::{Event, Failure, Outcome, Stamped, StepId, StepKind, TaskStatus};
use crate::model::artifact::{Image, ImageState, Leftover, LeftoverKind, tags};
use crate::model::digest::{Digest, DryRunKey, StageKey};
use crate::model::name::Name;
use crate::model::node::{Architecture, NodeId, RunId};
use crate::plan::difference::Change;
use crate::plan::plan::{Action, DryRunAction, FORMAT, Plan, PlannedEmit, PlannedNode, PlannedParent, PlannedSource, Wishes};
use crate::plan::reason::Reason;

/// What was written, readable while the writer lives.
#[derive(Debug, Clone, Default)]
pub(super) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn node(stage: &str) -> NodeId {
    NodeId { stage: Name::new(stage).unwrap(), architecture: Architecture::X86_64 }
}

/// A build of a stage.
pub(super) fn step(stage: &str) -> StepId {
    StepId { node: node(stage), kind: StepKind::Build }
}

fn dry(stage: &str) -> StepId {
    StepId { node: node(stage), kind: StepKind::DryRun }
}

pub(super) fn stamped(seq: u64, event: Event) -> Stamped {
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    Stamped { seq, at: seq as f64, event }
}

pub(super) fn warned(message: &str) -> Event {
    Event::Warned { message: message.to_owned() }
}

pub(super) fn lines(step: &StepId, lines: &[&str]) -> Event {
    Event::LinesReceived { step: step.clone(), lines: lines.iter().map(|l| (*l).to_owned()).collect(), dropped: 0 }
}

fn task(step: &StepId, task: &str, place: &str, status: TaskStatus, seconds: f64) -> [Event; 2] {
    let (task, place, step) = (task.to_owned(), place.to_owned(), step.clone());
    let started = Event::TaskStarted { step: step.clone(), task: task.clone(), place: place.clone() };
    [started, Event::TaskFinished { step, task, place, status, seconds }]
}

fn started(step: &StepId, last_seconds: Option<f64>) -> Event {
    let log = format!(".ovenbird/runs/r/logs/{}.log", step.to_string().replace(' ', "-"));
    Event::StepStarted { step: step.clone(), log, last_seconds }
}

fn phase(step: &StepId, phase: &str) -> Event {
    Event::PhaseStarted { step: step.clone(), phase: phase.to_owned() }
}

fn done(step: &StepId, artifact: &str, seconds: f64) -> Event {
    let notes = if step.kind == StepKind::DryRun { vec!["not exercised: tag `kernel` was skipped".to_owned()] } else { Vec::new() };
    let outcome = Outcome::Succeeded { artifact: artifact.to_owned(), tasks: 12, changed: 5, notes };
    Event::StepFinished { step: step.clone(), outcome, seconds }
}

/// `api` is built, `web` fails in a task with a Japanese name, `worker` is blocked by it, a key pair is left.
pub(super) fn failing_run() -> Vec<Stamped> {
    let (api, web, worker) = (step("api"), step("web"), step("worker"));
    let failure = Failure {
        message: "packer exited with 1".to_owned(),
        tool: "ansible".to_owned(),
        task: Some("nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7)".to_owned()),
        last_lines: vec!["fatal: [default]: FAILED! => \x1b[31mno such file\x1b[0m".to_owned(), "::error::injected".to_owned()],
        log: Some(".ovenbird/runs/r/logs/build-web.log".to_owned()),
        help: Some("`ovenbird dry-run web --keep` tries it in seconds".to_owned()),
    };
    let key = Leftover {
        kind: LeftoverKind::KeyPair,
        id: "packer_1".to_owned(),
        region: "us-west-2".to_owned(),
        remove_with: "aws ec2 delete-key-pair --key-name packer_1 --region us-west-2".to_owned(),
    };
    let mut events = vec![
        Event::RunStarted {
            run: RunId::new("20261122t041500", 0x3f_9a1c),
            command: "build".to_owned(),
            pipeline: "shop".to_owned(),
            to_build: 3,
            to_dry_run: 1,
            to_retag: 0,
            to_verify: 0,
            to_reuse: 1,
            nodes: ["base", "web", "api", "worker"].map(node).into(),
            folder: ".ovenbird/runs/r".to_owned(),
        },
        Event::NodeReused { node: node("base"), artifact: "ami-0a11".to_owned() },
        warned("no `tools` block: versions of tools are not in the key"),
        started(&dry("api"), Some(41.0)),
        phase(&dry("api"), "provision"),
    ];
    events.extend(task(&dry("api"), "api : install", "ansible/roles/api/tasks/main.yml:3", TaskStatus::Changed, 1.25));
    events.extend([
        done(&dry("api"), "ovenbird/shop/api:44ab09c1d2e3", 38.0),
        started(&api, None),
        started(&web, Some(92.0)),
        phase(&web, "provision"),
        lines(&web, &["\x1b[2Jamazon-ebs.image: output in ::group:: words", "::set-output name=x::y"]),
    ]);
    events.extend(task(&web, "nginx : 設定ファイルを置く", "ansible/roles/nginx/tasks/main.yml:7", TaskStatus::Failed, 0.5));
    events.extend([
        Event::OutputEnded { step: web.clone() },
        Event::Reconciled {
            step: web.clone(),
            removed: vec![Leftover { kind: LeftoverKind::Instance, id: "i-1".to_owned(), ..key.clone() }],
            left: vec![key.clone()],
        },
        Event::StepFinished { step: web.clone(), outcome: Outcome::Failed(failure), seconds: 63.0 },
        Event::StepBlocked { step: worker, by: web },
        Event::ImageSealed { node: node("api"), image: "ami-0b7c".to_owned(), tools: BTreeMap::new() },
        done(&api, "ami-0b7c", 92.4),
        Event::Emitted {
            path: "terraform/local/images.auto.tfvars".to_owned(),
            changed: BTreeMap::from([("api_ami_id".to_owned(), (Some("ami-old".to_owned()), "ami-0b7c".to_owned()))]),
        },
        Event::EmitSkipped { path: "terraform/web.auto.tfvars".to_owned(), missing: vec![node("web")], unverified: Vec::new() },
        Event::RunFinished { succeeded: 2, failed: 1, not_run: 1, reused: 1, seconds: 130.0, left: vec![key] },
    ]);
    events.into_iter().enumerate().map(|(seq, event)| stamped(seq as u64, event)).collect()
}

pub(super) fn image(id: &str, stage: &str, created: &str) -> Image {
    let key = Digest::of(id.as_bytes()).to_string();
    let tags = [(tags::STAGE, stage), (tags::KEY, key.as_str()), (tags::GIT, "0123456789abcdef0123")];
    Image {
        id: id.to_owned(),
        region: "ap-northeast-1".to_owned(),
        name: format!("shop-{stage}"),
        state: ImageState::Available,
        created: created.to_owned(),
        architecture: "x86_64".to_owned(),
        owner: "1".to_owned(),
        virtualization: "hvm".to_owned(),
        root_device: "ebs".to_owned(),
        snapshots: Vec::new(),
        tags: tags.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        source_image: None,
    }
}

fn planned(stage: &str, action: Action, reason: Reason, dry_run: DryRunAction) -> PlannedNode {
    PlannedNode {
        node: node(stage),
        parent: PlannedParent::Node { node: node("base") },
        stage_key: Some(StageKey(Digest::of(stage.as_bytes()))),
        dry_run_key: Some(DryRunKey(Digest::of(b"dry"))),
        verify_key: None,
        action,
        reason,
        dry_run,
        verification: crate::plan::verification::VerifyAction::None,
        wanted: true,
    }
}

/// One of each: reused, built for changed inputs, built without a dry run, blocked.
pub(super) fn plan() -> Plan {
    let changes = vec![
        Change::Modified { path: "ansible/roles/nginx/templates/site.conf.j2".to_owned() },
        Change::Variable { name: "consul_version".to_owned() },
    ];
    let since = "ami-0de5aaaaaaaaaaaa1".to_owned();
    let reused = Action::Reuse { image: image("ami-0a11aaaaaaaaaaaa1", "base", "2026-11-20T00:00:00Z") };
    let passed = DryRunAction::Passed { image: "ovenbird/shop/base:0".to_owned() };
    Plan {
        format: FORMAT,
        pipeline: "shop".to_owned(),
        region: "ap-northeast-1".to_owned(),
        wishes: Wishes { stages: Vec::new(), build: true, dry_run: true, again: false, emit: None },
        sources: vec![PlannedSource {
            name: "debian_12".to_owned(),
            architecture: "x86_64".to_owned(),
            id: Some("ami-0d3c51df4b4a7ba4f".to_owned()),
            image_name: Some("debian-12-amd64-20261116-2299".to_owned()),
            pinned: Some("2026-11-16".to_owned()),
        }],
        nodes: vec![
            planned("base", reused, Reason::Sealed, passed),
            planned("web", Action::Build, Reason::InputsChanged { since, changes }, DryRunAction::Run),
            planned(
                "legacy",
                Action::Build,
                Reason::FirstBuild,
                DryRunAction::NotPossible { why: "the template has no Docker source".to_owned() },
            ),
            planned("api", Action::Nothing, Reason::NotPinned { what: vec!["source debian_13".to_owned()] }, DryRunAction::Skip),
        ],
        emits: vec![
            PlannedEmit {
                path: "terraform/images.auto.tfvars".to_owned(),
                wanted: true,
                changes: vec!["web_ami_id".to_owned()],
                missing: Vec::new(),
                unverified: Vec::new(),
            },
            PlannedEmit {
                path: "terraform/api.auto.tfvars".to_owned(),
                wanted: true,
                changes: Vec::new(),
                missing: vec![node("api")],
                unverified: Vec::new(),
            },
        ],
        warnings: vec!["no `tools` block: versions of tools are not in the key".to_owned()],
    }
}
