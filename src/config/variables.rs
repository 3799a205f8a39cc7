//! Values of variables: default, then `--var-file`, then `OVENBIRD_VAR_…`, then `--var`; the last one wins.
//!
//! Invariant: after [`resolve`] every declared variable has a value or a problem, and nothing that was given is ignored in silence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::context::{Cx, Table};
use crate::config::scope::Allow;
use crate::config::words::{meant, value_text};
use crate::model::problem::{Problem, SourceText};
use crate::model::value::Value;
use crate::syntax::eval::{self, Scope, Unknown};
use crate::syntax::hcl;

/// Prefix of environment variables that set variables.
pub const ENV_PREFIX: &str = "OVENBIRD_VAR_";

/// What was given from outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Given<'r> {
    pub(super) files: &'r [PathBuf],
    pub(super) environment: Option<&'r BTreeMap<String, String>>,
    pub(super) arguments: &'r [(String, String)],
}

/// References mean nothing in a file of values.
struct NoScope;
impl Scope for NoScope {
    fn reference(&self, path: &eval::Path) -> Result<Value, Unknown> {
        Err(Unknown::new(path.span.clone(), format!("`{}` is a reference; values here are literal", path.texts().join(".")))
            .help("a string is written with quotes"))
    }
}

/// Fills `cx.names.variables`.
pub(super) fn resolve(cx: &mut Cx, tables: &[Table<'_>], given: &Given<'_>) {
    let mut values: BTreeMap<String, Option<Value>> = BTreeMap::new();
    for table in tables {
        let Some(name) = cx.name(table) else { continue };
        // A default that cannot be reduced is reported; the variable counts as declared, so that its uses are not reported too.
        let default = cx.value(table, "default", Allow::Literals).map(|found| found.value);
        let _description = cx.string(table, "description");
        values.insert(name.to_string(), default);
    }
    for file in given.files {
        from_file(cx, file, &mut values);
    }
    for (variable, text) in given.environment.into_iter().flatten() {
        let Some(name) = variable.strip_prefix(ENV_PREFIX) else { continue };
        if values.contains_key(name) {
            from_text(cx, variable, name, text, &mut values);
        } else {
            // The environment may be meant for another pipeline too.
            let problem = Problem::warning(format!("`{variable}` is set, but there is no variable `{name}`"));
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            cx.problems.push(match crate::config::schema::nearest(name, known) {
                Some(found) => problem.help(format!("did you mean `{ENV_PREFIX}{found}`?")),
                None => problem,
            });
        }
    }
    for (name, text) in given.arguments {
        if values.contains_key(name) {
            from_text(cx, "--var", name, text, &mut values);
        } else {
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            let source = Arc::new(SourceText { path: "--var".into(), text: format!("{name}={text}") });
            let problem = Problem::error(format!("there is no variable `{}`", name.escape_debug())).at(&source, 0..name.len(), "");
            cx.problems.push(problem.help(meant(name, &known).unwrap_or_else(|| format!("declare it: `variable \"{name}\" {{}}`"))));
        }
    }
    for table in tables {
        let name = table.label().value;
        if table.expr("default").is_none() && values.get(&name) == Some(&None) {
            let help = format!("give it a `default`, or `--var {name}=…`, `--var-file FILE`, `{ENV_PREFIX}{name}`");
            cx.error(table.head.clone(), format!("variable `{name}` has no value"), "", Some(help));
        }
    }
    cx.names.variables = values;
}

fn from_file(cx: &mut Cx, path: &Path, values: &mut BTreeMap<String, Option<Value>>) {
    let read = crate::config::load::read(path, path.to_path_buf()).and_then(|source| hcl::parse(&source).map(|body| (source, body)));
    let (source, body) = match read {
        Ok(read) => read,
        Err(problem) => {
            cx.problems.push(problem);
            return;
        }
    };
    for block in body.blocks() {
        cx.problems.push(Problem::error("a variable file holds only `name = value`").at(&source, hcl::span_of(&block.ident), ""));
    }
    for attribute in hcl::attributes(&body) {
        if !values.contains_key(attribute.name) {
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            let problem = Problem::error(format!("there is no variable `{}`", attribute.name)).at(&source, attribute.name_span, "");
            cx.problems.push(match meant(attribute.name, &known) {
                Some(help) => problem.help(help),
                None => problem,
            });
            continue;
        }
        match eval::reduce(attribute.value, &NoScope) {
            Ok(value) => {
                values.insert(attribute.name.to_owned(), Some(value));
            }
            Err(unknowns) => push_unknowns(cx, &source, unknowns),
        }
    }
}

fn push_unknowns(cx: &mut Cx, source: &Arc<SourceText>, unknowns: Vec<Unknown>) {
    for unknown in unknowns {
        let problem = Problem::error(unknown.why).at(source, unknown.span, "");
        cx.problems.push(match unknown.help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}

/// A value given as text: taken as it is where the default is a string or there is none, read as HCL where it is anything else.
fn from_text(cx: &mut Cx, origin: &str, name: &str, text: &str, values: &mut BTreeMap<String, Option<Value>>) {
    let typed = values.get(name).and_then(|value| value.as_ref()).filter(|value| !matches!(value, Value::String(_) | Value::Null));
    let Some(default) = typed else {
        values.insert(name.to_owned(), Some(Value::String(text.to_owned())));
        return;
    };
    let prefix = if origin == "--var" { format!("{name}=") } else { String::new() };
    let wanted = value_text(default);
    let source = Arc::new(SourceText { path: origin.into(), text: format!("{prefix}{text}") });
    let span = prefix.len()..source.text.len();
    let line = Arc::new(SourceText { path: origin.into(), text: format!("a = {text}\n") });
    let reduced = hcl::parse(&line).ok().and_then(|body| {
        let mut attributes = hcl::attributes(&body);
        let (first, second) = (attributes.next(), attributes.next());
        first.filter(|_| second.is_none()).and_then(|attribute| eval::reduce(attribute.value, &NoScope).ok())
    });
    match reduced {
        Some(value) if value_text(&value) == wanted => {
            values.insert(name.to_owned(), Some(value));
        }
        Some(_) | None => {
            let problem = Problem::error(format!("variable `{name}` takes {wanted}, as its default is one")).at(&source, span, "");
            cx.problems.push(problem.help("write it as in the pipeline file: `5`, `true`, `[\"a\", \"b\"]`"));
        }
    }
}
