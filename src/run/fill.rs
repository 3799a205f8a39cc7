//! References become values here, at the last moment, and nowhere else.
//!
//! Must not put a value anywhere but into the text that it returns. Invariant: an error names the reference, never a value.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::model::value::{Reference, Value};

/// What references stand for in one step.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// AMI that is booted, or the Docker image in a dry run.
    pub parent_id: &'a str,
    /// Its name.
    pub parent_name: &'a str,
    /// Name of what is made.
    pub artifact_name: &'a str,
    /// Where.
    pub region: &'a str,
    /// Of the node.
    pub architecture: Architecture,
    /// Values of secrets.
    pub secrets: &'a BTreeMap<Name, String>,
}

/// A reference without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` has no value here")]
pub struct Unfilled(pub String);

impl Filling<'_> {
    /// The value of a reference.
    ///
    /// # Errors
    /// A secret that was not given.
    pub fn reference(&self, reference: &Reference) -> Result<String, Unfilled> {
        Ok(match reference {
            Reference::ParentId => self.parent_id.to_owned(),
            Reference::ParentName => self.parent_name.to_owned(),
            Reference::ArtifactName => self.artifact_name.to_owned(),
            Reference::Region => self.region.to_owned(),
            Reference::Architecture => self.architecture.as_str().to_owned(),
            Reference::Secret(name) => self.secrets.get(name).cloned().ok_or_else(|| Unfilled(reference.text()))?,
        })
    }

    /// A value with all of its references filled.
    ///
    /// # Errors
    /// A reference without a value.
    pub fn value(&self, value: &Value) -> Result<Json, Unfilled> {
        value.to_json(&mut |reference| self.reference(reference))
    }

    /// A map with all of its references filled.
    ///
    /// # Errors
    /// A reference without a value.
    pub fn map<'v>(&self, values: impl IntoIterator<Item = (&'v String, &'v Value)>) -> Result<BTreeMap<String, Json>, Unfilled> {
        values.into_iter().map(|(name, value)| Ok((name.clone(), self.value(value)?))).collect()
    }
}

/// Extra variables for Ansible as the text of a file for `-e @file`. Strings stand in it with every `{{` as it is: a variable may
/// hold a template, as one written in `group_vars` may.
pub fn extra_vars(values: BTreeMap<String, Json>) -> String {
    Json::Object(values.into_iter().collect::<Map<_, _>>()).to_string()
}

/// `<pipeline>-<stage>-<architecture>-<key, 12 hex>-<run, 6 hex>`, or the stage's own name filled.
///
/// # Errors
/// A reference without a value, or a value that is no text.
pub fn artifact_name(own: Option<&Value>, default: String, filling: &Filling<'_>) -> Result<String, Unfilled> {
    match own.map(|value| filling.value(value)).transpose()? {
        None => Ok(default),
        Some(Json::String(text)) => Ok(text),
        Some(_) => Err(Unfilled("name".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_filled_wherever_they_stand_and_a_secret_that_is_missing_is_named() {
        let secret = Name::new("datadog").unwrap();
        let secrets = BTreeMap::from([(secret.clone(), "s3cr3t".to_owned())]);
        let filling = Filling {
            parent_id: "ami-1",
            parent_name: "debian",
            artifact_name: "shop-web",
            region: "eu-west-1",
            architecture: Architecture::Arm64,
            secrets: &secrets,
        };
        let value = Value::List(vec![
            Value::Ref(Reference::ParentId),
            Value::Map([("k".to_owned(), Value::Ref(Reference::Secret(secret)))].into()),
            Value::Number("1.5".to_owned()),
        ]);
        assert_eq!(filling.value(&value).unwrap().to_string(), r#"["ami-1",{"k":"s3cr3t"},1.5]"#);
        let missing = Value::Ref(Reference::Secret(Name::new("other").unwrap()));
        assert_eq!(filling.value(&missing).unwrap_err().to_string(), "`secret.other` has no value here");
    }
}
