//! Variables that a Packer template declares: those and no others are filled.
//!
//! Invariant: what cannot be parsed declares nothing here; Packer itself says what is wrong with it.

use std::collections::BTreeSet;
use std::path::Path;

use hcl_edit::structure::Structure;

use crate::syntax::hcl;

/// Names of the `variable` blocks in the `*.pkr.hcl` files of `folder` (absolute).
pub fn declared_variables(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let Ok(entries) = folder.read_dir() else { return names };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if !path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".pkr.hcl")) {
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let body = hcl::decode(path, &bytes).and_then(|source| hcl::parse(&source));
        let Ok(body) = body else { continue };
        for structure in &body {
            if let Structure::Block(block) = structure
                && block.ident.as_str() == "variable"
                && let Some(label) = block.labels.first()
            {
                names.insert(label.as_str().to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_template_declares_what_is_filled() {
        let names = declared_variables(&Path::new(env!("CARGO_MANIFEST_DIR")).join("packer"));
        for name in ["image_name", "playbook_file", "source_ami", "docker_image", "ansible_arguments"] {
            assert!(names.contains(name), "{name}");
        }
    }
}
