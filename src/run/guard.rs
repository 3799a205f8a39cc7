//! The guard: after every run of Ansible, what it opened is held against the stage's inputs.
//!
//! `sitecustomize.py` writes the record, `tools::opened` reads it, `inputs::opened` knows what an input is; here is what follows.
//! Invariant: a run that was not watched proves nothing. It is told as such, never taken for one that opened nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::event::Failure;
use crate::inputs::opened::{Inputs, Standing};
use crate::run::step::{Current, Halt, plain};
use crate::run::watch::Report;
use crate::tools::ansible;
use crate::tools::ansible_report::Place;
use crate::tools::opened::{self, Access, Opened};

/// Whose inputs a run may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The image's.
    Image,
    /// The image's and those of `verify`.
    Verification,
}

/// What is known of a run that passed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    /// About what was left out of the key on purpose.
    pub(super) notes: Vec<String>,
    /// Collections that it used, and their versions.
    pub(super) collections: BTreeMap<String, String>,
}

/// Files of the root that a run opened.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// In no key: name → when it was opened first.
    undeclared: BTreeMap<String, u64>,
    /// Left out on purpose: name → by what.
    left_out: BTreeMap<String, String>,
}

impl Current<'_> {
    /// Makes the empty record, before the child starts: what is younger than it was made by the run.
    pub(super) fn start_record(&self, report: &Path) -> Result<(), Halt> {
        let record = ansible::opened_beside(report);
        let name = record.file_name().unwrap_or_default().to_string_lossy();
        self.scratch.write(&name, "").map(drop).map_err(|error| self.unwritable(&error))
    }

    /// Compares what the runs that share the first report's record opened with the inputs. `loses` is what a file that is no
    /// input costs: `no seal`.
    pub(super) async fn guard(&self, reports: &[Report], side: Side, loses: &str) -> Result<Watched, Halt> {
        let passes = || reports.iter().map(|report| &report.pass);
        if passes().map(|pass| pass.started).sum::<u32>() == 0 {
            // No Ansible of this machine ran; whether that is right, others judge.
            return Ok(Watched::default());
        }
        if passes().any(|pass| pass.unguarded > 0) {
            return Err(not_watched(loses).into());
        }
        let record = ansible::opened_beside(&reports[0].path);
        let inputs = self.steps.inputs.get(&self.stage.name).cloned().unwrap_or_default();
        let (root, ignore) = (self.steps.pipeline.root.clone(), self.stage.ignore.clone());
        let path = self.steps.environment.get(&self.stage.name).and_then(|env| env.get("PATH")).cloned().unwrap_or_default();
        let compared = tokio::task::spawn_blocking(move || {
            let bytes = std::fs::read(&record).map_err(|error| format!("the record of opened files cannot be read: {error}"))?;
            let said = opened::parse(&bytes).map_err(|damaged| damaged.to_string())?;
            if said.pythons.is_empty() {
                return Err("the record of opened files is empty".to_owned());
            }
            let inputs = Inputs::of(&root, &inputs, &ignore, side == Side::Verification, &said.pythons, &record);
            let collections = said.collections().into_iter().map(|(name, folder)| (name, version_in(&folder))).collect();
            Ok((compare(&said.opened, &inputs, &path), collections))
        });
        let (found, collections) = match compared.await.unwrap_or_else(|joined| Err(joined.to_string())) {
            Ok(found) => found,
            Err(why) => return Err(plain("ovenbird", format!("{why}: {loses}")).into()),
        };
        if !found.undeclared.is_empty() {
            let begun: Vec<(u64, Place)> = passes().flat_map(|pass| pass.begun.iter().cloned()).collect();
            let mut failure = undeclared(&found.undeclared, begun, self.stage.name.as_str(), loses);
            failure.log = Some(self.watch.log.display().to_string());
            return Err(failure.into());
        }
        let told = |(name, by): (String, String)| format!("`{name}` was read, and {by} keeps it out of the key");
        Ok(Watched { notes: found.left_out.into_iter().map(told).collect(), collections })
    }
}

/// What galaxy wrote beside a collection; one that lies there as its sources do has no version that anybody gave it.
fn version_in(folder: &Path) -> String {
    let manifest =
        std::fs::read(folder.join("MANIFEST.json")).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    manifest.and_then(|json| Some(json.pointer("/collection_info/version")?.as_str()?.to_owned())).unwrap_or_else(|| "unknown".to_owned())
}

fn compare(opened: &[Opened], inputs: &Inputs, path: &str) -> Found {
    let programs: Vec<PathBuf> = path.split(':').map(PathBuf::from).collect();
    let mut found = Found::default();
    for Opened { at, access, path } in opened {
        let standing = match access {
            // A program that is found on PATH is a tool, wherever that leads.
            Access::Run if path.parent().is_some_and(|folder| programs.iter().any(|program| program == folder)) => continue,
            Access::List => inputs.folder(path),
            Access::Name if path.is_dir() => inputs.folder(path),
            Access::Read | Access::Run | Access::Name => inputs.file(path),
        };
        match standing {
            Standing::Undeclared(name) => {
                found.undeclared.entry(name).or_insert(*at);
            }
            Standing::LeftOut { name, by } => {
                found.left_out.entry(name).or_insert(by);
            }
            Standing::Input | Standing::Passed => {}
        }
    }
    found
}

fn not_watched(loses: &str) -> Failure {
    let mut failure = plain("ovenbird", format!("nobody saw which files ansible-playbook opened: {loses}"));
    failure.help = Some(
        "its Python did not run our `sitecustomize`: `-I`, `-E` or `-S` in the first line of `ansible-playbook` keeps it out, and so does a template \
         that sets PYTHONPATH"
            .to_owned(),
    );
    failure
}

/// The failure that names files, tasks and the remedy.
fn undeclared(files: &BTreeMap<String, u64>, mut begun: Vec<(u64, Place)>, stage: &str, loses: &str) -> Failure {
    begun.sort();
    let by = |at: u64| begun.iter().rev().find(|(begun, _)| *begun <= at).map(|(_, place)| place.to_string());
    let mut in_time: Vec<(&String, u64)> = files.iter().map(|(name, at)| (name, *at)).collect();
    in_time.sort_by_key(|(name, at)| (*at, *name));
    let named: Vec<String> = in_time.iter().take(3).map(|(name, _)| format!("`{name}`")).collect();
    let more = if in_time.len() > 3 { format!(" and {} more", in_time.len() - 3) } else { String::new() };
    let (were, are) = if in_time.len() == 1 { ("was", "is no input") } else { ("were", "are no inputs") };
    let mut failure = plain("ansible", format!("{}{more} {were} read and {are} of `{stage}`: {loses}", named.join(", ")));
    failure.task = in_time.first().and_then(|(_, at)| by(*at));
    let line = |(name, at): &(&String, u64)| {
        format!("read: {name}, {}", by(*at).map_or_else(|| "before the first task".to_owned(), |task| format!("by {task}")))
    };
    failure.last_lines = in_time.iter().take(15).map(line).collect();
    let list: Vec<String> = in_time.iter().take(3).map(|(name, _)| format!("\"{name}\"")).collect();
    let dots = if more.is_empty() { "" } else { ", …" };
    failure.help = Some(format!(
        "write `inputs = [{}{dots}]` in stage `{stage}`, then its key follows the file; if the playbook names it plainly, ovenbird should have found it: please report that",
        list.join(", ")
    ));
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(task: &str, place: &str) -> Place {
        Place { task: task.to_owned(), place: place.to_owned() }
    }

    #[test]
    fn the_message_names_file_task_and_remedy() {
        let files = BTreeMap::from([("files/extra.txt".to_owned(), 25)]);
        let begun = vec![
            (30, place("later", "web.yml:9")),
            (20, place("web : Read", "roles/web/tasks/main.yml:4")),
            (10, place("first", "web.yml:3")),
        ];
        let failure = undeclared(&files, begun, "web", "no seal");
        insta::assert_snapshot!(failure.message, @"`files/extra.txt` was read and is no input of `web`: no seal");
        assert_eq!(failure.task.as_deref(), Some("web : Read (roles/web/tasks/main.yml:4)"));
        insta::assert_snapshot!(failure.help.unwrap(), @r#"write `inputs = ["files/extra.txt"]` in stage `web`, then its key follows the file; if the playbook names it plainly, ovenbird should have found it: please report that"#);
    }

    #[test]
    fn a_collection_has_the_version_that_galaxy_wrote() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(version_in(folder.path()), "unknown");
        let mut file = std::fs::File::create(folder.path().join("MANIFEST.json")).unwrap();
        std::io::Write::write_all(&mut file, br#"{"collection_info": {"version": "9.1.0"}}"#).unwrap();
        assert_eq!(version_in(folder.path()), "9.1.0");
    }

    #[test]
    fn several_files_are_told_in_the_order_of_time() {
        let files = ["d", "c", "b", "a"].into_iter().zip(1..).map(|(name, at)| (name.to_owned(), at)).collect();
        let failure = undeclared(&files, vec![(3, place("t", ""))], "web", "no seal");
        insta::assert_snapshot!(failure.message, @"`d`, `c`, `b` and 1 more were read and are no inputs of `web`: no seal");
        assert_eq!(
            failure.last_lines,
            ["read: d, before the first task", "read: c, before the first task", "read: b, by t", "read: a, by t"]
        );
        assert!(failure.help.unwrap().contains(r#"inputs = ["d", "c", "b", …]"#));
    }
}
