//! Which variables the Terraform code of a folder declares: `*.tf`, `*.tf.json` and the same of `OpenTofu`.
//!
//! Reads declarations only; modules, values and types are Terraform's to check. Invariant: a file that cannot be read makes the
//! answer "not complete", never "not declared".

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::model::problem::Problem;
use crate::syntax::hcl;

/// What a folder declares.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// Names of variables.
    pub(super) names: BTreeSet<String>,
    /// How many files of code there are.
    pub(super) files: usize,
    /// Files that could not be read; then more may be declared than `names` says.
    pub(super) unreadable: Vec<Problem>,
}

/// Reads the folder `relative` of `root`.
///
/// # Errors
/// The folder cannot be listed.
pub(super) fn declared(root: &Path, relative: &Path) -> io::Result<Declared> {
    let mut declared = Declared::default();
    let mut names: Vec<String> = root.join(relative).read_dir()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    for name in names {
        // What Terraform itself skips: hidden files and editors' copies.
        let copy = name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'));
        let json = name.ends_with(".tf.json") || name.ends_with(".tofu.json");
        if copy || !(json || has_extension(&name, "tf") || has_extension(&name, "tofu")) {
            continue;
        }
        declared.files += 1;
        let path = relative.join(&name);
        match std::fs::read(root.join(&path)) {
            Err(error) => declared.unreadable.push(Problem::warning(format!("`{}` cannot be read: {error}", path.display()))),
            Ok(bytes) if json => match serde_json::from_slice(&bytes) {
                Ok(code) => json_names(&code, &mut declared.names),
                Err(error) => declared.unreadable.push(Problem::warning(format!("`{}` is not JSON: {error}", path.display()))),
            },
            Ok(bytes) => match hcl::decode(path, &bytes).and_then(|source| hcl::parse(&source)) {
                Ok(body) => {
                    let variables = body.blocks().filter(|block| block.ident.as_str() == "variable");
                    declared.names.extend(variables.filter_map(|block| block.labels.first()).map(|label| label.as_str().to_owned()));
                }
                Err(mut problem) => {
                    problem.severity = crate::model::problem::Severity::Warning;
                    declared.unreadable.push(problem);
                }
            },
        }
    }
    Ok(declared)
}

/// Files of the folder whose values win over those of `file`, because Terraform reads them by itself and later: `terraform.tfvars`,
/// `terraform.tfvars.json`, then `*.auto.tfvars` and `*.auto.tfvars.json` by name. None when `file` is one that has to be named to
/// Terraform, since such a file wins over all of these.
///
/// # Errors
/// The folder cannot be listed.
pub(super) fn read_after(folder: &Path, file: &str) -> io::Result<Vec<String>> {
    let rank = |name: &str| match name {
        "terraform.tfvars" => Some((0, String::new())),
        "terraform.tfvars.json" => Some((1, String::new())),
        _ => (name.ends_with(".auto.tfvars") || name.ends_with(".auto.tfvars.json")).then(|| (2, name.to_owned())),
    };
    let Some(own) = rank(file) else { return Ok(Vec::new()) };
    let names = folder.read_dir()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut after: Vec<String> = names.filter(|name| rank(name).is_some_and(|other| other > own)).collect();
    after.sort_unstable();
    Ok(after)
}

/// Files that Terraform reads values from by itself, in its order.
///
/// # Errors
/// The folder cannot be listed.
pub(super) fn loaded_by_itself(folder: &Path) -> io::Result<Vec<String>> {
    let mut files = read_after(folder, "terraform.tfvars")?;
    if folder.join("terraform.tfvars").exists() {
        files.insert(0, "terraform.tfvars".to_owned());
    }
    Ok(files)
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// `{"variable": {"x": {…}}}`; blocks of one type may also stand in a list.
fn json_names(code: &serde_json::Value, names: &mut BTreeSet<String>) {
    let bodies = match code {
        serde_json::Value::Array(bodies) => bodies.as_slice(),
        body => std::slice::from_ref(body),
    };
    for variables in bodies.iter().filter_map(|body| body.get("variable")) {
        let lists = match variables {
            serde_json::Value::Array(lists) => lists.as_slice(),
            map => std::slice::from_ref(map),
        };
        names.extend(lists.iter().filter_map(serde_json::Value::as_object).flat_map(|map| map.keys().cloned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::atomic;

    #[test]
    fn every_form_of_code_is_read_and_copies_are_not() {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.tf", "variable \"one\" {}\r\nvariable two {\r\n  type = map(string)\r\n}\r\nresource \"variable\" \"no\" {}\r\n"),
            ("b.tf.json", r#"{"variable": {"three": {}}, "resource": {"variable": {"no2": {}}}}"#),
            ("c.tf.json", r#"[{"variable": [{"four": {}}]}]"#),
            ("d.tofu", "variable \"five\" {}\n"),
            ("a.tf~", "variable \"no3\" {}\n"),
            (".#a.tf", "variable \"no4\" {}\n"),
            ("x.tfvars", "no5 = 1\n"),
        ] {
            atomic::write(&root.path().join(name), text.as_bytes()).unwrap();
        }
        let found = declared(root.path(), Path::new("")).unwrap();
        assert_eq!(found.names.iter().map(String::as_str).collect::<Vec<_>>(), ["five", "four", "one", "three", "two"]);
        assert_eq!((found.files, found.unreadable.len()), (4, 0));
        atomic::write(&root.path().join("broken.tf"), b"variable \"six\" {\n").unwrap();
        assert_eq!(declared(root.path(), Path::new("")).unwrap().unreadable.len(), 1);
    }
}
