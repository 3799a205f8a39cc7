//! What a run writes down and the next one reads: events as they are serialised, durations as `disk` reads them.
//!
//! Stands here because `disk` may not know events. Invariant: the lines are made by `event::Stamped` itself.

use std::collections::BTreeMap;

use ovenbird::disk::run_folder::{RunFolder, last_seconds};
use ovenbird::event::{Event, Outcome, Stamped, StepId, StepKind};
use ovenbird::model::name::Name;
use ovenbird::model::node::{Architecture, NodeId, RunId};

#[test]
fn durations_are_read_from_the_events_that_a_run_wrote() {
    let root = tempfile::tempdir().expect("a folder");
    let node = NodeId { stage: Name::new("web").expect("a name"), architecture: Architecture::Arm64 };
    let folder = RunFolder::create(root.path(), &RunId::new("20261122t041500", 7)).expect("a run folder");
    let mut record = folder.record().expect("a record");
    for (seq, kind, seconds) in [(0, StepKind::DryRun, 12.5), (1, StepKind::Build, 90.0)] {
        let outcome = Outcome::Succeeded { artifact: "ami-1".to_owned(), tasks: 3, changed: 1, notes: vec!["line\nbreak".to_owned()] };
        let event = Event::StepFinished { step: StepId { node: node.clone(), kind }, outcome, seconds };
        record.append(&serde_json::to_string(&Stamped { seq, at: 1.0, event }).expect("JSON")).expect("written");
    }
    let step = |kind: StepKind| (kind.as_str().to_owned(), node.clone());
    assert_eq!(last_seconds(root.path()), BTreeMap::from([(step(StepKind::DryRun), 12.5), (step(StepKind::Build), 90.0)]));
    assert_eq!(folder.log(&StepId { node, kind: StepKind::Build }.to_string()), folder.path().join("logs/build-web-arm64.log"));
}
