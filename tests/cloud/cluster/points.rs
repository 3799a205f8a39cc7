//! What a cluster has to do, point by point; the short form and the whole take from here.
//!
//! Must not change what runs but where a point is about a change (a value in the KV, a lost server). Invariant: every point holds when it
//! returns, and leaves a cluster in which the next one can hold.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value as Json;

use crate::cluster::node::Node;
use crate::cluster::stage::{Environment, Stage};
use crate::harness::{until, until_or};

/// Every node sees all of them alive, and a leader.
#[track_caller]
pub fn members(nodes: &[Node]) {
    for node in nodes {
        let wanted: BTreeSet<String> = nodes.iter().map(|n| n.private.clone()).collect();
        until_or(
            || format!("{} {} sees {wanted:?}\n{}\n{}", node.kind, node.id, node.try_sh("consul members").1, node.state()),
            || {
                let (_, said) = node.try_sh("consul members -status=alive");
                let found: BTreeSet<String> =
                    said.lines().skip(1).filter_map(|l| l.split_whitespace().nth(1)?.split(':').next().map(str::to_owned)).collect();
                (found == wanted).then_some(())
            },
        );
        until_or(
            || "a leader".to_owned(),
            || node.try_sh("consul info | grep -q 'leader_addr = .'; consul catalog nodes >/dev/null").0.then_some(()),
        );
    }
}

/// Every node resolves the service to exactly these, and names that Consul does not know, all by its own resolver.
#[track_caller]
pub fn names(nodes: &[Node], name: &str, addresses: &BTreeSet<String>, other: &Node) {
    for node in nodes {
        until_or(
            || format!("{name} on {} {}: {addresses:?}\n{}", node.kind, node.id, node.state()),
            || (resolved(node, name) == *addresses).then_some(()),
        );
        assert_eq!(node.sh("awk '/^nameserver/ {print $2}' /etc/resolv.conf"), "127.0.0.1", "{} asks dnsmasq", node.id);
        // Docker knows its containers by name: what is not Consul's goes to who was asked before.
        assert!(!resolved(node, &other.container).is_empty(), "{} {} finds {}", node.kind, node.id, other.container);
    }
}

/// Addresses of a name on a node.
pub fn resolved(node: &Node, name: &str) -> BTreeSet<String> {
    node.try_sh(&format!("getent ahostsv4 {name}")).1.lines().filter_map(|l| l.split_whitespace().next().map(str::to_owned)).collect()
}

/// Addresses of nodes inside of their cloud.
pub fn privates(nodes: &[Node]) -> BTreeSet<String> {
    nodes.iter().map(|n| n.private.clone()).collect()
}

/// Every node's app answers, as one of this environment, with what Consul says; gives the answers. The banner has come, too: the keys of
/// one transaction reach consul-template one by one, and what has a default is not waited for.
#[track_caller]
pub fn configured(nodes: &[Node], environment: &str, banner: &str) -> Vec<Json> {
    let ask = |node: &Node| {
        until_or(
            || format!("{} {} is configured\n{}", node.kind, node.id, node.state()),
            || {
                let whole =
                    |a: &Json| a["environment"] == environment && a["config_source"] == "consul" && a["config"]["app"]["banner"] == banner;
                node.answer().filter(whole)
            },
        )
    };
    nodes.iter().map(ask).collect()
}

/// Seconds from a value's being in the KV until every one of `apps` answers with it.
#[track_caller]
pub fn changed_value(server: &Node, apps: &[Node], value: &str) -> f64 {
    server.sh(&format!("consul kv put app/banner '{value}'"));
    let begun = Instant::now();
    let mut waiting: Vec<&Node> = apps.iter().collect();
    until(&format!("the banner is {value}"), || {
        waiting.retain(|node| node.answer().is_none_or(|a| a["config"]["app"]["banner"] != value));
        waiting.is_empty().then_some(())
    });
    begun.elapsed().as_secs_f64()
}

/// Seconds until every one of `apps` answers as this release.
#[track_caller]
pub fn released(apps: &[Node], release: &str) -> f64 {
    let begun = Instant::now();
    let mut waiting: Vec<&Node> = apps.iter().collect();
    until_or(
        || format!("release {release}\n{}", apps[0].state()),
        || {
            waiting.retain(|node| node.answer().is_none_or(|a| a["release"] != release));
            waiting.is_empty().then_some(())
        },
    );
    begun.elapsed().as_secs_f64()
}

/// The leader is lost as a machine is lost; the others go on, and the group puts another in its place.
#[track_caller]
pub fn survives(stage: &Stage, environment: &Environment, servers: &[Node], others: &[Node]) -> Vec<Node> {
    let leader = servers.iter().find(|s| s.sh("consul info").contains("leader = true")).expect("there is a leader");
    let left: Vec<&Node> = servers.iter().filter(|s| s.id != leader.id).collect();
    stage.aws(environment.region, "ec2", &format!("terminate_instances(InstanceIds=['{}'])", leader.id));
    let mut tried = 0;
    until_or(
        || "the KV takes a value without the lost server".to_owned(),
        || {
            tried += 1;
            left[0].try_sh(&format!("consul kv put test/survived {tried}")).0.then_some(())
        },
    );
    for node in others {
        assert_eq!(node.sh("consul kv get test/survived"), tried.to_string(), "{} {} still reads", node.kind, node.id);
    }
    left[0].sh("consul kv delete test/survived");
    let now = stage.running(environment, "consul_server", servers.len());
    assert!(now.iter().all(|s| s.id != leader.id), "another took the place of {}", leader.id);
    members(&[&now, others].concat());
    until_or(
        || "the new server has a vote, the lost one none".to_owned(),
        || {
            let peers = now[0].sh("consul operator raft list-peers");
            let voters = peers.lines().filter(|l| l.contains(" true ")).count();
            (voters == now.len() && !peers.contains(&leader.id)).then_some(())
        },
    );
    now
}

/// Two instances of one AMI are two machines: nothing that names or opens a machine is in the image.
#[track_caller]
pub fn hygiene(one: &Node, other: &Node) {
    assert_eq!(one.ami, other.ami);
    for what in ["cat /etc/machine-id", "cat /etc/ssh/ssh_host_*_key.pub | cut -d' ' -f1,2", "cat /var/lib/consul/node-id"] {
        let (first, second) = (one.sh(what), other.sh(what));
        assert!(!first.is_empty() && first != second, "`{what}` of two instances of {}: {first} and {second}", one.ami);
    }
    assert_eq!(one.sh("wc -l </home/admin/.ssh/authorized_keys"), "1", "only the key pair's, none of a build");
}

/// Two instances of one AMI in two environments have the same programs and files; what differs below /etc is what user data and KV say.
#[track_caller]
pub fn same_but_for_environment(one: &Node, other: &Node) {
    assert_eq!(one.ami, other.ami, "one image in both environments");
    let sums = |node: &Node, folders: &str| -> BTreeSet<String> {
        node.sh(&format!("find {folders} -xdev -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum"))
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let paths = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> BTreeSet<String> {
        a.symmetric_difference(b).filter_map(|l| l.split_once("  ").map(|(_, path)| path.to_owned())).collect()
    };
    let programs = "/usr /opt";
    assert_eq!(paths(&sums(one, programs), &sums(other, programs)), BTreeSet::new(), "programs");
    // The machine's own (cloud-init writes the time above the sudoers), then what is filled from user data, then what Consul's KV says.
    let own = [
        "/etc/machine-id",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/ssh/ssh_host_",
        "/etc/sudoers.d/90-cloud-init-users",
        "/etc/ssl/certs/",
    ];
    let filled =
        ["/etc/instance/", "/etc/consul.d/", "/etc/app/", "/etc/consul-template.d/", "/etc/dnsmasq.d/", "/etc/rsyslog.d/", "/etc/default/"];
    let differ = paths(&sums(one, "/etc"), &sums(other, "/etc"));
    let unexplained: Vec<&String> = differ.iter().filter(|p| !own.iter().chain(&filled).any(|known| p.starts_with(known))).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
    assert!(differ.contains("/etc/instance/environment"), "{differ:?}");
}
