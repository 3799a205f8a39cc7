//! The gate's loop over a scripted world, under paused time.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::gate::{Counter, ErrorRate, GateChecks, GateStep};
use crate::event::Event;
use crate::model::gate::{Verdict, Why};
use crate::model::traffic::{Deployed, Health, LoadBalancer, Requests, Target};
use crate::ports::Stop;
use crate::run::gate::testing::*;
use crate::run::gate::{Halt, Want};

fn mins(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

/// `green` with instances that are healthy on test.
fn green(ids: &'static [&'static str]) -> impl Fn(&mut State) {
    move |state| {
        state.groups.insert("green".to_owned(), group("green", &[TEST], ids));
        state.targets.insert(TEST.to_owned(), targets(ids, Health::Healthy));
    }
}

fn start_gate(checks: GateChecks) -> crate::run::gate::Gate {
    gate(GateStep::Start, vec![healthy_on_test()], checks)
}

#[tokio::test(start_paused = true)]
async fn it_passes_when_every_instance_in_service_is_healthy_by_its_id() {
    let world = World::new()
        .at(0, |state| {
            let mut pending = group("green", &[TEST], &["i-1", "i-2"]);
            pending.instances[1].lifecycle = "Pending".to_owned();
            state.groups.insert("green".to_owned(), pending);
            // Somebody else's machine is healthy there; it is not one of the group.
            state.targets.insert(TEST.to_owned(), targets(&["i-1", "i-9"], Health::Healthy));
        })
        .at(60, |state| {
            green(&["i-1", "i-2"])(state);
            state.targets.insert(TEST.to_owned(), [targets(&["i-1"], Health::Healthy), targets(&["i-2"], Health::Initial)].concat());
        })
        .at(120, green(&["i-1", "i-2"]));
    let begun = Instant::now();
    let (verdict, events) = Bench::new().run(&start_gate(GateChecks::default()), &world).await;
    assert_eq!(verdict.unwrap(), Verdict::Passed);
    assert!(begun.elapsed() >= Duration::from_mins(2), "{:?}", begun.elapsed());
    let details: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::GateLooked { conditions, .. } => {
                Some(conditions.iter().map(|c| format!("{}: {}", c.name, c.detail)).collect::<Vec<_>>().join(" / "))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        details,
        [
            "group green: 1 of 2 in service; i-2 Pending / health on elb-test: 1 of 1 healthy",
            "group green: 2 of 2 in service / health on elb-test: 1 of 2 healthy; i-2 initial (Health checks failed with these codes: [503])",
            "group green: 2 of 2 in service / health on elb-test: 2 of 2 healthy",
        ]
    );
    assert!(matches!(events.first(), Some(Event::GateStarted { .. })) && matches!(events.last(), Some(Event::GateFinished { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_instance_of_another_image_holds_it_up() {
    let world = World::new().at(0, |state| {
        green(&["i-1", "i-2"])(state);
        state.groups.get_mut("green").unwrap().instances[1].image = Some("ami-old".to_owned());
    });
    let failed = failure(Bench::new().run(&start_gate(GateChecks::default()), &world).await.0);
    assert_eq!(failed.why, Why::NoCapacity);
    assert_eq!(failed.message, "not within 15:00: group green: 2 of 2 in service; i-2 runs ami-old, wanted ami-new");
}

#[tokio::test(start_paused = true)]
async fn time_is_up_with_what_was_still_missing() {
    let world = World::new().at(0, |state| {
        green(&["i-1", "i-2"])(state);
        state.targets.insert(TEST.to_owned(), targets(&["i-1", "i-2"], Health::Unhealthy));
    });
    let begun = Instant::now();
    let failed = failure(Bench::new().run(&start_gate(GateChecks { timeout: mins(5), ..GateChecks::default() }), &world).await.0);
    assert!(begun.elapsed() < mins(6), "{:?}", begun.elapsed());
    assert_eq!((failed.why, failed.missing.len()), (Why::NotHealthy, 1));
    assert_eq!(failed.missing[0].name, "health on elb-test");
    assert!(failed.message.starts_with("not within 5:00: health on elb-test: 0 of 2 healthy; i-1 unhealthy (Health"), "{}", failed.message);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_named_and_never_taken_for_nothing() {
    let cases = [
        (healthy_on_test(), "group green: there is no such group", false),
        (healthy_on_test(), "health on elb-test: there is no such load balancer", true),
        (
            Want::Drained { group: "green".to_owned(), from: LoadBalancer::Classic(LIVE.to_owned()) },
            "drain of green from elb-prd: there is no such load balancer",
            true,
        ),
    ];
    for (want, wanted, with_group) in cases {
        let world = World::new().at(0, move |state| {
            if with_group {
                state.groups.insert("green".to_owned(), group("green", &[TEST], &["i-1", "i-2"]));
            }
        });
        let failed = failure(Bench::new().run(&gate(GateStep::Leave, vec![want], GateChecks::default()), &world).await.0);
        assert!(failed.message.ends_with(wanted), "{}", failed.message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_launch_is_a_verdict_at_once_and_an_old_one_is_not() {
    let launch = "Launching a new EC2 instance.  Status Reason: x";
    let old = activity(-60, "Failed", launch, "long ago");
    let world = World::new()
        .at(0, move |state| {
            green(&[])(state);
            state.activities.push(old.clone());
        })
        .at(30, move |state| {
            state.activities.push(activity(
                30,
                "Failed",
                launch,
                "The image id '[ami-new]' does not exist. Launching EC2 instance failed.",
            ));
        });
    let begun = Instant::now();
    let failed = failure(Bench::new().run(&start_gate(GateChecks::default()), &world).await.0);
    assert!((Duration::from_secs(30)..mins(1)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(failed.why, Why::LaunchFailed);
    assert!(
        failed.message.contains("`green`: Launching a new EC2 instance.") && failed.message.contains("'[ami-new]' does not exist"),
        "{}",
        failed.message
    );
}

#[tokio::test(start_paused = true)]
async fn instances_that_come_and_go_are_a_verdict() {
    let world = World::new().at(0, green(&["i-1", "i-2"])).at(20, green(&["i-2", "i-3"])).at(40, |state| {
        green(&["i-3", "i-4"])(state);
        state.activities.push(activity(35, "Successful", "Terminating EC2 instance: i-2", ""));
    });
    // A soak, or it would have passed at once.
    let failed = failure(Bench::new().run(&start_gate(GateChecks { soak: mins(10), ..GateChecks::default() }), &world).await.0);
    assert_eq!(failed.why, Why::Unstable);
    assert_eq!(
        failed.message,
        "instances of `green` come and go: i-1, i-2 ended; an instance was taken out of service in response to an ELB system health check failure"
    );
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_turns_healthy_and_unhealthy_is_a_verdict() {
    let flap = |health| {
        move |state: &mut State| {
            state.targets.insert(TEST.to_owned(), [targets(&["i-1"], Health::Healthy), targets(&["i-2"], health)].concat());
        }
    };
    let mut world = World::new().at(0, green(&["i-1", "i-2"]));
    for round in 1..10 {
        world = world.at(round * 40, flap(Health::Unhealthy)).at(round * 40 + 20, flap(Health::Healthy));
    }
    let begun = Instant::now();
    let failed = failure(Bench::new().run(&start_gate(GateChecks { soak: mins(10), ..GateChecks::default() }), &world).await.0);
    assert_eq!((failed.why, &*failed.message), (Why::Unstable, "i-2 of `green` turned unhealthy 2 times"));
    assert!(begun.elapsed() < mins(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_scales_in_on_purpose_is_steady() {
    let world = World::new().at(0, green(&["i-1", "i-2", "i-3", "i-4"])).at(30, green(&["i-1", "i-2"]));
    let (verdict, _) = Bench::new().run(&start_gate(GateChecks { soak: mins(2), ..GateChecks::default() }), &world).await;
    assert_eq!(verdict.unwrap(), Verdict::Passed);
}

#[tokio::test(start_paused = true)]
async fn what_stops_holding_starts_the_soak_again() {
    let world = World::new()
        .at(0, green(&["i-1", "i-2"]))
        .at(300, |state| drop(state.targets.insert(TEST.to_owned(), targets(&["i-1", "i-2"], Health::Unhealthy))))
        .at(310, green(&["i-1", "i-2"]));
    let begun = Instant::now();
    let (verdict, _) = Bench::new().run(&start_gate(GateChecks { soak: mins(10), ..GateChecks::default() }), &world).await;
    assert_eq!(verdict.unwrap(), Verdict::Passed);
    assert!(begun.elapsed() >= mins(15), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_old_colour_has_left_only_when_it_is_not_registered_any_more() {
    let from = LoadBalancer::Classic(LIVE.to_owned());
    let left = |health| {
        move |state: &mut State| {
            state.groups.insert("blue".to_owned(), group("blue", &[], &["i-1"]));
            state.targets.insert(LIVE.to_owned(), [targets(&["i-1"], health), targets(&["i-5"], Health::Healthy)].concat());
        }
    };
    let world = World::new()
        .at(0, |state| {
            state.groups.insert("blue".to_owned(), group("blue", &[LIVE], &["i-1"]));
            state.targets.insert(LIVE.to_owned(), targets(&["i-5"], Health::Healthy));
        })
        .at(60, left(Health::Draining))
        // Not counted by its health: an unhealthy one may come back.
        .at(120, left(Health::Unhealthy))
        .at(180, |state| drop(state.targets.insert(LIVE.to_owned(), targets(&["i-5"], Health::Healthy))));
    let begun = Instant::now();
    let wants = vec![Want::Drained { group: "blue".to_owned(), from }];
    let (verdict, _) = Bench::new().run(&gate(GateStep::Leave, wants, GateChecks::default()), &world).await;
    assert_eq!(verdict.unwrap(), Verdict::Passed);
    assert!(begun.elapsed() >= mins(3), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_colour_has_ended_only_when_nothing_of_it_runs_outside_of_its_group_either() {
    let world = World::new()
        .at(0, |state| drop(state.groups.insert("blue".to_owned(), group("blue", &[], &["i-1"]))))
        .at(60, |state| {
            let mut empty = group("blue", &[], &[]);
            empty.outside = vec!["i-1".to_owned()];
            state.groups.insert("blue".to_owned(), empty);
        })
        .at(120, |state| drop(state.groups.insert("blue".to_owned(), group("blue", &[], &[]))));
    let begun = Instant::now();
    let wants = vec![Want::Gone { group: "blue".to_owned() }];
    let (verdict, events) = Bench::new().run(&gate(GateStep::Finish, wants, GateChecks::default()), &world).await;
    assert_eq!(verdict.unwrap(), Verdict::Passed);
    assert!(begun.elapsed() >= mins(2), "{:?}", begun.elapsed());
    assert!(events.iter().any(|e| matches!(e, Event::GateLooked { conditions, .. } if conditions[0].detail == "i-1 left")));
}

#[tokio::test(start_paused = true)]
async fn code_deploy_must_have_brought_its_revision_to_each_instance() {
    let deployed = |second| {
        move |state: &mut State| {
            let instances = [("i-1".to_owned(), on("d-1", "Succeeded", Some("s3://app/2"))), ("i-2".to_owned(), second)].into();
            state.deployed = Some(Deployed { wanted: Some("s3://app/2".to_owned()), instances });
        }
    };
    let checks = || GateChecks { codedeploy: Some(("app".to_owned(), "app".to_owned())), ..GateChecks::default() };
    let old = on("d-2", "Succeeded", Some("s3://app/1"));
    let new = on("d-3", "Succeeded", Some("s3://app/2"));
    let busy = on("d-3", "InProgress", Some("s3://app/1"));
    let change = |second: crate::model::traffic::OnInstance| move |state: &mut State| deployed(second.clone())(state);
    let world = World::new().at(0, green(&["i-1", "i-2"])).at(30, change(old)).at(60, change(busy)).at(90, change(new));
    let (verdict, events) = Bench::new().run(&start_gate(checks()), &world).await;
    assert_eq!(verdict.unwrap(), Verdict::Passed);
    let details: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::GateLooked { conditions, .. } => conditions.iter().find(|c| c.name == "codedeploy app/app").map(|c| c.detail.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(
        details,
        [
            "there is no such deployment group",
            "1 of 2 have s3://app/2; i-2 has s3://app/1",
            "1 of 2 have s3://app/2; i-2 d-3 InProgress",
            "2 of 2 have s3://app/2",
        ]
    );

    let failing = on("d-9", "Failed", None);
    let world = World::new().at(0, green(&["i-1", "i-2"])).at(0, change(failing));
    let failed = failure(Bench::new().run(&start_gate(checks()), &world).await.0);
    assert_eq!((failed.why, &*failed.message), (Why::DeploymentFailed, "codedeploy app/app: deployment d-9 failed on i-2 of `green`"));
}

#[tokio::test(start_paused = true)]
async fn too_many_failed_requests_during_the_soak_are_a_verdict() {
    let error_rate = Some(ErrorRate { max: 0.01, from: Counter::CloudWatch });
    let checks = GateChecks { soak: mins(10), error_rate, ..GateChecks::default() };
    let counted = |all: f64, failed: f64| move |state: &mut State| state.requests = Requests { all, failed };
    // Two of ten say nothing; nine of a thousand are borne; eleven are not.
    let world =
        World::new().at(0, green(&["i-1", "i-2"])).at(0, counted(10.0, 2.0)).at(120, counted(1000.0, 9.0)).at(240, counted(1000.0, 11.0));
    let begun = Instant::now();
    let failed = failure(Bench::new().run(&start_gate(checks.clone()), &world).await.0);
    assert!((mins(4)..mins(6)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(failed.why, Why::ErrorRate);
    assert_eq!(failed.message, "11 of 1000 requests failed (1.1 %), counted by elb-test; 1 % are borne");
    // Counted from the beginning of the soak, up to now, once in half a minute.
    let asked = world.asked.take();
    assert!(asked.len() <= 10 && asked.iter().all(|(from, to)| *from == start() && to > from), "{asked:?}");

    // A load balancer that has nobody to send to counts failures and no requests.
    let world = World::new().at(0, green(&["i-1", "i-2"])).at(60, counted(0.0, 50.0));
    assert_eq!(failure(Bench::new().run(&start_gate(checks), &world).await.0).why, Why::ErrorRate);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_no_verdict() {
    let world = World::new().at(0, green(&[])).at(60, |state| state.error = Some(refused()));
    let (verdict, events) = Bench::new().run(&start_gate(GateChecks::default()), &world).await;
    assert!(matches!(&verdict, Err(Halt::Aws(error)) if error.code == "ExpiredToken"), "{verdict:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::GateFinished { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_it_without_a_verdict() {
    let world = World::new().at(0, green(&[]));
    let bench = Bench::new();
    let gate = start_gate(GateChecks::default());
    let stop = async {
        tokio::time::sleep(mins(2)).await;
        bench.stop.send_replace(Stop::Polite);
    };
    let ((verdict, _), ()) = tokio::join!(bench.run(&gate, &world), stop);
    assert!(matches!(verdict, Err(Halt::Stopped)), "{verdict:?}");
}

#[tokio::test]
async fn the_users_command_decides_once_everything_holds_and_its_words_are_kept() {
    let world = World::new().at(0, green(&["i-1", "i-2"]));
    let command = |script: &str| GateChecks { command: ["sh", "-c", script].map(str::to_owned).to_vec(), ..GateChecks::default() };
    let bench = Bench::new();
    let good = start_gate(command("echo smoke for $OVENBIRD_COLOUR"));
    assert_eq!(bench.run(&good, &world).await.0.unwrap(), Verdict::Passed);
    let log = std::fs::read_to_string(&bench.log).unwrap();
    assert_eq!(log, "$ sh -c 'echo smoke for $OVENBIRD_COLOUR'\nsmoke for green\n");

    let failed = failure(bench.run(&start_gate(command("echo no cart >&2; exit 3")), &world).await.0);
    assert_eq!((failed.why, &*failed.message), (Why::CommandFailed, "`sh` ended with exit status 3"));
    assert_eq!(failed.last_lines, ["no cart"]);
    assert!(failed.missing.is_empty(), "{:?}", failed.missing);

    let absent = GateChecks { command: vec!["./smoke.sh".to_owned()], ..GateChecks::default() };
    assert!(matches!(bench.run(&start_gate(absent), &world).await.0, Err(Halt::Command(_))));
}

#[tokio::test]
async fn a_stop_takes_the_users_command_along() {
    let world = World::new().at(0, green(&["i-1", "i-2"]));
    let bench = Bench::new();
    let script = "trap 'echo cleaned; exit 1' INT; echo up; while :; do sleep 0.05; done";
    let gate = start_gate(GateChecks { command: ["sh", "-c", script].map(str::to_owned).to_vec(), ..GateChecks::default() });
    let stop = async {
        while !std::fs::read_to_string(&bench.log).is_ok_and(|log| log.contains("\nup\n")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.stop.send_replace(Stop::Polite);
    };
    let ((verdict, _), ()) = tokio::join!(bench.run(&gate, &world), stop);
    assert!(matches!(verdict, Err(Halt::Stopped)), "{verdict:?}");
    assert!(std::fs::read_to_string(&bench.log).unwrap().ends_with("up\ncleaned\n"));
}

#[test]
fn an_instance_is_as_healthy_as_its_load_balancer_says_in_its_own_words() {
    let target = Target { instance: "i-1".to_owned(), health: Health::Draining, reason: String::new() };
    assert_eq!(target.health.as_str(), "draining");
    assert_eq!(LoadBalancer::TargetGroup("arn:aws:elasticloadbalancing:r:1:targetgroup/web-live/abc".to_owned()).to_string(), "web-live");
}
