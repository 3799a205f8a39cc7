//! Inventories that arguments or a template name: their files, the variables beside them, the variables in them.
//!
//! Invariant: an inventory that is a program takes the whole root, and one that cannot be read may assign anything.

use std::path::{Path, PathBuf};

use super::globs::Look;
use super::hash::Content;
use super::known::Known;
use super::reach::{Reach, Scope};
use super::world::Parsed;
use super::{jinja, names};
use crate::plan::why::Chain;
use crate::syntax::yaml::{Kind, Node};

impl Reach<'_> {
    /// `-i FILE`, a folder of them, or a list of hosts.
    pub(super) fn inventory(&mut self, value: &str, scope: &Scope) {
        if value.contains(',') {
            return;
        }
        let path = names::join(&self.world.root.clone(), value);
        let why = self.because(scope, format!("inventory {value}"), 1);
        self.take(&path, why.clone());
        let folder = if self.world.is_folder(&path) { path.clone() } else { path.parent().map(PathBuf::from).unwrap_or_default() };
        for name in ["group_vars", "host_vars"] {
            let vars = folder.join(name);
            self.take(&vars, why.clone());
            self.vars(&vars, scope, &why);
        }
        self.variables.inventory_folders.insert(folder.clone());
        let files = if self.world.is_folder(&path) { self.world.files_within_reason(&path) } else { vec![path].into() };
        for file in files.iter().filter(|file| !["group_vars", "host_vars"].iter().any(|vars| file.starts_with(folder.join(vars)))) {
            self.inventory_file(file, &scope.in_file(file, why.clone()), &why);
        }
    }

    fn inventory_file(&mut self, file: &Path, scope: &Scope, why: &Chain) {
        if !self.first_time("inventory", file, scope) {
            return;
        }
        if self.executable(file) {
            let label = self.world.label(file, "");
            self.variables.blind.get_or_insert_with(|| format!("`{label}`, an inventory that is a program"));
            return self.widen(None, "an inventory that is a program runs on this machine", scope, 1);
        }
        let end = file.extension().and_then(|e| e.to_str());
        if end == Some("toml") {
            let label = self.world.label(file, "");
            self.variables.blind.get_or_insert_with(|| format!("`{label}`, an inventory in TOML"));
        }
        // Without an end it is tried as YAML first.
        if matches!(end, Some("yml" | "yaml" | "json")) || end.is_none() && self.look(file) == Look::Variables {
            self.vars(file, scope, why);
            if let Parsed::Yaml(documents) = &*self.world.yaml(file) {
                for document in documents {
                    if let Some(plugin) = document.get("plugin").and_then(Node::text) {
                        let (place, plugin) = (self.place(file, document.line), plugin.to_owned());
                        self.notes.insert(format!("{place} asks inventory plugin `{plugin}`: what it answers is not in the key"));
                        self.variables.blind.get_or_insert_with(|| format!("what inventory plugin `{plugin}` answers"));
                    }
                    self.every_variable(document);
                }
            }
            return;
        }
        let bytes = self.world.disk.read(file, crate::syntax::yaml::MAX_BYTES).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        self.jinja(&text, scope, 1);
        self.inventory_lines(&text);
    }

    /// Variables in the lines of an INI inventory.
    pub(super) fn inventory_lines(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
            // `host a=1 b=2`, and `name = value` below `[group:vars]`.
            for (name, value) in jinja::shell_words(line).into_iter().filter_map(|(name, value)| Some((name?, value))) {
                self.variables.assign(&name, evaluated(&value));
            }
            if let Some(host) = line.split_whitespace().next().filter(|host| host.contains('/') && !host.contains('=')) {
                self.variables.assign("inventory_hostname", Known::Text(host.to_owned()));
            }
            if let Some((name, value)) = line.split_once('=').filter(|(name, _)| name.ends_with(' ') || name.ends_with('\t')) {
                self.variables.assign(name.trim(), evaluated(value.trim()));
            }
        }
    }

    fn executable(&self, file: &Path) -> bool {
        drop(self.world.disk.read(file, crate::syntax::yaml::MAX_BYTES));
        matches!(self.world.disk.content(file), Some(Content::File { mode, .. }) if mode & 0o111 != 0)
    }

    /// Every key at every depth: hosts and groups of an inventory are nested as their author likes.
    fn every_variable(&mut self, node: &Node) {
        match &node.kind {
            Kind::Mapping(_) => {
                self.variables.assign_all(node);
                for (_, value) in node.entries() {
                    self.every_variable(value);
                }
            }
            Kind::Sequence(items) => items.iter().for_each(|item| self.every_variable(item)),
            Kind::Scalar { .. } => {}
        }
    }
}

/// A value as an INI inventory gives it: Python evaluates what it can (`1.10` is a number), all else is the text itself.
fn evaluated(value: &str) -> Known {
    if let Some(inner) = jinja::quoted(value) {
        return Known::Text(inner.to_owned());
    }
    let literal = value.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '\'' | '"' | '[' | '(' | '+' | '-' | '.'))
        || value.starts_with('{') && !value.starts_with("{{")
        || value.len() > 1 && value[1..].starts_with(['\'', '"']);
    // A path that begins with a dot, and a version of three parts, are no numbers.
    let text =
        value.starts_with("./") || value.starts_with("../") || value.split('.').count() > 2 && !value.contains(['\'', '"', '[', '(']);
    if literal && !text {
        Known::Open(format!("is `{}`, which Python evaluates", super::known::one_line(value)))
    } else {
        Known::Text(value.to_owned())
    }
}
