//! The port to what serves over canned replies: parsing, pages, and that a failed look-up is never an empty answer.

use jiff::Timestamp;

use crate::aws::canned::Script;
use crate::model::traffic::{Health, LoadBalancer};
use crate::ports::Traffic as _;

fn groups(inner: &str) -> String {
    format!(
        "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups>{inner}</AutoScalingGroups>\
         </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
    )
}

fn query_error(code: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error><RequestId>req-1</RequestId></ErrorResponse>"
    )
}

fn classic(name: &str) -> LoadBalancer {
    LoadBalancer::Classic(name.to_owned())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_group_is_told_with_its_instances_and_what_runs_outside_of_it() {
    let group = groups(
        "<member><AutoScalingGroupName>web-green</AutoScalingGroupName><MinSize>2</MinSize><MaxSize>8</MaxSize><DesiredCapacity>3</DesiredCapacity>\
         <LaunchTemplate><LaunchTemplateName>web-green</LaunchTemplateName><Version>7</Version></LaunchTemplate>\
         <LoadBalancerNames><member>elb-test</member></LoadBalancerNames><TargetGroupARNs><member>arn:x/t/1</member></TargetGroupARNs>\
         <SuspendedProcesses><member><ProcessName>Launch</ProcessName></member></SuspendedProcesses>\
         <Instances>\
         <member><InstanceId>i-2</InstanceId><LifecycleState>Pending:Wait</LifecycleState><HealthStatus>Healthy</HealthStatus></member>\
         <member><InstanceId>i-1</InstanceId><LifecycleState>InService</LifecycleState><HealthStatus>HEALTHY</HealthStatus>\
         <LaunchTemplate><Version>7</Version></LaunchTemplate></member></Instances></member>",
    );
    let page = |ids: &[&str], token: &str| {
        let items: Vec<String> = ids
            .iter()
            .map(|id| {
                format!(
                    "<item><instancesSet><item><instanceId>{id}</instanceId><imageId>ami-1</imageId><architecture>x86_64</architecture>\
                 <launchTime>2026-11-22T10:00:00Z</launchTime></item></instancesSet></item>"
                )
            })
            .collect();
        format!("<DescribeInstancesResponse><reservationSet>{}</reservationSet>{token}</DescribeInstancesResponse>", items.concat())
    };
    let script = Script::new([(200, group.as_str()), (200, &page(&["i-1"], "<nextToken>more</nextToken>")), (200, &page(&["i-9"], ""))]);
    let found = script.traffic().group("web-green").await.unwrap().expect("it is there");
    assert_eq!((found.min, found.max, found.desired, found.template.as_deref()), (2, 8, 3, Some("web-green:7")));
    assert_eq!(found.load_balancers, [classic("elb-test"), LoadBalancer::TargetGroup("arn:x/t/1".to_owned())]);
    assert_eq!((found.outside, found.suspended), (vec!["i-9".to_owned()], vec!["Launch".to_owned()]));
    let told: Vec<_> = found.instances.iter().map(|i| (&*i.id, i.in_service(), i.image.as_deref(), i.architecture.as_deref())).collect();
    assert_eq!(told, [("i-1", true, Some("ami-1"), Some("x86_64")), ("i-2", false, None, None)]);
    assert_eq!(found.instances[0].launched, Some(at("2026-11-22T10:00:00Z")));
    let asked = &script.requests()[1];
    assert!(asked.contains("tag%3Aaws%3Aautoscaling%3AgroupName") && !asked.contains("terminated"), "{asked}");
}

#[tokio::test]
async fn no_group_of_that_name_is_an_answer_and_a_refusal_is_an_error() {
    assert_eq!(Script::new([(200, groups("").as_str())]).traffic().group("web-green").await.unwrap(), None);
    let denied = query_error("AccessDenied");
    let error = Script::new([(403, denied.as_str())]).traffic().group("web-green").await.unwrap_err();
    assert_eq!(error.to_string(), "DescribeAutoScalingGroups in ap-northeast-1 failed: AccessDenied: no");
    assert_eq!((error.service, error.request_id.as_deref()), ("autoscaling", Some("req-1")));
    let help = crate::aws::errors::help(&error).expect("it is known");
    assert!(help.starts_with("allow `autoscaling:DescribeAutoScalingGroups` in ap-northeast-1"), "{help}");
    // Also when only the second question fails: instances without image would look like others.
    let one = groups("<member><AutoScalingGroupName>g</AutoScalingGroupName></member>");
    let refused = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>";
    let error = Script::new([(200, one.as_str()), (403, refused)]).traffic().group("g").await.unwrap_err();
    assert_eq!((error.operation, &*error.code), ("DescribeInstances", "UnauthorizedOperation"));
}

#[tokio::test]
async fn activities_are_read_back_to_the_moment_and_no_further() {
    let page = |times: &[&str], token: &str| {
        let items: Vec<String> = times
            .iter()
            .map(|time| {
                format!(
                    "<member><ActivityId>{time}</ActivityId><StartTime>{time}</StartTime><StatusCode>Failed</StatusCode>\
                 <Description>Launching a new EC2 instance.</Description><StatusMessage>no capacity</StatusMessage></member>"
                )
            })
            .collect();
        format!(
            "<DescribeScalingActivitiesResponse><DescribeScalingActivitiesResult><Activities>{}</Activities>{token}\
             </DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>",
            items.concat()
        )
    };
    let script = Script::new([
        (200, &*page(&["2026-11-22T10:03:00Z", "2026-11-22T10:02:00Z"], "<NextToken>t</NextToken>")),
        (200, &*page(&["2026-11-22T10:01:00Z", "2026-11-22T09:00:00Z"], "<NextToken>u</NextToken>")),
    ]);
    let found = script.traffic().activities("g", at("2026-11-22T10:01:00Z")).await.unwrap();
    assert_eq!(
        found.iter().map(|a| a.began.to_string()).collect::<Vec<_>>(),
        ["2026-11-22T10:03:00Z", "2026-11-22T10:02:00Z", "2026-11-22T10:01:00Z"]
    );
    assert_eq!((&*found[0].status, &*found[0].message), ("Failed", "no capacity"));
    assert_eq!(script.requests().len(), 2, "the third page is older");
}

#[tokio::test]
async fn a_classic_load_balancers_words_are_translated() {
    let state = |id: &str, state: &str, reason: &str, text: &str| {
        format!(
            "<member><InstanceId>{id}</InstanceId><State>{state}</State><ReasonCode>{reason}</ReasonCode><Description>{text}</Description></member>"
        )
    };
    let states = [
        state("i-5", "InService", "N/A", "Instance deregistration currently in progress."),
        state("i-1", "InService", "N/A", "N/A"),
        state("i-2", "OutOfService", "ELB", "Instance registration is still in progress."),
        state(
            "i-3",
            "OutOfService",
            "Instance",
            "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.",
        ),
        state("i-4", "Unknown", "N/A", "A transient error occurred. Please try again later."),
    ];
    let body = format!(
        "<DescribeInstanceHealthResponse><DescribeInstanceHealthResult><InstanceStates>{}</InstanceStates></DescribeInstanceHealthResult>\
         </DescribeInstanceHealthResponse>",
        states.concat()
    );
    let found = Script::new([(200, body.as_str())]).traffic().targets(&classic("elb")).await.unwrap().unwrap();
    let told: Vec<_> = found.iter().map(|t| (&*t.instance, t.health)).collect();
    let wanted = [
        ("i-1", Health::Healthy),
        ("i-2", Health::Initial),
        ("i-3", Health::Unhealthy),
        ("i-4", Health::Unknown),
        ("i-5", Health::Draining),
    ];
    assert_eq!(told, wanted);
    assert_eq!((&*found[0].reason, &*found[4].reason), ("", "Instance deregistration currently in progress"));
    let missing = query_error("LoadBalancerNotFound");
    assert_eq!(Script::new([(400, missing.as_str())]).traffic().targets(&classic("elb")).await.unwrap(), None);
    let other = query_error("AccessDenied");
    let error = Script::new([(403, other.as_str())]).traffic().targets(&classic("elb")).await.unwrap_err();
    assert_eq!((error.service, error.operation), ("elasticloadbalancing", "DescribeInstanceHealth"));
}

#[tokio::test]
async fn a_target_is_as_healthy_as_the_worst_of_its_ports() {
    let target = |id: &str, state: &str, reason: &str| {
        format!("<member><Target><Id>{id}</Id></Target><TargetHealth><State>{state}</State>{reason}</TargetHealth></member>")
    };
    let reason = "<Reason>Target.ResponseCodeMismatch</Reason><Description>Health checks failed with these codes: [503]</Description>";
    let targets =
        [target("i-1", "healthy", ""), target("i-2", "healthy", ""), target("i-2", "unhealthy", reason), target("i-3", "draining", "")];
    let body = format!(
        "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>{}</TargetHealthDescriptions>\
         </DescribeTargetHealthResult></DescribeTargetHealthResponse>",
        targets.concat()
    );
    let arn = LoadBalancer::TargetGroup("arn:x".to_owned());
    let found = Script::new([(200, body.as_str())]).traffic().targets(&arn).await.unwrap().unwrap();
    let told: Vec<_> = found.iter().map(|t| (&*t.instance, t.health, &*t.reason)).collect();
    let why = "Target.ResponseCodeMismatch: Health checks failed with these codes: [503]";
    assert_eq!(told, [("i-1", Health::Healthy, ""), ("i-2", Health::Unhealthy, why), ("i-3", Health::Draining, "")]);
    let missing = query_error("TargetGroupNotFound");
    assert_eq!(Script::new([(400, missing.as_str())]).traffic().targets(&arn).await.unwrap(), None);
}

#[tokio::test]
async fn an_instances_revision_is_that_of_the_last_deployment_that_succeeded_on_it() {
    let info = |id: &str, created: u32, key: &str| {
        format!(
            r#"{{"deploymentId":"{id}","status":"Succeeded","createTime":{created},"revision":{{"revisionType":"S3","s3Location":{{"bucket":"b","key":"{key}","eTag":"\"e\""}}}}}}"#
        )
    };
    let target = |id: &str, status: &str| {
        format!(r#"{{"deploymentTargetType":"InstanceTarget","instanceTarget":{{"targetId":"{id}","status":"{status}"}}}}"#)
    };
    let targets = |of: &[String]| format!(r#"{{"deploymentTargets":[{}]}}"#, of.join(","));
    let script = Script::new([
        (200, r#"{"deploymentGroupInfo":{"lastSuccessfulDeployment":{"deploymentId":"d-2"}}}"#),
        (200, &format!(r#"{{"deploymentsInfo":[{}]}}"#, info("d-2", 200, "v2"))),
        (200, r#"{"deployments":["d-1","d-2"]}"#),
        (200, &format!(r#"{{"deploymentsInfo":[{},{}]}}"#, info("d-1", 100, "v1"), info("d-2", 200, "v2"))),
        // The newest first: i-1 got it, i-2 failed, i-9 is nobody's question.
        (200, r#"{"targetIds":["i-1"],"nextToken":"t"}"#),
        (200, r#"{"targetIds":["i-2","i-9"]}"#),
        (200, &targets(&[target("i-1", "Succeeded"), target("i-2", "Failed")])),
        (200, r#"{"targetIds":["i-1","i-2"]}"#),
        (200, &targets(&[target("i-2", "Succeeded")])),
    ]);
    let ids = ["i-1".to_owned(), "i-2".to_owned(), "i-3".to_owned()];
    let found = script.traffic().deployed("app", "web", &ids).await.unwrap().unwrap();
    assert_eq!(found.wanted.as_deref(), Some("s3://b/v2#e"));
    let told: Vec<_> = found.instances.iter().map(|(id, on)| (&**id, &*on.deployment, &*on.status, on.succeeded.as_deref())).collect();
    assert_eq!(told, [("i-1", "d-2", "Succeeded", Some("s3://b/v2#e")), ("i-2", "d-2", "Failed", Some("s3://b/v1#e"))]);
    let requests = script.requests();
    assert!(requests[6].contains("i-1") && !requests[6].contains("i-9"), "{}", requests[6]);
    assert!(!requests[8].contains("i-1"), "what is known is not asked again: {}", requests[8]);
}

#[tokio::test]
async fn deployments_that_are_not_over_are_told_and_a_missing_application_is_an_answer() {
    let script = Script::new([
        (200, r#"{"deployments":["d-1"]}"#),
        (
            200,
            r#"{"deploymentsInfo":[{"deploymentId":"d-1","status":"InProgress","revision":{"revisionType":"GitHub","gitHubLocation":{"repository":"a/b","commitId":"c0ffee"}}}]}"#,
        ),
    ]);
    let found = script.traffic().deployments("app", "web").await.unwrap().unwrap();
    assert_eq!((&*found[0].id, &*found[0].status, &*found[0].revision), ("d-1", "InProgress", "a/b@c0ffee"));
    assert!(script.requests()[0].contains("InProgress") && !script.requests()[0].contains("Succeeded"));
    let missing = r#"{"__type":"DeploymentGroupDoesNotExistException","message":"no"}"#;
    assert_eq!(Script::new([(400, missing)]).traffic().deployments("app", "web").await.unwrap(), None);
    assert_eq!(Script::new([(400, missing)]).traffic().deployed("app", "web", &[]).await.unwrap(), None);
}

#[tokio::test]
async fn images_come_in_the_order_of_the_question_and_strangers_are_left_out() {
    let item = |id: &str| format!("<item><imageId>{id}</imageId><imageState>available</imageState></item>");
    let body = format!("<DescribeImagesResponse><imagesSet>{}{}</imagesSet></DescribeImagesResponse>", item("ami-2"), item("ami-1"));
    let ids = ["ami-1", "ami-gone", "ami-2"].map(str::to_owned);
    let script = Script::new([(200, body.as_str())]);
    let found = script.traffic().images(&ids).await.unwrap();
    assert_eq!(found.iter().map(|image| &*image.id).collect::<Vec<_>>(), ["ami-1", "ami-2"]);
    assert!(script.requests()[0].contains("image-id"), "a filter: an id that EC2 does not know would refuse the rest");
}

/// The little of CBOR that a reply needs: maps, arrays, texts and doubles.
mod cbor {
    fn head(major: u8, length: usize) -> Vec<u8> {
        assert!(length < 256, "small ones only");
        let length = u8::try_from(length).unwrap();
        if length < 24 { vec![(major << 5) | length] } else { vec![(major << 5) | 0x18, length] }
    }
    pub(super) fn text(text: &str) -> Vec<u8> {
        [head(3, text.len()), text.as_bytes().to_vec()].concat()
    }
    pub(super) fn double(number: f64) -> Vec<u8> {
        [vec![0xfb], number.to_be_bytes().to_vec()].concat()
    }
    pub(super) fn list(items: &[Vec<u8>]) -> Vec<u8> {
        [head(4, items.len()), items.concat()].concat()
    }
    pub(super) fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let inner: Vec<u8> = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
        [head(5, entries.len()), inner].concat()
    }
}

#[tokio::test]
async fn requests_are_summed_over_the_minutes_and_over_every_kind_of_failure() {
    let result = |id: &str, values: &[f64]| {
        let values: Vec<Vec<u8>> = values.iter().map(|value| cbor::double(*value)).collect();
        cbor::map(&[("Id", cbor::text(id)), ("Values", cbor::list(&values))])
    };
    let body =
        cbor::map(&[("MetricDataResults", cbor::list(&[result("m0", &[60.0, 40.0]), result("m1", &[1.0, 2.0]), result("m2", &[4.0])]))]);
    let script = Script::of_bytes([(200, body)]);
    let (from, to) = (at("2026-11-22T10:00:00Z"), at("2026-11-22T10:10:00Z"));
    let found = script.traffic().requests(&classic("elb-prd"), from, to).await.unwrap();
    assert_eq!((found.all, found.failed), (100.0, 7.0));
    let asked = &script.requests()[0];
    assert!(asked.contains("AWS/ELB") && asked.contains("HTTPCode_ELB_5XX") && asked.contains("elb-prd"), "{asked}");
}

#[tokio::test]
async fn requests_of_a_target_group_are_asked_under_its_load_balancers_name() {
    let described = "<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups><member><LoadBalancerArns>\
         <member>arn:aws:elasticloadbalancing:r:1:loadbalancer/app/web/50dc</member></LoadBalancerArns></member></TargetGroups>\
         </DescribeTargetGroupsResult></DescribeTargetGroupsResponse>";
    let empty = cbor::map(&[("MetricDataResults", cbor::list(&[]))]);
    let script = Script::of_bytes([(200, described.as_bytes().to_vec()), (200, empty)]);
    let arn = LoadBalancer::TargetGroup("arn:aws:elasticloadbalancing:r:1:targetgroup/live/6d0e".to_owned());
    let (from, to) = (at("2026-11-22T10:00:00Z"), at("2026-11-22T10:10:00Z"));
    let found = script.traffic().requests(&arn, from, to).await.unwrap();
    assert_eq!((found.all, found.failed), (0.0, 0.0), "no data points: nobody came");
    let asked = &script.requests()[1];
    assert!(asked.contains("app/web/50dc") && asked.contains("targetgroup/live/6d0e"), "{asked}");
    let none = "<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups/></DescribeTargetGroupsResult></DescribeTargetGroupsResponse>";
    let error = Script::new([(200, none)]).traffic().requests(&arn, from, to).await.unwrap_err();
    assert!(error.to_string().contains("no load balancer forwards to"), "{error}");
}
