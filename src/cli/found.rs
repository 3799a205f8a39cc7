//! What `init` finds in a folder: Packer templates, playbooks, tfvars with AMI names. Looks at texts, parses nothing.
//!
//! Invariant: reads at most `MOST_FILES` files of at most 256 KiB each and follows no links, so that `init` in a home folder ends.

use std::path::{Path, PathBuf};

const MOST_FILES: usize = 5_000;
const LARGEST: u64 = 256 * 1024;

/// What is there already.
#[derive(Debug, Default)]
pub struct Found {
    /// Playbooks, relative.
    pub playbooks: Vec<Playbook>,
    /// Packer templates.
    pub templates: Vec<Template>,
    /// tfvars that set a variable for an AMI.
    pub tfvars: Vec<Tfvars>,
}

/// A playbook.
#[derive(Debug)]
pub struct Playbook {
    /// Relative.
    pub path: PathBuf,
    /// Names after `hosts:` but `all`: without them as groups, its plays match no host.
    pub groups: Vec<String>,
}

/// A Packer template: a JSON file, or a folder of HCL files.
#[derive(Debug)]
pub struct Template {
    /// Relative.
    pub path: PathBuf,
    /// `type.name`, or the type alone in JSON.
    pub builders: Vec<String>,
    /// Variable that looks like the source AMI.
    pub source_variable: Option<String>,
    /// Variable that looks like the new AMI's name.
    pub name_variable: Option<String>,
}

impl Template {
    /// File name without extension, or the folder's name.
    pub fn stem(&self) -> String {
        let name = self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        // A folder's name that says only what lies in it, where the source has a name of its own.
        let source = self.builders.first().and_then(|builder| builder.split_once('.'));
        source.filter(|_| ["", "packer", "templates"].contains(&name.as_str())).map_or(name, |(_, source)| source.to_owned())
    }
}

/// A tfvars file.
#[derive(Debug)]
pub struct Tfvars {
    /// Relative.
    pub path: PathBuf,
    /// Names in it that look like AMI ids; not empty.
    pub ami_names: Vec<String>,
}

impl Found {
    /// A line each.
    pub fn describe(&self) -> Vec<String> {
        let playbooks = self.playbooks.iter().map(|p| format!("playbook {}", p.path.display()));
        let templates = self.templates.iter().map(|t| format!("template {} ({})", t.path.display(), t.builders.join(", ")));
        let tfvars = self.tfvars.iter().map(|t| format!("tfvars {} ({})", t.path.display(), t.ami_names.join(", ")));
        playbooks.chain(templates).chain(tfvars).collect()
    }
}

/// Looks through `folder`.
pub fn find(folder: &Path) -> Found {
    let mut found = Found::default();
    let mut hcl_folders: std::collections::BTreeMap<PathBuf, String> = std::collections::BTreeMap::new();
    let walk = ignore::WalkBuilder::new(folder).max_depth(Some(5)).sort_by_file_path(Path::cmp).build();
    for entry in walk.filter_map(Result::ok).take(MOST_FILES) {
        let small = entry.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST);
        let Ok(path) = entry.path().strip_prefix(folder) else { continue };
        let name = path.to_string_lossy();
        let wanted = ["yml", "yaml", "json", "hcl", "tfvars"].iter().any(|e| path.extension().is_some_and(|x| x == *e));
        if !small || !wanted || name.ends_with(".lock.hcl") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
        if name.ends_with(".pkr.hcl") {
            let parent = path.parent().unwrap_or(Path::new("")).to_path_buf();
            hcl_folders.entry(parent).or_default().push_str(&text);
        } else if name.ends_with(".json") {
            found.templates.extend(json_template(path, &text));
        } else if name.ends_with(".tfvars") {
            let ami_names = assigned(&text).into_iter().filter(|n| looks_like_ami(n)).collect::<Vec<_>>();
            if !ami_names.is_empty() {
                found.tfvars.push(Tfvars { path: path.to_path_buf(), ami_names });
            }
        } else if is_playbook(path, &text) {
            found.playbooks.push(Playbook { path: path.to_path_buf(), groups: groups(&text) });
        }
    }
    for (path, text) in hcl_folders {
        let path = if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
        found.templates.extend(hcl_template(path, &text));
    }
    found
}

/// Words after `keyword "` on lines that begin with `keyword`.
fn blocks<'t>(text: &'t str, keyword: &str) -> Vec<Vec<&'t str>> {
    let heads = text.lines().filter_map(|l| l.trim().strip_prefix(keyword)?.strip_prefix(' '));
    heads.map(|rest| rest.split('"').skip(1).step_by(2).collect()).collect()
}

fn hcl_template(path: PathBuf, text: &str) -> Option<Template> {
    let builders: Vec<String> = blocks(text, "source").iter().filter(|l| l.len() == 2).map(|l| l.join(".")).collect();
    let variables: Vec<String> = blocks(text, "variable").iter().filter_map(|l| Some((*l.first()?).to_owned())).collect();
    // Without a source it is a part of a template, such as plugins or variables alone.
    (!builders.is_empty()).then(|| template(path, builders, &variables))
}

fn json_template(path: &Path, text: &str) -> Option<Template> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let builders = json.get("builders")?.as_array()?;
    let name = |b: &serde_json::Value| b.get("name").or_else(|| b.get("type")).and_then(|v| v.as_str()).map(str::to_owned);
    let variables = json.get("variables").and_then(|v| v.as_object()).map(|o| o.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    Some(template(path.to_path_buf(), builders.iter().filter_map(name).collect(), &variables))
}

fn template(path: PathBuf, builders: Vec<String>, variables: &[String]) -> Template {
    let first = |wanted: &[&str]| variables.iter().find(|v| wanted.iter().any(|w| v.to_lowercase().replace('-', "_").contains(w))).cloned();
    let source_variable = first(&["source_ami", "base_ami", "base_image", "parent_ami", "ami_id"]);
    let name_variable = first(&["ami_name", "image_name", "out_name", "output_name"]);
    Template { path, builders, source_variable, name_variable }
}

/// A list of plays: a line with `hosts:` at the first level of a list. Not what lies in roles, and not an inventory.
fn is_playbook(path: &Path, text: &str) -> bool {
    let inside = |name: &str| path.components().any(|c| c.as_os_str() == name);
    if ["roles", "group_vars", "host_vars", "collections", "molecule", ".github"].into_iter().any(inside) {
        return false;
    }
    let mut lines = text.lines().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#') && *l != "---");
    lines.next().is_some_and(|l| l.starts_with("- ")) && text.lines().any(|l| l.starts_with("- hosts:") || l.starts_with("  hosts:"))
}

/// Patterns (`web*`, `web:!old`, a template) are left to people: a group cannot be called so.
fn groups(text: &str) -> Vec<String> {
    let hosts = text.lines().filter_map(|l| l.strip_prefix("- hosts:").or_else(|| l.strip_prefix("  hosts:")));
    let hosts = hosts.flat_map(|h| h.split('#').next().unwrap_or_default().trim().trim_matches(['[', ']']).split(','));
    let names = hosts.map(|h| h.trim().trim_matches(['"', '\'']).to_owned());
    let simple = |h: &String| h.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && h.starts_with(|c: char| !c.is_ascii_digit());
    let mut found: Vec<String> = names.filter(|h| simple(h) && h != "all" && h != "localhost").collect();
    found.sort();
    found.dedup();
    found
}

fn assigned(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|l| Some(l.split_once('=')?.0.trim().to_owned()));
    names.filter(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')).collect()
}

fn looks_like_ami(name: &str) -> bool {
    let name = name.to_lowercase();
    name == "ami" || name.ends_with("_ami") || name.contains("ami_id") || name.ends_with("image_id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_playbooks_and_tfvars_are_found_and_roles_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            (
                "old/web.json",
                r#"{"variables": {"base_image": "", "out_name": ""}, "builders": [{"type": "amazon-ebs"}, {"type": "docker"}]}"#,
            ),
            ("hcl/a.pkr.hcl", "variable \"source_ami\" {}\nsource \"amazon-ebs\" \"x\" {}\n"),
            ("site.yml", "---\n- name: All\n  hosts: all\n- hosts: [web, \"db\"] # both\n- hosts: x*\n- hosts: web\n"),
            ("roles/x/tasks/main.yml", "- name: Task\n  hosts: no\n"),
            ("tf/v.tfvars", "blue_ami_id = \"ami-1\"\nsize = 2\n"),
        ];
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
            std::fs::write(path, text).unwrap();
        }
        let found = find(folder.path());
        assert_eq!(found.playbooks.len(), 1);
        assert_eq!(found.playbooks[0].path, PathBuf::from("site.yml"));
        assert_eq!(found.playbooks[0].groups, ["db", "web"]);
        assert_eq!(found.templates.len(), 2);
        assert_eq!(found.templates[0].source_variable.as_deref(), Some("base_image"));
        assert_eq!(found.templates[0].name_variable.as_deref(), Some("out_name"));
        let template = |path: &str, builder: &str| super::template(PathBuf::from(path), vec![builder.to_owned()], &[]);
        assert_eq!(template("packer", "amazon-ebs.golden").stem(), "golden");
        assert_eq!([template("golden", "amazon-ebs.x").stem(), template("old/web.json", "amazon-ebs").stem()], ["golden", "web"]);
        assert_eq!(found.templates[1].builders, ["amazon-ebs.x"]);
        assert_eq!(found.tfvars[0].ami_names, ["blue_ami_id"]);
    }
}
