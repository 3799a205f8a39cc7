//! [`choose`]: which reporter a run gets. Pure: terminal and environment come as data.
//!
//! Invariant: lines that are drawn over go to a terminal only, whatever was asked for; a file must not fill with control codes.

use std::collections::BTreeMap;

/// Ways to show a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReporterKind {
    /// A line a running step, drawn over.
    Terminal,
    /// Prefixed lines.
    Plain,
    /// Prefixed lines in GitHub's groups, failures as annotations.
    Github,
    /// One event a line.
    Json,
}

/// What is known of where the output goes.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Is stdout a terminal.
    pub stdout_tty: bool,
    /// Environment variables.
    pub environment: &'a BTreeMap<String, String>,
}

impl Surroundings<'_> {
    fn is_set(&self, name: &str) -> bool {
        self.environment.get(name).is_some_and(|v| !v.is_empty() && v != "0" && v != "false")
    }

    fn can_draw(&self) -> bool {
        self.stdout_tty && self.environment.get("TERM").is_none_or(|t| t != "dumb")
    }
}

/// `json` beats `asked`; without either the surroundings decide.
pub fn choose(json: bool, asked: Option<ReporterKind>, around: Surroundings<'_>) -> ReporterKind {
    match asked {
        _ if json => ReporterKind::Json,
        Some(ReporterKind::Terminal) if !around.can_draw() => ReporterKind::Plain,
        Some(kind) => kind,
        None if around.is_set("GITHUB_ACTIONS") => ReporterKind::Github,
        // A CI system that gives a pseudo-terminal still records a log.
        None if around.is_set("CI") || !around.can_draw() => ReporterKind::Plain,
        None => ReporterKind::Terminal,
    }
}

/// Is there colour on stdout. GitHub's log shows colours and is no terminal.
pub fn colour(kind: ReporterKind, around: Surroundings<'_>) -> bool {
    if kind == ReporterKind::Json || around.environment.get("NO_COLOR").is_some_and(|v| !v.is_empty()) {
        return false;
    }
    around.is_set("CLICOLOR_FORCE") || around.can_draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_surroundings_decide_unless_somebody_asked() {
        use ReporterKind::{Github, Json, Plain, Terminal};
        type Case<'a> = (bool, Option<ReporterKind>, bool, &'a [(&'a str, &'a str)], ReporterKind, bool);
        let cases: [Case<'_>; 12] = [
            (false, None, true, &[("TERM", "xterm")], Terminal, true),
            (false, None, false, &[("TERM", "xterm")], Plain, false),
            (false, None, true, &[("TERM", "dumb")], Plain, false),
            (false, None, true, &[("NO_COLOR", "1")], Terminal, false),
            (false, None, true, &[("NO_COLOR", "")], Terminal, true),
            (false, None, true, &[("CI", "true")], Plain, true),
            (false, None, true, &[("CI", "false")], Terminal, true),
            (false, None, false, &[("CI", "true"), ("GITHUB_ACTIONS", "true")], Github, false),
            (false, None, false, &[("CLICOLOR_FORCE", "1")], Plain, true),
            (false, Some(Plain), true, &[], Plain, true),
            (false, Some(Terminal), false, &[], Plain, false),
            (true, Some(Terminal), true, &[("CLICOLOR_FORCE", "1")], Json, false),
        ];
        for (json, asked, stdout_tty, pairs, kind, coloured) in cases {
            let environment = environment(pairs);
            let around = Surroundings { stdout_tty, environment: &environment };
            assert_eq!(choose(json, asked, around), kind, "{pairs:?} {asked:?} tty {stdout_tty}");
            assert_eq!(colour(kind, around), coloured, "{pairs:?} {asked:?} tty {stdout_tty}");
        }
    }
}
