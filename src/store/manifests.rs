//! Input manifests in the state: each under its key, the trees of files once each under their own digest.
//!
//! Flat lists of fifty stages with ten thousand files would be 66 MB a run; trees are shared by stages and by runs. Invariant: a
//! manifest is written after its trees, so whoever finds it finds them; what comes back is what the key is the digest of.

use std::sync::Arc;

use crate::model::digest::{Digest, StageKey};
use crate::plan::inputs::Tree;
use crate::plan::manifest::{FORMAT, InputManifest};
use crate::store::{State, StateError, json};

/// A manifest that stands under another key than its own.
#[derive(Debug, thiserror::Error)]
#[error("its digest is {0:?}, not its key")]
struct OtherDigest(Option<Digest>);

impl State {
    /// Keeps a manifest and its trees under `key`.
    pub async fn put_input_manifest(&self, key: &StageKey, manifest: &InputManifest) -> Result<(), StateError> {
        for digest in manifest.trees.values() {
            let entry = json("trees", *digest);
            if let Some(tree) = manifest.contents.get(digest)
                && self.get(&entry).await?.is_none()
            {
                self.put_json(&entry, &**tree).await?;
            }
        }
        self.put_json(&json("manifests", key.0), manifest).await
    }

    /// The manifest that `key` is the digest of, with the trees that are known.
    ///
    /// # Errors
    /// [`StateError::Format`] for one that another ovenbird wrote in another form; the state cannot be read.
    pub async fn input_manifest(&self, key: &StageKey) -> Result<Option<InputManifest>, StateError> {
        #[derive(serde::Deserialize)]
        struct Form {
            format: u32,
        }
        let entry = json("manifests", key.0);
        let Some(bytes) = self.manifest_bytes(key).await? else { return Ok(None) };
        let form: Form = serde_json::from_slice(&bytes).map_err(|e| self.damaged(&entry, e))?;
        if form.format != FORMAT {
            return Err(StateError::Format { place: self.place().to_owned(), entry, format: form.format });
        }
        let mut manifest: InputManifest = serde_json::from_slice(&bytes).map_err(|e| self.damaged(&entry, e))?;
        if manifest.key() != Some(key.0) {
            return Err(self.damaged(&entry, OtherDigest(manifest.key())));
        }
        for digest in manifest.trees.values() {
            if let Some(tree) = self.get_json::<Tree>(&json("trees", *digest)).await? {
                manifest.contents.insert(*digest, Arc::new(tree));
            }
        }
        Ok(Some(manifest))
    }
}
