//! Packer: the command line of a build and which of its variables ovenbird fills.
//!
//! What its log says is read in `packer_log.rs`. Invariants: `-force` is never given (it deregisters the old image before the new
//! one exists); values go through a file, so the arguments are the same for every secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::process::command::CommandLine;

/// What a `packer build` is made of.
#[derive(Debug, Clone)]
pub struct Build<'a> {
    /// Name or path of the program.
    pub program: &'a Path,
    /// Working folder: the root.
    pub root: &'a Path,
    /// The whole environment.
    pub env: &'a BTreeMap<String, String>,
    /// Template file or folder, relative to the root.
    pub template: &'a Path,
    /// `-only`; empty: all of the template's builders.
    pub only: &'a [String],
    /// `-var-file`s in order: the user's, relative to the root, then ours, which so wins.
    pub var_files: &'a [PathBuf],
    /// After a failure leave the machine as it is, for `dry-run --keep`.
    pub abort_on_error: bool,
}

/// `packer build`. No `-machine-readable`: the log is for people, `DescribeImages` is what counts, and the ids that a log names stand
/// in the plain form as well.
pub fn build(build: &Build<'_>) -> CommandLine {
    let mut line = CommandLine::new(build.program, build.root).envs(build.env).envs(FIXED).args(["build", "-color=false"]);
    if build.abort_on_error {
        line = line.arg("-on-error=abort");
    }
    if !build.only.is_empty() {
        line = line.arg(format!("-only={}", build.only.join(",")));
    }
    for file in build.var_files {
        line = line.arg(format!("-var-file={}", file.display()));
    }
    line.arg(build.template)
}

/// `packer version`.
pub fn version(program: &Path, root: &Path, env: &BTreeMap<String, String>) -> CommandLine {
    CommandLine::new(program, root).envs(env).envs(FIXED).arg("version")
}

/// `Packer v1.15.0` → `1.15.0`.
pub fn parse_version(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("Packer v"))?;
    Some(line.split_whitespace().next()?.to_owned())
}

/// Always set for Packer.
const FIXED: [(&str, &str); 3] = [("CHECKPOINT_DISABLE", "1"), ("PACKER_NO_COLOR", "1"), ("PYTHONUNBUFFERED", "1")];

/// `-only` values of our own template.
pub mod own {
    /// The builder of the AMI.
    pub const AMI: &str = "amazon-ebs.image";
    /// The builder of the dry run.
    pub const DOCKER: &str = "docker.image";
}

/// Of `values` those that the template declares, as the text of a JSON var file.
///
/// # Panics
/// Never: JSON values always serialise.
pub fn var_file(values: BTreeMap<&str, Json>, declared: &BTreeSet<String>) -> String {
    let filled: BTreeMap<_, _> = values.into_iter().filter(|(name, _)| declared.contains(*name)).collect();
    serde_json::to_string_pretty(&filled).expect("JSON values serialise")
}

/// Values of a foreign template's variables. A JSON template takes strings only, as its own `variables` are.
///
/// # Panics
/// Never: JSON values always serialise.
pub fn foreign_var_file(values: BTreeMap<String, Json>, json_template: bool) -> String {
    let as_text = |value: Json| match value {
        Json::String(_) => value,
        Json::Null => Json::String(String::new()),
        other => Json::String(other.to_string()),
    };
    let values: BTreeMap<String, Json> =
        values.into_iter().map(|(name, value)| (name, if json_template { as_text(value) } else { value })).collect();
    serde_json::to_string_pretty(&values).expect("JSON values serialise")
}

/// Is it a template in the old JSON form? (`*.pkr.json` is HCL written as JSON.)
pub fn is_json(template: &Path) -> bool {
    let name = template.to_string_lossy();
    name.ends_with(".json") && !name.ends_with(".pkr.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_those_that_recipe_names() {
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin".to_owned())]);
        let line = build(&Build {
            program: Path::new("packer"),
            root: Path::new("/root"),
            env: &env,
            template: Path::new("packer"),
            only: &[own::AMI.to_owned()],
            var_files: &[PathBuf::from("/tmp/x/packer.pkrvars.json")],
            abort_on_error: false,
        });
        assert_eq!(line.to_string(), "packer build -color=false -only=amazon-ebs.image -var-file=/tmp/x/packer.pkrvars.json packer");
        let names: Vec<_> = line.env.keys().map(|k| k.to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["CHECKPOINT_DISABLE", "PACKER_NO_COLOR", "PATH", "PYTHONUNBUFFERED"]);
        // The number that goes into every key. Whoever changes a rendered command or a fixed variable raises it.
        assert_eq!(crate::plan::manifest::RECIPE, 2);
    }

    #[test]
    fn only_declared_variables_are_filled() {
        let declared = BTreeSet::from(["region".to_owned()]);
        let text = var_file(BTreeMap::from([("region", Json::from("eu")), ("spot", Json::from(true))]), &declared);
        assert_eq!(text, "{\n  \"region\": \"eu\"\n}");
    }

    #[test]
    fn a_json_template_gets_strings() {
        let values = BTreeMap::from([("a".to_owned(), Json::from(1)), ("b".to_owned(), Json::from("x"))]);
        assert_eq!(foreign_var_file(values, true), "{\n  \"a\": \"1\",\n  \"b\": \"x\"\n}");
    }

    #[test]
    fn the_version_is_read() {
        assert_eq!(parse_version("Packer v1.15.0\n\nYour version …").as_deref(), Some("1.15.0"));
        assert_eq!(parse_version("nothing"), None);
    }
}
