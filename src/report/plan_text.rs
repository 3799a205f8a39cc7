//! A [`Plan`] as a person reads it: what is used, what is built and why, what is written.
//!
//! Shows the plan's value and nothing else, so it cannot differ from `plan --json` or from what `build` does. Invariant: nothing
//! but colour tells two things apart that words do not.

use jiff::Timestamp;

use crate::plan::plan::{Action, Counts, DryRunAction, Plan, PlannedEmit, PlannedNode, PlannedSource};
use crate::plan::reason::Reason;
use crate::plan::verification::VerifyAction;
use crate::report::style::{Text, Tone, age, count};

/// Changed inputs that are listed for one stage.
const CHANGES: usize = 12;

/// Where what does not fit beside the rest begins.
const INDENT: usize = 13;

/// The plan, its summary and its warnings; `now` is for ages only. `width`: columns of the terminal that it is for, if any.
pub fn render(plan: &Plan, now: Timestamp, colour: bool, width: Option<usize>) -> String {
    let mut text = String::new();
    for line in lines(plan, now).into_iter().flat_map(|line| line.folded(width.unwrap_or(usize::MAX), INDENT)) {
        text.push_str(&line.render(colour));
        text.push('\n');
    }
    text
}

fn lines(plan: &Plan, now: Timestamp) -> Vec<Text> {
    let mut rows: Vec<Row> = plan.sources.iter().map(|source| source_row(source, now)).collect();
    rows.extend(plan.nodes.iter().filter(|node| node.wanted || does_something(node)).map(|node| node_row(node, now)));
    let mut lines = align(rows);
    lines.push(Text::new());
    lines.push(sentence(plan));
    lines.extend(plan.emits.iter().filter_map(emit_line));
    if !plan.warnings.is_empty() {
        lines.push(Text::new());
    }
    lines.extend(plan.warnings.iter().map(|w| Text::new().add(Tone::Warn, "warning").add(Tone::Plain, format!(": {w}"))));
    lines
}

fn does_something(node: &PlannedNode) -> bool {
    node.action != Action::Nothing || !matches!(node.dry_run, DryRunAction::Skip)
}

/// Name, what is done, image, key; then free text and lines below.
struct Row {
    cells: [Text; 4],
    rest: Text,
    below: Vec<Text>,
}

fn source_row(source: &PlannedSource, now: Timestamp) -> Row {
    let architecture = if source.architecture == "x86_64" { String::new() } else { format!("/{}", source.architecture) };
    let name = Text::new().add(Tone::Dim, "source ").add(Tone::Plain, format!("{}{architecture}", source.name));
    let pinned = source.pinned.as_deref().map(|day| age(day, now).unwrap_or_else(|| day.to_owned()));
    let rest = match (&source.id, pinned) {
        (None, _) => Text::new().add(Tone::Warn, "not pinned: `ovenbird update` does that"),
        (Some(_), pinned) => {
            let name = source.image_name.as_deref().unwrap_or_default();
            let pinned = pinned.map(|p| format!("   pinned {p}")).unwrap_or_default();
            Text::plain(name).add(Tone::Dim, pinned)
        }
    };
    let id = Text::plain(source.id.as_deref().unwrap_or_default());
    // The source's name takes both columns: it is longer than a stage's, and nothing is done about it.
    Row { cells: [name, Text::new(), id, Text::new()], rest, below: Vec::new() }
}

fn node_row(node: &PlannedNode, now: Timestamp) -> Row {
    let blocked = node.reason.blocks();
    let (tone, verb) = match (&node.action, &node.dry_run) {
        _ if blocked => (Tone::Bad, "blocked"),
        (Action::Reuse { .. }, _) if node.verification.runs() => (Tone::Warn, "verify"),
        (Action::Reuse { .. }, _) => (Tone::Dim, "reuse"),
        (Action::Retag { .. }, _) => (Tone::Warn, "retag"),
        (Action::Build, _) => (Tone::Good, "build"),
        (Action::Nothing, DryRunAction::Run) => (Tone::Good, "dry-run"),
        (Action::Nothing, DryRunAction::Passed { .. }) => (Tone::Dim, "passed"),
        (Action::Nothing, DryRunAction::NotPossible { .. } | DryRunAction::Skip) => (Tone::Dim, "nothing"),
    };
    let image = node.action.image();
    // A dry run is named by its own key; the AMI's is not what is proved.
    let key = match node.action {
        Action::Nothing => node.dry_run_key.as_ref().map(crate::model::digest::DryRunKey::short),
        Action::Reuse { .. } | Action::Retag { .. } | Action::Build => node.stage_key.as_ref().map(crate::model::digest::StageKey::short),
    };
    let why = match (&node.action, &node.dry_run) {
        (Action::Reuse { image }, _) => match &node.verification {
            VerifyAction::Run { because, .. } => Text::plain(because.to_string()),
            verification => {
                let verified = if *verification == VerifyAction::Passed { ", verified" } else { "" };
                age(&image.created, now).map(|age| Text::new().add(Tone::Dim, format!("built {age}{verified}"))).unwrap_or_default()
            }
        },
        (Action::Nothing, DryRunAction::Passed { image }) => Text::new().add(Tone::Dim, image),
        (Action::Nothing, DryRunAction::NotPossible { why }) => Text::plain(format!("no dry run: {why}")),
        (Action::Nothing, _) if node.reason == Reason::NotNeeded => Text::new(),
        _ => Text::plain(node.reason.to_string()),
    };
    let mut below = Vec::new();
    if let Reason::InputsChanged { changes, .. } = &node.reason
        && node.action == Action::Build
    {
        below.extend(changes.iter().take(CHANGES).map(|c| Text::plain(format!("  {c}"))));
        if changes.len() > CHANGES {
            let more = format!("  … and {} more: `ovenbird explain {}`", changes.len() - CHANGES, node.node.stage);
            below.push(Text::new().add(Tone::Dim, more));
        }
    }
    if let (Action::Build, DryRunAction::NotPossible { why }) = (&node.action, &node.dry_run) {
        below.push(Text::new().add(Tone::Dim, format!("  no dry run: {why}")));
    }
    match (&node.action, &node.verification) {
        (Action::Retag { .. }, VerifyAction::Run { because, .. }) => below.push(Text::plain(format!("  and verify: {because}"))),
        (_, VerifyAction::Skip { because }) => below.push(Text::new().add(Tone::Warn, format!("  not verified: {because}"))),
        _ => {}
    }
    let rest = if below.is_empty() || !matches!(node.reason, Reason::InputsChanged { .. }) { why } else { why.add(Tone::Plain, ":") };
    Row {
        cells: [
            Text::new().add(Tone::Strong, node.node.to_string()),
            Text::new().add(tone, verb),
            Text::plain(image.map(|i| i.id.as_str()).unwrap_or_default()),
            Text::new().add(Tone::Dim, key.unwrap_or_default()),
        ],
        rest,
        below,
    }
}

fn align(rows: Vec<Row>) -> Vec<Text> {
    let is_node = |row: &&Row| row.cells[1].width() > 0;
    let widest = |at: usize| rows.iter().filter(is_node).map(|r| r.cells[at].width()).max().unwrap_or(0);
    let name = widest(0).max(6);
    let verb = widest(1);
    let source = rows.iter().filter(|r| !is_node(r)).map(|r| r.cells[0].width()).max().unwrap_or(0);
    // Where images begin: behind the longer of `source NAME` and `NAME  VERB`.
    let images = 2 + source.max(name + 3 + verb) + 3;
    let image = rows.iter().map(|r| r.cells[2].width()).max().unwrap_or(0);
    let keys = if image == 0 { images } else { images + image + 3 };
    let key = widest(3);
    let mut lines = Vec::new();
    for row in rows {
        let node = row.cells[1].width() > 0;
        let [first, second, third, fourth] = row.cells;
        let mut line = Text::plain("  ").join(first);
        if node {
            line = line.pad_to(2 + name + 3).join(second);
        }
        line = line.pad_to(images).join(third).pad_to(keys);
        if node && key > 0 {
            line = line.join(fourth).pad_to(keys + key + 3);
        }
        lines.push(line.join(row.rest));
        lines.extend(row.below.into_iter().map(|below| Text::new().pad_to(keys + 2).join(below)));
    }
    lines
}

fn sentence(plan: &Plan) -> Text {
    let Counts { build, reuse, retag, dry_run, verify, blocked } = plan.counts();
    let told = [
        (dry_run, "to dry-run"),
        (build, "to build"),
        (retag, "to retag"),
        (verify, "to verify"),
        (reuse.saturating_sub(retag), "to reuse"),
    ];
    let told: Vec<_> = told.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let work = build + retag + dry_run + verify > 0;
    let mut text = match (work, told.is_empty()) {
        (true, _) => Text::new().add(Tone::Strong, told.join(", ")),
        (false, true) => Text::new().add(Tone::Strong, "nothing to do"),
        (false, false) => Text::new().add(Tone::Strong, "nothing to do").add(Tone::Plain, format!(", {}", told.join(", "))),
    };
    if blocked > 0 {
        text = text.add(Tone::Bad, format!(", {} blocked", count(blocked, "stage")));
    }
    text.add(Tone::Plain, ".")
}

fn emit_line(emit: &PlannedEmit) -> Option<Text> {
    if !emit.missing.is_empty() && emit.wanted {
        let missing: Vec<_> = emit.missing.iter().map(ToString::to_string).collect();
        return Some(Text::new().add(Tone::Warn, format!("Does not write {}: no image of {}.", emit.path, missing.join(", "))));
    }
    if !emit.unverified.is_empty() && emit.wanted {
        let unverified: Vec<_> = emit.unverified.iter().map(ToString::to_string).collect();
        let mut stages: Vec<&str> = emit.unverified.iter().map(|node| node.stage.as_str()).collect();
        stages.dedup();
        let (are, them) = if unverified.len() == 1 { ("is", "it") } else { ("are", "them") };
        let told = format!("Does not write {}: {} {are} not verified", emit.path, unverified.join(", "));
        return Some(Text::new().add(Tone::Warn, format!("{told}; `ovenbird build {}` verifies {them}.", stages.join(" "))));
    }
    if emit.changes.is_empty() {
        return None;
    }
    let names = emit.changes.join(", ");
    Some(if emit.wanted {
        Text::plain("Writes ").add(Tone::Strong, names).add(Tone::Plain, format!(" in {}.", emit.path))
    } else {
        Text::new().add(Tone::Dim, format!("Leaves {names} in {} as it is: a partial build writes with `--emit`.", emit.path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::plan;

    #[test]
    fn a_plan_says_what_is_used_what_is_built_and_why() {
        let now = "2026-11-22T04:15:00Z".parse().expect("a time");
        insta::assert_snapshot!(render(&plan(), now, false, None), @r##"
  source debian_12   ami-0d3c51df4b4a7ba4f   debian-12-amd64-20261116-2299   pinned 6 d ago
  base     reuse     ami-0a11aaaaaaaaaaaa1   cae662172fd4   built 2 d ago
  web      build                             4b5e57f6eb2f   2 inputs changed since ami-0de5aaaaaaaaaaaa1:
                                                 M ansible/roles/nginx/templates/site.conf.j2
                                                 variable consul_version
  legacy   build                             c49fea7425fa   first build of this stage
                                                 no dry run: the template has no Docker source
  api      blocked                           b755cb248c3c   not in the lock file: source debian_13; `ovenbird update` pins it

1 to dry-run, 2 to build, 1 to reuse, 1 stage blocked.
Writes web_ami_id in terraform/images.auto.tfvars.
Does not write terraform/api.auto.tfvars: no image of api.

warning: no `tools` block: versions of tools are not in the key
"##);
        let narrow = render(&plan(), now, false, Some(80));
        let lines: Vec<&str> = narrow.lines().take(2).collect();
        assert_eq!(lines, ["  source debian_12   ami-0d3c51df4b4a7ba4f   debian-12-amd64-20261116-2299", "             pinned 6 d ago"]);
    }

    #[test]
    fn a_plan_says_which_images_are_verified_and_why() {
        use crate::model::digest::Digest;
        use crate::plan::verification::Unverified;

        let (mut plan, run) = (plan(), "20261121t000000-000001".to_owned());
        let changed = vec!["ansible/verify/base.yml".to_owned()];
        plan.nodes.truncate(2);
        let [base, web] = plan.nodes.as_mut_slice() else { unreachable!("two") };
        base.verification = VerifyAction::Run { key: Digest::of(b"checks"), because: Unverified::ChecksChanged { changed } };
        web.verification = VerifyAction::Run { key: Digest::of(b"checks"), because: Unverified::Made };
        let mut api = base.clone();
        api.node = crate::report::testing::node("api");
        let task = Some("Ask (ansible/verify/api.yml:7)".to_owned());
        api.verification = VerifyAction::Skip { because: Unverified::Failed { run, task, message: None, changed: false } };
        let mut edge = api.clone();
        edge.node = crate::report::testing::node("edge");
        edge.verification = VerifyAction::Passed;
        plan.nodes.extend([api, edge]);
        plan.emits[1].missing.clear();
        plan.emits[1].unverified.push(crate::report::testing::node("api"));
        plan.warnings.clear();
        let now = "2026-11-22T04:15:00Z".parse().expect("a time");
        insta::assert_snapshot!(render(&plan, now, false, None), @r##"
  source debian_12   ami-0d3c51df4b4a7ba4f   debian-12-amd64-20261116-2299   pinned 6 d ago
  base     verify    ami-0a11aaaaaaaaaaaa1   cae662172fd4   its checks changed since they passed: ansible/verify/base.yml
  web      build                             4b5e57f6eb2f   2 inputs changed since ami-0de5aaaaaaaaaaaa1:
                                                 M ansible/roles/nginx/templates/site.conf.j2
                                                 variable consul_version
  api      reuse     ami-0a11aaaaaaaaaaaa1   cae662172fd4   built 2 d ago
                                                 not verified: verification failed in run 20261121t000000-000001: task Ask (ansible/verify/api.yml:7)
  edge     reuse     ami-0a11aaaaaaaaaaaa1   cae662172fd4   built 2 d ago, verified

1 to dry-run, 1 to build, 2 to verify, 2 to reuse.
Writes web_ami_id in terraform/images.auto.tfvars.
Does not write terraform/api.auto.tfvars: api is not verified; `ovenbird build api` verifies it.
"##);
    }
}
