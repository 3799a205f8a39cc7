//! [`Names`]: what a pipeline file declares, by name; [`Lookup`]: what references mean in it.
//!
//! Invariant: a reference resolves or says why not, with the nearest name that there is; where a value has to be known now, no
//! `Ref` gets through.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::config::context::{At, Cx};
use crate::config::pipeline::ParentRef;
use crate::config::words::{listed, meant};
use crate::model::name::Name;
use crate::model::value::{Reference, Value};
use crate::syntax::eval::{Path, Scope, Segment, Unknown, path_of};

/// What the file declares.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Variables; `None`: no value, which is reported.
    pub(super) variables: BTreeMap<String, Option<Value>>,
    /// Secrets.
    pub(super) secrets: BTreeMap<Name, Range<usize>>,
    /// Sources.
    pub(super) sources: BTreeMap<Name, Range<usize>>,
    /// Stages.
    pub(super) stages: BTreeMap<Name, Range<usize>>,
    /// Swaps.
    pub(super) swaps: BTreeMap<Name, Range<usize>>,
}

/// Which references may stand somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allow {
    /// Variables only: the value has to be known now.
    Literals,
    /// Also what a step fills in.
    References,
    /// Also secrets.
    Secrets,
}

/// What references mean at one place.
pub(super) struct Lookup<'n> {
    pub(super) names: &'n Names,
    pub(super) allow: Allow,
}

impl Scope for Lookup<'_> {
    fn reference(&self, path: &Path) -> Result<Value, Unknown> {
        let reference = match path.texts()[..] {
            ["var", name, ..] => return self.variable(name, path),
            ["secret", name] => self.secret(name, path)?,
            ["parent", "id"] => Reference::ParentId,
            ["parent", "name"] => Reference::ParentName,
            ["artifact", "name"] => Reference::ArtifactName,
            ["region"] => Reference::Region,
            ["architecture"] => Reference::Architecture,
            ["parent", ..] => return Err(Unknown::new(path.span.clone(), "of `parent` there are `parent.id` and `parent.name`")),
            ["artifact", ..] => return Err(Unknown::new(path.span.clone(), "of `artifact` there is `artifact.name`")),
            ["stage" | "source" | "swap", ..] => {
                return Err(Unknown::new(path.span.clone(), format!("`{}` is not a value here", path.texts().join("."))).help(
                    "stages and sources stand in `from`, ids of stages in an `emit`; the image that a stage boots from is `parent.id`",
                ));
            }
            _ => return Err(stranger(path)),
        };
        match (self.allow, &reference) {
            (Allow::Literals, _) => Err(Unknown::new(
                path.span.clone(),
                format!("`{}` is not known here: it is filled in when a step starts", reference.text()),
            )
            .help("it can stand in `vars`, `packer_vars` and a stage's `name`")),
            (Allow::References, Reference::Secret(_)) => {
                Err(Unknown::new(path.span.clone(), format!("`{}` may not stand here", reference.text()))
                    .help("a secret can stand in `vars` and `packer_vars`: from there it reaches the tool in a file of mode 0600"))
            }
            _ => Ok(Value::Ref(reference)),
        }
    }
}

fn stranger(path: &Path) -> Unknown {
    let first = &path.segments[0];
    let known = ["var", "secret", "parent", "artifact", "region", "architecture"];
    let help = match meant(&first.text, &known) {
        Some(help) => help,
        None if path.segments.len() == 1 => format!("a string is written with quotes: `\"{}\"`", first.text),
        None => format!("references here start with {}", listed(&known)),
    };
    Unknown::new(path.span.clone(), format!("unknown reference `{}`", path.texts().join("."))).help(help)
}

impl Lookup<'_> {
    fn variable(&self, name: &str, path: &Path) -> Result<Value, Unknown> {
        let known: Vec<&str> = self.names.variables.keys().map(String::as_str).collect();
        let Some(value) = self.names.variables.get(name) else {
            let span = path.segments[1].span.clone();
            return Err(Unknown::new(span, format!("there is no variable `{name}`"))
                .help(prefixed("var", name, &known).unwrap_or_else(|| format!("declare it: `variable \"{name}\" {{}}`"))));
        };
        let Some(value) = value else {
            return Err(Unknown { reported: true, ..Unknown::new(path.span.clone(), "") });
        };
        path.segments[2..].iter().try_fold(value, step).cloned()
    }

    fn secret(&self, name: &str, path: &Path) -> Result<Reference, Unknown> {
        if let Some((name, _)) = self.names.secrets.get_key_value(name) {
            return Ok(Reference::Secret(name.clone()));
        }
        let known: Vec<&str> = self.names.secrets.keys().map(Name::as_str).collect();
        let help = prefixed("secret", name, &known).unwrap_or_else(|| format!("declare it: `secret \"{name}\" {{ … }}`"));
        Err(Unknown::new(path.segments[1].span.clone(), format!("there is no secret `{name}`")).help(help))
    }
}

/// One step into a variable's value.
fn step<'v>(value: &'v Value, segment: &Segment) -> Result<&'v Value, Unknown> {
    let found = match value {
        Value::Map(map) => map.get(&segment.text),
        Value::List(items) => segment.text.parse::<usize>().ok().and_then(|at| items.get(at)),
        _ => None,
    };
    found.ok_or_else(|| Unknown::new(segment.span.clone(), format!("the variable has no `{}`", segment.text)))
}

fn prefixed(kind: &str, seen: &str, known: &[&str]) -> Option<String> {
    crate::config::schema::nearest(seen, known.iter().copied()).map(|name| format!("did you mean `{kind}.{name}`?"))
}

impl Cx {
    /// A reference to a declared stage, source or swap in `from`, `stage`, `requires` or an emit; whatever is behind it is left to
    /// the caller. `kinds` are the ones that fit, `form` how one is written.
    pub(super) fn block_reference(
        &mut self,
        expr: &hcl_edit::expr::Expression,
        kinds: &[&'static str],
        form: &str,
    ) -> Option<BlockReference> {
        let span = crate::syntax::hcl::span_of(expr);
        let Some(path) = path_of(expr) else {
            let help = match expr.as_str().and_then(|text| self.declared(text, kinds)) {
                Some(found) => format!("a reference has no quotes: `{found}`"),
                None => format!("write {form}, without quotes"),
            };
            self.error(span, format!("this takes a reference: {form}"), "", Some(help));
            return None;
        };
        let kind = kinds.iter().copied().find(|kind| *kind == path.segments[0].text);
        let (Some(kind), Some(segment)) = (kind, path.segments.get(1)) else {
            let help =
                path.segments.last().and_then(|last| self.declared(&last.text, kinds)).map(|found| format!("did you mean `{found}`?"));
            self.error(span, format!("`{}` is not a reference to {form}", path.texts().join(".")), "", help);
            return None;
        };
        let declared = self.names.of(kind);
        if let Some((name, _)) = declared.get_key_value(segment.text.as_str()) {
            return Some(BlockReference { kind, name: name.clone(), rest: path.segments[2..].to_vec(), span: path.span });
        }
        // The right name of the wrong kind comes first: it is the likelier mistake.
        let help = match self.declared(&segment.text, kinds) {
            Some(found) => format!("did you mean `{found}`?"),
            None if declared.is_empty() => format!("this file declares no {kind}"),
            None => format!("declared here: {}", listed(&declared.keys().map(|n| format!("{kind}.{n}")).collect::<Vec<_>>())),
        };
        self.error(path.segments[0].span.start..segment.span.end, format!("there is no {kind} `{}`", segment.text), "", Some(help));
        None
    }

    /// `kind.name` of the declared block that `seen` was probably meant to be.
    fn declared(&self, seen: &str, kinds: &[&'static str]) -> Option<String> {
        let exact = kinds.iter().find_map(|kind| self.names.of(kind).get_key_value(seen).map(|(name, _)| format!("{kind}.{name}")));
        exact.or_else(|| {
            let all: Vec<(&str, &Name)> = kinds.iter().flat_map(|kind| self.names.of(kind).keys().map(|name| (*kind, name))).collect();
            let nearest = crate::config::schema::nearest(seen, all.iter().map(|(_, name)| name.as_str()))?;
            all.iter().find(|(_, name)| name.as_str() == nearest).map(|(kind, name)| format!("{kind}.{name}"))
        })
    }
}

/// A reference to a declared block.
#[derive(Debug, Clone)]
pub(super) struct BlockReference {
    pub(super) kind: &'static str,
    pub(super) name: Name,
    /// What stands behind it.
    pub(super) rest: Vec<Segment>,
    pub(super) span: Range<usize>,
}

impl BlockReference {
    /// As a parent, when nothing stands behind it.
    pub(super) fn parent(self, cx: &mut Cx) -> Option<At<ParentRef>> {
        let reference = self.bare(cx)?;
        let value = if reference.kind == "source" { ParentRef::Source(reference.name) } else { ParentRef::Stage(reference.name) };
        Some(At { value, span: reference.span })
    }

    /// Itself, when nothing stands behind it.
    pub(super) fn bare(self, cx: &mut Cx) -> Option<Self> {
        if let Some(first) = self.rest.first() {
            let help = format!("write `{}.{}`", self.kind, self.name);
            cx.error(first.span.clone(), format!("`{}` is one thing too many here", first.text), "", Some(help));
            return None;
        }
        Some(self)
    }
}

impl Names {
    fn of(&self, kind: &str) -> &BTreeMap<Name, Range<usize>> {
        match kind {
            "source" => &self.sources,
            "swap" => &self.swaps,
            "secret" => &self.secrets,
            _ => &self.stages,
        }
    }
}
