//! Functions in Packer's HCL that read files, ask the environment or a network.
//!
//! Invariant: a file whose name is not known widens, to the folder that its name begins with or to the root.

use std::path::Path;

use hcl_edit::expr::{Expression, FuncCall};
use hcl_edit::visit::{Visit, visit_func_call};

use super::reach::{Reach, Scope};
use super::template_hcl::Names;

/// Functions whose first argument is a file, or a folder, that they read.
const READING: &[&str] = &[
    "file",
    "filebase64",
    "filemd5",
    "filesha1",
    "filesha256",
    "filesha512",
    "fileexists",
    "templatefile",
    "fileset",
    "filebase64sha256",
    "filebase64sha512",
];
/// Functions that ask a network.
const FLOATING: &[&str] = &["vault", "consul_key", "aws_secretsmanager", "aws_secretsmanager_raw"];

impl Reach<'_> {
    /// Files that functions in an expression read, and variables of the environment.
    pub(super) fn functions(&mut self, names: &Names<'_>, expression: &Expression, scope: &Scope, line: usize) {
        struct Collect(Vec<FuncCall>);
        impl Visit for Collect {
            fn visit_func_call(&mut self, node: &FuncCall) {
                self.0.push(node.clone());
                visit_func_call(self, node);
            }
        }
        let mut collect = Collect(Vec::new());
        collect.visit_expr(expression);
        for call in &collect.0 {
            let name = call.name.name.as_str();
            let Some(first) = call.args.iter().next() else { continue };
            if name == "env" {
                if let Ok(texts) = names.texts(first, 0) {
                    for text in &texts {
                        self.reads_environment(text, scope, line);
                    }
                }
            } else if FLOATING.contains(&name) {
                let place = self.place(&scope.file, line);
                self.notes.insert(format!("{place} asks the network by `{name}`: what it answers is not in the key"));
            } else if READING.contains(&name) {
                let pattern = call.args.iter().nth(1).filter(|_| name == "fileset").map(|pattern| names.texts(pattern, 0));
                if pattern.is_some_and(|texts| !texts.is_ok_and(|texts| texts.iter().all(|text| !text.contains("..")))) {
                    self.widen(None, "`fileset` whose pattern may leave its folder", scope, line);
                }
                match names.texts(first, 0) {
                    Ok(texts) => {
                        for text in texts {
                            for found in self.template_path(names.template, &text, true, name, scope, line) {
                                if name == "templatefile" {
                                    self.rendered(&found, scope);
                                }
                            }
                        }
                    }
                    Err(why) => {
                        let prefix = names.prefix(first);
                        let folder = prefix.rsplit_once('/').map(|(folder, _)| super::names::join(&names.root, folder));
                        if name == "templatefile"
                            && let Some(folder) = &folder
                        {
                            for file in &*self.world.files_within_reason(folder) {
                                self.rendered(file, scope);
                            }
                        }
                        self.widen(folder.as_deref(), format!("`{name}` in a template: {why}"), scope, line);
                    }
                }
            }
        }
    }

    /// A file that `templatefile` renders may call functions that read files, too.
    fn rendered(&mut self, file: &Path, scope: &Scope) {
        let text = self.world.text(file);
        for (at, line) in text.lines().enumerate() {
            // Blanks may stand before the bracket.
            let line: String = line.split_whitespace().collect();
            if READING.iter().any(|function| line.contains(&format!("{function}("))) {
                let scope = scope.in_file(file, scope.why.clone());
                self.widen(None, "a file that `templatefile` renders reads others", &scope, at + 1);
            }
        }
    }
}
