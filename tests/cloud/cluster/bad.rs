//! What goes wrong, while building and while running: the old state goes on, the trouble is said, and all is right again by itself.
//!
//! Must not mend anything by hand that a cluster has to mend. Invariant: every trouble is over, and its effect gone, before the next.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cluster::http;
use crate::cluster::node::Node;
use crate::cluster::points;
use crate::cluster::stage::{Amis, PRODUCTION, STAGING, Stage};
use crate::harness::{until, until_or};
use crate::project::docker;

/// A download that is not what was promised: the stage fails, and has no image.
pub(super) fn build_time(stage: &Stage) {
    let images = stage.project.dry_run_images();
    let wrong = format!("consul_checksum=sha256:{}", "0".repeat(64));
    let ran = stage.project.expect(1, &["dry-run", "base", "--var", &wrong]);
    ran.said("checksum");
    assert_eq!(stage.project.dry_run_images(), images);
    assert_eq!(stage.project.containers(), Vec::<String>::new());
}

/// Everything that can go wrong with a cluster that runs.
pub(super) fn run_time(stage: &Stage, amis: &Amis, servers: &[Node], apps: &[Node], staging_web: &[Node]) {
    missing_key(&servers[0], apps);
    broken_release(stage, &servers[0], apps);
    full_disk(stage, &servers[0], apps);
    no_consul_at_boot(stage, amis, staging_web);
    broken_user_data(stage, amis);
}

/// A key that goes and has no default: what was rendered stays, and the app says what lacks.
fn missing_key(server: &Node, apps: &[Node]) {
    let host = |node: &Node| node.answer().expect("it answers")["config"]["database"]["master_host"].as_str().expect("a name").to_owned();
    let before = host(&apps[0]);
    server.sh("consul kv delete database/master-host");
    let lacking = |node: &Node| node.answer().map(|a| a["config_missing"].as_array().cloned().unwrap_or_default());
    for node in apps {
        until("it says what lacks", || lacking(node).filter(|missing| missing.contains(&json!("database/master-host"))));
        assert_eq!(host(node), before);
    }
    server.sh(&format!("consul kv put database/master-host '{before}'"));
    for node in apps {
        until("nothing lacks", || lacking(node).filter(Vec::is_empty));
        assert_eq!(host(node), before);
    }
}

/// An archive with another checksum, and one that is no archive: the release before goes on, without a failed request.
fn broken_release(stage: &Stage, server: &Node, apps: &[Node]) {
    let serving = apps[0].answer().expect("it answers")["release"].as_str().expect("a name").to_owned();
    let load = http::Load::start(&apps.iter().map(Node::address).collect::<Vec<_>>());
    for (release, right) in [("other-bytes", false), ("no-archive", true)] {
        stage.spoiled(&PRODUCTION, release, "r1", right);
        let before: Vec<usize> = apps.iter().map(refused).collect();
        server.sh(&format!("consul event -name deploy-app '{}/releases/{release}/manifest.yml'", PRODUCTION.releases()));
        for (node, before) in apps.iter().zip(before) {
            until_or(|| format!("{} says that {release} failed\n{}", node.id, node.state()), || (refused(node) > before).then_some(()));
            assert_eq!(node.answer().expect("it answers")["release"], serving.as_str());
        }
    }
    let counted = load.end();
    assert_eq!((counted.failed, counted.releases.keys().map(String::as_str).collect::<Vec<_>>()), (vec![], vec![serving.as_str()]));
}

/// How many releases a node said it would not take.
fn refused(node: &Node) -> usize {
    node.sh("journalctl --no-pager -u stretcher-watch").lines().filter(|l| l.contains("app-release: ") && l.ends_with("stays")).count()
}

/// One machine has no room for the next release: it serves what it did, the others the new one; with room again it follows.
fn full_disk(stage: &Stage, server: &Node, apps: &[Node]) {
    let (full, others) = apps.split_first().expect("there are apps");
    let serving = full.answer().expect("it answers")["release"].as_str().expect("a name").to_owned();
    full.sh("mkdir -p /mnt/full && mount -t tmpfs -o size=2m,mode=0755 tmpfs /mnt/full && cp -a /srv/app/. /mnt/full/ && \
         { dd if=/dev/zero of=/mnt/full/filling bs=1k 2>/dev/null || true; } && mount --bind /mnt/full /srv/app");
    let manifest = format!("{}/releases/r2/manifest.yml", PRODUCTION.releases());
    server.sh(&format!("consul event -name deploy-app '{manifest}'"));
    points::released(others, "r2");
    until_or(
        || format!("it says that there is no room\n{}", full.state()),
        || full.try_sh("journalctl --no-pager -u stretcher-watch | grep -i 'no space left'").0.then_some(()),
    );
    assert_eq!(full.answer().expect("it answers")["release"], serving.as_str());
    full.sh("umount /srv/app && umount /mnt/full");
    stage.roll_back(&PRODUCTION, server, "r1");
    points::released(apps, "r1");
}

/// Consul's servers do not answer while an instance boots: its app starts with the image's configuration and says so, and has Consul's
/// when they answer again.
fn no_consul_at_boot(stage: &Stage, amis: &Amis, staging_web: &[Node]) {
    let servers = stage.nodes(&STAGING, &["consul_server"]);
    docker(&["pause", &servers[0].container]);
    let node = stage.launch(&STAGING, amis, "web", None);
    let answer = until_or(|| format!("it answers without Consul\n{}", node.state()), || node.answer());
    assert_eq!(
        (&answer["config_source"], &answer["environment"], &answer["release"]),
        (&json!("default"), &json!("staging"), &json!("image"))
    );
    docker(&["unpause", &servers[0].container]);
    points::configured(std::slice::from_ref(&node), "staging", "staging");
    points::members(&[&servers[..], staging_web, std::slice::from_ref(&node)].concat());
    stage.aws(STAGING.region, "ec2", &format!("terminate_instances(InstanceIds=['{}'])", node.id));
}

/// User data that is no YAML: the instance says why it is not well, and gets no request.
fn broken_user_data(stage: &Stage, amis: &Amis) {
    let node = stage.launch(&STAGING, amis, "web", Some("#cloud-config\nwrite_files: [ {path: /etc/instance/environment\n"));
    let balancer = "staging-tokyo-web";
    stage.aws(
        STAGING.region,
        "elb",
        &format!("register_instances_with_load_balancer(LoadBalancerName='{balancer}', Instances=[dict(InstanceId='{}')])", node.id),
    );
    let (status, body) =
        until_or(|| format!("it answers\n{}", node.state()), || http::get(&node.address(), "/health").ok().filter(|(s, _)| *s == 503));
    assert!(body.contains("no environment was applied"), "{status} {body}");
    let health = stage.aws(STAGING.region, "elb", &format!("describe_instance_health(LoadBalancerName='{balancer}')"));
    let found: BTreeSet<(&str, bool)> = health["InstanceStates"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|s| (s["State"].as_str().unwrap_or_default(), s["InstanceId"] == node.id.as_str()))
        .collect();
    assert_eq!(found, [("InService", false), ("OutOfService", true)].into(), "{health}");
    stage.aws(STAGING.region, "ec2", &format!("terminate_instances(InstanceIds=['{}'])", node.id));
}
