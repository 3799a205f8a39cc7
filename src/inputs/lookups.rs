//! Look-ups in Jinja (`lookup('file', …)`, `with_file:`) and what templates include: names of files and of variables of the
//! environment.
//!
//! Invariant: a look-up that is not known to read nothing of this machine, or only what it is told, takes the whole root.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::known::{Known, one_line};
use super::named::Purpose;
use super::reach::{Reach, Scope};
use super::{environment, expressions, jinja};
use crate::plan::why::Chain;
use crate::syntax::yaml::Node;

/// Look-ups that read no file and no environment.
const HARMLESS: &[&str] = &[
    "config",
    "dict",
    "flattened",
    "indexed_items",
    "inventory_hostnames",
    "items",
    "list",
    "nested",
    "random_choice",
    "sequence",
    "subelements",
    "together",
    "undef",
    "varnames",
    "vars",
    "cartesian",
    "community.general.cartesian",
    "community.general.flattened",
    "community.general.random_string",
    "community.general.random_words",
    "community.general.dict",
    "ansible.utils.index_of",
];

/// Look-ups whose answer comes from a network and may differ tomorrow.
const FLOATING: &[&str] = &["url", "community.general.dig", "community.dns.lookup"];
const FLOATING_PREFIXES: &[&str] = &["amazon.aws.", "community.aws.", "community.hashi_vault."];

/// An argument, as something that may be templated.
fn as_text(argument: &str) -> String {
    jinja::quoted(argument).map_or_else(|| format!("{{{{ {argument} }}}}"), str::to_owned)
}

/// Is there nothing in a template that pulls anything in. Most are so, and each is named by several tasks.
fn is_quiet(text: &str) -> bool {
    let named = |text: &str| !jinja::included(text).is_empty() || !jinja::calls(text).is_empty() || !jinja::qualified(text).is_empty();
    !text.starts_with("#jinja2:") && !named(text) && expressions::renamed(text).is_none() && expressions::asks_for_files(text).is_none()
}

/// Look-ups can only be in these.
fn may_look_up(text: &str) -> bool {
    // Most texts are a word or two: one pass tells that they hold nothing.
    let bytes = text.as_bytes();
    match memchr::memchr3(b'{', b'(', b'|', bytes).map(|at| bytes[at]) {
        Some(b'(' | b'|') => true,
        Some(_) if jinja::templated(text) || text.contains(['(', '|']) => true,
        _ => {
            text.len() > 3
                && (text.starts_with("#jinja2:")
                    || memchr::memchr_iter(b's', bytes)
                        .any(|at| at > 0 && bytes[at - 1] == b'i' && matches!(bytes.get(at + 1), Some(b' ' | b'\n'))))
        }
    }
}

/// Has any text of a node something that may look up.
pub(super) fn looks_up(node: &Node) -> bool {
    let mut found = false;
    node.scalars(&mut |_, text| found |= may_look_up(text));
    found
}

/// A text or a list of texts that stands in an expression.
fn literal(expression: &str) -> Known {
    let expression = expression.trim();
    let open = || Known::Open(format!("`{}` is not a literal", one_line(expression)));
    if let Some(text) = jinja::quoted(expression) {
        return Known::Text(text.to_owned());
    }
    let Some(list) = expression.strip_prefix('[').and_then(|e| e.strip_suffix(']')) else { return open() };
    let items: Option<Vec<Known>> =
        jinja::split(list, ",").iter().map(|item| jinja::quoted(item).map(|t| Known::Text(t.to_owned()))).collect();
    items.map_or_else(open, Known::List)
}

impl Reach<'_> {
    /// Look-ups in every scalar of a node.
    pub(super) fn lookups_in(&mut self, node: &Node, scope: &Scope) {
        let mut found = Vec::new();
        node.scalars(&mut |at, text| {
            if may_look_up(text) {
                found.push((text, at.line));
            }
        });
        for (text, line) in found {
            self.jinja(text, scope, line);
        }
    }

    /// Look-ups, includes and plugins of collections in one text; it begins at `line`.
    pub(super) fn jinja(&mut self, text: &str, scope: &Scope, line: usize) {
        if !expressions::may_do_anything(text) {
            return;
        }
        // `#jinja2: variable_start_string:'[%'` as the first line, of a file or of a value.
        let header = text.lines().next().filter(|line| line.starts_with("#jinja2:"));
        if header.is_some_and(|line| line.contains("_string") || line.contains("_prefix")) {
            self.widen(None, "a template with delimiters of its own", scope, line);
        }
        let within;
        let bound = expressions::bound(text);
        let scope = if bound.is_empty() {
            scope
        } else {
            within = scope.binding(bound, "is set in a template");
            &within
        };
        for (name, at) in jinja::included(text) {
            let name = name.unwrap_or_else(|expression| format!("{{{{ {expression} }}}}"));
            self.name(Purpose::Included, &name, scope, line + at);
        }
        for call in jinja::calls(text) {
            self.lookup(call.plugin.as_deref(), &call.arguments, scope, line + call.line);
        }
        for (name, at) in jinja::qualified(text) {
            self.fqcn(&name, scope, line + at);
        }
        if let Some((what, at)) = expressions::asks_for_files(text) {
            self.widen(None, format!("`{what}` looks at files of this machine"), scope, line + at);
        }
        if let Some(at) = expressions::renamed(text) {
            self.widen(None, "a look-up under another name", scope, line + at);
        }
    }

    /// Look-ups and includes of a text file that Jinja renders. True the first time.
    pub(super) fn template_text(&mut self, file: &Path, scope: &Scope, why: Chain) -> bool {
        let mut scope = scope.in_file(file, why);
        // Ansible adds the folder of a template to what look-ups in it search.
        if let Some(folder) = file.parent()
            && Arc::make_mut(&mut scope.rendered).insert(folder.to_owned())
            && scope.role.is_none()
            && !self.world.is_quiet(file, is_quiet)
        {
            self.role_probes(folder, &scope);
        }
        if !self.first_time("template", file, &scope) {
            return false;
        }
        if self.world.is_quiet(file, is_quiet) {
            return true;
        }
        let text = self.world.text(file);
        if self.world.is_large(file) {
            self.widen(None, "a template that is too large to be read", &scope, 1);
        }
        self.jinja(&text, &scope, 1);
        true
    }

    /// One look-up with its arguments as Jinja expressions.
    pub(super) fn lookup(&mut self, plugin: Option<&str>, arguments: &[String], scope: &Scope, line: usize) {
        let named = |a: &str| {
            let (key, value) = a.split_once('=')?;
            let key = key.trim();
            let word = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_') && !value.starts_with('=');
            word.then(|| (key.to_owned(), value.trim().to_owned()))
        };
        let keyword = |name: &str| arguments.iter().find_map(|a| named(a).filter(|(key, _)| key == name).map(|(_, value)| value));
        let is_keyword = |a: &str| named(a).is_some();
        let plain: Vec<&String> = arguments.iter().filter(|a| !is_keyword(a)).collect();
        let Some(plugin) = plugin else {
            return self.widen(None, "a look-up whose plugin is not a literal", scope, line);
        };
        self.fqcn(plugin, scope, line);
        match plugin {
            "env" => {
                for argument in plain {
                    self.name(Purpose::Environment, &as_text(argument), scope, line);
                }
            }
            "file" | "unvault" | "password" => {
                for argument in plain {
                    // `password` takes its options behind the path.
                    let text = as_text(argument);
                    let text = if plugin == "password" { text.split(' ').next().unwrap_or(&text) } else { &text };
                    if text != "/dev/null" {
                        self.name(Purpose::Source("files"), text, scope, line);
                    }
                }
            }
            "template" => {
                let own = ["block_start_string", "variable_start_string", "comment_start_string", "variable_end_string"];
                if own.iter().any(|name| keyword(name).is_some()) {
                    self.widen(None, "a template with delimiters of its own", scope, line);
                }
                let scope = match keyword("template_vars") {
                    None => scope.clone(),
                    Some(map) => self.with_template_vars(&map, scope),
                };
                for argument in plain {
                    self.name(Purpose::Template, &as_text(argument), &scope, line);
                }
            }
            "fileglob" | "community.general.filetree" | "filetree" => {
                for argument in plain {
                    let text = as_text(argument);
                    let text = if plugin == "fileglob" { text } else { format!("{text}/*") };
                    self.name(Purpose::Glob, &text, scope, line);
                }
            }
            "csvfile" | "ini" => {
                let default = if plugin == "csvfile" { "ansible.csv" } else { "ansible.ini" };
                let mut files = vec![keyword("file").map_or_else(|| default.to_owned(), |file| as_text(&file))];
                for argument in &plain {
                    match jinja::quoted(argument) {
                        // `one file=x.csv` of the old form wins over the option.
                        Some(term) if !jinja::templated(term) => {
                            files.extend(
                                jinja::words(term).into_iter().filter(|(key, _)| key.as_deref() == Some("file")).map(|(_, value)| value),
                            );
                        }
                        _ if keyword("file").is_some() => {}
                        _ => self.widen(None, format!("look-up `{plugin}` whose file may stand in a variable"), scope, line),
                    }
                }
                // What the term names is what is read; the default is not asked for.
                for file in files.split_off(usize::from(files.len() > 1)) {
                    self.name(Purpose::Source("files"), &file, scope, line);
                }
            }
            "first_found" => {
                // As options of their own; the terms are then left out.
                let paths = keyword("paths").map(|paths| ("paths".to_owned(), literal(&paths)));
                if let Some(files) = keyword("files") {
                    let mut options = BTreeMap::from([("files".to_owned(), literal(&files))]);
                    options.extend(paths.clone());
                    self.first_found(Known::Map(options), scope, line);
                }
                for argument in plain {
                    if let Some(paths) = &paths {
                        let options = BTreeMap::from([("files".to_owned(), literal(argument)), paths.clone()]);
                        self.first_found(Known::Map(options), scope, line);
                    }
                    let value = Known::Text(format!("{{{{ {argument} }}}}"));
                    self.first_found(value, scope, line);
                }
            }
            "pipe" | "lines" => self.widen(None, format!("look-up `{plugin}` runs a command on this machine"), scope, line),
            name if HARMLESS.contains(&name) => {}
            "url"
                if !plain.iter().all(|a| jinja::quoted(a).is_some_and(|url| url.starts_with("http://") || url.starts_with("https://"))) =>
            {
                self.widen(None, "look-up `url` of what may be a file of this machine", scope, line);
            }
            name if FLOATING.contains(&name) || FLOATING_PREFIXES.iter().any(|p| name.starts_with(p)) => {
                let place = self.place(&scope.file, line);
                self.notes.insert(format!("{place} asks the network by look-up `{name}`: what it answers is not in the key"));
            }
            name => self.widen(None, format!("look-up `{name}` may read anything"), scope, line),
        }
    }

    /// What `template_vars` gives to one template: its names, or any.
    fn with_template_vars(&mut self, map: &str, scope: &Scope) -> Scope {
        let inner = map.strip_prefix('{').or_else(|| map.strip_prefix("dict(")).and_then(|rest| rest.strip_suffix(['}', ')']));
        let names = inner.map(|inner| jinja::split(inner, ",")).into_iter().flatten().map(|pair| {
            let (key, _) = pair.split_once([':', '='])?;
            let key = if map.starts_with('{') { jinja::quoted(key)? } else { key.trim() };
            Some(key.to_owned())
        });
        let names: Option<std::collections::BTreeSet<String>> = names.collect();
        if let Some(names) = names.filter(|names| !names.is_empty()) {
            return scope.binding(names, "is set by `template_vars`");
        }
        self.variables.blind.get_or_insert_with(|| "`template_vars`, whose names are no literals".to_owned());
        scope.clone()
    }

    /// The alternatives of `first_found`: each is followed, wherever `include_vars`, `template` or `include_tasks` would look.
    pub(super) fn first_found(&mut self, value: Known, scope: &Scope, line: usize) {
        let mut scope = scope.clone();
        let alternatives = vec![Known::Alternatives(Box::new(value))];
        Arc::make_mut(&mut scope.locals).insert("ovenbird_alternative".to_owned(), alternatives);
        // `None`: as a look-up in an expression it has no folder of its own, and ansible-core looks in a folder of that name.
        for purpose in [Purpose::Vars, Purpose::Tasks, Purpose::Template, Purpose::Source("files"), Purpose::Source("None")] {
            self.name(purpose, "{{ ovenbird_alternative }}", &scope, line);
        }
    }

    /// A variable of the environment counts by its value, unless that is a secret: then it is no input, and says so.
    pub(super) fn reads_environment(&mut self, name: &str, scope: &Scope, line: usize) {
        if environment::is_secret(name, self.world.pipeline) {
            let place = self.place(&scope.file, line);
            self.notes.insert(format!(
                "{place} reads `{name}` of the environment, a secret: its value is in no key; declare it as `secret` and give it in `vars`"
            ));
        } else {
            self.environment.insert(name.to_owned());
        }
    }
}
