//! Values that variables may have, as far as they stand somewhere as literals; and names of files made of them.
//!
//! Precedence is never modelled: a variable may have every value that is assigned to it anywhere. Invariant: one assignment that
//! is not understood makes the variable open, and a name made of an open variable is never resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::assigned::Variables;
use super::jinja::{self, Piece};
use super::known::{Known, one_line};
use super::reach::Scope;

/// Stands for text that is not known but holds no slash: a fact such as the distribution's name.
pub(super) const WILD: char = '\u{0}';
/// Most names that one templated name may stand for.
const MAX_NAMES: usize = 500;
pub(super) const MAX_DEPTH: usize = 12;

/// Facts and the like whose value is one word.
const WORDS: &[&str] = &[
    "ansible_distribution",
    "ansible_distribution_release",
    "ansible_distribution_version",
    "ansible_distribution_major_version",
    "ansible_os_family",
    "ansible_architecture",
    "ansible_machine",
    "ansible_system",
    "ansible_pkg_mgr",
    "ansible_service_mgr",
    "ansible_hostname",
    "ansible_python_version",
    "inventory_hostname",
    "packer_build_name",
    "packer_builder_type",
];

/// Variables of a place: loop items, task vars. Name → what it may be.
pub(super) type Locals = BTreeMap<String, Vec<Known>>;

impl Variables {
    /// Every name that a templated text may stand for.
    ///
    /// # Errors
    /// Why it cannot be known, and the literal text before the first piece that is not.
    pub(super) fn names(&self, text: &str, scope: &Scope) -> Result<BTreeSet<String>, (String, String)> {
        self.texts(text, scope, 0).map_err(|why| (why, self.literal_prefix(text, scope)))
    }

    fn literal_prefix(&self, text: &str, scope: &Scope) -> String {
        let mut prefix = String::new();
        for piece in jinja::pieces(text).unwrap_or_default() {
            match piece {
                Piece::Literal(literal) => prefix.push_str(&literal),
                Piece::Expression(expression) => match self.expression(&expression, scope, 0) {
                    Ok(values) => match values.as_slice() {
                        [Known::Text(one)] if !jinja::templated(one) && !one.contains(WILD) => prefix.push_str(one),
                        _ => return prefix,
                    },
                    Err(_) => return prefix,
                },
            }
        }
        prefix
    }

    pub(super) fn texts(&self, text: &str, scope: &Scope, depth: usize) -> Result<BTreeSet<String>, String> {
        if depth > MAX_DEPTH {
            return Err("is made of itself".to_owned());
        }
        let pieces = jinja::pieces(text).ok_or_else(|| format!("`{}` has statements of Jinja", one_line(text)))?;
        let alone = pieces.len() == 1;
        let mut names: Option<BTreeSet<String>> = None;
        for piece in pieces {
            let ends: BTreeSet<String> = match piece {
                Piece::Literal(literal) => BTreeSet::from([literal]),
                Piece::Expression(expression) => {
                    let mut ends = BTreeSet::new();
                    for value in self.expression(&expression, scope, depth)? {
                        match value {
                            Known::Text(text) => ends.extend(self.texts(&text, scope, depth + 1)?),
                            Known::Open(why) => return Err(format!("`{expression}` {why}")),
                            Known::Counted if alone => {}
                            _ => return Err(format!("`{expression}` is a list or a map")),
                        }
                    }
                    ends
                }
            };
            let longer = match names {
                None => ends,
                Some(starts) => starts.iter().flat_map(|start| ends.iter().map(move |end| [start.as_str(), end].concat())).collect(),
            };
            if longer.len() > MAX_NAMES {
                return Err(format!("`{}` may be more than {MAX_NAMES} names", one_line(text)));
            }
            names = Some(longer);
        }
        Ok(names.unwrap_or_else(|| BTreeSet::from([String::new()])))
    }

    /// Every value that an expression may have; lists stay lists.
    pub(super) fn expression(&self, text: &str, scope: &Scope, depth: usize) -> Result<Vec<Known>, String> {
        let text = text.trim();
        let unknown = || format!("`{}` is not a literal", one_line(text));
        if depth > MAX_DEPTH {
            return Err("is made of itself".to_owned());
        }
        if let Some(literal) = jinja::quoted(text) {
            return Ok(vec![Known::Text(literal.to_owned())]);
        }
        if let [then, condition] = jinja::split(text, " if ")[..] {
            let mut values = self.expression(then, scope, depth + 1)?;
            if let Some(otherwise) = jinja::split(condition, " else ").get(1) {
                values.extend(self.expression(otherwise, scope, depth + 1)?);
            }
            return Ok(values);
        }
        for joint in ["~", "+"] {
            let parts = jinja::split(text, joint);
            if parts.len() > 1 {
                let glued = parts.iter().fold(String::new(), |glued, part| glued + "{{ " + part + " }}");
                return Ok(self.texts(&glued, scope, depth + 1)?.into_iter().map(Known::Text).collect());
            }
        }
        let mut pipe = jinja::split(text, "|").into_iter();
        let mut values = self.path(pipe.next().unwrap_or_default().trim(), scope, depth);
        for filter in pipe {
            let (name, argument) = filter.trim().split_once('(').map_or((filter.trim(), ""), |(n, a)| (n.trim(), a.trim_end_matches(')')));
            let textual = |f: fn(&str) -> String| -> Box<dyn Fn(Known) -> Known> {
                Box::new(move |value| match value {
                    Known::Text(text) if !jinja::templated(&text) => Known::Text(f(&text)),
                    Known::Text(text) => Known::Open(format!("is a filtered template `{}`", one_line(&text))),
                    _ => Known::Open("is filtered".to_owned()),
                })
            };
            values = match name {
                "default" | "d" => {
                    let otherwise = self.expression(jinja::split(argument, ",")[0], scope, depth + 1);
                    match (values, otherwise) {
                        // Not assigned anywhere in the closure: the default is what it is, unless a fact or a register sets it.
                        (Err(why), Ok(otherwise)) if why.ends_with(NOT_ASSIGNED) => match &self.facts {
                            Some(module) => Err(format!("{why}, but `{module}` may return it as a fact")),
                            None => Ok(otherwise),
                        },
                        (Ok(mut values), Ok(otherwise)) => {
                            values.extend(otherwise);
                            Ok(values)
                        }
                        (Err(why), _) | (_, Err(why)) => Err(why),
                    }
                }
                "lower" => values.map(|v| v.into_iter().map(textual(str::to_lowercase)).collect()),
                "upper" => values.map(|v| v.into_iter().map(textual(str::to_uppercase)).collect()),
                "basename" => values.map(|v| v.into_iter().map(textual(|t| t.rsplit('/').next().unwrap_or(t).to_owned())).collect()),
                "trim" => values.map(|v| v.into_iter().map(textual(|t| t.trim().to_owned())).collect()),
                "string" | "mandatory" => values,
                _ => Err(unknown()),
            };
        }
        values
    }

    /// `a.b['c']` without filters.
    fn path(&self, text: &str, scope: &Scope, depth: usize) -> Result<Vec<Known>, String> {
        let unknown = || format!("`{}` is not a literal", one_line(text));
        if let Some(literal) = jinja::quoted(text) {
            return Ok(vec![Known::Text(literal.to_owned())]);
        }
        if let Some(list) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            let items = jinja::split(list, ",").into_iter().filter(|item| !item.trim().is_empty());
            let items: Result<Vec<_>, _> = items.map(|item| self.expression(item, scope, depth + 1)).collect();
            return Ok(vec![Known::List(items?.into_iter().flatten().collect())]);
        }
        if let Some(names) = self.found_first(text, scope, depth) {
            return names;
        }
        let steps = steps(text).ok_or_else(unknown)?;
        // `vars['x']` and `hostvars['web1'].x` are `x` by another way.
        let skipped = match steps.first().map(String::as_str) {
            Some("vars") if steps.len() > 1 => 1,
            Some("hostvars") if steps.len() > 2 => 2,
            _ => 0,
        };
        let (first, rest) = steps[skipped..].split_first().ok_or_else(unknown)?;
        if first == "ansible_facts" && rest.len() == 1 && WORDS.contains(&format!("ansible_{}", rest[0]).as_str()) {
            return Ok(vec![Known::Text(WILD.to_string())]);
        }
        let folder = |path: &std::path::Path| vec![Known::Text(path.to_string_lossy().into_owned())];
        let mut values = match first.as_str() {
            "playbook_dir" => folder(&scope.playbook_dir),
            "inventory_dir" => {
                let given = self.inventory_folders.iter().map(PathBuf::as_path).chain([&*scope.playbook_dir]);
                given.map(|path| Known::Text(path.to_string_lossy().into_owned())).collect()
            }
            // Nothing is named by it: the argument is left out.
            "omit" => vec![Known::Counted],
            name if RUN_TIME.contains(&name) => return Err(format!("`{name}` is known only when it runs")),
            "role_path" | "ansible_role_path" => folder(scope.role.as_deref().ok_or_else(unknown)?),
            "role_name" | "ansible_role_name" => role_names(scope.role.as_deref().ok_or_else(unknown)?),
            name if WORDS.contains(&name) => {
                // Somebody may have given it another value, of any form.
                let given = self.ask(name).into_iter().flat_map(|values| values.iter().cloned().collect::<Vec<_>>());
                given.chain([Known::Text(WILD.to_string())]).collect()
            }
            name if self.blind.is_some() => {
                return Err(format!("`{name}` may be assigned in {}", self.blind.as_deref().unwrap_or_default()));
            }
            name => match (scope.locals.get(name), self.ask(name)) {
                (None, None) if name.starts_with("ansible_") => return Err(format!("`{name}` is a fact")),
                (None, None) => return Err(format!("`{name}` {NOT_ASSIGNED}")),
                // A loop's item or a task's variable may be beaten by one of the same name: both count.
                (local, known) => {
                    let mut values: Vec<Known> = known.iter().flat_map(|values| values.iter()).cloned().collect();
                    for value in local.into_iter().flatten() {
                        values.extend(self.taken_apart(value, scope, depth)?);
                    }
                    values
                }
            },
        };
        for step in rest {
            let (mut inner, mut lacks) = (Vec::new(), false);
            for value in values {
                match self.seen_through(value, scope, depth)? {
                    Known::Map(map) => match map.get(step) {
                        Some(value) => inner.push(value.clone()),
                        // One of several maps of that name may lack it.
                        None => lacks = true,
                    },
                    Known::List(items) => match step.parse::<usize>().ok().and_then(|at| items.get(at)) {
                        Some(item) => inner.push(item.clone()),
                        None => return Err(unknown()),
                    },
                    Known::Text(_) | Known::Counted | Known::Each(_) | Known::Alternatives(_) => return Err(unknown()),
                    Known::Open(why) => return Err(format!("`{text}` {why}")),
                }
            }
            if lacks && inner.is_empty() {
                return Err(format!("`{text}` {NOT_ASSIGNED}"));
            }
            values = inner;
        }
        values.into_iter().map(|v| if let Known::Open(why) = v { Err(format!("`{text}` {why}")) } else { Ok(v) }).collect()
    }
}

/// What a role may be called: its folder, with those around it when its name has slashes, and with its collection.
fn role_names(role: &std::path::Path) -> Vec<Known> {
    let parts: Vec<String> = role.iter().map(|part| super::names::encode(std::os::unix::ffi::OsStrExt::as_bytes(part))).collect();
    let mut names: Vec<String> = (1..=4.min(parts.len())).map(|count| parts[parts.len() - count..].join("/")).collect();
    if let Some(at) = parts.iter().rposition(|part| part == "ansible_collections")
        && let [namespace, collection, _, inner @ ..] = &parts[at + 1..]
    {
        names.push(format!("{namespace}.{collection}.{}", inner.join(".")));
    }
    names.into_iter().map(Known::Text).collect()
}

/// Magic variables that only Ansible itself fills.
const RUN_TIME: &[&str] = &[
    "vars",
    "hostvars",
    "groups",
    "group_names",
    "play_hosts",
    "environment",
    "inventory_file",
    "inventory_hostname_short",
    "role_names",
    "template_host",
    "template_path",
    "template_uid",
];

const NOT_ASSIGNED: &str = "is assigned nowhere that was read";

/// `a.b['c'][0]` → its steps; `None`: something else.
fn steps(text: &str) -> Option<Vec<String>> {
    let word = |t: &str| !t.is_empty() && t.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inner, after) = after.split_once(']')?;
            let step = jinja::quoted(inner).unwrap_or(inner.trim());
            if jinja::quoted(inner).is_none() && !step.chars().all(|c| c.is_ascii_digit()) {
                return None;
            }
            steps.push(step.to_owned());
            rest = after;
        } else {
            let from = rest.strip_prefix('.').unwrap_or(rest);
            let end = from.find(['.', '[']).unwrap_or(from.len());
            if !word(&from[..end]) {
                return None;
            }
            steps.push(from[..end].to_owned());
            rest = &from[end..];
        }
    }
    (!steps.is_empty()).then_some(steps)
}
