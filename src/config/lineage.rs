//! What needs all stages at once: no cycle, and architectures that the parent has.
//!
//! Invariant: stages that leave here form a forest on the sources, each with at least one architecture, all of them its parent's.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::context::Cx;
use crate::config::pipeline::{ParentRef, Source, Stage};
use crate::config::stage::Draft;
use crate::config::words::listed;
use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::model::problem::Problem;

/// Checks the drafts together and finishes them.
pub(super) fn finish(cx: &mut Cx, drafts: Vec<Draft>, sources: &BTreeMap<Name, Source>) -> Vec<Stage> {
    let by_name: BTreeMap<Name, &Draft> = drafts.iter().map(|d| (d.stage.name.clone(), d)).collect();
    report_cycles(cx, &by_name);
    let mut known: BTreeMap<Name, Vec<Architecture>> = BTreeMap::new();
    // A stage may stand before its parent in the file, so rounds until nothing moves; what is left hangs on something reported.
    loop {
        let before = known.len();
        for draft in &drafts {
            if !known.contains_key(&draft.stage.name)
                && let Some(offered) = offered(draft, sources, &known)
            {
                let chosen = choose(cx, draft, &offered);
                known.insert(draft.stage.name.clone(), chosen);
            }
        }
        if known.len() == before {
            break;
        }
    }
    drafts
        .into_iter()
        .map(|draft| {
            let architectures = known.remove(&draft.stage.name).unwrap_or_default();
            Stage { architectures, ..draft.stage }
        })
        .collect()
}

fn parent_stage(draft: &Draft) -> Option<&Name> {
    match draft.from.as_ref().map(|from| &from.value) {
        Some(ParentRef::Stage(name)) => Some(name),
        Some(ParentRef::Source(_)) | None => None,
    }
}

fn report_cycles(cx: &mut Cx, by_name: &BTreeMap<Name, &Draft>) {
    let mut done: BTreeSet<Name> = BTreeSet::new();
    for start in by_name.keys() {
        let mut path: Vec<Name> = Vec::new();
        let mut at = Some(start.clone());
        while let Some(name) = at {
            if let Some(first) = path.iter().position(|seen| *seen == name) {
                report_cycle(cx, by_name, &path[first..]);
                break;
            }
            if done.contains(&name) {
                break;
            }
            at = by_name.get(&name).and_then(|draft| parent_stage(draft)).cloned();
            path.push(name);
        }
        done.extend(path);
    }
}

fn report_cycle(cx: &mut Cx, by_name: &BTreeMap<Name, &Draft>, cycle: &[Name]) {
    let mut names: Vec<&str> = cycle.iter().map(Name::as_str).collect();
    names.push(names[0]);
    let mut problem = Problem::error(format!("stages boot from each other in a circle: {}", names.join(" → ")));
    for (name, next) in cycle.iter().zip(&names[1..]) {
        if let Some(from) = by_name.get(name).and_then(|draft| draft.from.as_ref()) {
            problem = problem.at(&cx.source, from.span.clone(), format!("`{name}` boots from `{next}`"));
        }
    }
    cx.problems.push(problem.help("one of them has to boot from a source"));
}

/// What the parent has; `None` while that is not known.
fn offered(draft: &Draft, sources: &BTreeMap<Name, Source>, known: &BTreeMap<Name, Vec<Architecture>>) -> Option<Vec<Architecture>> {
    match &draft.from.as_ref()?.value {
        ParentRef::Source(name) => sources.get(name).map(|s| s.amis.keys().copied().collect()),
        ParentRef::Stage(name) => known.get(name).cloned(),
    }
}

fn choose(cx: &mut Cx, draft: &Draft, offered: &[Architecture]) -> Vec<Architecture> {
    if draft.architectures.is_empty() || offered.is_empty() {
        return offered.to_vec();
    }
    let mut chosen = Vec::new();
    for wanted in &draft.architectures {
        if offered.contains(&wanted.value) {
            chosen.push(wanted.value);
            continue;
        }
        let parent = match draft.from.as_ref().map(|f| &f.value) {
            Some(ParentRef::Source(name)) => format!("source.{name}"),
            Some(ParentRef::Stage(name)) => format!("stage.{name}"),
            None => continue,
        };
        let list = listed(&offered.iter().map(|a| a.as_str()).collect::<Vec<_>>());
        let mut problem = Problem::error(format!("`{parent}` is not there for `{}`", wanted.value)).at(
            &cx.source,
            wanted.span.clone(),
            format!("it has {list}"),
        );
        if let Some(from) = &draft.from {
            problem = problem.at(&cx.source, from.span.clone(), "the parent");
        }
        cx.problems.push(problem.help(format!("add `{}` to the parent first", wanted.value)));
    }
    chosen
}
