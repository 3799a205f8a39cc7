//! A swap as people read it: its facts, and the table of what a guard refused.
//!
//! Pure. Invariant: everything that the guard found is in the table, never cut away.

use comfy_table::{ContentArrangement, Table, presets};

use crate::event::swap::SwapFact;
use crate::plan::swap_guard::Foreign;
use crate::report::lines::verb;
use crate::report::style::{Text, Tone, clean, seconds};

/// Lines for a fact. `steps`: also what is only of interest while it happens, for a log.
pub(super) fn lines(fact: &SwapFact, steps: bool) -> Vec<Text> {
    match fact {
        SwapFact::Started { swap, command, pipeline, folder, .. } => {
            let head = Text::new().add(Tone::Strong, format!("{command} {swap}")).add(Tone::Plain, format!(" of {pipeline}"));
            vec![head, verb(Tone::Dim, "logs").add(Tone::Dim, folder)]
        }
        SwapFact::Stood { state } => {
            vec![verb(Tone::Dim, "stands").add(Tone::Strong, state.name()).add(Tone::Plain, rest(&state.to_string()))]
        }
        SwapFact::StepStarted { step, new, diff } => {
            let head = Text::new().add(Tone::Strong, step.describe(*new));
            let changed = diff.lines().filter(|line| !line.starts_with("---") && !line.starts_with("+++") && !line.starts_with("@@"));
            let changed = changed.filter(|line| line.starts_with(['+', '-']));
            std::iter::once(head).chain(changed.map(changed_line)).collect()
        }
        SwapFact::PhaseStarted { phase, detail } if steps || !detail.is_empty() => {
            vec![verb(Tone::Dim, phase).add(Tone::Dim, detail)]
        }
        SwapFact::Guarded { changes } if steps => {
            let none = changes.is_empty().then(|| verb(Tone::Dim, "guard").add(Tone::Dim, "nothing to change"));
            none.into_iter().chain(changes.iter().map(|change| verb(Tone::Dim, "guard").add(Tone::Plain, change))).collect()
        }
        SwapFact::Refused { foreign } => {
            let head = verb(Tone::Bad, "refused").add(Tone::Plain, "what must not happen:");
            std::iter::once(head).chain(table(foreign, 200).lines().map(Text::plain)).collect()
        }
        SwapFact::Written { path, commit, pushed } => {
            let short: String = commit.iter().flat_map(|commit| commit.chars().take(12)).collect();
            let how = match (commit, pushed) {
                (None, _) => String::new(),
                (Some(_), true) => format!(" in commit {short}, pushed"),
                (Some(_), false) => format!(" in commit {short}, not pushed"),
            };
            vec![verb(Tone::Good, "wrote").add(Tone::Strong, path).add(Tone::Plain, how)]
        }
        SwapFact::TakenBack { path, why } => {
            vec![verb(Tone::Warn, "taken back").add(Tone::Strong, path).add(Tone::Plain, format!(": {why}"))]
        }
        SwapFact::Applied { seconds: took } => vec![verb(Tone::Good, "applied").add(Tone::Dim, seconds(*took))],
        SwapFact::StepFinished { step, state, seconds: took } => {
            vec![
                verb(Tone::Good, "done")
                    .add(Tone::Strong, step.as_str())
                    .add(Tone::Plain, format!("  {state}"))
                    .add(Tone::Dim, format!("  {}", seconds(*took))),
            ]
        }
        SwapFact::Finished { state, outcome, message, seconds: took } => {
            let tone = if message.is_empty() { Tone::Good } else { Tone::Bad };
            let state = state.map(|state| format!("  {state}")).unwrap_or_default();
            let head = Text::new().add(tone, outcome).add(Tone::Plain, state).add(Tone::Dim, format!(" in {}", seconds(*took)));
            let why = (!message.is_empty()).then(|| verb(Tone::Bad, "because").add(Tone::Plain, message));
            [Text::new(), head].into_iter().chain(why).collect()
        }
        SwapFact::PhaseStarted { .. } | SwapFact::Guarded { .. } => Vec::new(),
    }
}

/// What stands behind the first word and its colon.
fn rest(text: &str) -> String {
    text.split_once(':').map_or_else(String::new, |(_, rest)| rest.to_owned())
}

fn changed_line(line: &str) -> Text {
    let tone = if line.starts_with('+') { Tone::Good } else { Tone::Bad };
    Text::plain("  ").add(tone, line)
}

/// A table of what must not happen.
pub fn table(foreign: &[Foreign], width: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.set_header(["resource", "attribute", "change"]);
    for Foreign { address, attribute, change } in foreign {
        table.add_row([clean(address), clean(attribute), clean(change)]);
    }
    format!("{}\n", table.trim_fmt())
}

/// A unified diff, coloured.
pub fn diff(text: &str, colour: bool) -> String {
    let line = |line: &str| {
        let tone = match line.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            Some('@') => Tone::Dim,
            _ => Tone::Plain,
        };
        Text::new().add(tone, line).render(colour) + "\n"
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::swap::Colour;
    use crate::plan::swap::State;
    use crate::plan::swap_steps::Step;

    fn shown(fact: &SwapFact) -> String {
        lines(fact, true).iter().map(|line| line.render(false) + "\n").collect()
    }

    #[test]
    fn a_step_shows_what_it_writes_and_a_refusal_everything_that_it_found() {
        let diff = "--- a/v.tfvars\n+++ b/v.tfvars\n@@ -1 +1 @@\n-a = \"\"\n+a = \"elb\"\n same\n".to_owned();
        let step = SwapFact::StepStarted { step: Step::Join, new: Colour::Green, diff };
        assert_eq!(shown(&step), "step 2 of 4: green joins blue on live\n  -a = \"\"\n  +a = \"elb\"\n");
        let foreign =
            |n: usize| Foreign { address: format!("aws_x.n{n}"), attribute: "size".to_owned(), change: "1 → \x1b[31m2".to_owned() };
        let refused = shown(&SwapFact::Refused { foreign: (0..30).map(foreign).collect() });
        assert_eq!((refused.lines().count(), refused.contains('\x1b'), refused.contains("aws_x.n29")), (32, false, true), "{refused}");
    }

    #[test]
    fn the_end_says_how_and_why() {
        let state = Some(State::Started { new: Colour::Green });
        let message = "gate join failed".to_owned();
        let end = shown(&SwapFact::Finished { state, outcome: "rolled back".to_owned(), message, seconds: 3.0 });
        assert_eq!(end, "\nrolled back  started: blue serves, green is on test in 3.0 s\n    because gate join failed\n");
    }
}
