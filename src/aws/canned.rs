//! A catalog over canned replies, for tests: the SDK's own client, retries and parsing, with a scripted HTTP connection below.
//!
//! Invariant: a call without a reply left fails the test by an error that says so; nothing leaves the process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::http::{HttpRequest, HttpResponse};
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::{BehaviorVersion, Credentials, Region, RuntimeComponents, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;

use crate::aws::{AwsTraffic, Clients, Ec2Catalog, Patience};
use crate::model::name::Name;

/// Status and body.
type Reply = (u16, Vec<u8>);

/// Replies to come, and bodies of the requests that came.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub(super) fn new<'a>(replies: impl IntoIterator<Item = (u16, &'a str)>) -> Self {
        Self::of_bytes(replies.into_iter().map(|(status, body)| (status, body.as_bytes().to_vec())))
    }

    /// For a service that speaks CBOR.
    pub(super) fn of_bytes(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = replies.into_iter().collect();
        Self { replies: Arc::new(Mutex::new(replies)), requests: Arc::default() }
    }

    /// What was asked, in order: the form bodies.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panics while it holds this").clone()
    }

    /// Names of the operations that were called.
    pub(super) fn operations(&self) -> Vec<String> {
        let name = |body: String| body.split('&').find_map(|p| p.strip_prefix("Action=")).unwrap_or("?").to_owned();
        self.requests().into_iter().map(name).collect()
    }

    /// What serves, by the same script for every service.
    pub(super) fn traffic(&self) -> AwsTraffic {
        let config = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("ap-northeast-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
            .retry_config(RetryConfig::standard().with_max_attempts(2).with_initial_backoff(std::time::Duration::from_millis(1)))
            .http_client(SharedHttpClient::new(self.clone()))
            .build();
        AwsTraffic::new(Clients {
            region: "ap-northeast-1".to_owned(),
            ec2: Client::new(&config),
            autoscaling: aws_sdk_autoscaling::Client::new(&config),
            elb: aws_sdk_elasticloadbalancing::Client::new(&config),
            elbv2: aws_sdk_elasticloadbalancingv2::Client::new(&config),
            codedeploy: aws_sdk_codedeploy::Client::new(&config),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
        })
    }

    pub(super) fn catalog(&self, patience: Patience) -> Ec2Catalog {
        let config = aws_sdk_ec2::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("ap-northeast-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(std::time::Duration::from_millis(1)))
            .http_client(SharedHttpClient::new(self.clone()))
            .build();
        Ec2Catalog::new(Client::from_conf(config), "ap-northeast-1", Name::new("shop").expect("a name")).with_patience(patience)
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default();
        self.requests.lock().expect("no test panics while it holds this").push(body);
        let reply = self.replies.lock().expect("no test panics while it holds this").pop_front();
        HttpConnectorFuture::ready(match reply {
            Some((status, body)) => {
                let status = status.try_into().expect("a status code");
                let mut response = HttpResponse::new(status, SdkBody::from(body));
                response.headers_mut().insert("smithy-protocol", "rpc-v2-cbor");
                response.headers_mut().insert("x-amzn-requestid", "req-1");
                Ok(response)
            }
            None => Err(ConnectorError::user("no reply left in the script".into())),
        })
    }
}

impl HttpClient for Script {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
