//! The driver with scripted steps under paused time. Owns the scripts; each test's name is the sentence that it proves.

use std::cell::RefCell;
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::event::Stamped;
use crate::ports::Facts;
use crate::run::queue::tests::{build, dry, node, plan};

/// Every dry run lasts 10 s, every build 100 s, unless the table says otherwise; `fail` lists steps that fail.
#[derive(Default)]
struct Script {
    seconds: BTreeMap<StepId, u64>,
    fail: Vec<StepId>,
    readies: RefCell<BTreeMap<StepId, Ready>>,
    /// Seconds that a polite stop takes.
    clean_up: u64,
}

#[async_trait(?Send)]
impl Launch for Script {
    async fn launch(&self, step: StepId, ready: Ready, facts: Facts, mut halt: watch::Receiver<Stop>) -> Outcome {
        self.readies.borrow_mut().insert(step.clone(), ready);
        let usual = if step.kind == StepKind::DryRun { 10 } else { 100 };
        let work = tokio::time::sleep(Duration::from_secs(self.seconds.get(&step).copied().unwrap_or(usual)));
        tokio::select! {
            () = work => {}
            true = stopped(&mut halt, Stop::Polite) => {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(self.clean_up)) => {}
                    true = stopped(&mut halt, Stop::Now) => {}
                }
                facts.send(Event::OutputEnded { step }).unwrap();
                return Outcome::Cancelled;
            }
        }
        facts.send(Event::OutputEnded { step: step.clone() }).unwrap();
        if self.fail.contains(&step) {
            let failure = Failure {
                message: "task failed".to_owned(),
                tool: "ansible".to_owned(),
                task: None,
                last_lines: Vec::new(),
                log: None,
                help: None,
            };
            return Outcome::Failed(failure);
        }
        Outcome::Succeeded { artifact: format!("made by {step}"), tasks: 1, changed: 1, notes: Vec::new() }
    }
}

async fn stopped(halt: &mut watch::Receiver<Stop>, at_least: Stop) -> bool {
    halt.wait_for(|stop| *stop >= at_least).await.is_ok()
}

struct Run {
    results: Results,
    events: Vec<Stamped>,
}

impl Run {
    /// When a step ended, in whole seconds.
    fn ended_at(&self, wanted: &StepId) -> i64 {
        let ended = self.events.iter().find(|e| matches!(&e.event, Event::StepFinished { step, .. } if step == wanted));
        #[expect(clippy::cast_possible_truncation, reason = "virtual seconds of a test are small")]
        ended.map_or(-1, |e| e.at.round() as i64)
    }
}

async fn run(plan: &Plan, script: &Script, jobs: usize, keep_going: bool, signals_at: &[u64]) -> Run {
    let (send, mut signals) = mpsc::unbounded_channel();
    for at in signals_at.iter().copied() {
        let send = send.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(at)).await;
            send.send("SIGINT".to_owned())
        });
    }
    let mut events = Vec::new();
    let mut sink = |event: &Stamped| events.push(event.clone());
    let mut journal = Journal::new(&mut sink);
    let settings = Settings { jobs, keep_going, seconds: &|_| None, log: &|step| format!("logs/{step}.log") };
    let results = drive(plan, &settings, script, &mut signals, &mut journal).await;
    results.finished(&mut journal);
    Run { results, events }
}

#[tokio::test(start_paused = true)]
async fn a_run_takes_its_critical_path_and_no_longer() {
    let apps: Vec<String> = (1..=8).map(|n| format!("app{n}")).collect();
    let mut stages = vec![("base", "debian")];
    stages.extend(apps.iter().map(|app| (app.as_str(), "base")));
    let script = Script { seconds: [(build("app3"), 300)].into(), ..Script::default() };
    let run = run(&plan(&stages), &script, 16, false, &[]).await;
    assert_eq!(run.results.succeeded, 18);
    assert_eq!(run.ended_at(&dry("app8")), 20, "dry runs of apps overlap the base's AMI");
    assert_eq!(run.ended_at(&build("app3")), 10 + 100 + 300);
    assert_eq!(run.results.images[&node("app3")], "made by build app3");
}

#[tokio::test(start_paused = true)]
async fn a_child_gets_what_its_parent_made() {
    let script = Script::default();
    run(&plan(&[("base", "debian"), ("web", "base")]), &script, 4, false, &[]).await;
    let readies = script.readies.borrow();
    assert_eq!(readies[&dry("web")].parent_docker.as_deref(), Some("made by dry-run base"));
    assert_eq!(readies[&build("web")].parent_image.as_deref(), Some("made by build base"));
    assert_eq!(readies[&build("base")].parent_image, None);
}

#[tokio::test(start_paused = true)]
async fn with_keep_going_the_other_branch_finishes_and_the_blocked_steps_are_named() {
    let script = Script { fail: vec![dry("web")], ..Script::default() };
    let run = run(&plan(&[("base", "debian"), ("web", "base"), ("api", "base")]), &script, 4, true, &[]).await;
    assert!(run.results.images.contains_key(&node("api")));
    assert_eq!(run.results.failures.len(), 1);
    assert_eq!(run.results.not_run, [(build("web"), Some(dry("web")))]);
    assert!(run.events.iter().any(|e| e.event == Event::StepBlocked { step: build("web"), by: dry("web") }));
}

#[tokio::test(start_paused = true)]
async fn without_keep_going_what_runs_is_finished_and_nothing_else_starts() {
    let script = Script { fail: vec![dry("web")], ..Script::default() };
    let run = run(&plan(&[("base", "debian"), ("web", "base"), ("api", "base")]), &script, 4, false, &[]).await;
    assert!(run.results.images.contains_key(&node("base")), "the base's AMI was being made");
    assert!(!run.results.images.contains_key(&node("api")));
    assert_eq!(run.ended_at(&build("base")), 110);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_lets_steps_clean_up_and_starts_nothing() {
    let script = Script { clean_up: 30, ..Script::default() };
    let run = run(&plan(&[("base", "debian"), ("web", "base")]), &script, 4, false, &[5]).await;
    assert_eq!(run.ended_at(&dry("base")), 35);
    assert_eq!(run.results.interrupted.as_deref(), Some("SIGINT"));
    assert_eq!(run.results.not_run.len(), 4);
    assert!(matches!(run.events.last().unwrap().event, Event::RunFinished { not_run: 4, succeeded: 0, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_second_interrupt_is_quick() {
    let script = Script { clean_up: 300, ..Script::default() };
    let run = run(&plan(&[("base", "debian")]), &script, 4, false, &[5, 7]).await;
    assert_eq!(run.ended_at(&dry("base")), 7);
    assert!(run.events.iter().any(|e| matches!(e.event, Event::Interrupted { again: true, .. })));
}

#[tokio::test(start_paused = true)]
async fn events_are_numbered_without_gaps_and_a_steps_facts_stand_before_its_end() {
    let run = run(&plan(&[("base", "debian")]), &Script::default(), 4, false, &[]).await;
    assert!(run.events.iter().enumerate().all(|(at, e)| e.seq == at as u64));
    let place = |wanted: &dyn Fn(&Event) -> bool| run.events.iter().position(|e| wanted(&e.event)).unwrap();
    assert!(place(&|e| matches!(e, Event::OutputEnded { .. })) < place(&|e| matches!(e, Event::StepFinished { .. })));
}

#[tokio::test(start_paused = true)]
async fn fifty_steps_at_once_end_together() {
    let names: Vec<String> = (0..50).map(|n| format!("s{n}")).collect();
    let stages: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "debian")).collect();
    let run = run(&plan(&stages), &Script::default(), 50, false, &[]).await;
    assert_eq!(run.results.succeeded, 100);
    assert_eq!(run.ended_at(&build("s49")), 110);
}
