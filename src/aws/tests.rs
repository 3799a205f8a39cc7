//! Behaviour over canned replies. The same against the local EC2 stands in `tests/cloud/catalog.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aws::canned::Script;
use crate::aws::{Patience, errors};
use crate::model::artifact::{Image, ImageState, LeftoverKind, tags};
use crate::model::digest::{Digest, StageKey};
use crate::model::name::Name;
use crate::model::node::{Architecture, NodeId, RunId};
use crate::ports::{Catalog, Claimed, SourceQuery, Wanted};

const NONE: Patience = Patience { not_found: Duration::ZERO, in_use: Duration::ZERO };
const SOME: Patience = Patience { not_found: Duration::from_millis(600), in_use: Duration::from_millis(600) };

fn wanted() -> Wanted {
    let node = NodeId { stage: Name::new("web").expect("a name"), architecture: Architecture::X86_64 };
    Wanted { node, key: StageKey(Digest::of(b"web")) }
}

fn run() -> RunId {
    RunId::new("20261122t041500", 0x3f_9a1c)
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>req-1</RequestID></Response>"
    )
}

fn tag_set(tags: &[(&str, &str)]) -> String {
    let items: Vec<_> = tags.iter().map(|(k, v)| format!("<item><key>{k}</key><value>{v}</value></item>")).collect();
    format!("<tagSet>{}</tagSet>", items.concat())
}

fn image_item(id: &str, created: &str, state: &str, more: &[(&str, &str)]) -> String {
    let key = wanted().key.to_string();
    let tags = tag_set(&[&[(tags::KEY, key.as_str()), (tags::STAGE, "web"), (tags::PIPELINE, "shop")], more].concat());
    format!(
        "<item><imageId>{id}</imageId><imageState>{state}</imageState><creationDate>{created}</creationDate><architecture>x86_64</architecture>\
         <virtualizationType>hvm</virtualizationType><rootDeviceType>ebs</rootDeviceType>{tags}</item>"
    )
}

fn images(items: &[String], next: Option<&str>) -> String {
    let next = next.map(|token| format!("<nextToken>{token}</nextToken>")).unwrap_or_default();
    format!("<DescribeImagesResponse><imagesSet>{}</imagesSet>{next}</DescribeImagesResponse>", items.concat())
}

fn some_image() -> Image {
    Image {
        id: "ami-1".to_owned(),
        region: "ap-northeast-1".to_owned(),
        name: "shop-web".to_owned(),
        state: ImageState::Available,
        created: String::new(),
        architecture: "x86_64".to_owned(),
        owner: "1".to_owned(),
        virtualization: "hvm".to_owned(),
        root_device: "ebs".to_owned(),
        snapshots: vec!["snap-1".to_owned(), "snap-2".to_owned()],
        tags: BTreeMap::new(),
        source_image: None,
    }
}

#[tokio::test]
async fn images_follows_every_page_and_asks_for_our_own_only() {
    let first = images(&[image_item("ami-1", "1", "available", &[])], Some("more"));
    let second = images(&[image_item("ami-2", "2", "pending", &[])], None);
    let script = Script::new([(200, first.as_str()), (200, second.as_str())]);
    let found = script.catalog(NONE).images().await.expect("two pages");
    assert_eq!(found.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["ami-1", "ami-2"]);
    let requests = script.requests();
    assert!(requests[0].contains("Owner.1=self") && requests[0].contains("Filter.1.Name=tag%3Aovenbird%3Apipeline"), "{}", requests[0]);
    assert!(requests[1].contains("NextToken=more"), "{}", requests[1]);
}

#[tokio::test]
async fn a_look_up_that_fails_is_an_error_and_never_empty() {
    let denied = refusal("UnauthorizedOperation", "You are not authorized to perform this operation.");
    let script = Script::new([(403, denied.as_str())]);
    let error = script.catalog(NONE).images().await.expect_err("it is denied");
    assert_eq!(
        error.to_string(),
        "DescribeImages in ap-northeast-1 failed: UnauthorizedOperation: You are not authorized to perform this operation"
    );
    assert_eq!(error.request_id.as_deref(), Some("req-1"));
    assert!(errors::help(&error).is_some_and(|help| help.contains("ec2:DescribeImages")));
    assert_eq!(script.operations().len(), 1, "a denied call is not repeated");

    let second_page = refusal("InternalError", "no");
    let first = images(&[], Some("more"));
    let script = Script::new([(200, first.as_str())].into_iter().chain(std::iter::repeat_n((500, second_page.as_str()), 4)));
    assert_eq!(script.catalog(NONE).images().await.expect_err("the second page is missing").code, "InternalError");

    let script = Script::new([(200, "not xml at all")]);
    assert_eq!(script.catalog(NONE).images().await.expect_err("no answer").code, errors::RESPONSE);
}

#[tokio::test]
async fn throttling_is_retried() {
    let slow = refusal("RequestLimitExceeded", "Request limit exceeded.");
    let good = images(&[], None);
    let script = Script::new([(503, slow.as_str()), (503, slow.as_str()), (200, good.as_str())]);
    assert_eq!(script.catalog(NONE).images().await.expect("the third one works"), []);
    assert_eq!(script.operations().len(), 3);
}

#[tokio::test]
async fn a_claim_is_given_only_when_no_image_stands_for_the_key() {
    let useless = [
        image_item("ami-pending", "1", "pending", &[]),
        image_item("ami-failed", "1", "failed", &[]),
        image_item("ami-revoked", "1", "available", &[(tags::REVOKED, "bad kernel")]),
    ];
    let answer = images(&useless, None);
    let script = Script::new([(200, answer.as_str())]);
    assert!(matches!(script.catalog(NONE).claim(wanted()).await, Ok(Claimed::Claim(_))));
    assert!(script.requests()[0].contains("tag%3Aovenbird%3Akey"), "the look-up is by key");

    let twins = images(
        &[
            image_item("ami-b", "2", "available", &[]),
            image_item("ami-a", "2", "available", &[]),
            image_item("ami-c", "3", "available", &[]),
        ],
        None,
    );
    let script = Script::new([(200, twins.as_str())]);
    match script.catalog(NONE).claim(wanted()).await {
        Ok(Claimed::Held(image)) => assert_eq!(image.id, "ami-a", "the oldest, then the smallest id"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_id_that_ec2_does_not_know_yet_is_waited_for() {
    let unknown = refusal("InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist");
    let known = images(&[image_item("ami-1", "1", "available", &[])], None);
    let script = Script::new([(400, unknown.as_str()), (400, unknown.as_str()), (200, known.as_str())]);
    assert_eq!(script.catalog(SOME).image("ami-1").await.expect("an answer").map(|i| i.id), Some("ami-1".to_owned()));

    let script = Script::new(std::iter::repeat_n((400, unknown.as_str()), 20));
    assert_eq!(script.catalog(SOME).image("ami-1").await.expect("an answer"), None, "patience ends");

    let gone = refusal("InvalidAMIID.Unavailable", "The image ID is no longer available");
    let script = Script::new([(400, gone.as_str())]);
    assert_eq!(script.catalog(SOME).image("ami-1").await.expect("an answer"), None);
    assert_eq!(script.operations().len(), 1, "a deregistered image does not come back");
}

#[tokio::test]
async fn the_seal_is_one_tag_on_the_image_alone() {
    let none = images(&[], None);
    let script = Script::new([(200, none.as_str()), (200, "<CreateTagsResponse><return>true</return></CreateTagsResponse>")]);
    let catalog = script.catalog(NONE);
    let Ok(Claimed::Claim(claim)) = catalog.claim(wanted()).await else { panic!("nothing holds the key") };
    catalog.seal(claim, &some_image()).await.expect("it is written");
    let request = &script.requests()[1];
    assert!(request.contains("ResourceId.1=ami-1") && !request.contains("ResourceId.2"), "{request}");
    assert!(request.contains("Tag.1.Key=ovenbird%3Akey") && !request.contains("Tag.2"), "{request}");

    let denied = refusal("UnauthorizedOperation", "no");
    let script = Script::new([(200, none.as_str()), (403, denied.as_str())]);
    let catalog = script.catalog(NONE);
    let Ok(Claimed::Claim(claim)) = catalog.claim(wanted()).await else { panic!("nothing holds the key") };
    let error = catalog.seal(claim, &some_image()).await.expect_err("it is denied");
    assert!(error.changed.is_some_and(|c| c.contains("ami-1") && c.contains("not sealed")));
}

#[tokio::test]
async fn tags_reach_the_snapshots_too() {
    let script = Script::new([(200, "<CreateTagsResponse><return>true</return></CreateTagsResponse>")]);
    let tags = BTreeMap::from([("team".to_owned(), "platform".to_owned())]);
    script.catalog(NONE).tag(&some_image(), &tags).await.expect("they are written");
    let request = &script.requests()[0];
    assert!(request.contains("ResourceId.1=ami-1&ResourceId.2=snap-1&ResourceId.3=snap-2"), "{request}");
}

#[tokio::test(start_paused = true)]
async fn removing_an_image_tolerates_what_is_gone_and_says_what_it_changed() {
    let gone = refusal("InvalidAMIID.Unavailable", "gone");
    let in_use = refusal("InvalidSnapshot.InUse", "The snapshot is currently in use by ami-1");
    let missing = refusal("InvalidSnapshot.NotFound", "gone");
    let done = "<DeleteSnapshotResponse><return>true</return></DeleteSnapshotResponse>";
    let script = Script::new([(400, gone.as_str()), (400, in_use.as_str()), (200, done), (400, missing.as_str())]);
    script.catalog(SOME).remove_image(&some_image()).await.expect("all of it is gone");
    assert_eq!(script.operations(), ["DeregisterImage", "DeleteSnapshot", "DeleteSnapshot", "DeleteSnapshot"]);

    let denied = refusal("UnauthorizedOperation", "no");
    let done = "<DeregisterImageResponse><return>true</return></DeregisterImageResponse>";
    let script = Script::new([(200, done), (403, denied.as_str())]);
    let error = script.catalog(SOME).remove_image(&some_image()).await.expect_err("it is denied");
    assert_eq!(error.changed.as_deref(), Some("ami-1 is deregistered in ap-northeast-1, its snapshots snap-1, snap-2 are still there"));
}

#[tokio::test]
async fn a_source_is_never_searched_without_owners() {
    let query =
        SourceQuery { architecture: Architecture::X86_64, owners: Vec::new(), filters: BTreeMap::new(), id: None, ssm_parameter: None };
    let script = Script::default();
    let error = script.catalog(NONE).newest_source(&query).await.expect_err("it is refused");
    assert_eq!(error.code, errors::REQUEST);
    assert_eq!(script.operations(), Vec::<String>::new());

    let unknown = refusal("InvalidAMIID.NotFound", "no");
    let script = Script::new([(400, unknown.as_str())]);
    let by_id = SourceQuery { id: Some("ami-9".to_owned()), ..query };
    assert_eq!(script.catalog(NONE).newest_source(&by_id).await.expect("an answer"), None);
    assert!(!script.requests()[0].contains("MaxResults"), "EC2 refuses it beside image ids");
}

#[tokio::test]
async fn a_public_parameter_is_followed_and_a_private_one_is_refused() {
    let query = |parameter: &str| SourceQuery {
        architecture: Architecture::X86_64,
        owners: Vec::new(),
        filters: BTreeMap::new(),
        id: None,
        ssm_parameter: Some(parameter.to_owned()),
    };
    let found = images(&[image_item("ami-old", "1", "available", &[]), image_item("ami-now", "2", "available", &[])], None);
    let script = Script::new([(200, found.as_str())]);
    let image = script.catalog(NONE).newest_source(&query("/aws/service/debian/release/12/latest/amd64")).await.expect("an answer");
    assert_eq!(image.map(|i| i.id), Some("ami-now".to_owned()));
    assert!(script.requests()[0].contains("public-ssm-parameter-name"), "{}", script.requests()[0]);
    let error = script.catalog(NONE).newest_source(&query("/team/golden")).await.expect_err("EC2 cannot follow it");
    assert!(error.message.contains("`/team/golden` is not one"), "{error}");
}

fn instance(id: &str, state: &str, key: &str, tags: &str) -> String {
    format!(
        "<item><instanceId>{id}</instanceId><instanceState><code>0</code><name>{state}</name></instanceState><keyName>{key}</keyName>{tags}</item>"
    )
}

#[tokio::test]
async fn a_clean_run_of_our_template_is_reconciled_in_two_calls() {
    let run = run();
    let tagged = "<DescribeTagsResponse><tagSet><item><resourceId>i-1</resourceId></item><item><resourceId>ami-1</resourceId></item>\
                  <item><resourceId>snap-1</resourceId></item></tagSet></DescribeTagsResponse>";
    let kept = images(&[image_item("ami-1", "1", "available", &[])], None).replace(
        "<rootDeviceType>",
        "<blockDeviceMapping><item><ebs><snapshotId>snap-1</snapshotId></ebs></item></blockDeviceMapping><rootDeviceType>",
    );
    let ours = tag_set(&[(tags::RUN, run.as_str()), (tags::STAGE, "web")]);
    let instances = format!(
        "<DescribeInstancesResponse><reservationSet><item><instancesSet>{}</instancesSet></item></reservationSet></DescribeInstancesResponse>",
        instance("i-1", "terminated", "packer_1", &ours)
    );
    let script = Script::new([(200, kept.as_str()), (200, tagged), (200, instances.as_str())]);
    let catalog = script.catalog(NONE);
    catalog.image("ami-1").await.expect("an answer");
    let left = catalog.leftovers(&run, &wanted().node, &[], Some("ami-1")).await.expect("an answer");
    assert_eq!(left, []);
    assert_eq!(script.operations(), ["DescribeImages", "DescribeTags", "DescribeInstances"]);
}

#[tokio::test]
async fn an_instance_that_a_log_merely_mentions_is_not_ours() {
    let none = "<DescribeTagsResponse><tagSet/></DescribeTagsResponse>";
    let items = instance("i-mine", "running", "packer_1", "") + &instance("i-production", "running", "ops", "");
    let instances = format!(
        "<DescribeInstancesResponse><reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet></DescribeInstancesResponse>"
    );
    let keys = "<DescribeKeyPairsResponse><keySet><item><keyName>packer_1</keyName></item></keySet></DescribeKeyPairsResponse>";
    let groups = "<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupId>sg-1</groupId><groupName>packer_2</groupName></item>\
                  <item><groupId>sg-2</groupId><groupName>production</groupName></item></securityGroupInfo></DescribeSecurityGroupsResponse>";
    let no_groups = "<DescribeSecurityGroupsResponse><securityGroupInfo/></DescribeSecurityGroupsResponse>";
    let script = Script::new([(200, none), (200, instances.as_str()), (200, keys), (200, groups), (200, no_groups)]);
    let ids: Vec<String> = ["i-mine", "i-production", "packer_1", "sg-1", "sg-2"].map(str::to_owned).into();
    let left = script.catalog(NONE).leftovers(&run(), &wanted().node, &ids, None).await.expect("an answer");
    let left: Vec<_> = left.iter().map(|l| (l.kind, l.id.as_str())).collect();
    assert_eq!(left, [(LeftoverKind::Instance, "i-mine"), (LeftoverKind::KeyPair, "packer_1"), (LeftoverKind::SecurityGroup, "sg-1")]);
}
