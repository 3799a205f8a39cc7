//! Opening the state: a folder, or a bucket with credentials that the caller brings.
//!
//! Reads no environment: endpoint, region and credentials come as values. Invariant: opening sends nothing and makes nothing.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, CredentialProvider, ObjectStore, RetryConfig};

use crate::config::pipeline::StateLocation;
use crate::store::{Medium, State, StateError};

/// An access key, as S3 wants it.
#[derive(Clone)]
pub struct S3Keys {
    /// Access key id.
    pub id: String,
    /// Secret access key.
    pub secret: String,
    /// Session token of temporary keys.
    pub token: Option<String>,
}

/// Gives the keys in force, each time anew: temporary ones are renewed while a run lasts. The error is one line without a secret.
pub type Credentials = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<S3Keys, String>> + Send>> + Send + Sync>;

/// Everything about S3 but bucket and prefix.
#[derive(Clone)]
pub struct S3Settings {
    /// Region of the bucket.
    pub region: String,
    /// `AWS_ENDPOINT_URL_S3`, or `AWS_ENDPOINT_URL`.
    pub endpoint: Option<String>,
    /// Who signs.
    pub credentials: Credentials,
}

struct Bridge(Credentials);

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bridge")
    }
}

#[async_trait]
impl CredentialProvider for Bridge {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let keys = (self.0)().await.map_err(|why| object_store::Error::Generic { store: "S3", source: why.into() })?;
        Ok(Arc::new(AwsCredential { key_id: keys.id, secret_key: keys.secret, token: keys.token }))
    }
}

impl State {
    /// The state where the pipeline file says; `s3` is asked only for a bucket.
    ///
    /// # Errors
    /// [`StateError::Open`] when the settings do not fit together.
    pub fn open(location: &StateLocation, s3: impl FnOnce() -> S3Settings) -> Result<Self, StateError> {
        match location {
            StateLocation::Folder(path) => Ok(Self::folder(path)),
            StateLocation::S3 { bucket, prefix } => Self::s3(bucket, prefix, s3()),
        }
    }

    /// The state in a folder, which is made at the first write.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { shown: path.display().to_string(), medium: Medium::Folder(path) }
    }

    /// The state in `s3://bucket/prefix`.
    ///
    /// # Errors
    /// [`StateError::Open`] when the settings do not fit together.
    pub fn s3(bucket: &str, prefix: &str, settings: S3Settings) -> Result<Self, StateError> {
        let prefix = prefix.trim_matches('/');
        let shown = if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(settings.region)
            .with_credentials(Arc::new(Bridge(settings.credentials)))
            .with_client_options(
                ClientOptions::new()
                    .with_timeout(Duration::from_secs(15))
                    .with_connect_timeout(Duration::from_secs(5))
                    .with_allow_http(true),
            )
            .with_retry(RetryConfig { max_retries: 6, retry_timeout: Duration::from_mins(1), ..RetryConfig::default() });
        if let Some(endpoint) = settings.endpoint {
            // Virtual-hosted buckets need a name server that knows them, which no local endpoint has.
            builder = builder.with_endpoint(endpoint.trim_end_matches('/')).with_virtual_hosted_style_request(false);
        }
        let store = builder.build().map_err(|e| StateError::Open { place: shown.clone(), source: Box::new(e) })?;
        Ok(Self { shown, medium: Medium::Bucket(Arc::new(store), object_store::path::Path::from(prefix)) })
    }
}

/// A store over a folder that exists.
pub(super) fn local(folder: &Path) -> object_store::Result<Arc<dyn ObjectStore>> {
    Ok(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)))
}
