//! [`Value`]: what an expression of the pipeline file reduces to; [`Reference`]: what stays a reference until a step starts.
//!
//! Invariant: only `config` makes `Value`s from expressions and only `run/step` replaces a `Ref`; everybody else passes them on,
//! so a manifest holds `{"ref":"parent.id"}` and never an AMI id.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::name::Name;

/// A value that moves through the pipeline: into Ansible's extra variables, Packer's variables and the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as the decimal string that Packer gets (`1.10` stays `1.10` apart from trailing zeros HCL drops).
    Number(String),
    /// A string.
    String(String),
    /// Filled in when the step starts.
    Ref(Reference),
    /// `"web-${artifact.name}"`: pieces ([`Value::String`] and [`Value::Ref`] only, at least one `Ref`) that are joined when the step starts.
    Template(Vec<Value>),
    /// Order matters.
    List(Vec<Value>),
    /// Order does not matter.
    Map(BTreeMap<String, Value>),
}

/// What can only be known when a step starts, or must not be in a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reference {
    /// `parent.id`: the AMI that the stage boots from.
    ParentId,
    /// `parent.name`: that AMI's name.
    ParentName,
    /// `artifact.name`: the name the new AMI gets.
    ArtifactName,
    /// `region`: where builds run.
    Region,
    /// `architecture`: of the node.
    Architecture,
    /// `secret.NAME`: its value reaches the tool in a 0600 file; name and version are in the key.
    Secret(Name),
}

impl Reference {
    /// As written in the pipeline file.
    pub fn text(&self) -> String {
        match self {
            Self::ParentId => "parent.id".to_owned(),
            Self::ParentName => "parent.name".to_owned(),
            Self::ArtifactName => "artifact.name".to_owned(),
            Self::Region => "region".to_owned(),
            Self::Architecture => "architecture".to_owned(),
            Self::Secret(name) => format!("secret.{name}"),
        }
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.text()
    }
}

impl TryFrom<String> for Reference {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "parent.id" => Self::ParentId,
            "parent.name" => Self::ParentName,
            "artifact.name" => Self::ArtifactName,
            "region" => Self::Region,
            "architecture" => Self::Architecture,
            other => match other.strip_prefix("secret.").map(Name::new) {
                Some(Ok(name)) => Self::Secret(name),
                Some(Err(_)) | None => return Err(format!("`{other}` is not a reference")),
            },
        })
    }
}

impl Value {
    /// Plain JSON with references replaced by `fill`. Numbers become JSON numbers where they are ones.
    ///
    /// # Errors
    /// What `fill` refuses.
    pub fn to_json<E>(&self, fill: &mut dyn FnMut(&Reference) -> Result<String, E>) -> Result<serde_json::Value, E> {
        use serde_json::Value as Json;
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(b) => Json::Bool(*b),
            Self::Number(n) => serde_json::from_str(n).unwrap_or_else(|_| Json::String(n.clone())),
            Self::String(s) => Json::String(s.clone()),
            Self::Ref(r) => Json::String(fill(r)?),
            Self::Template(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece.to_json(fill)? {
                        Json::String(piece) => text.push_str(&piece),
                        other => text.push_str(&other.to_string()),
                    }
                }
                Json::String(text)
            }
            Self::List(items) => Json::Array(items.iter().map(|v| v.to_json(fill)).collect::<Result<_, E>>()?),
            Self::Map(map) => {
                let mut object = serde_json::Map::new();
                for (key, value) in map {
                    object.insert(key.clone(), value.to_json(fill)?);
                }
                Json::Object(object)
            }
        })
    }

    /// Every reference in it, depth first.
    pub fn references(&self) -> Vec<&Reference> {
        match self {
            Self::Ref(r) => vec![r],
            Self::List(items) | Self::Template(items) => items.iter().flat_map(Self::references).collect(),
            Self::Map(map) => map.values().flat_map(Self::references).collect(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => Vec::new(),
        }
    }
}
