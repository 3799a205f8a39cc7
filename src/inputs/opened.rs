//! Was a path that a run opened one of the stage's inputs: the guard against what the reading of playbooks did not see.
//!
//! Looks at the disk for links and for what is there, reads no file. Invariant: inside the root a path is only passed over by a rule
//! that stands here by name; everything else that is there and no input is [`Standing::Undeclared`].

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::names;
use super::snapshot::Snapshot;
use super::walk::{self, Rules};
use crate::plan::inputs::{Entry, StageInputs};

/// What an opened path is to the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// In the key.
    Input,
    /// Not of the root, not there, a tool's own, or made by the run itself.
    Passed,
    /// In the root and left out of the key on purpose: its name, and by what.
    LeftOut {
        /// Name of the file.
        name: String,
        /// Pattern of `ignore`, or what it is.
        by: String,
    },
    /// In the root, and in no key. Its name.
    Undeclared(String),
}

/// The inputs of a stage, to be asked about paths.
#[derive(Debug)]
pub struct Inputs {
    /// Canonical.
    root: PathBuf,
    /// As the pipeline file gives it; Ansible may see either.
    given: PathBuf,
    rules: Rules,
    /// Names of everything in the key, absent things too.
    names: BTreeSet<String>,
    /// Names of folders that are in it though they are empty.
    folders: BTreeSet<String>,
    never: Vec<(String, String)>,
    /// Folders of Pythons that lie inside the root: a venv's files are the tools'.
    pythons: Vec<PathBuf>,
    /// Younger files were made by the run; `None` where the file system does not say when.
    since: Option<SystemTime>,
    resolved: OnceCell<BTreeSet<PathBuf>>,
}

impl Inputs {
    /// Of the image; with `verify` also those of the verification. `record` is the file that the run wrote, made when it began.
    pub fn of(root: &Path, inputs: &StageInputs, ignore: &[String], verify: bool, pythons: &[PathBuf], record: &Path) -> Self {
        let canonical = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        let (mut all, mut folders) = (BTreeSet::new(), BTreeSet::new());
        let verifies = if verify { Some(&inputs.verify_trees) } else { None };
        // Labels of what lies outside the root have a colon where a path has a `/` or its end; a file `a:b` of the root is found
        // again by its own name all the same.
        for (label, tree) in inputs.trees.iter().chain(verifies.into_iter().flatten()) {
            for (entry, what) in tree.iter() {
                let full = match (label.as_str(), entry.as_str()) {
                    (label, "") => label.to_owned(),
                    (".", entry) => entry.to_owned(),
                    (label, entry) => format!("{label}/{entry}"),
                };
                if *what == Entry::EmptyFolder {
                    folders.insert(full.trim_end_matches('/').to_owned());
                }
                all.insert(full);
            }
        }
        let inside = |python: &&PathBuf| python.starts_with(&canonical) && **python != canonical;
        Self {
            // Globs that are none were refused when the inputs were read.
            rules: Rules::new(&canonical, ignore, std::collections::BTreeMap::new())
                .unwrap_or_else(|_| Rules::new(&canonical, &[], std::collections::BTreeMap::new()).expect("no glob is a glob")),
            pythons: pythons.iter().filter(inside).cloned().collect(),
            never: inputs.never.iter().map(|(name, what)| (name.clone(), what.clone())).collect(),
            since: fs::metadata(record).and_then(|meta| meta.created()).ok(),
            given: names::normal(root),
            root: canonical,
            names: all,
            folders,
            resolved: OnceCell::new(),
        }
    }

    /// A file that was opened, started, or named to a process.
    pub fn file(&self, path: &Path) -> Standing {
        self.standing(path, false)
    }

    /// A folder that was listed. One that holds inputs is passed over: Python lists the folder it is started in whenever a module on
    /// this machine is fed to it, and whatever is then opened is asked about by itself.
    pub fn folder(&self, path: &Path) -> Standing {
        self.standing(path, true)
    }

    fn standing(&self, path: &Path, listed: bool) -> Standing {
        // `..` behind a link is not the folder that stands before it in the text.
        let climbs = path.components().any(|part| part == Component::ParentDir);
        let text = if climbs { fs::canonicalize(path).ok() } else { None }.unwrap_or_else(|| names::normal(path));
        let by_text = [&self.root, &self.given].into_iter().find_map(|root| names::inside(root, &text));
        let known = |name: &str| if listed { self.is_folder(name) } else { self.names.contains(name) };
        if by_text.as_deref().is_some_and(known) {
            return Standing::Input;
        }
        let Ok(end) = fs::canonicalize(path) else { return Standing::Passed };
        let Some(name) = names::inside(&self.root, &end).or(by_text) else { return Standing::Passed };
        if known(&name) {
            return Standing::Input;
        }
        if let Some(source) = source_of_bytecode(&end) {
            return self.standing(&source, false);
        }
        // A folder that is opened is about to be listed or removed.
        if self.pythons.iter().any(|python| end.starts_with(python)) || end.is_dir() != listed {
            return Standing::Passed;
        }
        let disk = Snapshot::new(&self.root);
        if let Some(by) =
            end.ancestors().take_while(|at| *at != self.root && at.starts_with(&self.root)).find_map(|at| walk::fixed(at, &disk))
        {
            // Folders of tools, and what an editor or Python leaves behind.
            return match by {
                ".git" | ".ovenbird" | ".terraform" | ".tools" | "__pycache__" => Standing::Passed,
                by => Standing::LeftOut { name, by: by.to_owned() },
            };
        }
        if let Some((_, what)) = self.never.iter().find(|(never, _)| name == *never || name.starts_with(&format!("{never}/"))) {
            return match what.as_str() {
                "vault password files" | "the state" => Standing::Passed,
                what => Standing::LeftOut { name, by: what.to_owned() },
            };
        }
        if let Some(by) = self.ignored(&name) {
            return Standing::LeftOut { name, by };
        }
        if self.resolved().contains(&end) {
            return Standing::Input;
        }
        if self.made_by_the_run(&end) {
            return Standing::Passed;
        }
        Standing::Undeclared(name)
    }

    /// The pattern that takes it out, by its own name or by that of a folder above it.
    fn ignored(&self, name: &str) -> Option<String> {
        let above = name.match_indices('/').map(|(at, _)| &name[..at]);
        let pattern = above.chain([name]).find_map(|part| self.rules.ignored(part))?;
        Some(format!("`ignore` (`{pattern}`)"))
    }

    fn is_folder(&self, name: &str) -> bool {
        let below = format!("{name}/");
        let holds = || self.names.range(below.clone()..).next().is_some_and(|first| first.starts_with(&below));
        name == "." || self.folders.contains(name) || holds()
    }

    fn made_by_the_run(&self, path: &Path) -> bool {
        let born = fs::metadata(path).and_then(|meta| meta.created());
        matches!((born, self.since), (Ok(born), Some(since)) if born > since)
    }

    /// Where the inputs end through all links: a file that is reached by two names is one content.
    fn resolved(&self) -> &BTreeSet<PathBuf> {
        self.resolved.get_or_init(|| {
            let all = self.names.iter().chain(&self.folders);
            all.filter_map(|name| fs::canonicalize(self.root.join(names::decode(name))).ok()).collect()
        })
    }
}

/// `x/__pycache__/y.cpython-311.pyc` → `x/y.py`: Python reads the one in place of the other.
fn source_of_bytecode(path: &Path) -> Option<PathBuf> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let source =
        folder.ends_with("__pycache__").then(|| folder.with_file_name(format!("{}.py", name.split('.').next().unwrap_or(name))))?;
    source.is_file().then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;
    use crate::plan::inputs::Tree;

    struct Ground {
        folder: tempfile::TempDir,
        inputs: StageInputs,
    }

    impl Ground {
        /// `files` are there; `trees` are what the key holds: label and entries.
        fn new(files: &[&str], trees: &[(&str, &[&str])]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for file in files {
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::File::create(path).unwrap();
            }
            let file = Entry::File { digest: Digest::of(b""), executable: false, mode: None };
            let tree = |entries: &[&str]| -> Tree { entries.iter().map(|name| ((*name).to_owned(), file.clone())).collect() };
            let trees = trees.iter().map(|(label, entries)| ((*label).to_owned(), std::sync::Arc::new(tree(entries)))).collect();
            Self { folder, inputs: StageInputs { trees, ..StageInputs::default() } }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn inputs(&self, ignore: &[&str]) -> Inputs {
            let record = self.at(".ovenbird/opened");
            fs::create_dir_all(record.parent().unwrap()).unwrap();
            // Of a later tick of the clock than the files that were there.
            while fs::File::create(&record).and_then(|f| f.metadata()?.created()).unwrap() <= self.youngest() {
                fs::remove_file(&record).unwrap();
            }
            let ignore: Vec<String> = ignore.iter().map(|i| (*i).to_owned()).collect();
            Inputs::of(self.folder.path(), &self.inputs, &ignore, false, &[self.at(".venv")], &record)
        }

        fn youngest(&self) -> SystemTime {
            let mut youngest = SystemTime::UNIX_EPOCH;
            let mut waiting = vec![self.folder.path().to_owned()];
            while let Some(folder) = waiting.pop() {
                for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != "opened") {
                    youngest = youngest.max(entry.metadata().unwrap().created().unwrap());
                    if entry.file_type().unwrap().is_dir() {
                        waiting.push(entry.path());
                    }
                }
            }
            youngest
        }
    }

    fn undeclared(name: &str) -> Standing {
        Standing::Undeclared(name.to_owned())
    }

    #[test]
    fn a_file_of_the_root_is_an_input_or_undeclared() {
        let ground =
            Ground::new(&["web.yml", "roles/a/tasks/main.yml", "roles/b/x"], &[("web.yml", &[""]), ("roles/a", &["tasks/main.yml"])]);
        let inputs = ground.inputs(&[]);
        assert_eq!(inputs.file(&ground.at("web.yml")), Standing::Input);
        assert_eq!(inputs.file(&ground.at("roles/../roles/a/./tasks/main.yml")), Standing::Input);
        assert_eq!(inputs.file(&ground.at("roles/b/x")), undeclared("roles/b/x"));
        assert_eq!(inputs.file(&ground.at("roles/b/absent")), Standing::Passed);
        assert_eq!(inputs.file(Path::new("/etc/passwd")), Standing::Passed);
        assert_eq!(inputs.file(&ground.at("roles/b")), Standing::Passed, "a folder that is opened is listed or removed next");
    }

    #[test]
    fn a_folder_without_inputs_in_it_is_undeclared_when_it_is_listed() {
        let ground = Ground::new(&["roles/a/tasks/main.yml", "data/x"], &[("roles/a", &["tasks/main.yml"])]);
        let inputs = ground.inputs(&[]);
        assert_eq!(inputs.folder(&ground.at("roles")), Standing::Input);
        assert_eq!(inputs.folder(&ground.at("")), Standing::Input);
        assert_eq!(inputs.folder(&ground.at("data")), undeclared("data"));
        assert_eq!(inputs.folder(&ground.at("none")), Standing::Passed);
    }

    #[test]
    fn widened_to_the_root_everything_is_an_input() {
        let ground = Ground::new(&["a/b"], &[(".", &["a/b"])]);
        assert_eq!(ground.inputs(&[]).file(&ground.at("a/b")), Standing::Input);
    }

    #[test]
    fn a_link_is_followed_both_ways() {
        let ground = Ground::new(&["shared/a/x", "web.yml"], &[("roles/a", &["x"]), ("web.yml", &[""])]);
        fs::create_dir(ground.at("roles")).unwrap();
        std::os::unix::fs::symlink("../shared/a", ground.at("roles/a")).unwrap();
        std::os::unix::fs::symlink("web.yml", ground.at("alias.yml")).unwrap();
        let other = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(ground.folder.path(), other.path().join("checkout")).unwrap();
        let inputs = ground.inputs(&[]);
        assert_eq!(inputs.file(&ground.at("roles/a/x")), Standing::Input);
        assert_eq!(inputs.file(&ground.at("shared/a/x")), Standing::Input, "one content, two names");
        assert_eq!(inputs.file(&other.path().join("checkout/web.yml")), Standing::Input);
        assert_eq!(inputs.file(&ground.at("alias.yml")), Standing::Input);
        fs::create_dir(ground.at("shared/roles")).unwrap();
        fs::File::create(ground.at("shared/web.yml")).unwrap();
        std::os::unix::fs::symlink("shared/roles", ground.at("climb")).unwrap();
        assert_eq!(ground.inputs(&[]).file(&ground.at("climb/../web.yml")), undeclared("shared/web.yml"));
    }

    #[test]
    fn bytecode_stands_for_its_source_and_without_one_for_itself() {
        let files = ["p/__pycache__/in.cpython-311.pyc", "p/in.py", "p/__pycache__/out.cpython-311.pyc", "p/out.py", "p/alone.pyc"];
        let ground = Ground::new(&files, &[("p/in.py", &[""])]);
        let inputs = ground.inputs(&[]);
        assert_eq!(inputs.file(&ground.at(files[0])), Standing::Input);
        assert_eq!(inputs.file(&ground.at(files[2])), undeclared("p/out.py"));
        assert_eq!(inputs.file(&ground.at(files[4])), Standing::LeftOut { name: files[4].to_owned(), by: "*.pyc".to_owned() });
    }

    #[test]
    fn what_is_left_out_on_purpose_is_said_and_what_tools_keep_there_is_not() {
        let files = ["docs/deep/a", ".git/HEAD", ".venv/lib/x.py", "notes~", "images.auto.tfvars", "vault.pass"];
        let mut ground = Ground::new(&files, &[]);
        let never = [("images.auto.tfvars", "targets of emit"), ("vault.pass", "vault password files")];
        ground.inputs.never = never.map(|(name, what)| (name.to_owned(), what.to_owned())).into();
        let inputs = ground.inputs(&["docs/*"]);
        let left_out = |name: &str, by: &str| Standing::LeftOut { name: name.to_owned(), by: by.to_owned() };
        let want = [
            left_out(files[0], "`ignore` (`docs/*`)"),
            Standing::Passed,
            Standing::Passed,
            left_out(files[3], "*~"),
            left_out(files[4], "targets of emit"),
            Standing::Passed,
        ];
        assert_eq!(files.map(|file| inputs.file(&ground.at(file))), want);
    }

    #[test]
    fn what_the_run_made_is_no_input_and_no_fault() {
        let ground = Ground::new(&["old"], &[]);
        let inputs = ground.inputs(&[]);
        // The clock of files moves in ticks.
        let made = ground.at("made");
        while fs::File::create(&made).and_then(|f| f.metadata()?.created()).unwrap() <= inputs.since.unwrap() {
            fs::remove_file(&made).unwrap();
        }
        assert_eq!((inputs.file(&made), inputs.file(&ground.at("old"))), (Standing::Passed, undeclared("old")));
    }
}
