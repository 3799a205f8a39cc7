//! Packer templates: ours by its folder, somebody else's by what it can be seen to read.
//!
//! Invariant: a path that a template reads is an input or a widening that says why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::reach::{Reach, Scope};
use crate::model::value::Value;
use crate::plan::inputs::Why;

impl Reach<'_> {
    /// The project's own template folder: all of it, by its bytes.
    pub(super) fn default_template(&mut self, folder: &Path, _playbook: &Path) {
        self.take(folder, vec![Why { what: "Packer template".to_owned(), via: None }]);
    }

    /// Somebody's template, file or folder.
    pub(super) fn foreign_template(&mut self, template: &Path, var_files: &[PathBuf], _vars: &BTreeMap<String, Value>) {
        let why = vec![Why { what: "Packer template".to_owned(), via: None }];
        self.take(template, why.clone());
        for file in var_files {
            self.take(file, vec![Why { what: "Packer variables".to_owned(), via: None }]);
        }
        let scope = Scope { playbook_dir: self.world.root.clone(), role: None, file: template.to_owned(), why };
        self.widen(None, "a foreign template is not read yet", &scope, 1);
    }
}
