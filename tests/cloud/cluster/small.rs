//! The one test of this subject: the short form here, the whole in whole.rs.

use std::collections::BTreeMap;

use crate::cluster::images::dry_images;
use crate::cluster::points;
use crate::cluster::stage::{STAGING, Stage};
use crate::cluster::whole::{on_images, whole};
use crate::swap::proof;

#[test]
fn a_cluster_finds_itself_is_configured_and_deployed_to() {
    if let Some(images) = points() {
        on_images(&images);
    } else if proof() {
        whole();
    } else {
        small();
    }
}

/// Docker images by stage, as `web=ovenbird/shop/web:…,api=…,consul_server=…`, to prove the points on.
#[expect(clippy::disallowed_methods, reason = "a test is told by the environment what somebody works on")]
fn points() -> Option<BTreeMap<String, String>> {
    let images = std::env::var("OVENBIRD_POINTS").ok()?;
    Some(images.split(',').filter_map(|one| one.split_once('=')).map(|(stage, image)| (stage.to_owned(), image.to_owned())).collect())
}

/// One server and one web server, booted from what the dry runs made.
fn small() {
    let stage = Stage::new("cluster");
    let amis = stage.adopt(&dry_images(&stage.ec2, &["web", "consul_server"]));
    stage.apply(&STAGING, &amis, &[]);
    let server = stage.running(&STAGING, "consul_server", 1);
    let web = stage.running(&STAGING, "web", 1);
    let all = [server.clone(), web.clone()].concat();
    points::members(&all);
    points::names(&all, "web.service.consul", &points::privates(&web), &web[0]);

    stage.kv(&STAGING, &server[0], "from the KV", &[]);
    let answer = points::configured(&web, "staging", "from the KV").remove(0);
    assert_eq!(answer["config"]["database"]["password"], "set", "{answer}");
    let again = stage.kv(&STAGING, &server[0], "from the KV", &[]);
    assert!(again.stdout.contains("changed=0"), "{again}");
    points::changed_value(&server[0], &web, "changed");

    assert_eq!(answer["release"], "image");
    stage.deploy(&STAGING, &server[0], "r1", &["web"]);
    points::released(&web, "r1");
}
