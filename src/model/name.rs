//! [`Name`]: what a pipeline, stage, source, variable or secret may be called.
//!
//! Invariant: a `Name` can stand in an AMI name, a tag value, a Docker repository, a file name and an HCL reference without any
//! quoting, so nothing downstream escapes or checks it again.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name: pipeline, stage, architecture, key and run together stay under EC2's 128 characters for an AMI name.
pub const MAX_LEN: usize = 40;

/// A checked name: `[a-z][a-z0-9]*([_-][a-z0-9]+)*`, at most [`MAX_LEN`] bytes (Docker's repository rule is the strictest).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("name is empty")]
    Empty,
    /// Longer than [`MAX_LEN`].
    #[error("name has {0} characters, at most {MAX_LEN} fit into an AMI name")]
    TooLong(usize),
    /// A character or an order of characters that breaks tags, paths or image names.
    #[error("`{0}` is not a name: lowercase ASCII letters and digits, single `-` or `_` between them, first a letter")]
    Malformed(String),
}

impl Name {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`NameError`] says which rule is broken.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let length = text.chars().count();
        if length > MAX_LEN {
            return Err(NameError::TooLong(length));
        }
        let malformed = || NameError::Malformed(text.escape_debug().to_string());
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(malformed());
        }
        let mut separator = false;
        for c in text.chars() {
            match c {
                'a'..='z' | '0'..='9' => separator = false,
                '-' | '_' if !separator => separator = true,
                _ => return Err(malformed()),
            }
        }
        if separator {
            return Err(malformed());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_safe_everywhere_pass() {
        for good in ["web", "consul_server", "a1", "web-2-arm"] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(200);
        for bad in ["", "../x", "a b", "-web", "web-", "a__b", "Web", "ウェブ", "1web", "a/b", "a.b", &long] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }
}
