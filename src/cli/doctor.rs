//! `ovenbird doctor`: what is there and what is not; each line a fact, and where it is bad the command that mends it.
//!
//! Changes nothing, and works without a pipeline file. Looking is in `examine.rs`; here is what a fact is and how it is shown.
//! Invariant: exit 0 means that `build` can start here.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::args::{Common, DoctorArgs};
use crate::cli::examine;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::world::World;

/// How good a fact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it has to be.
    Good,
    /// Nothing is kept from working by it.
    Warning,
    /// Something will not work.
    Bad,
}

/// Something that was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// About what.
    pub name: String,
    /// How good.
    pub state: State,
    /// What is so.
    pub says: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Fact {
    /// As it has to be.
    pub fn good(name: &str, says: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Good, says: says.into(), mend: None }
    }

    /// Something will not work.
    pub fn bad(name: &str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Bad, says: says.into(), mend: Some(mend.into()) }
    }

    /// Worth knowing.
    pub fn warning(name: &str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::bad(name, says, mend) }
    }
}

/// Looks at everything and prints it.
///
/// # Errors
/// The reader went away.
pub async fn run(args: &DoctorArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    let facts = examine::everything(common, world).await;
    let good = facts.iter().all(|fact| fact.state != State::Bad);
    if args.json {
        output.json(&serde_json::json!({ "good": good, "facts": facts }))?;
    } else {
        output.data(&render(&facts, output.colour))?;
    }
    Ok(if good { Exit::Done } else { Exit::Unavailable })
}

fn render(facts: &[Fact], colour: bool) -> String {
    let width = facts.iter().map(|fact| fact.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    let paint = |code: &str, sign: &str| if colour { format!("\x1b[{code}m{sign}\x1b[0m") } else { sign.to_owned() };
    for fact in facts {
        let sign = match fact.state {
            State::Good => paint("32", "✓"),
            State::Warning => paint("33", "!"),
            State::Bad => paint("1;31", "✗"),
        };
        writeln!(text, "{sign} {:width$}  {}", fact.name, fact.says).expect("writing to a String cannot fail");
        for line in fact.mend.iter().flat_map(|mend| mend.lines()) {
            writeln!(text, "  {:width$}  → {line}", "").expect("writing to a String cannot fail");
        }
    }
    let count = |state| facts.iter().filter(|fact| fact.state == state).count();
    let last = match (count(State::Bad), count(State::Warning)) {
        (0, 0) => "everything is as it has to be".to_owned(),
        (0, warnings) => format!("everything is there; {warnings} worth a look"),
        (bad, _) => format!("{bad} of {} must be mended", facts.len()),
    };
    writeln!(text, "\n{last}").expect("writing to a String cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_line_has_what_mends_it_below() {
        let facts = [
            Fact::good("packer", "1.15.0 (`/bin/packer`)"),
            Fact::bad("docker", "does not answer", "systemctl start docker"),
            Fact::warning("terraform", "not on PATH", "only `swap` needs it"),
        ];
        insta::assert_snapshot!(render(&facts, false), @r"
        ✓ packer     1.15.0 (`/bin/packer`)
        ✗ docker     does not answer
                     → systemctl start docker
        ! terraform  not on PATH
                     → only `swap` needs it

        1 of 3 must be mended
        ");
        assert!(render(&facts[..1], false).ends_with("everything is as it has to be\n"));
    }
}
