//! Which Packer plugins a template says it requires.
//!
//! Reads the template's files, decides nothing. Invariant: what cannot be read requires nothing here; Packer itself says what is
//! wrong with it.

use std::path::{Path, PathBuf};

use crate::model::value::Value;
use crate::syntax::eval::{self, Path as RefPath, Scope, Unknown};
use crate::syntax::hcl;

/// A line of `required_plugins`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequiredPlugin {
    /// `github.com/hashicorp/amazon`.
    pub source: String,
    /// Constraint as written; empty: any.
    pub version: String,
}

struct NoScope;
impl Scope for NoScope {
    fn reference(&self, path: &RefPath) -> Result<Value, Unknown> {
        Err(Unknown::new(path.span.clone(), "no reference means anything here"))
    }
}

/// What the template (a file, or a folder's `*.pkr.hcl`) requires, sorted.
pub fn required(template: &Path) -> Vec<RequiredPlugin> {
    let is_template = |path: &Path| path.to_str().is_some_and(|p| p.ends_with(".pkr.hcl"));
    let files: Vec<PathBuf> = if template.is_dir() {
        let entries = std::fs::read_dir(template).into_iter().flatten().flatten();
        entries.map(|e| e.path()).filter(|p| is_template(p)).collect()
    } else {
        vec![template.to_owned()]
    };
    let mut found: Vec<RequiredPlugin> = files.iter().filter(|f| is_template(f)).flat_map(|file| in_file(file)).collect();
    found.sort();
    found.dedup();
    found
}

fn in_file(file: &Path) -> Vec<RequiredPlugin> {
    let Ok((bytes, _)) = super::hash::read(file, hcl::MAX_BYTES) else { return Vec::new() };
    let body = hcl::decode(file.to_owned(), &bytes).and_then(|source| hcl::parse(&source));
    let Ok(body) = body else { return Vec::new() };
    let mut found = Vec::new();
    for packer in body.get_blocks("packer") {
        for plugins in packer.body.get_blocks("required_plugins") {
            for attribute in hcl::attributes(&plugins.body) {
                let Ok(Value::Map(map)) = eval::reduce(attribute.value, &NoScope) else { continue };
                let text = |name: &str| match map.get(name) {
                    Some(Value::String(text)) => text.clone(),
                    Some(_) | None => String::new(),
                };
                found.push(RequiredPlugin { source: text("source"), version: text("version") });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_template_may_require_plugins() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            std::io::Write::write_all(&mut std::fs::File::create(folder.path().join(name)).unwrap(), text.as_bytes()).unwrap();
        };
        put(
            "a.pkr.hcl",
            "packer {\n  required_plugins {\n    docker = {\n      source = \"github.com/hashicorp/docker\"\n      version = \">= 1.0.8\"\n    }\n  }\n}\n",
        );
        put(
            "b.pkr.hcl",
            "packer {\n  required_plugins {\n    amazon = { source = \"github.com/hashicorp/amazon\" }\n  }\n}\nsource \"x\" \"y\" { z = var.z }\n",
        );
        put("broken.pkr.hcl", "packer {");
        let plugin = |source: &str, version: &str| RequiredPlugin { source: source.to_owned(), version: version.to_owned() };
        assert_eq!(required(folder.path()), [plugin("github.com/hashicorp/amazon", ""), plugin("github.com/hashicorp/docker", ">= 1.0.8")]);
        assert_eq!(required(&folder.path().join("a.pkr.hcl")).len(), 1);
        assert_eq!(required(&folder.path().join("none.json")), []);
    }
}
