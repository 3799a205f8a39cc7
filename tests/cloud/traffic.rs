//! The port to what serves and the gates over it, against groups and load balancers that are real here: what the canned replies of
//! `src/aws/traffic_tests.rs` and the scripted world of `src/run/gate/tests.rs` claim.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_autoscaling::types::LaunchTemplateSpecification;
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_ec2::types::{InstanceType, RequestLaunchTemplateData};
use aws_sdk_elasticloadbalancing::types::{HealthCheck, Listener};
use jiff::Timestamp;
use ovenbird::aws::{AwsTraffic, Clients};
use ovenbird::config::gate::{GateChecks, GateStep, Probe};
use ovenbird::event::Event;
use ovenbird::model::gate::{FailedGate, Verdict, Why};
use ovenbird::model::traffic::LoadBalancer;
use ovenbird::ports::{Stop, Traffic as _};
use ovenbird::run::gate::{Gate, Surroundings, Want, wait};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::harness::{LocalEc2, PATIENCE};

const REGION: &str = "ap-northeast-1";
const GROUP: &str = "web-green";
const BALANCER: &str = "elb-test";

/// One group behind one classic load balancer.
struct Fleet {
    ec2: LocalEc2,
    clients: Clients,
    traffic: AwsTraffic,
    image: String,
    /// `http://` and the load balancer's address.
    url: String,
}

impl Fleet {
    async fn new() -> Self {
        let ec2 = LocalEc2::start(false);
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(ec2.endpoint())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
            .build();
        let clients = Clients {
            region: REGION.to_owned(),
            ec2: aws_sdk_ec2::Client::new(&config),
            autoscaling: aws_sdk_autoscaling::Client::new(&config),
            elb: aws_sdk_elasticloadbalancing::Client::new(&config),
            elbv2: aws_sdk_elasticloadbalancingv2::Client::new(&config),
            codedeploy: aws_sdk_codedeploy::Client::new(&config),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
        };
        let image = ec2.control("POST", "light", &json!({ "name": "web-1" }))["id"].as_str().unwrap().to_owned();
        let data = RequestLaunchTemplateData::builder().image_id(&image).instance_type(InstanceType::T3Micro).build();
        clients.ec2.create_launch_template().launch_template_name(GROUP).launch_template_data(data).send().await.unwrap();
        let listener = |protocol: &str, port| {
            let listener = Listener::builder().protocol(protocol).load_balancer_port(port).instance_protocol(protocol);
            listener.instance_port(port).build().unwrap()
        };
        let made = clients.elb.create_load_balancer().load_balancer_name(BALANCER).availability_zones(format!("{REGION}a"));
        let made = made.listeners(listener("HTTP", 80)).listeners(listener("TCP", 443)).send().await.unwrap();
        let check = HealthCheck::builder().target("HTTP:80/health").interval(5).timeout(2).unhealthy_threshold(2).healthy_threshold(2);
        let check = check.build().unwrap();
        clients.elb.configure_health_check().load_balancer_name(BALANCER).health_check(check).send().await.unwrap();
        let template = LaunchTemplateSpecification::builder().launch_template_name(GROUP).version("$Latest").build();
        let group = clients.autoscaling.create_auto_scaling_group().auto_scaling_group_name(GROUP).launch_template(template);
        let group = group.min_size(2).max_size(4).load_balancer_names(BALANCER).availability_zones(format!("{REGION}a"));
        group.send().await.unwrap();
        let traffic = AwsTraffic::new(clients.clone());
        let url = format!("http://{}", made.dns_name().unwrap());
        Self { ec2, clients, traffic, image, url }
    }

    fn healthy(&self) -> Want {
        let (group, on) = (GROUP.to_owned(), LoadBalancer::Classic(BALANCER.to_owned()));
        Want::Healthy { group, on, at_least: 2, image: Some(self.image.clone()) }
    }

    async fn gate(&self, wants: Vec<Want>, checks: GateChecks) -> (Verdict, Vec<Event>) {
        let (facts, mut said) = mpsc::unbounded_channel();
        let folder = tempfile::tempdir().unwrap();
        let (_stop, stopped) = watch::channel(Stop::No);
        let since = Timestamp::now();
        let gate = Gate { step: GateStep::Start, wants, checks, since, variables: BTreeMap::new() };
        let around = Surroundings {
            traffic: &self.traffic,
            facts: &facts,
            stop: stopped,
            log: &folder.path().join("gate.log"),
            root: folder.path(),
            env: &BTreeMap::new(),
            now: since,
        };
        let verdict = wait(&gate, &around).await.unwrap();
        (verdict, std::iter::from_fn(|| said.try_recv().ok()).collect())
    }

    async fn fails(&self, wants: Vec<Want>, checks: GateChecks) -> FailedGate {
        match self.gate(wants, checks).await.0 {
            Verdict::Failed(failed) => failed,
            Verdict::Passed => panic!("the gate passed"),
        }
    }
}

fn probe(url: String) -> Probe {
    Probe {
        name: "health".to_owned(),
        url,
        status: 200,
        body: Some("ok".to_owned()),
        in_a_row: 3,
        every: Duration::from_millis(200),
        timeout: Duration::from_secs(10),
        headers: BTreeMap::new(),
        connect_to: None,
        ca: None,
        insecure: false,
    }
}

fn probed(probe: Probe, timeout: Duration) -> GateChecks {
    GateChecks { probes: vec![probe], timeout, ..GateChecks::default() }
}

/// One server for all of it: starting it and its instances is what costs.
#[tokio::test]
async fn gates_see_a_real_fleet_come_up_answer_wrongly_flap_fail_to_launch_and_end() {
    let fleet = Fleet::new().await;

    // It comes up: by instance id, and through the load balancer.
    let (verdict, events) = fleet.gate(vec![fleet.healthy()], probed(probe(format!("{}/health", fleet.url)), PATIENCE)).await;
    assert_eq!(verdict, Verdict::Passed, "{events:?}");
    let group = fleet.traffic.group(GROUP).await.unwrap().unwrap();
    assert!(group.instances.iter().all(|i| i.in_service() && i.image.as_deref() == Some(&*fleet.image)), "{group:?}");
    assert_eq!((group.min, group.max, &*group.outside), (2, 4, &[][..]));
    assert_eq!(fleet.traffic.group("web-blue").await.unwrap(), None);
    let nowhere = LoadBalancer::Classic("elb-none".to_owned());
    assert_eq!(fleet.traffic.targets(&nowhere).await.unwrap(), None);
    assert_eq!(fleet.traffic.deployed("app", "app", &[]).await.unwrap(), None);
    let images = fleet.traffic.images(&["ami-0123456789abcdef0".to_owned(), fleet.image.clone()]).await.unwrap();
    assert_eq!(images.iter().map(|image| &image.id).collect::<Vec<_>>(), [&fleet.image]);

    // TLS: the instances' certificates are their own.
    let https = probe(fleet.url.replace("http:", "https:") + "/health");
    let failed = fleet.fails(vec![fleet.healthy()], probed(https.clone(), Duration::from_secs(5))).await;
    assert_eq!(failed.why, Why::ProbeTls, "{failed:?}");
    let (verdict, _) = fleet.gate(vec![fleet.healthy()], probed(Probe { insecure: true, ..https }, PATIENCE)).await;
    assert_eq!(verdict, Verdict::Passed);

    // What the load balancer counted of the probes arrives.
    let balancer = LoadBalancer::Classic(BALANCER.to_owned());
    let begun = tokio::time::Instant::now();
    loop {
        let now = Timestamp::now();
        let hour = jiff::SignedDuration::from_hours(1);
        let counted = fleet.traffic.requests(&balancer, now - hour, now + hour).await.unwrap();
        if counted.all >= 3.0 {
            // Before the first instance was healthy the load balancer answered the probes itself.
            assert!(counted.failed >= 1.0, "{counted:?}");
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{counted:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // Answers 500 everywhere but in its health check.
    fleet.ec2.turn(&json!({ "behave": { "mode": "500", "group": GROUP } }));
    let root = Probe { body: None, ..probe(format!("{}/", fleet.url)) };
    let failed = fleet.fails(vec![fleet.healthy()], probed(root, Duration::from_secs(5))).await;
    assert!(failed.why == Why::ProbeFailed || failed.why == Why::NotHealthy, "{failed:?}");
    assert!(failed.message.contains("status 50"), "{failed:?}");
    fleet.ec2.reset();

    // Healthy and unhealthy by turns, for as long as the gate would soak.
    fleet.ec2.turn(&json!({ "behave": { "mode": "flap", "group": GROUP, "seconds": 4 } }));
    let soaking = GateChecks { timeout: PATIENCE, soak: PATIENCE, ..GateChecks::default() };
    let failed = fleet.fails(vec![fleet.healthy()], soaking).await;
    assert_eq!(failed.why, Why::Unstable, "{failed:?}");
    fleet.ec2.reset();

    // A launch that fails ends the waiting at once.
    let (verdict, _) = fleet.gate(vec![fleet.healthy()], GateChecks { timeout: PATIENCE, ..GateChecks::default() }).await;
    assert_eq!(verdict, Verdict::Passed);
    fleet.ec2.turn(&json!({ "fail_launch": { "group": GROUP, "message": "InsufficientInstanceCapacity" } }));
    let more = async { fleet.clients.autoscaling.update_auto_scaling_group().auto_scaling_group_name(GROUP).min_size(3).send().await };
    let wants = match fleet.healthy() {
        Want::Healthy { group, on, image, .. } => vec![Want::Healthy { group, on, image, at_least: 3 }],
        other => panic!("{other:?}"),
    };
    let (failed, updated) = tokio::join!(fleet.fails(wants, GateChecks { timeout: PATIENCE, ..GateChecks::default() }), more);
    updated.unwrap();
    assert_eq!(failed.why, Why::LaunchFailed, "{failed:?}");
    assert!(failed.message.contains("InsufficientInstanceCapacity"), "{failed:?}");
    fleet.ec2.reset();

    // And it ends.
    let update = fleet.clients.autoscaling.update_auto_scaling_group().auto_scaling_group_name(GROUP);
    update.min_size(0).max_size(0).desired_capacity(0).send().await.unwrap();
    let gone = Want::Gone { group: GROUP.to_owned() };
    let (verdict, _) = fleet.gate(vec![gone], GateChecks { timeout: PATIENCE, ..GateChecks::default() }).await;
    assert_eq!(verdict, Verdict::Passed);
    assert_eq!(fleet.traffic.group(GROUP).await.unwrap().unwrap().instances, []);
}
