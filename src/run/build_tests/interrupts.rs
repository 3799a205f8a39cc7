//! Builds that are interrupted while `packer` runs.
//!
//! Each test's name is the sentence that it proves.

use super::*;

/// `packer` that waits for its interrupt and then says what it was doing.
const WAITS: &str = "trap 'echo cleaned; exit 1' INT; touch up; while :; do sleep 0.02; done";

#[tokio::test]
async fn an_interrupt_lets_packer_clean_up_and_then_looks_at_the_account() {
    let setting = Setting::new(&[START], "", WAITS);
    let (up, stop) = (setting.path("up"), setting.stop.clone());
    let (done, ()) = tokio::join!(setting.run(), async {
        wait_for(&up).await;
        stop.send_replace(Stop::Polite);
    });
    assert_eq!(done.outcome, Outcome::Cancelled);
    assert_eq!(done.calls, ["claim web", "leftovers of  but nothing"]);
    let log = std::fs::read_to_string(done.setting.path("run/logs/build-web.log")).unwrap();
    assert!(log.ends_with("cleaned\n"), "{log}");
}

#[tokio::test]
async fn a_second_interrupt_waits_for_nothing_and_names_what_it_leaves() {
    let mut setting = Setting::new(&[START], "", "trap '' INT TERM; touch up; while :; do sleep 0.02; done");
    setting.account.leftovers = vec![stray()];
    let (up, stop) = (setting.path("up"), setting.stop.clone());
    let (done, ()) = tokio::join!(setting.run(), async {
        wait_for(&up).await;
        stop.send_replace(Stop::Now);
    });
    assert_eq!(done.outcome, Outcome::Cancelled);
    let want = Event::Reconciled { step: build("web"), removed: vec![], left: vec![stray()] };
    assert!(done.events.contains(&want), "{:?}", done.events);
}

async fn wait_for(path: &std::path::Path) {
    while !path.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
