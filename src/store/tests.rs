//! Tests of the state in a folder. The bucket is tested against the local cloud.

#![expect(clippy::disallowed_methods, reason = "damages files on purpose")]

use std::collections::BTreeMap;

use super::*;
use crate::model::name::Name;
use crate::model::node::{Architecture, NodeId};

fn verdict() -> Verdict {
    Verdict {
        key: DryRunKey(Digest::of(b"dry")),
        node: NodeId { stage: Name::new("web").expect("a name"), architecture: Architecture::X86_64 },
        verify_key: None,
        run: RunId::new("20261122t041500", 1),
        passed: true,
        image: "ovenbird/shop/web:0123456789ab".to_owned(),
        image_id: "sha256:00".to_owned(),
        tasks: 3,
        not_idempotent: Vec::new(),
        not_exercised: vec!["tag `kernel` was skipped".to_owned()],
        seconds: BTreeMap::from([("converge".to_owned(), 1.5)]),
    }
}

#[tokio::test]
async fn what_was_put_is_found_and_nothing_else_is() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let folder = dir.path().join("not/there/yet");
    let state = State::folder(&folder);
    let verdict = verdict();
    assert_eq!(state.verdict(&verdict.key).await.expect("a missing state is empty"), None);
    assert!(!folder.exists(), "looking leaves nothing behind");

    state.put_verdict(&verdict).await.expect("it can be written");
    assert_eq!(state.verdict(&verdict.key).await.expect("it can be read"), Some(verdict.clone()));
    assert_eq!(state.verdict(&DryRunKey(Digest::of(b"other"))).await.expect("it can be read"), None);

    let newer = Verdict { passed: false, ..verdict };
    state.put_verdict(&newer).await.expect("it can be replaced");
    assert_eq!(state.verdict(&newer.key).await.expect("it can be read"), Some(newer));
}

#[tokio::test]
async fn manifests_keep_their_bytes() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let state = State::folder(dir.path());
    let bytes = br#"{"format":1,  "odd":true}"#.to_vec();
    let key = StageKey(Digest::of(&bytes));
    state.put_manifest(&key, bytes.clone()).await.expect("it can be written");
    assert_eq!(state.manifest_bytes(&key).await.expect("it can be read"), Some(bytes));
    let value: serde_json::Value = state.manifest(&key).await.expect("it can be read").expect("it is there");
    assert_eq!(value["format"], 1);
    let names: Vec<_> =
        std::fs::read_dir(dir.path().join("manifests")).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(names, [format!("{}.json", key.0.hex()).as_str()], "no half-written file stays");
}

#[tokio::test]
async fn a_damaged_entry_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let state = State::folder(dir.path());
    let key = DryRunKey(Digest::of(b"dry"));
    let file = dir.path().join(format!("verdicts/{}.json", key.0.hex()));
    std::fs::create_dir_all(file.parent().expect("it has one")).expect("a folder");
    std::fs::write(&file, b"{\"key\": 3").expect("a file");
    let error = state.verdict(&key).await.expect_err("it is damaged");
    assert_eq!(error.to_string(), format!("`verdicts/{}.json` in the state `{}` is damaged", key.0.hex(), dir.path().display()));
    assert!(error.help().contains("remove"));

    let other = Verdict { key: DryRunKey(Digest::of(b"other")), ..verdict() };
    std::fs::write(&file, serde_json::to_vec(&other).expect("JSON")).expect("a file");
    assert!(matches!(state.verdict(&key).await, Err(StateError::Damaged { .. })), "a verdict about another key is not ours");
}

#[tokio::test]
async fn a_manifest_of_another_format_is_told_as_such_and_is_no_damage() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let state = State::folder(dir.path());
    let key = StageKey(Digest::of(b"of another time"));
    state.put_manifest(&key, br#"{"format": 99, "of": "another time"}"#.to_vec()).await.expect("it can be written");
    let error = state.input_manifest(&key).await.expect_err("it cannot be read");
    assert!(matches!(error, StateError::Format { format: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("unknown format 99") && !error.help().contains("remove"), "{error} {}", error.help());
    state.put_manifest(&key, b"{\"form".to_vec()).await.expect("it can be written");
    assert!(matches!(state.input_manifest(&key).await, Err(StateError::Damaged { .. })));
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_not_empty() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let file = dir.path().join("state");
    std::fs::write(&file, b"a file, no folder").expect("a file");
    let state = State::folder(&file);
    assert!(matches!(state.verdict(&DryRunKey(Digest::of(b"dry"))).await, Err(StateError::Reach { .. })));
    assert!(matches!(state.put_verdict(&verdict()).await, Err(StateError::Reach { .. })));
}

#[test]
fn the_state_in_a_bucket_is_shown_as_its_url() {
    let settings = S3Settings {
        region: "ap-northeast-1".to_owned(),
        endpoint: None,
        credentials: Arc::new(|| Box::pin(async { Err("none".to_owned()) })),
    };
    let state = State::s3("acme", "/images/ovenbird/", settings).expect("it opens without asking anybody");
    assert_eq!(state.place(), "s3://acme/images/ovenbird");
}
