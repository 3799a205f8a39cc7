//! Packer's HCL: its files taken apart, and texts evaluated to every value that they may have.
//!
//! Must not guess: a text with a piece that is not a literal, a variable with literal values or one of a few functions is unknown.
//! Invariant: a file that cannot be parsed widens to the root.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::structure::{Body, Structure};
use hcl_edit::template::{Element, Template as Text};

use super::known::Known;
use super::reach::{Reach, Scope};
use super::template::{Block, Template, Texts};
use super::world::Hcl;
use crate::model::problem::SourceText;
use crate::plan::why::Chain;
use crate::syntax::hcl;

const MAX_DEPTH: usize = 12;
const MAX_TEXTS: usize = 500;

/// Its text could be read.
struct File {
    path: PathBuf,
    read: Arc<Hcl>,
}

impl File {
    fn parts(&self) -> Option<(&Arc<SourceText>, &Body)> {
        if let Hcl::Body(source, body) = &*self.read { Some((source, body)) } else { None }
    }

    fn body(&self) -> impl Iterator<Item = &Body> {
        self.parts().map(|(_, body)| body).into_iter()
    }
}

/// What names in expressions stand for.
pub(super) struct Names<'f> {
    pub(super) template: &'f Template,
    pub(super) root: PathBuf,
    variables: BTreeMap<String, Vec<&'f Expression>>,
    locals: BTreeMap<String, Vec<&'f Expression>>,
}

impl Reach<'_> {
    /// All files of one template, with files of variables that are read beside those that are given.
    pub(super) fn hcl_template(&mut self, template: &Template, files: Vec<PathBuf>, var_files: &[PathBuf], why: &Chain) {
        let parse = |reach: &mut Self, path: PathBuf| -> Option<File> {
            let read = reach.world.hcl(&path);
            match &*read {
                Hcl::Absent => None,
                Hcl::Refused(because, line) => {
                    let scope = reach.template_scope(&path, why);
                    reach.widen(None, because.clone(), &scope, *line);
                    None
                }
                Hcl::Body(..) => Some(File { path, read }),
            }
        };
        let files: Vec<File> = files.into_iter().filter_map(|path| parse(self, path)).collect();
        let (json, hcl_vars): (Vec<PathBuf>, Vec<PathBuf>) =
            var_files.iter().cloned().partition(|p| p.to_string_lossy().ends_with(".json"));
        let values: Vec<File> = hcl_vars.into_iter().filter_map(|path| parse(self, path)).collect();
        let mut names = Names { template, root: self.world.root.clone(), variables: BTreeMap::new(), locals: BTreeMap::new() };
        for structure in files.iter().flat_map(File::body).flat_map(Body::iter) {
            names.declared(structure);
        }
        for attribute in values.iter().flat_map(File::body).flat_map(hcl::attributes) {
            names.variables.entry(attribute.name.to_owned()).or_default().push(attribute.value);
        }
        for path in json {
            // Rare: values as JSON. They are inputs by their bytes; a path in one is not followed, so it widens.
            let scope = self.template_scope(&path, why);
            self.widen(None, "values of Packer variables as JSON are not read", &scope, 1);
        }
        for file in &files {
            let Some((source, body)) = file.parts() else { continue };
            let mut scope = self.template_scope(&file.path, why);
            scope.playbook_dir = names.root.as_path().into();
            self.body(&names, body, &Block::Other, source, &scope);
        }
    }

    fn body(&mut self, names: &Names<'_>, body: &Body, block: &Block, source: &Arc<SourceText>, scope: &Scope) {
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    let line = source.line_column(hcl::span_of(&attribute.key).start).0;
                    self.functions(names, &attribute.value, scope, line);
                    if attribute.key.as_str() == "override" {
                        self.overridden(names, block, &attribute.value, scope, line);
                        continue;
                    }
                    let values = names.list(&attribute.value);
                    self.setting(names.template, block, attribute.key.as_str(), &values, scope, line);
                }
                Structure::Block(inner) => {
                    let kind = inner.labels.first().map(|label| label.as_str().to_owned());
                    let line = source.line_column(hcl::span_of(&inner.ident).start).0;
                    let name = inner.ident.as_str();
                    let dynamic = name == "dynamic";
                    let next = match (if dynamic { kind.as_deref().unwrap_or("") } else { name }, block) {
                        ("provisioner" | "error-cleanup-provisioner", _) => Block::Provisioner(kind.clone().filter(|_| !dynamic)),
                        ("post-processor", _) => Block::PostProcessor(kind.clone().filter(|_| !dynamic)),
                        ("source", _) => Block::Source,
                        (_, outer) => outer.clone(),
                    };
                    match (&next, name) {
                        (
                            Block::Provisioner(Some(kind)) | Block::PostProcessor(Some(kind)),
                            "provisioner" | "post-processor" | "error-cleanup-provisioner",
                        ) if kind == "shell-local" => {
                            self.widen(None, "`shell-local` runs on this machine", scope, line);
                        }
                        (Block::Provisioner(None) | Block::PostProcessor(None), "dynamic") => {
                            let harmless = names.dynamic_kinds(&inner.body).is_some_and(|kinds| !kinds.contains("shell-local"));
                            if !harmless {
                                self.widen(None, "a `dynamic` block that may be `shell-local`", scope, line);
                            }
                        }
                        (Block::Source, "build") => self.widen(None, "an image is built of a folder on this machine", scope, line),
                        (_, "data") => self.data(kind.as_deref().unwrap_or_default(), scope, line),
                        _ => {}
                    }
                    self.body(names, &inner.body, &next, source, scope);
                }
            }
        }
    }

    /// `override = { "null.web" = { playbook_file = "x.yml" } }`: settings for one builder.
    fn overridden(&mut self, names: &Names<'_>, block: &Block, value: &Expression, scope: &Scope, line: usize) {
        let Expression::Object(builders) = value else {
            return self.widen(None, "`override` that is no literal", scope, line);
        };
        for (_, settings) in builders {
            let Expression::Object(settings) = settings.expr() else {
                self.widen(None, "`override` that is no literal", scope, line);
                continue;
            };
            for (key, value) in settings {
                let key = match key {
                    hcl_edit::expr::ObjectKey::Ident(name) | hcl_edit::expr::ObjectKey::Expression(Expression::Variable(name)) => {
                        name.as_str().to_owned()
                    }
                    hcl_edit::expr::ObjectKey::Expression(Expression::String(name)) => name.as_str().to_owned(),
                    hcl_edit::expr::ObjectKey::Expression(_) => {
                        self.widen(None, "`override` of a setting that is no literal", scope, line);
                        continue;
                    }
                };
                self.setting(names.template, block, &key, &names.list(value.expr()), scope, line);
            }
        }
    }

    fn data(&mut self, kind: &str, scope: &Scope, line: usize) {
        if kind.starts_with("amazon-") || matches!(kind, "http" | "null") || kind.starts_with("hcp-") || kind.starts_with("git-") {
            let place = self.place(&scope.file, line);
            self.notes.insert(format!("{place} asks for `{kind}` when it runs: what it answers is not in the key"));
        } else {
            self.widen(None, format!("data source `{kind}` may read anything"), scope, line);
        }
    }
}

impl<'f> Names<'f> {
    /// Types that a `dynamic` block makes; `None`: not literals.
    fn dynamic_kinds(&self, body: &Body) -> Option<BTreeSet<String>> {
        let labels = hcl::attributes(body).find(|a| a.name == "labels")?;
        self.texts(labels.value, 0).ok()
    }

    /// Defaults of variables, and locals.
    fn declared(&mut self, structure: &'f Structure) {
        let Structure::Block(block) = structure else { return };
        let label = block.labels.first().map(|l| l.as_str().to_owned());
        match (block.ident.as_str(), label) {
            ("variable", Some(name)) => {
                let default = hcl::attributes(&block.body).find(|a| a.name == "default");
                self.variables.entry(name).or_default().extend(default.map(|a| a.value));
            }
            ("variables", None) => {
                for attribute in hcl::attributes(&block.body) {
                    self.variables.entry(attribute.name.to_owned()).or_default().push(attribute.value);
                }
            }
            ("locals", None) => {
                for attribute in hcl::attributes(&block.body) {
                    self.locals.entry(attribute.name.to_owned()).or_default().push(attribute.value);
                }
            }
            ("local", Some(name)) => {
                let value = hcl::attributes(&block.body).find(|a| a.name == "expression");
                self.locals.entry(name).or_default().extend(value.map(|a| a.value));
            }
            _ => {}
        }
    }

    /// A list's texts one by one, so that one unknown does not hide the others.
    fn list(&self, expression: &Expression) -> Vec<Texts> {
        match expression {
            Expression::Array(items) => items.iter().flat_map(|item| self.list(item)).collect(),
            Expression::Object(object) => object.iter().flat_map(|(_, value)| self.list(value.expr())).collect(),
            Expression::Parenthesis(inner) => self.list(inner.inner()),
            Expression::FuncCall(call) if matches!(call.name.name.as_str(), "concat" | "flatten") => {
                call.args.iter().flat_map(|argument| self.list(argument)).collect()
            }
            Expression::Null(_) | Expression::Bool(_) | Expression::Number(_) => Vec::new(),
            other => vec![self.texts(other, 0).map_err(|why| (why, self.prefix(other)))],
        }
    }

    /// The literal text that a template begins with.
    pub(super) fn prefix(&self, expression: &Expression) -> String {
        let Expression::StringTemplate(text) = expression else { return String::new() };
        let mut prefix = String::new();
        for element in text {
            match element {
                Element::Literal(literal) => prefix.push_str(literal),
                Element::Interpolation(inner) => match self.texts(&inner.expr, 0) {
                    Ok(texts) if texts.len() == 1 => prefix.extend(texts),
                    _ => return prefix,
                },
                Element::Directive(_) => return prefix,
            }
        }
        prefix
    }

    /// Every text that an expression may be; a list gives its items.
    pub(super) fn texts(&self, expression: &Expression, depth: usize) -> Result<BTreeSet<String>, String> {
        if depth > MAX_DEPTH {
            return Err("it is made of itself".to_owned());
        }
        let all = |parts: &mut dyn Iterator<Item = &Expression>| -> Result<BTreeSet<String>, String> {
            let mut texts = BTreeSet::new();
            for part in parts {
                texts.extend(self.texts(part, depth + 1)?);
            }
            Ok(texts)
        };
        match expression {
            Expression::String(text) => Ok(BTreeSet::from([text.as_str().to_owned()])),
            Expression::Null(_) => Ok(BTreeSet::new()),
            Expression::Bool(value) => Ok(BTreeSet::from([value.value().to_string()])),
            Expression::Number(number) if number.value().as_i64().is_some() => Ok(BTreeSet::from([number.value().to_string()])),
            Expression::StringTemplate(text) => self.glued(text.iter(), depth),
            Expression::HeredocTemplate(heredoc) => self.glued(Text::iter(&heredoc.template), depth),
            Expression::Parenthesis(inner) => self.texts(inner.inner(), depth + 1),
            Expression::Array(items) => all(&mut items.iter()),
            Expression::Conditional(conditional) => all(&mut [&conditional.true_expr, &conditional.false_expr].into_iter()),
            Expression::Traversal(traversal) => match (&traversal.expr, traversal.operators.as_slice()) {
                (Expression::Variable(head), [one]) => match one.value() {
                    TraversalOperator::GetAttr(name) => self.named(head.as_str(), name.as_str(), depth),
                    _ => Err("an index is not followed".to_owned()),
                },
                _ => Err("a value in a map or a list is not followed".to_owned()),
            },
            Expression::FuncCall(call) => {
                let mut arguments = call.args.iter();
                match call.name.name.as_str() {
                    "trimspace" => Ok(all(&mut arguments)?.iter().map(|t| t.trim().to_owned()).collect()),
                    "abspath" | "pathexpand" | "tostring" | "concat" | "coalesce" | "try" | "compact" | "flatten" | "distinct"
                    | "toset" | "tolist" => all(&mut arguments),
                    "lower" => Ok(all(&mut arguments)?.iter().map(|t| t.to_lowercase()).collect()),
                    "basename" => Ok(all(&mut arguments)?.iter().map(|t| t.rsplit('/').next().unwrap_or(t).to_owned()).collect()),
                    "dirname" => Ok(all(&mut arguments)?.iter().map(|t| t.rsplit_once('/').map_or(".", |(d, _)| d).to_owned()).collect()),
                    name => Err(format!("`{name}()` is not evaluated")),
                }
            }
            Expression::Variable(name) => Err(format!("`{}` is not known", name.as_str())),
            Expression::Number(_) | Expression::Object(_) | Expression::UnaryOp(_) | Expression::BinaryOp(_) | Expression::ForExpr(_) => {
                Err("an expression is not evaluated".to_owned())
            }
        }
    }

    fn glued<'e>(&self, elements: impl Iterator<Item = &'e Element>, depth: usize) -> Result<BTreeSet<String>, String> {
        let mut texts = BTreeSet::from([String::new()]);
        for element in elements {
            let ends = match element {
                Element::Literal(literal) => BTreeSet::from([literal.to_string()]),
                // `~` takes blanks of what stands beside it away.
                Element::Interpolation(inner) if inner.strip != hcl_edit::template::Strip::None => {
                    return Err("blanks are taken away around a value".to_owned());
                }
                Element::Interpolation(inner) => self.texts(&inner.expr, depth + 1)?,
                Element::Directive(_) => return Err("a directive is not evaluated".to_owned()),
            };
            texts = texts.iter().flat_map(|start| ends.iter().map(move |end| format!("{start}{end}"))).collect();
            if texts.len() > MAX_TEXTS {
                return Err(format!("it may be more than {MAX_TEXTS} texts"));
            }
        }
        Ok(texts)
    }

    fn named(&self, head: &str, name: &str, depth: usize) -> Result<BTreeSet<String>, String> {
        let path = |path: &Path| BTreeSet::from([path.to_string_lossy().into_owned()]);
        let mut texts = BTreeSet::new();
        match (head, name) {
            ("path", "root") => return Ok(path(&self.template.folder)),
            ("path", "cwd") => return Ok(path(&self.root)),
            ("local", name) => {
                for value in self.locals.get(name).ok_or_else(|| format!("`local.{name}` is not declared"))? {
                    texts.extend(self.texts(value, depth + 1)?);
                }
            }
            ("var", name) => {
                let given = self.template.given.get(name);
                let values = self.variables.get(name).map(Vec::as_slice).unwrap_or_default();
                if given.is_none() && values.is_empty() {
                    return Err(format!("`var.{name}` has no value here"));
                }
                for value in values {
                    texts.extend(self.texts(value, depth + 1)?);
                }
                match given {
                    Some(Known::Text(text)) => {
                        texts.insert(text.clone());
                    }
                    Some(Known::List(items)) if items.iter().all(|i| matches!(i, Known::Text(_))) => {
                        texts.extend(items.iter().filter_map(|i| if let Known::Text(t) = i { Some(t.clone()) } else { None }));
                    }
                    Some(Known::Open(why)) => return Err(format!("`var.{name}` {why}")),
                    Some(_) => return Err(format!("`var.{name}` is a map")),
                    None => {}
                }
            }
            _ => return Err(format!("`{head}.{name}` is not known")),
        }
        Ok(texts)
    }
}
