//! `ovenbird validate`: everything that can be checked without cloud, Docker or network.
//!
//! Invariant: starts no process and writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::cli::args::{Common, ValidateArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::project::{Project, read_files};
use crate::cli::world::World;
use crate::model::problem::Problems;
use crate::report::problems;

/// Checks pipeline file, lock file, inputs and the files that emits write.
///
/// # Errors
/// The problems.
pub fn run(args: &ValidateArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    match check(args.json, common, world, output) {
        Ok((said, warnings)) => {
            if args.json {
                output.json(&problems::to_json(&warnings))?;
            } else {
                output.data(&said)?;
            }
            Ok(Exit::Done)
        }
        Err(Failure::Problems(all)) if args.json => {
            output.json(&problems::to_json(&all))?;
            Err(Failure::Said(Exit::Data))
        }
        Err(other) => Err(other),
    }
}

fn check(json: bool, common: &Common, world: &World, output: Output) -> Result<(String, Problems), Failure> {
    let loaded = read_files(common, world, false)?;
    let warnings = Problems(loaded.warnings.clone());
    if !json && !warnings.0.is_empty() {
        output.problems(&warnings);
    }
    let project = Project::of(loaded, world)?;
    // Every target is looked at, so that one bad file does not hide the next.
    let wrong: Vec<_> = project.targets().into_values().flat_map(|t| t.problems).collect();
    let wrong = Problems(wrong);
    if wrong.has_errors() {
        return Err(wrong.into());
    }
    let pipeline = project.pipeline();
    if !json {
        // Once a stage, whatever its architectures; what is imprecise is counted below.
        let keyed = project.keyed(&BTreeMap::new()).into_values();
        let warnings: BTreeSet<String> = keyed.flat_map(|keyed| keyed.warnings).filter(|w| !w.contains(": imprecise: ")).collect();
        for warning in &warnings {
            output.warn(warning);
        }
    }
    let imprecise: usize = project.inputs.values().map(|i| i.imprecise.len()).sum();
    let mut said = format!(
        "pipeline `{}` is valid: {}, {}, {}\n",
        pipeline.name,
        counted(pipeline.sources.len(), "source"),
        counted(pipeline.stages.len(), "stage"),
        counted(pipeline.emits.len(), "emit"),
    );
    if imprecise > 0 {
        writeln!(said, "{} taken whole; `ovenbird inputs STAGE` shows where", counted(imprecise, "place"))
            .expect("writing to a String cannot fail");
    }
    Ok((said, warnings))
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
