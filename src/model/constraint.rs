//! [`Constraint`] and [`Version`]: `~> 2.19.0`, `>= 1.10, < 2` as Packer and Terraform write them.
//!
//! The constraint's *text* is what the key holds; this only decides whether a tool fits. Invariant: a `Constraint` that parsed
//! holds at least one comparison.

use std::fmt;
use std::str::FromStr;

/// A dotted version; a pre-release (`-rc1`, `rc1`, `.dev0`) sorts before its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    numbers: Vec<u64>,
    prerelease: Option<String>,
}

/// A text that is no version or no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// No version.
    #[error("`{0}` is not a version (`1.15`, `2.19.0`)")]
    Version(String),
    /// No constraint.
    #[error("`{0}` is not a version constraint (`~> 1.15`, `>= 2.19, < 3`)")]
    Constraint(String),
}

impl FromStr for Version {
    type Err = ConstraintError;
    fn from_str(text: &str) -> Result<Self, ConstraintError> {
        let wrong = || ConstraintError::Version(text.escape_debug().to_string());
        let trimmed = text.trim().trim_start_matches('v');
        let end = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
        let (numbers, rest) = trimmed.split_at(end);
        let numbers = numbers.strip_suffix('.').unwrap_or(numbers);
        let numbers: Vec<u64> = numbers.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let rest = rest.split('+').next().unwrap_or_default().trim_start_matches('-');
        if numbers.len() > 4 || rest.chars().any(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))) {
            return Err(wrong());
        }
        Ok(Self { numbers, prerelease: (!rest.is_empty()).then(|| rest.to_owned()) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers.iter().map(u64::to_string).collect();
        write!(f, "{}", numbers.join("."))?;
        self.prerelease.as_ref().map_or(Ok(()), |pre| write!(f, "-{pre}"))
    }
}

impl Version {
    fn number(&self, at: usize) -> u64 {
        self.numbers.get(at).copied().unwrap_or(0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        let numbers = (0..4).map(|at| self.number(at)).cmp((0..4).map(|at| other.number(at)));
        Some(numbers.then_with(|| match (&self.prerelease, &other.prerelease) {
            (None, None) => std::cmp::Ordering::Equal,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(_), None) => std::cmp::Ordering::Less,
            (Some(mine), Some(theirs)) => mine.cmp(theirs),
        }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Pessimistic,
}

/// Comparisons that all have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint(Vec<(Operator, Version)>);

impl FromStr for Constraint {
    type Err = ConstraintError;
    fn from_str(text: &str) -> Result<Self, ConstraintError> {
        let operators = [
            ("~>", Operator::Pessimistic),
            (">=", Operator::GreaterEqual),
            ("<=", Operator::LessEqual),
            ("!=", Operator::NotEqual),
            (">", Operator::Greater),
            ("<", Operator::Less),
            ("=", Operator::Equal),
        ];
        text.split(',')
            .map(|part| {
                let part = part.trim();
                let (operator, version) = operators
                    .iter()
                    .find_map(|(sign, operator)| part.strip_prefix(sign).map(|rest| (*operator, rest)))
                    .unwrap_or((Operator::Equal, part));
                version.parse().map(|version| (operator, version)).map_err(|_| ConstraintError::Constraint(text.escape_debug().to_string()))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }
}

impl Constraint {
    /// Does `version` fit.
    pub fn allows(&self, version: &Version) -> bool {
        self.0.iter().all(|(operator, wanted)| match operator {
            Operator::Equal => (0..4).all(|at| version.number(at) == wanted.number(at)) && version.prerelease == wanted.prerelease,
            Operator::NotEqual => version.partial_cmp(wanted) != Some(std::cmp::Ordering::Equal),
            Operator::Less => version < wanted,
            Operator::LessEqual => version <= wanted,
            Operator::Greater => version > wanted,
            Operator::GreaterEqual => version >= wanted,
            // The last number written may rise, those before it may not: `~> 1.15` is `>= 1.15, < 2`.
            Operator::Pessimistic => {
                let fixed = wanted.numbers.len().saturating_sub(1).max(1);
                version >= wanted && (0..fixed).all(|at| version.number(at) == wanted.number(at))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_mean_what_packer_means() {
        for (constraint, fits, does_not) in [
            ("~> 1.15", vec!["1.15.0", "1.16.2", "1.15"], vec!["1.14.9", "2.0.0"]),
            ("~> 2.19.0", vec!["2.19.0", "2.19.7"], vec!["2.20.0", "2.18.9", "2.19.0rc1"]),
            (">= 1.10, < 2", vec!["1.10.0", "1.99"], vec!["2.0", "1.9"]),
            ("1.15.0", vec!["1.15", "1.15.0"], vec!["1.15.1", "1.15.0-dev"]),
            ("!= 1.2", vec!["1.3"], vec!["1.2.0"]),
        ] {
            let parsed: Constraint = constraint.parse().expect(constraint);
            for version in fits {
                assert!(parsed.allows(&version.parse().expect(version)), "{constraint} {version}");
            }
            for version in does_not {
                assert!(!parsed.allows(&version.parse().expect(version)), "{constraint} {version}");
            }
        }
        for bad in ["", "latest", "~>", ">= 1.2,", "1.2.3.4.5", "=> 1"] {
            assert!(bad.parse::<Constraint>().is_err(), "{bad}");
        }
    }
}
