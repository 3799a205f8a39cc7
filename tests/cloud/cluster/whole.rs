//! The whole: everything built by `ovenbird build`, launched by `terraform apply`, proved point by point; then once more after a rebuild
//! of the base.
//!
//! Invariant: the figures are written only when every point held in both rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::cluster::bad;
use crate::cluster::canary::Canary;
use crate::cluster::figures::Figures;
use crate::cluster::http::Load;
use crate::cluster::node::Node;
use crate::cluster::points;
use crate::cluster::stage::{Amis, OREGON, PRODUCTION, REGIONS, STAGING, Stage};
use crate::harness::{until, until_or};

/// Four stages, each with a second pass and checks, on a machine that may have other things to do.
const LONG: Duration = Duration::from_mins(40);

/// Both rounds.
pub(super) fn whole() {
    let mut figures = Figures::default();
    let stage = Stage::new("shop");
    let password = stage.vault("production");
    let canary = Canary::new(&stage, &[&stage.gossip, &password]);

    let ran = stage.project.expect_within(LONG, 0, &["dry-run", "--json"]);
    for event in ran.events().iter().filter(|e| e["event"] == "step_finished") {
        let name = event["step"]["node"]["stage"].as_str().expect("a name");
        figures.add(&format!("dry_run_seconds.{name}"), event["seconds"].as_f64().expect("a number"));
    }
    let first = build(&stage, &["api", "base", "consul_server", "web"]);
    round(&stage, &canary, &first, "image", &mut figures);
    bad::build_time(&stage);

    // A file of one role: one stage. The base: all that stand on it.
    let plan = stage.project.expect(0, &["plan"]);
    plan.said("4 to reuse");
    stage.project.expect(0, &["update", "--rebuild", "base"]);
    let second = build(&stage, &["api", "base", "consul_server", "web"]);
    assert!(second.iter().zip(&first).all(|(new, old)| new.1 != old.1), "{first:?} {second:?}");
    stage.project.expect(0, &["build"]).said("4 to reuse");
    // The new instances come up with what the old ones served at the end.
    round(&stage, &canary, &second, "r1", &mut figures);
    figures.write();
}

/// Every point once, on Docker images that are there.
pub(super) fn on_images(images: &BTreeMap<String, String>) {
    let stage = Stage::new("cluster");
    let password = stage.vault("production");
    let canary = Canary::new(&stage, &[&stage.gossip, &password]);
    // Something of ovenbird's state to search, too.
    stage.project.expect(0, &["plan"]);
    let amis = stage.adopt(images);
    round(&stage, &canary, &amis, "image", &mut Figures::default());
}

/// Builds, which must build just these stages; gives what was emitted.
fn build(stage: &Stage, stages: &[&str]) -> Amis {
    let plan = stage.project.expect(0, &["plan", "--json"]).json();
    let nodes = plan["nodes"].as_array().expect("nodes are a list").iter();
    let mut to_build: Vec<&str> = nodes.filter(|n| n["action"]["action"] == "build").filter_map(|n| n["node"]["stage"].as_str()).collect();
    to_build.sort_unstable();
    assert_eq!(to_build, stages);
    stage.project.expect_within(LONG, 0, &["build"]);
    stage.emitted()
}

/// Every point, from launch to removal; instances come up with the release `serving`.
fn round(stage: &Stage, canary: &Canary, amis: &Amis, serving: &str, figures: &mut Figures) {
    stage.apply(&PRODUCTION, amis, &[]);
    let mut servers = stage.running(&PRODUCTION, "consul_server", 3);
    let web = stage.running(&PRODUCTION, "web", 2);
    let api = stage.running(&PRODUCTION, "api", 1);
    let apps = [web.clone(), api.clone()].concat();
    let all = |servers: &[Node]| [servers, &apps].concat();

    // 1: members, and a lost server.
    points::members(&all(&servers));
    stage.kv(&PRODUCTION, &servers[0], "banner from the KV", &[]);
    let answers = points::configured(&apps, "production", "banner from the KV");
    assert!(answers.iter().all(|a| a["config"]["database"]["password"] == "set" && a["release"] == serving), "{answers:?}");
    servers = points::survives(stage, &PRODUCTION, &servers, &apps);

    // 2: names.
    points::names(&all(&servers), "web.service.consul", &points::privates(&web), &apps[0]);
    points::names(&all(&servers), "api.service.consul", &points::privates(&api), &apps[0]);

    // 3: a value of the KV.
    for value in ["once", "twice", "thrice"] {
        figures.add("kv_to_answer_seconds", points::changed_value(&servers[0], &apps, value));
    }

    // 4: the same images as staging.
    stage.apply(&STAGING, amis, &["api_ami_id="]);
    let staging_server = stage.running(&STAGING, "consul_server", 1);
    let staging_web = stage.running(&STAGING, "web", 1);
    points::members(&[staging_server.clone(), staging_web.clone()].concat());
    stage.kv(&STAGING, &staging_server[0], "staging", &[]);
    let answer = points::configured(&staging_web, "staging", "staging");
    assert_eq!(answer[0]["release"], "image");
    points::same_but_for_environment(&web[0], &staging_web[0]);

    // 9: two machines of one image.
    points::hygiene(&web[0], &web[1]);

    deployed(stage, &servers, &apps, serving, figures);
    clouds(stage, amis, &web, &servers);

    // 8: no secret anywhere.
    let nodes = [all(&servers), staging_server, staging_web.clone()].concat();
    let found = canary.found(stage, &nodes);
    figures.count("secrets_found", found.len());
    assert_eq!(found, Vec::<String>::new());

    bad::run_time(stage, amis, &servers, &apps, &staging_web);
    for environment in [&OREGON, &STAGING, &PRODUCTION] {
        stage.destroy(environment, amis);
    }
}

/// 5 and 6: a release reaches everybody under requests, and those who come later too.
fn deployed(stage: &Stage, servers: &[Node], apps: &[Node], serving: &str, figures: &mut Figures) {
    let balancer = stage.output(&PRODUCTION, "url").as_str().expect("a URL").trim_start_matches("http://").to_owned() + ":80";
    until("the load balancer serves", || crate::cluster::http::answer(&balancer));
    let addresses: Vec<String> = apps.iter().map(Node::address).chain([balancer]).collect();
    let load = Load::start(&addresses);
    stage.deploy(&PRODUCTION, &servers[0], "r1", &["web", "api"]);
    points::released(apps, "r1");
    stage.deploy(&PRODUCTION, &servers[0], "r2", &["web", "api"]);
    points::released(apps, "r2");
    // Back by name, then forth by the bare event, whose way to all nodes is measured.
    stage.roll_back(&PRODUCTION, &servers[0], "r1");
    points::released(apps, "r1");
    let manifest = format!("{}/releases/r2/manifest.yml", PRODUCTION.releases());
    servers[0].sh(&format!("consul event -name deploy-app '{manifest}'"));
    figures.add("event_to_all_nodes_seconds", points::released(apps, "r2"));
    stage.roll_back(&PRODUCTION, &servers[0], "r1");
    points::released(apps, "r1");
    let counted = load.end();
    figures.count("deploy_failed_requests", counted.failed.len());
    assert_eq!(counted.failed, Vec::<String>::new(), "of {} requests", counted.answered());
    let releases: BTreeSet<&str> = counted.releases.keys().map(String::as_str).collect();
    assert!(releases.is_superset(&[serving, "r1", "r2"].into()), "{releases:?}");

    let before = stage.nodes(&PRODUCTION, &["web"]);
    let begun = Instant::now();
    stage.aws(PRODUCTION.region, "autoscaling", "set_desired_capacity(AutoScalingGroupName='production-tokyo-web', DesiredCapacity=3)");
    let new =
        until("a third web server runs", || stage.nodes(&PRODUCTION, &["web"]).into_iter().find(|n| before.iter().all(|b| b.id != n.id)));
    let answer = until_or(
        || format!("it serves\n{}", new.state()),
        || {
            let healthy = crate::cluster::http::get(&new.address(), "/health").is_ok_and(|(status, _)| status == 200);
            new.answer().filter(|a| healthy && a["config_source"] == "consul")
        },
    );
    figures.add("launch_to_healthy_seconds", begun.elapsed().as_secs_f64());
    assert_eq!(answer["release"], "r1", "it came up with what the others serve");
}

/// 7: the same name gives the private address inside, and the public one from the other cloud.
fn clouds(stage: &Stage, amis: &Amis, web: &[Node], servers: &[Node]) {
    let copies: Amis = amis
        .iter()
        .filter(|(name, _)| *name != "api_ami_id")
        .map(|(name, id)| {
            let copy = format!("copy_image(Name='{name} {id}', SourceImageId='{id}', SourceRegion='{}')", REGIONS[0]);
            (*name, stage.aws(REGIONS[1], "ec2", &copy)["ImageId"].as_str().expect("an id").to_owned())
        })
        .collect();
    stage.apply(&OREGON, &copies, &["api_ami_id="]);
    let there_server = stage.running(&OREGON, "consul_server", 1);
    let there = stage.running(&OREGON, "web", 1);
    points::members(&[there_server.clone(), there.clone()].concat());
    let name = |datacenter: &str| format!("web.service.{datacenter}.consul");
    let now: Vec<Node> = stage.nodes(&PRODUCTION, &["web"]);
    let publics = |nodes: &[Node]| -> BTreeSet<String> { nodes.iter().map(|n| n.public.clone()).collect() };
    let inside = [&now[..], servers].concat();
    points::names(&inside, &name("tokyo"), &points::privates(&now), &now[0]);
    points::names(&inside, &name("oregon"), &publics(&there), &now[0]);
    points::names(&there, &name("oregon"), &points::privates(&there), &there[0]);
    points::names(&there, &name("tokyo"), &publics(&now), &there[0]);
    // What the names give is what one reaches, and the private addresses are not.
    there[0].sh(&format!("python3 -c \"import urllib.request as u; u.urlopen('http://{}/health', timeout=10)\"", name("tokyo")));
    let (reached, said) =
        there[0].try_sh(&format!("python3 -c \"import socket; socket.create_connection(('{}', 80), 2)\"", web[0].private));
    assert!(!reached, "{said}");
}
