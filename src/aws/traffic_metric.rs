//! Requests and failures that a load balancer counted, from `CloudWatch`.
//!
//! Invariant: both numbers are sums over the same minutes, asked for in one call; a load balancer that counted nothing has no
//! data points, and that is zero and no error.

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use jiff::Timestamp;

use crate::aws::errors::{REQUEST, failed_of, refused};
use crate::aws::traffic::{AwsTraffic, moment};
use crate::aws::traffic_health::ELB;
use crate::model::traffic::{LoadBalancer, Requests};
use crate::ports::AwsError;

/// Load balancers report once a minute.
const PERIOD: i32 = 60;

/// Namespace, dimensions and names of the counters: the first is all requests, the others are failures.
struct Counters {
    namespace: &'static str,
    metrics: Vec<(&'static str, Vec<Dimension>)>,
}

impl AwsTraffic {
    pub(super) async fn counted_requests(
        &self,
        load_balancer: &LoadBalancer,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Requests, AwsError> {
        let counters = match load_balancer {
            LoadBalancer::Classic(name) => classic(name),
            LoadBalancer::TargetGroup(arn) => self.target_group(arn).await?,
        };
        let query = |(number, (name, dimensions)): (usize, (&'static str, Vec<Dimension>))| {
            let metric = Metric::builder().namespace(counters.namespace).metric_name(name).set_dimensions(Some(dimensions)).build();
            let stat = MetricStat::builder().metric(metric).period(PERIOD).stat("Sum").build();
            MetricDataQuery::builder().id(format!("m{number}")).metric_stat(stat).build()
        };
        let queries = counters.metrics.into_iter().enumerate().map(query).collect();
        let request = self.clients.cloudwatch.get_metric_data().start_time(moment(from)).end_time(moment(to));
        let mut pages = request.set_metric_data_queries(Some(queries)).into_paginator().send();
        let mut requests = Requests::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed_of("cloudwatch", "GetMetricData", self.region(), &e))?;
            for result in page.metric_data_results() {
                let sum: f64 = result.values().iter().sum();
                if result.id() == Some("m0") { requests.all += sum } else { requests.failed += sum }
            }
        }
        Ok(requests)
    }

    async fn target_group(&self, arn: &str) -> Result<Counters, AwsError> {
        let answer = self.clients.elbv2.describe_target_groups().target_group_arns(arn).send().await;
        let answer = answer.map_err(|e| failed_of(ELB, "DescribeTargetGroups", self.region(), &e))?;
        let balancers = answer.target_groups().first().map(|group| group.load_balancer_arns().to_vec()).unwrap_or_default();
        let group = dimension("TargetGroup", arn.rsplit(':').next().unwrap_or(arn));
        let Some(balancer) = balancers.first() else {
            return Err(refused(
                "DescribeTargetGroups",
                self.region(),
                REQUEST,
                format!("no load balancer forwards to `{arn}`: it counts no requests"),
            ));
        };
        let balancer = dimension("LoadBalancer", balancer.split_once("loadbalancer/").map_or(&**balancer, |(_, id)| id));
        let metrics = vec![
            ("RequestCount", vec![balancer.clone(), group.clone()]),
            ("HTTPCode_Target_5XX_Count", vec![balancer.clone(), group]),
            // Answers that the load balancer gave itself are not counted by target group.
            ("HTTPCode_ELB_5XX_Count", vec![balancer]),
        ];
        Ok(Counters { namespace: "AWS/ApplicationELB", metrics })
    }
}

fn classic(name: &str) -> Counters {
    let of = || vec![dimension("LoadBalancerName", name)];
    // Requests that never reached an instance are not in RequestCount but in HTTPCode_ELB_5XX.
    let metrics = vec![("RequestCount", of()), ("HTTPCode_Backend_5XX", of()), ("HTTPCode_ELB_5XX", of())];
    Counters { namespace: "AWS/ELB", metrics }
}

fn dimension(name: &str, value: &str) -> Dimension {
    Dimension::builder().name(name).value(value).build()
}
