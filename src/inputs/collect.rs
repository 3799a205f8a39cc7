//! From a pipeline to [`StageInputs`] of every stage: follow each stage's playbook and template, then list and hash what was found,
//! every file once.
//!
//! Invariant: two stages that share a file have the same digest of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::hash;
use super::known::Known;
use super::list::List;
use super::reach::{Reach, Scope, Take};
use super::snapshot::Snapshot;
use super::walk::{self, Part, Rules};
use super::world::World;
use super::{Collected, InputContext, memo, names};
use crate::config::pipeline::{Pipeline, Recipe, Stage};
use crate::model::name::Name;
use crate::model::problem::{Problem, Problems};
use crate::plan::inputs::{Imprecise, StageInputs};
use crate::plan::why::Chain;

/// What one stage found, before anything is hashed.
pub(super) struct Found {
    pub(super) name: Name,
    pub(super) rules: Rules,
    pub(super) image: Side,
    pub(super) verify: Side,
    /// Names of environment variables that something looks up.
    pub(super) asked: BTreeSet<String>,
    /// All but trees and environment.
    pub(super) inputs: StageInputs,
}

/// Trees of the image, or of the verification.
#[derive(Default)]
pub(super) struct Side {
    pub(super) trees: Vec<(PathBuf, Part, Take)>,
}

pub(super) fn collect(pipeline: &Pipeline, context: &InputContext) -> Result<Collected, Problems> {
    let mut problems = Problems::default();
    let root = match std::fs::canonicalize(&pipeline.root) {
        Ok(root) => root,
        Err(error) => {
            problems.push(Problem::error(format!("the root `{}` cannot be read: {}", pipeline.root.display(), hash::reason(&error))));
            return Err(problems);
        }
    };
    let world = World::new(root, pipeline, context);
    let stages: Vec<&Stage> = pipeline.stages.iter().filter(|s| context.only.as_ref().is_none_or(|only| only.contains(&s.name))).collect();
    let Some(memory) = &context.memory else {
        let found = follow_all(&stages, &world)?;
        return Ok(Collected { inputs: read(found, &world.into_disk().0, context), keep: None });
    };
    let surroundings = memo::surroundings(&world, &stages, &memory.program);
    if let Some(found) = memo::recall(&memory.kept, surroundings, &world, &stages) {
        return Ok(Collected { inputs: read(found, &world.into_disk().0, context), keep: None });
    }
    // What was looked at for the memo holds for this call as well, but is no part of what this following hangs on.
    let world = world.afresh();
    let found = follow_all(&stages, &world)?;
    let (disk, parsed) = world.into_disk();
    let free = || if context.last { std::mem::forget(parsed) } else { drop(parsed) };
    // Side by side: neither has work for two threads all the time.
    let ((), (keep, list)) = rayon::join(free, || rayon::join(|| memo::keep(&found, surroundings, &disk), || List::of(&found, &disk)));
    Ok(Collected { inputs: list.into_inputs(found, context), keep })
}

fn follow_all(stages: &[&Stage], world: &World<'_>) -> Result<Vec<Found>, Problems> {
    let mut problems = Problems::default();
    let followed: Vec<Result<Found, Problems>> = stages.par_iter().map(|stage| follow(stage, world)).collect();
    let mut found = Vec::new();
    for result in followed {
        match result {
            Ok(one) => found.push(one),
            Err(more) => problems.0.extend(more.0.into_iter().filter(|p| !problems.0.contains(p)).collect::<Vec<_>>()),
        }
    }
    if problems.has_errors() { Err(problems) } else { Ok(found) }
}

/// Lists and hashes what was found, every file once.
fn read(found: Vec<Found>, disk: &Snapshot, context: &InputContext) -> BTreeMap<Name, StageInputs> {
    List::of(&found, disk).into_inputs(found, context)
}

/// Follows one stage.
fn follow(stage: &Stage, world: &World<'_>) -> Result<Found, Problems> {
    let mut problems = Problems::default();
    let pipeline = world.pipeline;
    let bad_glob = |(pattern, why): (String, String)| {
        Problem::error(format!("`{pattern}` of stage `{}` is not a glob: {why}", stage.name)).at(
            &pipeline.source,
            stage.span.clone(),
            "in this stage",
        )
    };
    let rules = match Rules::new(&world.root, &stage.ignore, world.never.clone()) {
        Ok(rules) => rules,
        Err(wrong) => {
            problems.push(bad_glob(wrong));
            return Err(problems);
        }
    };
    let mut reach = Reach::new(world);
    let file = names::join(&world.root, &pipeline.file.to_string_lossy());
    let line = pipeline.source.line_column(stage.span.start).0;
    let scope = Scope::new(&world.root, &file, Chain::default());
    settings(stage, &mut reach, &scope);
    for requirements in &stage.galaxy {
        let path = world.root.join(requirements);
        reach.requirements(&path, &scope);
    }
    match &stage.recipe {
        Recipe::Playbook { playbook, template } => {
            let playbook = world.root.join(playbook);
            reach.playbook(&playbook, Chain::of("playbook"));
            let in_playbook = Scope { playbook_dir: playbook.parent().unwrap_or(Path::new("")).into(), ..scope.clone() };
            reach.arguments(&stage.ansible_arguments, &in_playbook);
            reach.default_template(&world.root.join(template), &playbook);
        }
        Recipe::Template { template, packer_vars, var_files, .. } => {
            reach.arguments(&stage.ansible_arguments, &scope);
            let var_files: Vec<PathBuf> = var_files.iter().map(|f| world.root.join(f)).collect();
            reach.foreign_template(&world.root.join(template), &var_files, packer_vars);
        }
    }
    for pattern in &stage.inputs {
        if let Err(wrong) = globbed(pattern, &mut reach, &rules, &scope, line) {
            problems.push(bad_glob(wrong));
        }
    }
    reach.settle();

    let mut verify = Side::default();
    let mut inputs = StageInputs::default();
    if let Some(playbook) = &stage.verify {
        let mut second = Reach::new(world);
        settings(stage, &mut second, &scope);
        second.galaxy_roles.clone_from(&reach.galaxy_roles);
        second.playbook(&world.root.join(playbook), Chain::of("verify playbook"));
        second.settle();
        verify.trees = second.without_contained(None);
        inputs.imprecise.extend(second.imprecise.into_iter().map(|i| Imprecise { because: format!("verify: {}", i.because), ..i }));
        inputs.notes.append(&mut second.notes);
        problems.0.append(&mut second.problems);
        // One environment for all children of the stage.
        reach.environment.append(&mut second.environment);
    }
    problems.0.append(&mut reach.problems);
    if problems.has_errors() {
        return Err(problems);
    }
    let image = Side { trees: reach.without_contained(None) };
    inputs.ansible_config = world.config.file.as_ref().map(|(_, label)| label.clone());
    inputs.imprecise.extend(reach.imprecise);
    inputs.notes.append(&mut reach.notes);
    let never = rules.never.iter().filter_map(|(path, what)| Some((names::inside(&world.root, path)?, (*what).to_owned())));
    inputs.never = never.collect();
    Ok(Found { name: stage.name.clone(), rules, image, verify, asked: reach.environment, inputs })
}

/// What the pipeline file and ansible.cfg say, for the image and for its verification.
fn settings(stage: &Stage, reach: &mut Reach<'_>, scope: &Scope) {
    let config = reach.world.config.clone();
    if let Some((path, label)) = config.file {
        reach.take_as(&path, Part::Whole, label, Chain::of("ansible.cfg in force"));
    }
    for path in config.absent {
        reach.take(&path, Chain::of("place of an ansible.cfg"));
    }
    for (name, value) in &stage.vars {
        reach.variables.assign(name, Known::of_value(value));
    }
    // What Packer adds on the command line.
    for name in ["packer_http_addr", "packer_http_ip", "packer_http_port"] {
        reach.variables.assign(name, Known::Open("is Packer's".to_owned()));
    }
    debug_assert!(scope.role.is_none());
}

/// A stage's `inputs` glob: a path as it is, `folder/**` as the folder, anything else file by file.
fn globbed(pattern: &str, reach: &mut Reach<'_>, rules: &Rules, scope: &Scope, line: usize) -> Result<(), (String, String)> {
    let root = reach.world.root.clone();
    let trimmed = pattern.trim_start_matches("./").trim_end_matches('/');
    let why = reach.because(scope, format!("inputs `{pattern}`"), line);
    let special = |text: &str| text.contains(['*', '?', '[', '{']);
    let whole = trimmed.strip_suffix("/**").or_else(|| trimmed.strip_suffix("/**/*")).unwrap_or(trimmed);
    let glob = walk::glob(pattern)?.compile_matcher();
    if !special(whole) {
        reach.take(&names::join(&root, whole), why);
        return Ok(());
    }
    let literal: PathBuf = trimmed.split('/').take_while(|part| !special(part)).collect();
    let base = root.join(&literal);
    let label = reach.world.label(&base, "");
    let mut matched = false;
    for name in walk::walk(&base, &label, &Part::Whole, rules, &reach.world.disk).items.into_keys() {
        let full = if label == "." { name.clone() } else { format!("{label}/{name}") };
        if !name.is_empty() && glob.is_match(&full) {
            matched = true;
            reach.take(&base.join(&name), why.clone());
        }
    }
    if !matched {
        reach.notes.insert(format!("`{pattern}` in `inputs` matches nothing"));
    }
    Ok(())
}
