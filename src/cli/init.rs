//! `ovenbird init`: writes a small working pipeline, or one that refers to the templates, playbooks and tfvars that are there.
//!
//! Invariant: an existing file is never touched; if `ovenbird.hcl` is there, nothing is written but the template that its playbooks
//! need and that is not there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::cli::args::InitArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::found::{Found, Playbook, find};
use crate::cli::output::Output;
use crate::cli::world::World;
use crate::disk::atomic;
use crate::model::name::Name;

/// The template that a stage without `template` uses; the project's own `packer/`, so that the example runs what users get.
const TEMPLATE: &[(&str, &str)] = &[
    ("packer/image.pkr.hcl", include_str!("../../packer/image.pkr.hcl")),
    ("packer/plugins.pkr.hcl", include_str!("../../packer/plugins.pkr.hcl")),
    ("packer/variables.pkr.hcl", include_str!("../../packer/variables.pkr.hcl")),
];

const PLAYBOOK: &str = "\
# What every image has. Roles beside it, in ansible/roles/, are found by their names.
- name: Provision the base image
  hosts: all
  become: true
  tasks:
    - name: Install the tools that everybody expects
      ansible.builtin.apt:
        name: [ca-certificates, curl]
        update_cache: true
        cache_valid_time: 3600
";

/// Writes the files.
///
/// # Errors
/// A pipeline file is there already, or a file cannot be written.
pub fn run(args: &InitArgs, world: &World, output: Output) -> Result<Exit, Failure> {
    let folder = world.absolute(&args.folder);
    std::fs::create_dir_all(&folder).map_err(|e| Failure::failed(format!("`{}` cannot be made: {e}", folder.display())))?;
    let pipeline = folder.join("ovenbird.hcl");
    let written = pipeline.symlink_metadata().is_ok();
    if written && lacks_template(&folder, &pipeline) {
        write(&folder, own_template("packer"), output)?;
        output.say("  kept   ovenbird.hcl\n\nNext: `ovenbird validate`.\n");
        return Ok(Exit::Done);
    }
    if written {
        return Err(Failure::data(format!(
            "`{}` is there already; nothing was written",
            args.folder.strip_prefix(".").unwrap_or(&args.folder).join("ovenbird.hcl").display()
        ))
        .help("`ovenbird plan` shows what it would do"));
    }
    let found = find(&folder);
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    let provisions = found.templates.is_empty() || !found.playbooks.is_empty();
    if found.playbooks.is_empty() && found.templates.is_empty() {
        files.push(("ansible/base.yml".into(), PLAYBOOK.to_owned()));
    }
    // A folder `packer/` that holds somebody's own template is not ours to add to.
    let template = if folder.join("packer").exists() { "packer/ovenbird" } else { "packer" };
    if provisions {
        files.extend(own_template(template));
    }
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| world.var(name));
    let region = region.filter(|r| r.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')).unwrap_or("us-east-1");
    files.push(("ovenbird.hcl".into(), pipeline_text(&folder, &found, region, (template != "packer" && provisions).then_some(template))));
    write(&folder, files, output)?;
    for line in found.describe() {
        output.say(&format!("  found  {line}\n"));
    }
    output.say("\nNext: `ovenbird validate`, then `ovenbird dry-run` (needs Docker, no cloud account).\n");
    Ok(Exit::Done)
}

/// Somebody wrote the pipeline file by hand, and its playbooks have no template to run in.
fn lacks_template(folder: &Path, pipeline: &Path) -> bool {
    let playbooks = |text: String| text.lines().any(|line| line.trim_start().starts_with("playbook"));
    !folder.join("packer").exists() && std::fs::read_to_string(pipeline).is_ok_and(playbooks)
}

/// The template's files, in `into`.
fn own_template(into: &str) -> Vec<(PathBuf, String)> {
    let place = |path: &str| Path::new(into).join(path.strip_prefix("packer/").expect("every path of TEMPLATE begins with packer/"));
    TEMPLATE.iter().map(|(path, text)| (place(path), (*text).to_owned())).collect()
}

/// Writes what is not there, and says what it did.
fn write(folder: &Path, files: Vec<(PathBuf, String)>, output: Output) -> Result<(), Failure> {
    for (path, text) in files {
        let target = folder.join(&path);
        if target.symlink_metadata().is_ok() {
            output.say(&format!("  kept   {}\n", path.display()));
            continue;
        }
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Failure::failed(format!("`{}` cannot be made: {e}", parent.display())))?;
        }
        atomic::write(&target, text.as_bytes()).map_err(|e| Failure::chain(Exit::Failed, &e))?;
        output.say(&format!("  wrote  {}\n", path.display()));
    }
    Ok(())
}

/// A name for a pipeline or stage out of a file's or folder's name.
fn name_of(text: &str, otherwise: &str) -> String {
    let mut name = String::new();
    for c in text.to_lowercase().chars() {
        match c {
            'a'..='z' => name.push(c),
            '0'..='9' if !name.is_empty() => name.push(c),
            _ if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    name.truncate(30);
    let name = name.trim_end_matches('_');
    Name::new(name).map_or_else(|_| otherwise.to_owned(), |n| n.to_string())
}

fn pipeline_text(folder: &Path, found: &Found, region: &str, packer: Option<&str>) -> String {
    let folder_name = folder.canonicalize().ok().and_then(|f| Some(f.file_name()?.to_string_lossy().into_owned())).unwrap_or_default();
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        text.write_fmt(args).expect("writing to a String cannot fail");
        text.push('\n');
    };
    line(format_args!("# What is built from what. Pins (which AMI exactly) go into ovenbird.lock; commit both."));
    line(format_args!("pipeline \"{}\" {{", name_of(&folder_name, "images").replace('_', "-")));
    line(format_args!("  region = \"{region}\" # where builds run\n}}\n"));
    line(format_args!("# The constraint is in the key of every image: another Packer or Ansible rebuilds."));
    line(format_args!("tools {{\n  packer       = \"~> 1.15\"\n  ansible_core = \"~> 2.19.0\"\n}}\n"));
    line(format_args!("# An image that we did not make: Debian's own. `docker` stands for it in a dry run."));
    line(format_args!(
        "source \"debian_12\" {{\n  ami \"x86_64\" {{\n    owners = [\"136693071363\"]\n    name   = \"debian-12-amd64-*\"\n  }}"
    ));
    line(format_args!("  docker       = \"debian:12\"\n  ssh_username = \"admin\"\n}}"));
    let mut stages: Vec<String> = Vec::new();
    let mut unique = |stem: &str| {
        let base = name_of(stem, "image");
        let mut name = base.clone();
        let mut number = 2;
        while stages.contains(&name) {
            name = format!("{base}{number}");
            number += 1;
        }
        stages.push(name.clone());
        name
    };
    let ours = Playbook { path: "ansible/base.yml".into(), groups: Vec::new() };
    let mut playbooks: Vec<&Playbook> = found.playbooks.iter().collect();
    if playbooks.is_empty() && found.templates.is_empty() {
        playbooks.push(&ours);
    }
    // The base comes first: the others are built on it.
    playbooks.sort_by_key(|p| (!stem(&p.path).contains("base") && !stem(&p.path).contains("common"), p.path.clone()));
    let mut parent = "source.debian_12".to_owned();
    let only_one = playbooks.len() == 1;
    for (at, playbook) in playbooks.iter().enumerate() {
        let name = unique(&stem(&playbook.path));
        let mut attributes = vec![("from", parent.clone()), ("playbook", format!("\"{}\"", playbook.path.display()))];
        if !playbook.groups.is_empty() {
            attributes.push(("groups", format!("[\"{}\"] # so that its `hosts:` match", playbook.groups.join("\", \""))));
        }
        if let Some(packer) = packer {
            attributes.push(("packer", format!("\"{packer}\"")));
        }
        if at == 0 {
            let why = "`ovenbird update` asks for a rebuild after that: security updates are a change too";
            attributes.push(("freshness", format!("\"7d\" # {why}")));
        }
        line(format_args!("\nstage \"{name}\" {{\n{}}}", aligned("  ", &attributes)));
        if at == 0 && !only_one && (name.contains("base") || name.contains("common")) {
            parent = format!("stage.{name}");
        }
    }
    for template in &found.templates {
        let name = unique(&template.stem());
        line(format_args!("\n# An existing template, used untouched. Its variables are filled on the right of `=`."));
        line(format_args!("stage \"{name}\" {{\n  from     = source.debian_12\n  template = \"{}\"", template.path.display()));
        if template.builders.len() > 1 {
            let first = template.builders.iter().find(|b| b.contains("amazon")).unwrap_or(&template.builders[0]);
            line(format_args!("  only     = [\"{first}\"] # of: {}", template.builders.join(", ")));
        }
        line(format_args!("  packer_vars = {{"));
        let filled = [(&template.source_variable, "parent.id"), (&template.name_variable, "artifact.name")];
        let filled: Vec<_> = filled.iter().filter_map(|(name, value)| Some((name.as_deref()?, (*value).to_owned()))).collect();
        for text in aligned("    ", &filled).lines() {
            line(format_args!("{text}"));
        }
        if template.source_variable.is_none() {
            line(format_args!("    # source_ami = parent.id     # name the template's variable for the AMI that it boots from"));
        }
        if template.name_variable.is_none() {
            line(format_args!("    # ami_name = artifact.name   # and the one for the new AMI's name"));
        }
        line(format_args!("  }}"));
        if let Some(docker) = template.builders.iter().find(|b| b.contains("docker")) {
            line(format_args!("  # dry_run_only = [\"{docker}\"] # makes the dry run's image; there parent.id is a Docker image"));
        }
        line(format_args!("}}"));
    }
    for file in &found.tfvars {
        let pairs: Vec<(String, &String)> = stages
            .iter()
            .flat_map(|stage| {
                let wanted = [format!("{stage}_ami_id"), format!("{stage}_ami"), format!("{stage}_image_id")];
                file.ami_names.iter().filter(move |n| wanted.contains(n)).map(|n| ((*n).clone(), stage)).collect::<Vec<_>>()
            })
            .collect();
        let path = file.path.display();
        if pairs.is_empty() {
            line(format_args!("\n# emit \"{path}\" {{\n#   {} = stage.{}.id\n# }}", file.ami_names[0], stages[0]));
        } else {
            line(format_args!("\nemit \"{path}\" {{"));
            for (variable, stage) in pairs {
                line(format_args!("  {variable} = stage.{stage}.id"));
            }
            line(format_args!("}}"));
        }
    }
    if found.tfvars.is_empty() {
        line(format_args!("\n# Where Terraform reads the AMI's id; the folder must declare the variable."));
        line(format_args!("# emit \"terraform/images.auto.tfvars\" {{\n#   {0}_ami_id = stage.{0}.id\n# }}", stages[0]));
    }
    text
}

/// `name = value` lines as `packer fmt` would write them.
fn aligned(indent: &str, attributes: &[(&str, String)]) -> String {
    let width = attributes.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    attributes.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{indent}{name:width$} = {value}").expect("writing to a String cannot fail");
        text
    })
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_any_file_name() {
        assert_eq!(name_of("Web-Server.v2", "x"), "web_server_v2");
        assert_eq!(name_of("日本", "image"), "image");
        assert_eq!(name_of("2fast", "image"), "fast");
    }
}
