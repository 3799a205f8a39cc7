//! The catalog against the local EC2: what its canned replies in `src/aws/tests.rs` claim, on a server that answers by itself.

#![expect(clippy::await_holding_lock, reason = "the lock is the point: one test at a time has the server")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use ovenbird::aws::{Ec2Catalog, Patience, errors};
use ovenbird::model::artifact::{Image, ImageState, LeftoverKind, tags};
use ovenbird::model::digest::{Digest, StageKey};
use ovenbird::model::name::Name;
use ovenbird::model::node::{Architecture, NodeId, RunId};
use ovenbird::ports::{Catalog as _, Claimed, SourceQuery, Wanted};
use serde_json::json;

use crate::harness::{self, LocalEc2};

const REGION: &str = "ap-northeast-1";
const DEBIAN: &str = "136693071363";

fn client(ec2: &LocalEc2) -> Client {
    let retries = RetryConfig::standard().with_max_attempts(6).with_initial_backoff(Duration::from_millis(10));
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(ec2.endpoint())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(retries)
        .build();
    Client::from_conf(config)
}

fn catalog(ec2: &LocalEc2, pipeline: &str) -> Ec2Catalog {
    let patience = Patience { not_found: Duration::from_secs(2), in_use: Duration::from_secs(10) };
    Ec2Catalog::new(client(ec2), REGION, Name::new(pipeline).unwrap()).with_patience(patience)
}

fn node(stage: &str) -> NodeId {
    NodeId { stage: Name::new(stage).unwrap(), architecture: Architecture::X86_64 }
}

fn wanted(stage: &str) -> Wanted {
    Wanted { node: node(stage), key: StageKey(Digest::of(stage.as_bytes())) }
}

fn run(number: u32) -> RunId {
    RunId::new("20261122t041500", number)
}

fn run_tags(pipeline: &str, stage: &str, run: &RunId) -> Vec<Tag> {
    [(tags::PIPELINE, pipeline), (tags::STAGE, stage), (tags::RUN, run.as_str())]
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .to_vec()
}

fn tagged(kind: ResourceType, tags: &[Tag]) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags.to_vec())).build()
}

/// Instance and image as Packer makes them, with run tags; the ids.
async fn built(ec2: &LocalEc2, pipeline: &str, stage: &str, run: &RunId) -> (String, String) {
    let client = client(ec2);
    let tags = run_tags(pipeline, stage, run);
    let source = ec2.source(REGION, "debian-12-amd64-20261116-2299");
    let launched = client.run_instances().image_id(source).min_count(1).max_count(1);
    let launched =
        launched.instance_type("t3.micro".into()).tag_specifications(tagged(ResourceType::Instance, &tags)).send().await.unwrap();
    let instance = launched.instances()[0].instance_id().unwrap().to_owned();
    let made = client.create_image().instance_id(&instance).name(format!("{pipeline}-{stage}-{}", run.short()));
    let made = made
        .tag_specifications(tagged(ResourceType::Image, &tags))
        .tag_specifications(tagged(ResourceType::Snapshot, &tags))
        .send()
        .await
        .unwrap();
    (instance, made.image_id().unwrap().to_owned())
}

async fn key_pair(ec2: &LocalEc2, name: &str, tags: &[Tag]) {
    let request = client(ec2).create_key_pair().key_name(name);
    let request = if tags.is_empty() { request } else { request.tag_specifications(tagged(ResourceType::KeyPair, tags)) };
    request.send().await.unwrap();
}

async fn remove_all(catalog: &Ec2Catalog, run: &RunId, stage: &str, ids: &[String]) {
    for leftover in catalog.leftovers(run, &node(stage), ids, None).await.unwrap() {
        catalog.remove(&leftover).await.unwrap();
    }
}

#[tokio::test]
async fn an_image_is_claimed_sealed_held_and_removed() {
    let ec2 = harness::instant();
    let catalog = catalog(&ec2, "sealing");
    let run = run(1);
    assert_eq!(catalog.images().await.unwrap(), []);
    let Claimed::Claim(claim) = catalog.claim(wanted("web")).await.unwrap() else { panic!("nothing holds the key") };

    let (instance, id) = built(&ec2, "sealing", "web", &run).await;
    let image = catalog.image(&id).await.unwrap().expect("it was made");
    assert_eq!((image.state.clone(), image.architecture.as_str()), (ImageState::Available, "x86_64"));
    assert_eq!(image.snapshots.len(), 1);
    let more = BTreeMap::from([("team".to_owned(), "platform".to_owned())]);
    catalog.tag(&image, &more).await.unwrap();
    assert!(matches!(catalog.claim(wanted("web")).await.unwrap(), Claimed::Claim(_)), "an image without seal holds nothing");

    catalog.seal(claim, &image).await.unwrap();
    let Claimed::Held(held) = catalog.claim(wanted("web")).await.unwrap() else { panic!("it is sealed") };
    assert_eq!((held.id.as_str(), held.tag("team")), (id.as_str(), Some("platform")));
    assert!(matches!(catalog.claim(Wanted { node: node("api"), ..wanted("web") }).await.unwrap(), Claimed::Claim(_)));
    let listed: Vec<Image> = catalog.images().await.unwrap();
    assert_eq!(listed.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), [id.as_str()]);
    let snapshot = client(&ec2).describe_snapshots().snapshot_ids(&image.snapshots[0]).send().await.unwrap();
    assert!(snapshot.snapshots()[0].tags().iter().any(|t| t.key() == Some("team")), "tags reach the snapshot");
    assert!(!snapshot.snapshots()[0].tags().iter().any(|t| t.key() == Some(tags::KEY)), "the seal does not");

    let left = catalog.leftovers(&run, &node("web"), &[], Some(&id)).await.unwrap();
    assert_eq!(left.iter().map(|l| (l.kind, l.id.as_str())).collect::<Vec<_>>(), [(LeftoverKind::Instance, instance.as_str())]);
    catalog.remove(&left[0]).await.unwrap();
    ec2.assert_only(&[&id]);
    assert_eq!(catalog.leftovers(&run, &node("web"), &[], Some(&id)).await.unwrap(), []);
    catalog.remove_image(&image).await.unwrap();
    catalog.remove_image(&image).await.expect("what is gone is removed");
    assert_eq!(catalog.image(&id).await.unwrap(), None);
    ec2.assert_only(&[]);
}

#[tokio::test]
async fn what_a_run_left_is_found_by_tag_and_by_the_log_and_nothing_else_is() {
    let ec2 = harness::instant();
    let catalog = catalog(&ec2, "leaving");
    let (mine, other) = (run(2), run(3));
    let (instance, image) = built(&ec2, "leaving", "web", &mine).await;
    let (other_instance, other_image) = built(&ec2, "leaving", "web", &other).await;
    let (api_instance, api_image) = built(&ec2, "leaving", "api", &mine).await;
    key_pair(&ec2, "packer_tagged", &run_tags("leaving", "web", &mine)).await;
    key_pair(&ec2, "packer_named", &[]).await;
    key_pair(&ec2, "packer_stranger", &[]).await;
    let group = client(&ec2).create_security_group().group_name("packer_group").description("temporary").send().await.unwrap();
    let group = group.group_id().unwrap().to_owned();

    let log: Vec<String> =
        ["packer_named", &group, &other_instance, &other_image, "i-0123456789abcdef0", "sg-0123456789abcdef0"].map(str::to_owned).into();
    let left = catalog.leftovers(&mine, &node("web"), &log, None).await.unwrap();
    let found: Vec<_> = left.iter().map(|l| (l.kind, l.id.as_str())).collect();
    let snapshot = catalog.image(&image).await.unwrap().unwrap().snapshots[0].clone();
    let expected = [
        (LeftoverKind::Instance, instance.as_str()),
        (LeftoverKind::Image, image.as_str()),
        (LeftoverKind::Snapshot, snapshot.as_str()),
        (LeftoverKind::KeyPair, "packer_named"),
        (LeftoverKind::KeyPair, "packer_tagged"),
        (LeftoverKind::SecurityGroup, group.as_str()),
    ];
    let without_volumes: Vec<_> = found.iter().filter(|(kind, _)| *kind != LeftoverKind::Volume).copied().collect();
    assert_eq!(without_volumes, expected);
    for one in &left {
        catalog.remove(one).await.unwrap();
    }
    assert_eq!(catalog.leftovers(&mine, &node("web"), &log, None).await.unwrap(), []);
    assert_eq!(catalog.image(&api_image).await.unwrap().map(|i| i.id), Some(api_image.clone()), "another stage's is untouched");

    remove_all(&catalog, &mine, "api", &[]).await;
    remove_all(&catalog, &other, "web", &["packer_stranger".to_owned()]).await;
    let states = client(&ec2).describe_instances().filters(Filter::builder().name("instance-id").values(api_instance).build());
    let states = states.send().await.unwrap();
    assert_eq!(states.reservations()[0].instances()[0].state().unwrap().name().unwrap().as_str(), "terminated");
    ec2.assert_only(&[]);
}

#[tokio::test]
async fn the_newest_source_of_the_right_owner_and_kind_is_found() {
    let ec2 = harness::instant();
    let catalog = catalog(&ec2, "sources");
    let query = SourceQuery {
        architecture: Architecture::X86_64,
        owners: vec![DEBIAN.to_owned()],
        filters: BTreeMap::from([("name".to_owned(), vec!["debian-12-*".to_owned()])]),
        id: None,
        ssm_parameter: None,
    };
    let newest = catalog.newest_source(&query).await.unwrap().expect("it is there");
    assert_eq!(newest.name, "debian-12-amd64-20261116-2299");
    let arm = SourceQuery { architecture: Architecture::Arm64, ..query.clone() };
    assert!(catalog.newest_source(&arm).await.unwrap().expect("it is there").name.starts_with("debian-12-arm64-"));
    let stranger = SourceQuery { owners: vec!["999999999999".to_owned()], ..query.clone() };
    assert_eq!(catalog.newest_source(&stranger).await.unwrap(), None);
    let by_id = SourceQuery { id: Some(newest.id.clone()), owners: Vec::new(), filters: BTreeMap::new(), ..query.clone() };
    assert_eq!(catalog.newest_source(&by_id).await.unwrap().map(|i| i.id), Some(newest.id.clone()));
    let wrong = SourceQuery { architecture: Architecture::Arm64, ..by_id.clone() };
    assert_eq!(catalog.newest_source(&wrong).await.unwrap(), None, "it is of the other architecture");
    let unknown = SourceQuery { id: Some("ami-0123456789abcdef0".to_owned()), ..by_id };
    assert_eq!(catalog.newest_source(&unknown).await.unwrap(), None);
}

#[tokio::test]
async fn a_failed_look_up_is_never_an_empty_answer() {
    let ec2 = harness::instant();
    let catalog = catalog(&ec2, "failing");
    ec2.turn(&json!({"throttle": {"action": "DescribeImages", "count": 3}}));
    assert_eq!(catalog.images().await.expect("throttling is waited out"), []);
    assert_eq!(ec2.actions("ovenbird"), ["DescribeImages"; 4]);

    ec2.turn(&json!({"throttle": {"action": "DescribeImages"}}));
    assert_eq!(catalog.images().await.expect_err("it never ends").code, "RequestLimitExceeded");
    ec2.reset();

    ec2.turn(&json!({"deny": {"action": "DescribeImages"}}));
    let error = catalog.claim(wanted("web")).await.expect_err("it is denied");
    assert_eq!((error.operation, error.code.as_str(), error.region.as_str()), ("DescribeImages", "UnauthorizedOperation", REGION));
    assert!(errors::help(&error).is_some_and(|help| help.contains("ec2:DescribeImages")));
    ec2.reset();

    ec2.turn(&json!({"deny": {"action": "DescribeTags"}}));
    let error = catalog.leftovers(&run(9), &node("web"), &[], None).await.expect_err("it is denied");
    assert_eq!(error.operation, "DescribeTags");
}

#[tokio::test]
async fn an_image_that_is_not_known_yet_is_waited_for() {
    let ec2 = harness::instant();
    let catalog = catalog(&ec2, "late");
    let run = run(5);
    let (_, id) = built(&ec2, "late", "web", &run).await;
    ec2.reset();
    let unknown =
        json!({"code": "InvalidAMIID.NotFound", "message": "does not exist", "status": 400, "action": "DescribeImages", "count": 2});
    ec2.turn(&json!({"error": unknown}));
    assert_eq!(catalog.image(&id).await.unwrap().map(|i| i.id), Some(id));
    assert_eq!(ec2.actions("ovenbird").len(), 3);
    ec2.reset();
    remove_all(&catalog, &run, "web", &[]).await;
    ec2.assert_only(&[]);
}

#[tokio::test]
async fn a_reconciled_build_costs_eight_calls_at_most() {
    let ec2 = harness::instant();
    let catalog = catalog(&ec2, "counting");
    let run = run(6);
    catalog.images().await.unwrap();
    let Claimed::Claim(claim) = catalog.claim(wanted("web")).await.unwrap() else { panic!("nothing holds the key") };
    let (instance, id) = built(&ec2, "counting", "web", &run).await;
    client(&ec2).terminate_instances().instance_ids(&instance).send().await.unwrap();
    ec2.reset();
    let image = catalog.image(&id).await.unwrap().unwrap();
    catalog.tag(&image, &BTreeMap::from([("team".to_owned(), "platform".to_owned())])).await.unwrap();
    let log = [instance, id.clone(), image.snapshots[0].clone()];
    assert_eq!(catalog.leftovers(&run, &node("web"), &log, Some(&id)).await.unwrap(), []);
    catalog.seal(claim, &image).await.unwrap();
    // With `images` and `claim` before them: eight, when Packer's log names a key pair and a group.
    assert_eq!(ec2.actions("ovenbird"), ["DescribeImages", "CreateTags", "DescribeTags", "DescribeInstances", "CreateTags"]);
    catalog.remove_image(&image).await.unwrap();
    ec2.assert_only(&[]);
}
