//! How a gate is shown: its lines in a log, its place on a terminal, its annotation on GitHub.

use crate::event::{Event, Stamped};
use crate::model::gate::{Condition, FailedGate, Verdict, Why};
use crate::report::board::Board;
use crate::report::feed::Screen as _;
use crate::report::github::Github;
use crate::report::plain::Plain;
use crate::report::testing::{Sink, stamped};

fn condition(name: &str, holds: bool, detail: &str) -> Condition {
    Condition { name: name.to_owned(), holds, detail: detail.to_owned() }
}

fn looked(soaked: Option<f64>, conditions: [Condition; 3], changed: &[&str]) -> Event {
    let changed = changed.iter().map(|name| (*name).to_owned()).collect();
    Event::GateLooked { gate: "start".to_owned(), conditions: conditions.into(), changed, soaked }
}

/// Starts, waits, holds, and is taken back by the user's command.
fn gate() -> Vec<Stamped> {
    let group = || condition("group web-green", true, "2 of 2 in service");
    let health = |n: u32| condition("health on elb-test", n == 2, &format!("{n} of 2 healthy"));
    let probe = condition("http health", false, "status 503, wanted 200 from http://test/health; 0 of 3 good in a row");
    let good = condition("http health", true, "status 200 from http://test/health; 3 of 3 good in a row");
    let failed = FailedGate {
        why: Why::CommandFailed,
        message: "`smoke.sh` ended with exit status 3".to_owned(),
        missing: vec![condition("soak", false, "10:00")],
        last_lines: vec!["cart is empty".to_owned(), "::error::injected".to_owned()],
    };
    let events = [
        Event::GateStarted { gate: "start".to_owned(), timeout: 900.0, soak: 600.0 },
        looked(None, [group(), health(1), probe.clone()], &["group web-green", "health on elb-test", "http health"]),
        looked(None, [group(), health(2), probe], &["health on elb-test"]),
        looked(Some(0.0), [group(), health(2), good], &["http health"]),
        Event::GateFinished { gate: "start".to_owned(), verdict: Verdict::Failed(failed), seconds: 133.4 },
    ];
    (0..).zip(events).map(|(seq, event)| stamped(seq, event)).collect()
}

#[test]
fn a_log_tells_what_changed_and_only_that() {
    let sink = Sink::default();
    Plain::new(sink.clone(), false, 100).show(&gate()).unwrap();
    insta::assert_snapshot!(sink.text(), @"
    gate start | waits at most 15:00, then a soak of 10:00
    gate start | ok     group web-green: 2 of 2 in service
    gate start | waits  health on elb-test: 1 of 2 healthy
    gate start | waits  http health: status 503, wanted 200 from http://test/health; 0 of 3 good in a row
    gate start | ok     health on elb-test: 2 of 2 healthy
    gate start | ok     http health: status 200 from http://test/health; 3 of 3 good in a row
         FAILED gate start  command failed: `smoke.sh` ended with exit status 3  2:13
        missing soak: 10:00
                | cart is empty
                | ::error::injected
    ");
}

#[test]
fn the_terminal_shows_what_is_missing_first_and_the_clock_of_the_soak() {
    let events = gate();
    let mut board = Board::default();
    let mut screens = Vec::new();
    for event in &events {
        let above: Vec<String> = board.apply(event, 100).iter().map(|line| line.render(false)).collect();
        let below: Vec<String> = board.running(event.at + 41.0, 100, 24).iter().map(|line| line.render(false)).collect();
        screens.push(format!("{}\n--\n{}", above.join("\n"), below.join("\n")));
    }
    insta::assert_snapshot!(screens.join("\n====\n"), @"

    --
      gate start  waits                                                                    0:41 / 15:00
    ====

    --
      gate start  waits                                                                    0:42 / 15:00
        waits  health on elb-test  1 of 2 healthy
        waits  http health         status 503, wanted 200 from http://test/health; 0 of 3 good in a row
        ok     group web-green     2 of 2 in service
    ====

    --
      gate start  waits                                                                    0:43 / 15:00
        waits  http health         status 503, wanted 200 from http://test/health; 0 of 3 good in a row
        ok     group web-green     2 of 2 in service
        ok     health on elb-test  2 of 2 healthy
    ====

    --
      gate start  soak                                                                     0:41 / 10:00
        ok     group web-green     2 of 2 in service
        ok     health on elb-test  2 of 2 healthy
        ok     http health         status 200 from http://test/health; 3 of 3 good in a row
    ====
         FAILED gate start  command failed: `smoke.sh` ended with exit status 3  2:13
        missing soak: 10:00
                | cart is empty
                | ::error::injected
    --

    ");
    let mut small = Board::default();
    events[..2].iter().for_each(|event| drop(small.apply(event, 60)));
    let lines = small.running(5.0, 60, 5);
    assert!(lines.len() <= 3 && lines.iter().all(|line| line.width() < 60), "{lines:?}");
    assert!(lines[1].render(false).contains("health on elb-test"), "{lines:?}");
}

#[test]
fn github_gets_an_annotation_and_no_tool_speaks_to_it() {
    let sink = Sink::default();
    Github::new(sink.clone(), false, 100).show(&gate()).unwrap();
    let text = sink.text();
    assert!(text.contains("::error title=gate start failed::`smoke.sh` ended with exit status 3\n"), "{text}");
    assert!(!text.contains("\n::error::injected"), "{text}");
}

#[test]
fn a_gates_events_read_back_as_they_were() {
    for event in gate() {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Stamped>(&text).unwrap(), event, "{text}");
    }
}
