//! Verifications with a scripted account: what gets which mark, and what gets none.
//!
//! The real Packer against the local EC2 is in `tests/cloud/verification.rs`.

use super::*;
use crate::event::StepKind;
use crate::plan::verification::{Unverified, VerifyAction};

const INSTANCE: &str = "    amazon-ebs.image: Instance ID: i-0123456789abcdef0";

/// The image of `web` is there, and `packer` checks it.
fn checking(report: &[&str], log: &str, more: &str) -> Setting {
    let mut setting = Setting::new(report, log, more);
    setting.pipeline.stages[0].verify = Some(PathBuf::from("verify.yml"));
    setting.plan.nodes[0].verification = VerifyAction::Run { key: Digest::of(b"checks"), because: Unverified::Never };
    setting
}

async fn verify(setting: Setting) -> Done {
    let step = StepId { kind: StepKind::Verify, ..build("web") };
    setting.launch(step, Ready { image: Some(MADE.to_owned()), ..Ready::default() }).await
}

fn marks(done: &Done) -> Vec<&str> {
    done.calls.iter().map(String::as_str).filter(|call| call.starts_with("mark")).collect()
}

#[tokio::test]
async fn checks_that_passed_mark_the_image_and_the_account_is_looked_at_first() {
    let done = verify(checking(&[START, TASK, STATS], INSTANCE, "")).await;
    assert_eq!(done.outcome, Outcome::Succeeded { artifact: MADE.to_owned(), tasks: 1, changed: 1, notes: vec![] });
    let want = format!("image {MADE}|leftovers of i-0123456789abcdef0 but {MADE}|mark {MADE} {}", Digest::of(b"checks"));
    assert_eq!(done.calls.join("|"), want, "the image that this run made and sealed is none of its leftovers");
    let kept = done.setting.books.verified.borrow();
    assert_eq!(kept.iter().map(|v| (v.passed, v.image.as_str(), v.tasks)).collect::<Vec<_>>(), [(true, MADE, 1)]);
    let log = std::fs::read_to_string(done.setting.path("run/logs/verify-web.log")).unwrap();
    let line = log.lines().next().unwrap().replace(&done.setting.folder.path().display().to_string(), "ROOT");
    insta::assert_snapshot!(line, @"$ packer build -color=false -var-file=ROOT/run/tmp/verify-web/packer.pkrvars.json ROOT/run/tmp/verify-web/verification");
    let seen: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(done.setting.path("seen.json")).unwrap()).unwrap();
    assert_eq!((seen["source_ami"].as_str(), seen["playbook_file"].as_str()), (Some(MADE), Some("verify.yml")));
    assert_eq!(seen["run_tags"]["ovenbird:stage"], "web", "what a kill leaves is found by it");
}

#[tokio::test]
async fn a_failed_check_is_marked_remembered_and_said_with_its_task() {
    let mut setting = checking(&[START, FAILED, STATS], INSTANCE, "exit 1");
    setting.account.leftovers = vec![stray()];
    let done = verify(setting).await;
    let step = StepId { kind: StepKind::Verify, ..build("web") };
    assert!(done.events.contains(&Event::Reconciled { step, removed: vec![stray()], left: vec![] }), "{:?}", done.events);
    insta::assert_snapshot!(done.failure().message, @"ami-0bbbbbbbbbbbbbbbb did not pass its verification and stays out of every emit and swap: a task failed: no such package");
    assert_eq!(done.failure().task.as_deref(), Some("install (web.yml:3)"));
    assert_eq!(marks(&done), [format!("mark {MADE} failed 20261122t000000-000007 {}", Digest::of(b"checks"))]);
    let kept = done.setting.books.verified.borrow();
    assert_eq!((kept[0].passed, kept[0].task.as_deref()), (false, Some("install (web.yml:3)")));
}

#[tokio::test]
async fn an_image_that_does_not_come_up_failed_and_an_account_without_room_says_nothing_about_it() {
    let why = "Build 'amazon-ebs.image' errored after 10 minutes: Timeout waiting for SSH.";
    let done = verify(checking(&[], &format!("{INSTANCE}\n{why}"), "exit 1")).await;
    assert!(done.failure().message.ends_with("packer ended with exit status 1: Timeout waiting for SSH."), "{}", done.failure().message);
    assert!(marks(&done)[0].contains(" failed "), "{:?}", done.calls);
    let why = "Build 'amazon-ebs.image' errored after 3 seconds: InsufficientInstanceCapacity";
    let done = verify(checking(&[], why, "exit 1")).await;
    assert!(done.failure().message.ends_with(": InsufficientInstanceCapacity"), "{}", done.failure().message);
    assert_eq!((marks(&done), done.setting.books.verified.borrow().len()), (vec![], 0));
}

#[tokio::test]
async fn checks_without_a_task_that_changed_or_that_nobody_watched_are_no_pass() {
    let done = verify(checking(&[START, STATS], INSTANCE, "")).await;
    assert!(done.failure().message.ends_with("no task was executed") && marks(&done)[0].contains(" failed "), "{:?}", done.calls);
    let edited = checking(&[START, TASK, STATS], INSTANCE, "");
    edited.books.checks.set(Digest::of(b"edited"));
    let done = verify(edited).await;
    insta::assert_snapshot!(done.failure().message, @"the checks changed while they ran on ami-0bbbbbbbbbbbbbbbb: the image does not count as verified");
    assert_eq!(marks(&done), [""; 0]);
    let blind = START.replace("true", "false");
    let done = verify(checking(&[&blind, TASK, STATS], INSTANCE, "")).await;
    insta::assert_snapshot!(done.failure().message, @"nobody saw which files ansible-playbook opened: the image does not count as verified");
    assert_eq!(marks(&done), [""; 0]);
}

#[tokio::test]
async fn what_another_run_verified_meanwhile_is_not_booted_again_and_what_is_gone_is_said() {
    let setting = checking(&[], "", "touch started");
    let marked = [("ovenbird:verified".to_owned(), Digest::of(b"checks").to_string())];
    setting.account.image.replace(Some(Image { tags: BTreeMap::from(marked), ..image() }));
    let done = verify(setting).await;
    assert!(matches!(&done.outcome, Outcome::Succeeded { notes, .. } if notes[0].contains("another run")), "{:?}", done.outcome);
    assert!(!done.setting.path("started").exists());
    let setting = checking(&[], "", "touch started");
    setting.account.image.replace(None);
    let done = verify(setting).await;
    assert_eq!(done.failure().message, format!("{MADE} is not there any more, or not available"));
}

#[tokio::test]
async fn an_interrupt_ends_the_instance_and_marks_nothing() {
    let setting = checking(&[START], INSTANCE, "trap 'echo cleaned; exit 1' INT; touch up; while :; do sleep 0.02; done");
    let (up, stop) = (setting.path("up"), setting.stop.clone());
    let (done, ()) = tokio::join!(verify(setting), async {
        while !up.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        stop.send_replace(Stop::Polite);
    });
    assert_eq!(done.outcome, Outcome::Cancelled);
    assert_eq!(done.calls.join("|"), format!("image {MADE}|leftovers of i-0123456789abcdef0 but {MADE}"));
}
