//! [`load`]: pipeline file and lock file → [`Loaded`], or every problem at once.
//!
//! The order matters and is only here: names first, then values of variables, then everything that may refer to them. Must not
//! look at the environment or the clock (they come in the request). Invariant: errors mean that nothing was written anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hcl_edit::structure::Body;

use crate::config::context::{Cx, Table};
use crate::config::lock::Pins;
use crate::config::paths::{Places, normalise};
use crate::config::pipeline::{Builder, Pipeline, Recipe};
use crate::config::variables::{self, Given};
use crate::config::{emit, lineage, lock_file, schema, settings, source, stage, swap};
use crate::model::name::Name;
use crate::model::problem::{Problem, Problems, Severity, SourceText};
use crate::model::value::Reference;
use crate::syntax::hcl;

/// Prefix of environment variables that set variables of the pipeline; [`LoadRequest::env_vars`] holds those.
pub use crate::config::variables::ENV_PREFIX;

/// What is to be loaded, and what was given from outside.
pub struct LoadRequest<'e> {
    /// Absolute path of the pipeline file.
    pub file: PathBuf,
    /// Absolute; wins over `root = "…"` and the git work tree.
    pub root: Option<PathBuf>,
    /// `--var name=value`, in order.
    pub vars: Vec<(String, String)>,
    /// `--var-file`, in order; absolute or relative to the working folder.
    pub var_files: Vec<PathBuf>,
    /// The variables of the environment that start with [`ENV_PREFIX`].
    pub env_vars: BTreeMap<String, String>,
    /// Is this environment variable set to something.
    pub env_present: &'e dyn Fn(&str) -> bool,
    /// A secret without a value is an error (something will run), not a warning.
    pub require_secrets: bool,
}

impl std::fmt::Debug for LoadRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadRequest").field("file", &self.file).field("root", &self.root).finish_non_exhaustive()
    }
}

/// What was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The pipeline file.
    pub pipeline: Pipeline,
    /// The lock file; empty when there is none.
    pub pins: Pins,
    /// Worth saying, nothing is refused.
    pub warnings: Vec<Problem>,
    /// Was there a lock file.
    pub lock_existed: bool,
    /// Absolute path of the lock file.
    pub lock_path: PathBuf,
}

/// The lock file of a pipeline file: `ovenbird.hcl` → `ovenbird.lock`.
pub fn lock_path(file: &Path) -> PathBuf {
    file.with_extension("lock")
}

/// Loads both files.
///
/// # Errors
/// Every problem that was found, warnings among them, in the order of the files.
pub fn load(request: &LoadRequest<'_>) -> Result<Loaded, Problems> {
    let file = normalise(&request.file).unwrap_or_else(|| request.file.clone());
    let dir = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let base = request.root.clone().unwrap_or_else(|| work_tree(&dir));
    let lock_path = lock_path(&file);
    let mut problems = Problems::default();

    let lock = read_lock(&lock_path, &base);
    let (pins, lock_existed) = match lock {
        Ok(Some(pins)) => (pins, true),
        Ok(None) => (Pins::default(), false),
        Err(found) => {
            problems.0.extend(found.0);
            (Pins::default(), true)
        }
    };
    let pipeline = match parse(&file, &base) {
        Ok((source, body)) => {
            let mut cx = Cx::new(source);
            let pipeline = pipeline(&mut cx, &body, request, file, dir, base);
            problems.0.splice(0..0, in_order(cx.problems.0));
            pipeline
        }
        Err(problem) => {
            problems.0.insert(0, problem);
            None
        }
    };
    match pipeline {
        Some(pipeline) if !problems.has_errors() => Ok(Loaded { pipeline, pins, warnings: problems.0, lock_existed, lock_path }),
        _ => {
            debug_assert!(problems.has_errors(), "a pipeline that is not complete has left an error");
            Err(problems)
        }
    }
}

/// By place; problems without one first.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|p| p.places.first().map(|place| (place.source.path.clone(), place.span.start)));
    problems.dedup();
    problems
}

/// The git work tree's top, or the folder itself.
fn work_tree(dir: &Path) -> PathBuf {
    dir.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(dir).to_path_buf()
}

/// Reads a file of HCL, with `shown` as its name in problems.
///
/// # Errors
/// When it is not there, not readable, too large or no text.
pub(super) fn read(path: &Path, shown: PathBuf) -> Result<Arc<SourceText>, Problem> {
    let unreadable = |error: std::io::Error| Problem::error(format!("file `{}` cannot be read: {error}", shown.display()));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Problem::error(format!("`{}` is a folder, not a file", shown.display())));
    }
    // Asked before reading: a 10 MB file is refused by its size, not by what a parser makes of it.
    if metadata.len() > hcl::MAX_BYTES as u64 {
        return Err(hcl::too_large(shown, metadata.len()));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    hcl::decode(shown, &bytes)
}

fn shown(path: &Path, base: &Path) -> PathBuf {
    path.strip_prefix(base).unwrap_or(path).to_path_buf()
}

fn parse(file: &Path, base: &Path) -> Result<(Arc<SourceText>, Body), Problem> {
    if !file.exists() {
        return Err(Problem::error(format!("there is no pipeline file `{}`", file.display()))
            .help("`ovenbird init` writes one here; `--file` names another one"));
    }
    let source = read(file, shown(file, base))?;
    let help = "`ovenbird init` in an empty folder writes a small working pipeline to start from";
    if source.text.trim().is_empty() {
        return Err(Problem::error("the pipeline file is empty").at(&source, 0..0, "").help(help));
    }
    if let Some(span) = hcl::first_crlf(&source) {
        return Err(Problem::error("lines end in CR LF").at(&source, span, "first one").help(format!(
            "the same text must give the same key everywhere: `sed -i 's/\\r$//' {}`, and `*.hcl text eol=lf` in .gitattributes",
            shown(file, base).display()
        )));
    }
    let body = hcl::parse(&source)?;
    if body.is_empty() {
        return Err(Problem::error("the pipeline file declares nothing").at(&source, 0..0, "").help(help));
    }
    Ok((source, body))
}

fn read_lock(path: &Path, base: &Path) -> Result<Option<Pins>, Problems> {
    if !path.exists() {
        return Ok(None);
    }
    let source = read(path, shown(path, base)).map_err(|problem| Problems(vec![problem]))?;
    lock_file::read(&source).map(Some)
}

fn pipeline(cx: &mut Cx, body: &Body, request: &LoadRequest<'_>, file: PathBuf, dir: PathBuf, base: PathBuf) -> Option<Pipeline> {
    let top = cx.file(body, &schema::PIPELINE_FILE);
    let variable_tables = cx.blocks(&top, "variable");
    let source_tables = cx.blocks(&top, "source");
    let stage_tables = cx.blocks(&top, "stage");
    let secret_tables = cx.blocks(&top, "secret");
    let swap_tables = cx.blocks(&top, "swap");
    let emit_tables = cx.blocks(&top, "emit");
    declare(cx, &source_tables, |cx| &mut cx.names.sources);
    declare(cx, &stage_tables, |cx| &mut cx.names.stages);
    declare(cx, &secret_tables, |cx| &mut cx.names.secrets);
    declare(cx, &swap_tables, |cx| &mut cx.names.swaps);
    let given = Given { files: &request.var_files, environment: Some(&request.env_vars), arguments: &request.vars };
    variables::resolve(cx, &variable_tables, &given);

    let head_table = cx.block(&top, "pipeline");
    if head_table.is_none() && !body.has_blocks("pipeline") {
        cx.error(0..0, "there is no `pipeline` block", "", Some("start with a block `pipeline \"NAME\"` that sets `region`".to_owned()));
    }
    let own_root = head_table.as_ref().and_then(|table| settings::root(cx, table, &dir));
    let root = request.root.clone().or(own_root).unwrap_or(base);
    if !dir.starts_with(&root) {
        cx.error(0..0, format!("the root `{}` does not hold the pipeline file", root.display()), "", None);
        return None;
    }
    let head = head_table.as_ref().and_then(|table| settings::head(cx, table, &dir));
    let places = Places { root: root.clone(), dir: dir.clone() };
    let tools = settings::tools(cx, &top, head_table.as_ref().map_or(0..0, |table| table.head.clone()));
    let builder = settings::builder(cx, &top, &Builder::default());
    let secrets = settings::secrets(cx, &secret_tables);
    let sources = source::sources(cx, &source_tables);
    let drafts = stage_tables.iter().filter_map(|table| stage::stage(cx, table, &places, &builder)).collect();
    let stages = lineage::finish(cx, drafts, &sources);
    if stage_tables.is_empty() && !body.has_blocks("stage") {
        let head = head_table.as_ref().map_or(0..0, |table| table.head.clone());
        cx.error(head, "the pipeline has no stage", "", Some("`stage \"base\" { … }` with `from` and `playbook`".to_owned()));
    }
    let emits = emit::emits(cx, &emit_tables, &places, &stages);
    let swaps = swap::swaps(cx, &swap_tables, &places);
    let head = head?;
    let pipeline = Pipeline {
        name: head.name,
        source: Arc::clone(&cx.source),
        root,
        dir,
        file,
        region: head.region,
        regions: head.regions,
        tags: head.tags,
        state: head.state,
        tools,
        secrets,
        sources,
        stages,
        emits,
        swaps,
    };
    check_secrets(cx, &pipeline, request);
    Some(pipeline)
}

fn declare(cx: &mut Cx, tables: &[Table<'_>], names: impl Fn(&mut Cx) -> &mut BTreeMap<Name, std::ops::Range<usize>>) {
    for table in tables {
        if let Some(name) = cx.name(table) {
            names(cx).insert(name, table.head.clone());
        }
    }
}

/// A secret that a stage uses and that has no value.
fn check_secrets(cx: &mut Cx, pipeline: &Pipeline, request: &LoadRequest<'_>) {
    let mut used: BTreeSet<Name> = BTreeSet::new();
    for stage in &pipeline.stages {
        let own = match &stage.recipe {
            Recipe::Template { packer_vars, .. } => packer_vars,
            Recipe::Playbook { .. } => &stage.vars,
        };
        for reference in own.values().flat_map(crate::model::value::Value::references) {
            if let Reference::Secret(name) = reference {
                used.insert(name.clone());
            }
        }
    }
    for (name, secret) in pipeline.secrets.iter().filter(|(name, _)| used.contains(*name)) {
        if !(request.env_present)(&secret.env) {
            let severity = if request.require_secrets { Severity::Error } else { Severity::Warning };
            let problem = Problem { severity, ..Problem::error(format!("secret `{name}` has no value: `{}` is not set", secret.env)) };
            cx.problems.push(
                problem.at(&cx.source, secret.span.clone(), "").help(format!("set `{}` in the environment of the build", secret.env)),
            );
        }
    }
}
