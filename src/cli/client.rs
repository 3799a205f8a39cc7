//! Clients of AWS, built from environment and profile as the AWS CLI reads them; `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_EC2`
//! count too.
//!
//! Only builds: nothing is asked here, and no credential is looked up before the first call. Invariant: every client has
//! time-outs (the SDK's default has none: a hanging server hangs for ever) and a retry quota of its own that forty parallel steps
//! do not exhaust.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::ProvideCredentials as _;
use aws_sdk_ec2::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_ec2::config::timeout::TimeoutConfig;

use crate::aws::{AwsTraffic, Clients};
use crate::store::{S3Keys, S3Settings};

/// One try of one call.
const ATTEMPT: Duration = Duration::from_secs(15);
/// One call with all its tries.
const OPERATION: Duration = Duration::from_mins(2);

/// What AWS settings say here, for calls to `region`.
pub async fn settings(region: &str) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    // Attempts are bounded by the operation's time, not by their number: throttling in a busy account lasts longer than three.
    let retries = RetryConfig::standard().with_max_attempts(12).with_max_backoff(Duration::from_secs(20));
    aws_config::defaults(BehaviorVersion::latest())
        // Seen in CloudTrail's user agent.
        .app_name(AppName::new("ovenbird").expect("letters only"))
        .region(Region::new(region.to_owned()))
        .timeout_config(timeouts)
        .retry_config(retries)
        .load()
        .await
}

/// A client of EC2.
pub fn ec2(settings: &SdkConfig) -> aws_sdk_ec2::Client {
    let bucket = TokenBucket::builder().capacity(10_000).build();
    let partition = RetryPartition::custom("ovenbird").token_bucket(bucket).build();
    aws_sdk_ec2::Client::from_conf(aws_sdk_ec2::config::Builder::from(settings).retry_partition(partition).build())
}

/// What serves in the region of `settings`: a client each of the services that a swap reads.
pub fn traffic(settings: &SdkConfig) -> AwsTraffic {
    AwsTraffic::new(Clients {
        region: settings.region().map(|region| region.as_ref().to_owned()).unwrap_or_default(),
        ec2: ec2(settings),
        autoscaling: aws_sdk_autoscaling::Client::new(settings),
        elb: aws_sdk_elasticloadbalancing::Client::new(settings),
        elbv2: aws_sdk_elasticloadbalancingv2::Client::new(settings),
        codedeploy: aws_sdk_codedeploy::Client::new(settings),
        cloudwatch: aws_sdk_cloudwatch::Client::new(settings),
    })
}

/// Which provider gives credentials: `environment`, `profile` ….
///
/// # Errors
/// One line without a secret: none gives any.
pub async fn credentials_from(settings: &SdkConfig) -> Result<String, String> {
    let provider = settings.credentials_provider().ok_or("no AWS credentials are configured")?;
    let keys = provider.provide_credentials().await.map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("no AWS credentials: {error}: {source}"),
        None => format!("no AWS credentials: {error}"),
    })?;
    Ok(provider_name(&format!("{keys:?}")))
}

/// The SDK knows the provider's name and shows it in Debug only.
fn provider_name(debug: &str) -> String {
    let name = debug.split_once("provider_name: \"").and_then(|(_, rest)| rest.split('"').next());
    match name {
        Some("EnvironmentVariable" | "environment variable") => "the environment".to_owned(),
        Some(name) => name.to_owned(),
        None => "a provider that does not say its name".to_owned(),
    }
}

/// How the state in S3 is reached, with the same credentials as everything else.
pub fn s3(settings: &SdkConfig, environment: &BTreeMap<String, String>) -> S3Settings {
    let provider = settings.credentials_provider();
    let keys = move || {
        let provider = provider.clone();
        async move {
            let provider = provider.ok_or("no AWS credentials are configured")?;
            let keys = provider.provide_credentials().await.map_err(|e| format!("no AWS credentials: {e}"))?;
            Ok(S3Keys {
                id: keys.access_key_id().to_owned(),
                secret: keys.secret_access_key().to_owned(),
                token: keys.session_token().map(str::to_owned),
            })
        }
    };
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().find_map(|name| environment.get(*name).filter(|url| !url.is_empty()));
    S3Settings {
        region: settings.region().map(|r| r.as_ref().to_owned()).unwrap_or_default(),
        endpoint: endpoint.cloned().or_else(|| settings.endpoint_url().map(str::to_owned)),
        credentials: Arc::new(move || Box::pin(keys())),
    }
}
