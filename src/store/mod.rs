//! The state: what machines share about a pipeline (input manifests, dry-run verdicts, run records), in a folder or in S3.
//!
//! Knows keys and bytes, not what they mean; decides nothing. Invariant: a missing entry is `None`, an entry that cannot be
//! reached or read is an error that names it. Writes are atomic: a reader sees the old entry or the new one.
//!
//! ```text
//! manifests/<stage key, 64 hex>.json   input manifest
//! trees/<digest, 64 hex>.json          files of one folder or role, shared by manifests
//! verdicts/<dry-run key, 64 hex>.json  what a dry run found
//! verifications/<ami>.json             what the last verification of an image found
//! runs/<run id>/<name>                 records of past runs
//! swaps/<swap>/<ami>.json              an AMI that went through a swap to its end
//! ```

mod manifests;
mod open;

use std::path::PathBuf;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::digest::{Digest, DryRunKey, StageKey};
use crate::model::name::Name;
use crate::model::node::RunId;
use crate::model::verdict::Verdict;
use crate::model::verification::Verification;

pub use open::{Credentials, S3Keys, S3Settings};

/// The state of one pipeline.
#[derive(Debug, Clone)]
pub struct State {
    medium: Medium,
    /// As people know it: the folder, or `s3://bucket/prefix`.
    shown: String,
}

#[derive(Debug, Clone)]
enum Medium {
    /// Made at the first write: a plan leaves nothing behind.
    Folder(PathBuf),
    /// A bucket and the prefix in it.
    Bucket(Arc<dyn ObjectStore>, Path),
}

/// The state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Settings of the store do not fit together.
    #[error("state `{place}` cannot be opened")]
    Open {
        /// Folder or URL.
        place: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// S3 answers, and knows no such bucket. Not an empty state: somebody would build everything anew.
    #[error("state `{place}` cannot be used: there is no such bucket")]
    NoBucket {
        /// URL.
        place: String,
    },
    /// No answer, no permission, no room.
    #[error("`{entry}` in the state `{place}` cannot be {what}")]
    Reach {
        /// Folder or URL.
        place: String,
        /// Entry below it.
        entry: String,
        /// `read` or `written`.
        what: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Written by another ovenbird, in a form that this one does not know. No harm: its key is another too.
    #[error("`{entry}` in the state `{place}` has the unknown format {format}")]
    Format {
        /// Folder or URL.
        place: String,
        /// Entry below it.
        entry: String,
        /// Its format.
        format: u32,
    },
    /// The bytes are not what was written.
    #[error("`{entry}` in the state `{place}` is damaged")]
    Damaged {
        /// Folder or URL.
        place: String,
        /// Entry below it.
        entry: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StateError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Open { .. } => "look at `state` in the pipeline block; without it the state is `.ovenbird/state`".to_owned(),
            Self::NoBucket { .. } => "make the bucket, or look at `state` in the pipeline block and at the account in use".to_owned(),
            Self::Reach { place, .. } if place.starts_with("s3://") => {
                format!("the credentials in use need s3:GetObject, s3:PutObject and s3:ListBucket on `{place}`")
            }
            Self::Reach { .. } => "look at the folder's permissions and at the room on its disk".to_owned(),
            Self::Format { .. } => {
                format!("this ovenbird reads format {}; the version that wrote it can explain it", crate::plan::manifest::FORMAT)
            }
            Self::Damaged { place, entry, .. } => format!("remove `{place}/{entry}`; it is made again"),
        }
    }
}

/// A verdict that stands under another key than its own.
#[derive(Debug, thiserror::Error)]
#[error("it is about the key {0}")]
struct OtherKey(DryRunKey);

impl State {
    /// The folder or URL, as people know it.
    pub fn place(&self) -> &str {
        &self.shown
    }

    /// The verdict on a dry-run key.
    pub async fn verdict(&self, key: &DryRunKey) -> Result<Option<Verdict>, StateError> {
        let entry = json("verdicts", key.0);
        let found: Option<Verdict> = self.get_json(&entry).await?;
        if let Some(verdict) = found.as_ref().filter(|v| v.key != *key) {
            return Err(self.damaged(&entry, OtherKey(verdict.key)));
        }
        Ok(found)
    }

    /// Remembers a verdict under its key; a newer one replaces it.
    pub async fn put_verdict(&self, verdict: &Verdict) -> Result<(), StateError> {
        self.put_json(&json("verdicts", verdict.key.0), verdict).await
    }

    /// The last verification of an image.
    pub async fn verification(&self, ami: &str) -> Result<Option<Verification>, StateError> {
        self.get_json(&format!("verifications/{ami}.json")).await
    }

    /// Remembers the verification of an image; a newer one replaces it.
    pub async fn put_verification(&self, verification: &Verification) -> Result<(), StateError> {
        self.put_json(&format!("verifications/{}.json", verification.image), verification).await
    }

    /// The input manifest that a stage key is the digest of.
    pub async fn manifest<T: DeserializeOwned>(&self, key: &StageKey) -> Result<Option<T>, StateError> {
        let entry = json("manifests", key.0);
        match self.manifest_bytes(key).await? {
            Some(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| self.damaged(&entry, e)),
            None => Ok(None),
        }
    }

    /// Its bytes, as they were put.
    pub async fn manifest_bytes(&self, key: &StageKey) -> Result<Option<Vec<u8>>, StateError> {
        self.get(&json("manifests", key.0)).await
    }

    /// Keeps the bytes of a manifest under its key.
    pub async fn put_manifest(&self, key: &StageKey, bytes: Vec<u8>) -> Result<(), StateError> {
        self.put(&json("manifests", key.0), bytes).await
    }

    /// Has an AMI been through a swap.
    pub async fn swapped(&self, swap: &Name, ami: &str) -> Result<bool, StateError> {
        Ok(self.get(&format!("swaps/{swap}/{ami}.json")).await?.is_some())
    }

    /// Remembers that an AMI has been through a swap, and how that ended.
    pub async fn put_swapped(&self, swap: &Name, ami: &str, how: &impl Serialize) -> Result<(), StateError> {
        self.put_json(&format!("swaps/{swap}/{ami}.json"), how).await
    }

    /// A record of a past run.
    pub async fn record(&self, run: &RunId, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.get(&format!("runs/{run}/{name}")).await
    }

    /// Keeps a record of a run.
    pub async fn put_record(&self, run: &RunId, name: &str, bytes: Vec<u8>) -> Result<(), StateError> {
        self.put(&format!("runs/{run}/{name}"), bytes).await
    }

    async fn get_json<T: DeserializeOwned>(&self, entry: &str) -> Result<Option<T>, StateError> {
        match self.get(entry).await? {
            Some(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| self.damaged(entry, e)),
            None => Ok(None),
        }
    }

    async fn put_json<T: Serialize>(&self, entry: &str, value: &T) -> Result<(), StateError> {
        let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| self.reach(entry, "written", e))?;
        bytes.push(b'\n');
        self.put(entry, bytes).await
    }

    async fn get(&self, entry: &str) -> Result<Option<Vec<u8>>, StateError> {
        if let Medium::Folder(folder) = &self.medium
            && matches!(folder.try_exists(), Ok(false))
        {
            return Ok(None);
        }
        let (store, path) = self.at(entry).map_err(|e| self.reach(entry, "read", e))?;
        let answer = match store.get(&path).await {
            Ok(answer) => answer,
            Err(error @ object_store::Error::NotFound { .. }) if !names_no_bucket(&error) => return Ok(None),
            Err(error) => return Err(self.reach(entry, "read", error)),
        };
        let bytes = answer.bytes().await.map_err(|e| self.reach(entry, "read", e))?;
        Ok(Some(bytes.to_vec()))
    }

    async fn put(&self, entry: &str, bytes: Vec<u8>) -> Result<(), StateError> {
        if let Medium::Folder(folder) = &self.medium {
            std::fs::create_dir_all(folder).map_err(|e| self.reach(entry, "written", e))?;
        }
        let (store, path) = self.at(entry).map_err(|e| self.reach(entry, "written", e))?;
        store.put(&path, PutPayload::from(bytes)).await.map(drop).map_err(|e| self.reach(entry, "written", e))
    }

    fn at(&self, entry: &str) -> Result<(Arc<dyn ObjectStore>, Path), object_store::Error> {
        Ok(match &self.medium {
            Medium::Folder(folder) => (open::local(folder)?, Path::from(entry)),
            Medium::Bucket(store, prefix) => (Arc::clone(store), prefix.parts().chain(Path::from(entry).parts()).collect()),
        })
    }

    fn reach(&self, entry: &str, what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> StateError {
        if names_no_bucket(&source) {
            return StateError::NoBucket { place: self.shown.clone() };
        }
        StateError::Reach { place: self.shown.clone(), entry: entry.to_owned(), what, source: Box::new(source) }
    }

    fn damaged(&self, entry: &str, source: impl std::error::Error + Send + Sync + 'static) -> StateError {
        StateError::Damaged { place: self.shown.clone(), entry: entry.to_owned(), source: Box::new(source) }
    }
}

/// S3 answers 404 for a key that is not there and for a bucket that is not; only the body tells them apart, and the client keeps it
/// as text.
fn names_no_bucket(error: &dyn std::error::Error) -> bool {
    let mut error = Some(error);
    while let Some(now) = error {
        if now.to_string().contains("<Code>NoSuchBucket</Code>") {
            return true;
        }
        error = now.source();
    }
    false
}

fn json(kind: &str, digest: Digest) -> String {
    format!("{kind}/{}.json", digest.hex())
}

#[cfg(test)]
mod tests;
