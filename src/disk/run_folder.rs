//! `.ovenbird/runs/<id>/`: a run's record (`events.jsonl`, `plan.json`, `logs/`) and its private place for temp files.
//!
//! Knows the names of files, not what the events mean, apart from the durations that the next run shows. Invariant: all of it is
//! for the user alone (0700), and nothing outside `.ovenbird/` is touched.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::disk::atomic;
use crate::model::node::{NodeId, RunId};

/// How many runs are kept.
pub const KEPT_RUNS: usize = 50;

/// A run's folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

/// Makes `.ovenbird/` with a `.gitignore` that keeps it out of every repository.
///
/// # Errors
/// The folder cannot be made.
pub fn make_dot(dot: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dot)?;
    let ignore = dot.join(".gitignore");
    if !ignore.exists() {
        atomic::write(&ignore, b"*\n").map_err(|error| error.source)?;
    }
    Ok(())
}

impl RunFolder {
    /// Makes the folder of a new run below `.ovenbird/`, and removes the oldest runs but [`KEPT_RUNS`]. The caller holds the lock
    /// of the checkout: what other runs left in `tmp/` (values, an ssh key) is of runs that were killed, and goes too.
    ///
    /// # Errors
    /// The folder is there already, or cannot be made.
    pub fn create(dot: &Path, run: &RunId) -> io::Result<Self> {
        make_dot(dot)?;
        let runs = dot.join("runs");
        std::fs::create_dir_all(&runs)?;
        for old in oldest(&runs, KEPT_RUNS - 1)? {
            std::fs::remove_dir_all(old)?;
        }
        for killed in runs.read_dir()?.filter_map(|entry| Some(entry.ok()?.path().join("tmp"))).filter(|tmp| tmp.is_dir()) {
            std::fs::remove_dir_all(killed)?;
        }
        let path = runs.join(run.as_str());
        let private = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        private(&path)?;
        private(&path.join("logs"))?;
        private(&path.join("tmp"))?;
        Ok(Self { path })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Log file of a step, `build web/arm64` → `logs/build-web-arm64.log`.
    pub fn log(&self, step: &str) -> PathBuf {
        self.path.join("logs").join(format!("{}.log", file_name(step)))
    }

    /// A private folder for a step's temp files: TMPDIR, and files that hold values. Empty, also when the step runs again.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn temp(&self, step: &str) -> io::Result<PathBuf> {
        let path = self.path.join("tmp").join(file_name(step));
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        DirBuilder::new().mode(0o700).recursive(true).create(&path)?;
        Ok(path)
    }

    /// Removes all temp files.
    ///
    /// # Errors
    /// They cannot be removed.
    pub fn clear_temp(&self) -> io::Result<()> {
        let temp = self.path.join("tmp");
        if temp.exists() { std::fs::remove_dir_all(temp) } else { Ok(()) }
    }

    /// Removes the folder of a run that ended before its first event: of fifty such runs, say while Docker is down, not one should
    /// push out the record of a run that did something.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn discard_unrecorded(&self) -> io::Result<()> {
        let recorded = self.path.join("events.jsonl").metadata().is_ok_and(|record| record.len() > 0);
        if recorded || !self.path.exists() { Ok(()) } else { std::fs::remove_dir_all(&self.path) }
    }

    /// Writes `plan.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_plan(&self, json: &[u8]) -> Result<(), atomic::WriteError> {
        atomic::write_with_mode(&self.path.join("plan.json"), 0o600, json)
    }

    /// Opens `events.jsonl`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn record(&self) -> io::Result<Record> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(self.path.join("events.jsonl"))?;
        Ok(Record { file })
    }
}

/// `events.jsonl`: one event a line, each written at once, so that a killed run keeps what happened.
#[derive(Debug)]
pub struct Record {
    file: File,
}

impl Record {
    /// Appends one event.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn append(&mut self, json: &str) -> io::Result<()> {
        debug_assert!(!json.contains('\n'), "one event a line");
        let mut line = String::with_capacity(json.len() + 1);
        line.push_str(json);
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }
}

/// A step's name as a file name. Names of stages hold neither blank nor slash, so two steps never share one.
fn file_name(step: &str) -> String {
    step.replace([' ', '/'], "-")
}

/// Ids of the runs that are recorded, newest first. None when `.ovenbird/` is not there.
///
/// # Errors
/// The folder cannot be read.
pub fn runs(dot: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = match dot.join("runs").read_dir() {
        Ok(entries) => entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    // An id starts with its time.
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

fn oldest(runs: &Path, keep: usize) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = runs.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    paths.sort_unstable();
    paths.truncate(paths.len().saturating_sub(keep));
    Ok(paths)
}

/// How long each step took when it last succeeded: (`build` or `dry-run`, node) → seconds. What cannot be read is not told: a
/// missing duration is worth no error.
pub fn last_seconds(dot: &Path) -> BTreeMap<(String, NodeId), f64> {
    #[derive(Deserialize)]
    struct Finished {
        event: String,
        step: Step,
        outcome: Outcome,
        seconds: f64,
    }
    #[derive(Deserialize)]
    struct Step {
        node: NodeId,
        kind: String,
    }
    #[derive(Deserialize)]
    struct Outcome {
        outcome: String,
    }
    let mut seconds = BTreeMap::new();
    for run in runs(dot).unwrap_or_default() {
        let Ok(file) = File::open(dot.join("runs").join(run).join("events.jsonl")) else { continue };
        let mut of_run = BTreeMap::new();
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            // Most lines are output; only the few others are worth parsing.
            if !line.contains("step_finished") {
                continue;
            }
            if let Ok(Finished { event, step, outcome, seconds }) = serde_json::from_str(&line)
                && event == "step_finished"
                && outcome.outcome == "succeeded"
            {
                of_run.insert((step.kind, step.node), seconds);
            }
        }
        // Newest run first: what is known already stays.
        for (step, took) in of_run {
            seconds.entry(step).or_insert(took);
        }
    }
    seconds
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::model::name::Name;
    use crate::model::node::Architecture;

    fn run(n: u32) -> RunId {
        RunId::new(&format!("20261122t{n:06}"), n)
    }

    /// As `event::Stamped` serialises it; `tests/suite/run_record.rs` holds that they agree.
    fn event(kind: &str, stage: &str, outcome: &str, seconds: f64) -> String {
        let step = format!(r#"{{"node":{{"stage":"{stage}","architecture":"x86_64"}},"kind":"{kind}"}}"#);
        format!(
            r#"{{"seq":1,"at":2.0,"event":"step_finished","step":{step},"outcome":{{"outcome":"{outcome}","artifact":"a"}},"seconds":{seconds}}}"#
        )
    }

    #[test]
    fn what_a_killed_run_left_of_its_temp_files_goes_with_the_next_run_and_its_logs_stay() {
        let root = tempfile::tempdir().unwrap();
        let killed = RunFolder::create(root.path(), &run(1)).unwrap();
        let secret = killed.temp("build web").unwrap().join("ansible.vars.json");
        File::create(&secret).unwrap();
        RunFolder::create(root.path(), &run(2)).unwrap();
        assert!(!secret.exists());
        assert!(killed.path().join("logs").is_dir());
    }

    #[test]
    fn a_run_has_its_private_folders_and_git_ignores_them() {
        let root = tempfile::tempdir().unwrap();
        let dot = root.path().join(".ovenbird");
        let folder = RunFolder::create(&dot, &run(1)).unwrap();
        assert_eq!(std::fs::read_to_string(dot.join(".gitignore")).unwrap(), "*\n");
        assert_eq!(folder.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(folder.log("build web/arm64"), folder.path().join("logs/build-web-arm64.log"));
        let temp = folder.temp("build web").unwrap();
        atomic::write(&temp.join("values.json"), b"secret").unwrap();
        assert_eq!(folder.temp("build web").unwrap().read_dir().unwrap().count(), 0, "a second try starts with an empty one");
        folder.clear_temp().unwrap();
        folder.clear_temp().unwrap();
        assert!(!temp.exists());
        assert!(RunFolder::create(&dot, &run(1)).is_err(), "no two runs share a folder");
    }

    #[test]
    fn a_run_that_recorded_nothing_leaves_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let [ended, worked] = [1, 2].map(|n| RunFolder::create(root.path(), &run(n)).unwrap());
        worked.record().unwrap().append("{}").unwrap();
        for folder in [&ended, &ended, &worked] {
            folder.discard_unrecorded().unwrap();
        }
        assert_eq!(runs(root.path()).unwrap(), [run(2).as_str()]);
    }

    #[test]
    fn only_the_last_runs_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let keep = u32::try_from(KEPT_RUNS).unwrap();
        for n in 0..keep + 3 {
            let _folder = RunFolder::create(root.path(), &run(n)).unwrap();
        }
        let kept = runs(root.path()).unwrap();
        assert_eq!((kept.len(), kept[0].as_str(), kept[KEPT_RUNS - 1].as_str()), (KEPT_RUNS, run(keep + 2).as_str(), run(3).as_str()));
        assert_eq!(runs(&root.path().join("none")).unwrap(), [""; 0]);
    }

    #[test]
    fn the_last_success_of_each_step_gives_its_duration() {
        let root = tempfile::tempdir().unwrap();
        for (n, lines) in [
            (1, vec![event("build", "web", "succeeded", 30.0), event("dry-run", "web", "succeeded", 9.5)]),
            (2, vec![event("build", "web", "succeeded", 20.0), "{ torn".to_owned()]),
            (3, vec![event("build", "web", "failed", 1.0)]),
        ] {
            let mut record = RunFolder::create(root.path(), &run(n)).unwrap().record().unwrap();
            for line in lines {
                record.append(&line).unwrap();
            }
        }
        let step = |kind: &str| (kind.to_owned(), NodeId { stage: Name::new("web").unwrap(), architecture: Architecture::X86_64 });
        assert_eq!(last_seconds(root.path()), BTreeMap::from([(step("build"), 20.0), (step("dry-run"), 9.5)]));
    }
}
