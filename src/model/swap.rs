//! Words of a swap: [`Colour`] and [`Field`], one of a colour's four values.
//!
//! Invariant: the names are the users' own and stand in their tfvars.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Blue or green.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Blue.
    Blue,
    /// Green.
    Green,
}

impl Colour {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Blue, Self::Green];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    /// `blue` or `green`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Colour {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::BOTH.into_iter().find(|c| c.as_str() == text).ok_or_else(|| format!("`{text}` is not a colour (blue or green)"))
    }
}

/// One of a colour's four values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// AMI id.
    AmiId,
    /// Minimum size.
    MinSize,
    /// Maximum size.
    MaxSize,
    /// Load balancer.
    ElbName,
}

impl Field {
    /// All, in the users' order.
    pub const ALL: [Self; 4] = [Self::AmiId, Self::MinSize, Self::MaxSize, Self::ElbName];

    /// Its name behind the colour's: `<colour>_ami_id`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AmiId => "ami_id",
            Self::MinSize => "min_size",
            Self::MaxSize => "max_size",
            Self::ElbName => "elb_name",
        }
    }

    /// Is it a number.
    pub fn is_size(self) -> bool {
        matches!(self, Self::MinSize | Self::MaxSize)
    }
}
