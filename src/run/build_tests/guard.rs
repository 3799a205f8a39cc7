//! Builds whose run opened what is no input, or was not watched.
//!
//! The record is written by the scripted `packer`; the real one by the real Ansible is in `tests/cloud/guard.rs`.

use super::*;
use crate::plan::inputs::{Entry, StageInputs};

const BEGUN: &str = r#"{"event":"task","at":10,"task":"install","path":"ROOT/web.yml:3","action":"apt"}"#;

/// A run that opened these files of the root, which are there before it begins; `web.yml` is the one input.
fn opening(files: &[&str]) -> Setting {
    let record: Vec<_> = files.iter().map(|file| format!("echo \"20 read $PWD/{file}\" >>\"$OVENBIRD_OPENED\"")).collect();
    let mut setting = Setting::new(&[START, BEGUN, TASK, STATS], ARTIFACT, &record.join("; "));
    let tree = BTreeMap::from([(String::new(), Entry::File { digest: Digest::of(b"x"), executable: false, mode: None })]);
    let inputs = StageInputs { trees: BTreeMap::from([("web.yml".to_owned(), std::sync::Arc::new(tree))]), ..StageInputs::default() };
    setting.inputs.insert(testing::name("web"), inputs);
    for file in files {
        let path = setting.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, "x");
    }
    setting
}

#[tokio::test]
async fn an_image_whose_run_read_a_file_that_is_no_input_is_removed_and_the_message_says_what_to_do() {
    let done = opening(&["web.yml", "secret/hosts.txt"]).run().await;
    let failure = done.failure();
    insta::assert_snapshot!(failure.message, @"`secret/hosts.txt` was read and is no input of `web`: no seal; ami-0bbbbbbbbbbbbbbbb was removed");
    assert_eq!(failure.task.as_deref(), Some("install (web.yml:3)"));
    assert!(failure.help.as_deref().unwrap().starts_with(r#"write `inputs = ["secret/hosts.txt"]` in stage `web`"#), "{failure:?}");
    assert!(done.calls.contains(&format!("remove image {MADE}")) && !done.sealed());
}

#[tokio::test]
async fn what_the_stage_ignores_is_said_and_the_image_is_sealed() {
    let mut setting = opening(&["web.yml", "docs/a.txt"]);
    setting.pipeline.stages[0].ignore.push("docs/**".to_owned());
    let done = setting.run().await;
    let notes = match &done.outcome {
        Outcome::Succeeded { notes, .. } => notes,
        other => panic!("{other:?}"),
    };
    assert_eq!(notes, &["`docs/a.txt` was read, and `ignore` (`docs/**`) keeps it out of the key"]);
    assert!(done.sealed());
}

#[tokio::test]
async fn a_run_that_nobody_watched_is_not_one_that_opened_nothing() {
    let unwatched = START.replace(",\"guard\":true", "");
    let done = Setting::new(&[&unwatched, TASK, STATS], ARTIFACT, "").run().await;
    insta::assert_snapshot!(done.failure().message, @"nobody saw which files ansible-playbook opened: no seal; ami-0bbbbbbbbbbbbbbbb was removed");
    assert!(!done.sealed());
    for (break_it, said) in [(": >\"$OVENBIRD_OPENED\"", "is empty: no seal"), ("echo x >>\"$OVENBIRD_OPENED\"", "is damaged: no seal")] {
        let done = Setting::new(&[START, TASK, STATS], ARTIFACT, break_it).run().await;
        assert!(done.failure().message.contains(said) && !done.sealed(), "{:?}", done.outcome);
    }
}
