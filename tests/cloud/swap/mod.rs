//! Swaps with real Terraform, git and HTTP on the local EC2, under a client that never stops.
//!
//! Instances are light AMIs: what is tested is who serves when, not how images are made. Needs what `make tools` installs. With
//! `OVENBIRD_PROOF=1` everything is tried from every state, and each trouble on an environment of its own; `OVENBIRD_TROUBLE=half,tls`
//! takes only these troubles, `OVENBIRD_TROUBLE=alb` only that way of having it.

pub mod ci;
pub mod client;
pub mod fit;
pub mod gates;
pub mod git;
mod hostile;
mod kills;
pub mod page;
pub mod refused;
pub mod stage;
mod ways;
mod whole;

/// The long form is asked for.
#[expect(clippy::disallowed_methods, reason = "a test is told by the environment how long it may be")]
pub(crate) fn proof() -> bool {
    std::env::var("OVENBIRD_PROOF").is_ok_and(|proof| proof == "1")
}

/// Names of the troubles or ways that the long form is asked for, while somebody works on them; empty: all.
#[expect(clippy::disallowed_methods, reason = "as above")]
fn trouble() -> String {
    std::env::var("OVENBIRD_TROUBLE").unwrap_or_default()
}
