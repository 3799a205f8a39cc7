//! Packer's old JSON templates: `{{user `x`}}`, `{{template_dir}}` and the provisioners' settings.
//!
//! Invariant: a text with any other function of Packer's in it is unknown; a file that cannot be parsed widens to the root.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::known::Known;
use super::reach::{Reach, Scope};
use super::template::{Block, Template, Texts};
use crate::plan::why::Chain;
use crate::syntax::hcl::MAX_BYTES;

/// Every value of a variable; an inner `Err` is one that is not known.
type Variables = BTreeMap<String, Vec<Result<String, String>>>;

impl Reach<'_> {
    /// One JSON template with its files of variables.
    pub(super) fn json_template(&mut self, template: &Template, path: &Path, var_files: &[PathBuf], why: &Chain) {
        let scope = self.template_scope(path, why);
        let Some(json) = self.json(path, &scope) else { return };
        let mut variables = Variables::new();
        let mut add = |object: &Json| {
            for (name, value) in object.as_object().into_iter().flatten() {
                let value = match value {
                    Json::String(text) => Ok(text.clone()),
                    Json::Null => continue,
                    Json::Bool(_) | Json::Number(_) => Ok(value.to_string()),
                    Json::Array(_) | Json::Object(_) => Err("is no text".to_owned()),
                };
                variables.entry(name.clone()).or_default().push(value);
            }
        };
        for (_, values) in json.as_object().into_iter().flatten().filter(|(key, _)| key.eq_ignore_ascii_case("variables")) {
            add(values);
        }
        for file in var_files {
            let scope = self.template_scope(file, why);
            if let Some(values) = self.json(file, &scope) {
                add(&values);
            }
        }
        for (name, value) in &template.given {
            let value = match value {
                Known::Text(text) => Ok(text.clone()),
                Known::Open(why) => Err(why.clone()),
                _ => Err("is no text".to_owned()),
            };
            variables.entry(name.clone()).or_default().push(value);
        }
        let text = self.world.text(path);
        for (list, block) in
            [("builders", Block::Source), ("provisioners", Block::Provisioner(None)), ("post-processors", Block::PostProcessor(None))]
        {
            let lists = json.as_object().into_iter().flatten().filter(|(key, _)| key.eq_ignore_ascii_case(list));
            for entry in lists.filter_map(|(_, entries)| entries.as_array()).flatten() {
                self.entry(template, entry, &block, &variables, &text, &scope);
            }
        }
        // `{{env `X`}}` stands in the values of variables only.
        for rest in text.split("env `").chain(text.split("env \\\"")).skip(1) {
            if let Some(name) = rest.split(['`', '\\']).next().filter(|name| !name.is_empty() && !name.contains(['{', '\n'])) {
                self.reads_environment(name, &scope, 1);
            }
        }
        for function in ["consul_key", "vault `", "aws_secretsmanager"] {
            if text.contains(&format!("{{{{{function}")) || text.contains(&format!("{{{{ {function}")) {
                let place = self.place(path, 1);
                self.notes.insert(format!(
                    "{place} asks the network by `{}`: what it answers is not in the key",
                    function.trim_end_matches(" `")
                ));
            }
        }
    }

    fn json(&mut self, path: &Path, scope: &Scope) -> Option<Json> {
        let problem = match self.world.disk.read(path, MAX_BYTES) {
            Err(None) => return None,
            Err(Some(problem)) => problem,
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(json) => return Some(json),
                Err(error) => {
                    self.widen(None, format!("a template that is not JSON: {error}"), scope, error.line());
                    return None;
                }
            },
        };
        self.widen(None, format!("a template that {problem}"), scope, 1);
        None
    }

    fn entry(&mut self, template: &Template, entry: &Json, block: &Block, variables: &Variables, text: &str, scope: &Scope) {
        match entry {
            // A sequence of post-processors, or one by its name alone.
            Json::Array(items) => items.iter().for_each(|item| self.entry(template, item, block, variables, text, scope)),
            Json::Object(settings) => {
                let kind = settings
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case("type"))
                    .and_then(|(_, kind)| kind.as_str())
                    .map(str::to_owned);
                let block = match block {
                    Block::Provisioner(_) => Block::Provisioner(kind.clone()),
                    Block::PostProcessor(_) => Block::PostProcessor(kind.clone()),
                    Block::Source | Block::Other => block.clone(),
                };
                if kind.as_deref() == Some("shell-local") {
                    self.widen(None, "`shell-local` runs on this machine", scope, line_of(text, "shell-local"));
                }
                for (key, value) in settings {
                    // Packer takes names of settings whatever their case.
                    let key = &key.to_lowercase();
                    if key == "override" {
                        for other in value.as_object().into_iter().flat_map(|o| o.values()) {
                            self.entry(template, other, &block, variables, text, scope);
                        }
                        continue;
                    }
                    let mut values = Vec::new();
                    texts(value, template, variables, &self.world.root, &mut values);
                    self.setting(template, &block, key, &values, scope, line_of(text, key));
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
}

/// First line of a text in quotes; serde keeps no places.
fn line_of(text: &str, word: &str) -> usize {
    text.find(&format!("\"{word}\"")).map_or(1, |at| 1 + text[..at].matches('\n').count())
}

fn texts(value: &Json, template: &Template, variables: &Variables, cwd: &Path, out: &mut Vec<Texts>) {
    match value {
        Json::String(text) => out.push(filled(text, template, variables, cwd, 0)),
        Json::Array(items) => items.iter().for_each(|item| texts(item, template, variables, cwd, out)),
        Json::Object(object) => object.values().for_each(|item| texts(item, template, variables, cwd, out)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Every text that a text with `{{…}}` may be.
fn filled(text: &str, template: &Template, variables: &Variables, cwd: &Path, depth: usize) -> Texts {
    let mut results = BTreeSet::from([String::new()]);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let prefix = results.iter().next().map(|start| format!("{start}{before}")).unwrap_or_default();
        let Some((inside, behind)) = after.split_once("}}") else { return Err(("an end of `{{` is missing".to_owned(), prefix)) };
        let words: Vec<&str> = inside.trim().trim_matches('-').split_whitespace().collect();
        let ends: BTreeSet<String> = match words.as_slice() {
            ["template_dir"] => BTreeSet::from([template.folder.to_string_lossy().into_owned()]),
            ["pwd"] => BTreeSet::from([cwd.to_string_lossy().into_owned()]),
            ["user", name] if depth < 8 => {
                let name = name.trim_matches(['`', '"']);
                let mut ends = BTreeSet::new();
                for value in variables.get(name).map(Vec::as_slice).unwrap_or_default() {
                    match value {
                        Ok(value) => {
                            ends.extend(filled(value, template, variables, cwd, depth + 1).map_err(|(why, _)| (why, prefix.clone()))?);
                        }
                        Err(why) => return Err((format!("variable `{name}` {why}"), prefix)),
                    }
                }
                if ends.is_empty() {
                    return Err((format!("variable `{name}` has no value here"), prefix));
                }
                ends
            }
            _ => return Err((format!("`{{{{{}}}}}` is known only when Packer runs", inside.trim()), prefix)),
        };
        results = results.iter().flat_map(|start| ends.iter().map(move |end| format!("{start}{before}{end}"))).collect();
        if results.len() > 500 {
            return Err(("it may be more than 500 texts".to_owned(), String::new()));
        }
        rest = behind;
    }
    Ok(results.into_iter().map(|start| format!("{start}{rest}")).collect())
}
