//! [`judge`]: what was touched against what the key holds.
//!
//! In a checkout of its own, unpacked anew: a run may have written into the one that it ran in. Knows nothing of roles, searches or
//! look-ups: what is there must be an input, and what is not must change the key when it appears. Each absent path is made, and the key
//! asked for; in `make test`, where a second counts, one that is listed as absent, or that lies in a folder in which another newcomer
//! changed the key, is taken as read. Invariant: what is decided by names alone (a file that is listed among the inputs has its digest in
//! the key) is never laxer than changing it would be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ovenbird::model::digest::StageKey;
use ovenbird::plan::inputs::Imprecise;

use crate::checkout::{Checkout, named};
use crate::run::proof;
use crate::trace::{How, Touched};
use crate::tree::{Tree, write};

/// What a tree showed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    pub(crate) name: String,
    /// It did not run to its end, so nothing else here means anything.
    pub(crate) failed: Option<String>,
    /// Files that are there and were opened or asked for.
    pub(crate) opened: usize,
    /// Those that are no input, and folders whose names were read although a new one would not change the key.
    pub(crate) missing: Vec<String>,
    /// Paths that were looked for, absent, and made.
    pub(crate) probed: usize,
    /// Those that did not change the key.
    pub(crate) missed: Vec<String>,
    /// Files that are inputs.
    pub(crate) inputs: usize,
    /// Those that nothing opened.
    pub(crate) idle: Vec<String>,
    /// What is wrong with the precision that the tree promises.
    pub(crate) imprecise: Vec<String>,
}

impl Verdict {
    pub(crate) fn complaints(&self) -> Vec<String> {
        let say = |what: &str, list: &[String]| list.iter().map(|item| format!("{}: {what}: {item}", self.name)).collect::<Vec<_>>();
        let failed: Vec<String> = self.failed.iter().cloned().collect();
        [
            say("failed", &failed),
            say("read, and no input", &self.missing),
            say("the key stays when it appears", &self.missed),
            say("precision", &self.imprecise),
        ]
        .concat()
    }
}

struct Judge<'t> {
    tree: &'t Tree,
    checkout: Checkout,
    key: StageKey,
    there: BTreeSet<String>,
    /// Names of folders and files that count each as one.
    labels: BTreeSet<String>,
    /// The same with links followed.
    ends: BTreeSet<String>,
    absent: BTreeSet<String>,
    /// Folders that were shown to count with everything below them, or not to.
    whole: BTreeMap<PathBuf, bool>,
    verdict: Verdict,
}

/// Paths in `touched` are relative to the folder that holds the root (`repo/…`).
pub(crate) fn judge(tree: &Tree, touched: &Touched, key: &StageKey) -> Verdict {
    let checkout = Checkout::of(tree);
    let said = checkout.ask().unwrap_or_else(|problems| panic!("{}: {problems}", tree.name));
    assert_eq!(said.key, *key, "{}: the same tree in another folder has another key", tree.name);
    let (there, absent) = named(&said.inputs);
    let root = checkout.root();
    let ends = there
        .iter()
        .filter_map(|name| Some(fs::canonicalize(root.join(name)).ok()?.strip_prefix(&root).ok()?.to_string_lossy().into_owned()));
    let ends = ends.collect();
    let mut judge = Judge {
        tree,
        checkout,
        key: said.key,
        there,
        labels: said.inputs.trees.keys().cloned().collect(),
        ends,
        absent,
        whole: BTreeMap::new(),
        verdict: Verdict { name: tree.name.clone(), ..Verdict::default() },
    };
    for (path, how) in &touched.paths {
        if judge.counts(path) {
            judge.path(path, *how);
        }
    }
    judge.precision(touched, &said.inputs.imprecise);
    let after = judge.checkout.ask().map(|said| said.key);
    assert_eq!(after, Ok(judge.key), "{}: a probe was not taken back", tree.name);
    judge.verdict
}

impl Judge<'_> {
    /// Below the root, or below what the tree puts beside it; without what ovenbird's fixed list leaves out.
    fn counts(&self, path: &Path) -> bool {
        let mut parts = path.components().map(|part| part.as_os_str().to_string_lossy());
        let Some(first) = parts.next() else { return false };
        let beside =
            || self.tree.pieces.keys().any(|piece| piece.strip_prefix("../").is_some_and(|rest| rest.split('/').next() == Some(&first)));
        let rest: Vec<_> = parts.collect();
        // What was installed counts by the digest that is pinned.
        if self.tree.galaxy && first == "galaxy" {
            return false;
        }
        // Code without a file has such a name in Python; a warning asks for its lines.
        if rest.last().is_some_and(|name| name.starts_with('<') && name.ends_with('>')) {
            return false;
        }
        let fixed =
            |part: &str| matches!(part, "__pycache__" | ".ovenbird" | ".git") || Path::new(part).extension().is_some_and(|e| e == "pyc");
        if self.tree.secrets.iter().any(|secret| path.strip_prefix("repo").is_ok_and(|name| name == Path::new(secret))) {
            return false;
        }
        // Nothing of Ansible's own namespace is looked for in a collection that somebody installed.
        // A lock beside a password is waited for, and changes no image.
        let lock = path.extension().is_some_and(|e| e == "ansible_lockfile");
        if lock || path.ends_with("ansible_collections/ansible") {
            return false;
        }
        (first == "repo" || beside()) && !rest.is_empty() && !rest.iter().any(|part| fixed(part))
    }

    fn path(&mut self, path: &Path, how: How) {
        let full = self.checkout.beside("").join(path);
        match fs::symlink_metadata(&full) {
            Ok(meta) if meta.is_dir() => self.folder(path, &full, how),
            Ok(meta) => {
                self.verdict.opened += 1;
                if !self.is_input(&full) && !self.changes(&full, meta.is_symlink()) {
                    self.verdict.missing.push(format!("{} ({how:?})", path.display()));
                }
            }
            Err(_) => self.probe(path, &full),
        }
    }

    /// Name in the key of a path in the root, as it stands and with links followed.
    fn names(&self, full: &Path) -> Vec<String> {
        let root = self.checkout.root();
        let ends = fs::canonicalize(full).ok();
        let inside = |path: &Path| path.strip_prefix(&root).ok().map(|p| p.to_string_lossy().into_owned());
        [Some(full.to_owned()), ends].into_iter().flatten().filter_map(|path| inside(&path)).collect()
    }

    /// A file that is listed has its digest in the key. Of one that is reached through a link both ends must be.
    fn is_input(&self, full: &Path) -> bool {
        self.names(full).first().is_some_and(|name| self.there.contains(name))
    }

    /// Does the key change with a file or a link?
    fn changes(&self, full: &Path, link: bool) -> bool {
        if link {
            let target = fs::read_link(full).expect("it is a link");
            fs::remove_file(full).expect("it is ours");
            std::os::unix::fs::symlink("nowhere/at/all", full).expect("a link can be made");
            let changed = self.changed();
            fs::remove_file(full).expect("it is ours");
            std::os::unix::fs::symlink(target, full).expect("a link can be made");
            return changed;
        }
        let (bytes, mode) = (fs::read(full).expect("it is there"), fs::metadata(full).expect("it is there").permissions());
        write(full, &[bytes.as_slice(), b"\n# changed\n"].concat());
        let changed = self.changed();
        write(full, &bytes);
        fs::set_permissions(full, mode).expect("it is ours");
        changed
    }

    /// A tree that is refused has no key that could be wrong.
    fn changed(&self) -> bool {
        self.checkout.ask().map_or(true, |said| said.key != self.key)
    }

    fn folder(&mut self, path: &Path, full: &Path, how: How) {
        if how == How::Asked {
            let names = self.names(full);
            let near = |name: &String| {
                let (inner, outer) =
                    (format!("{name}/"), |input: &String| input == "." || input == name || name.starts_with(&format!("{input}/")));
                self.there.iter().chain(&self.ends).chain(&self.absent).any(|input| input.starts_with(&inner) || outer(input))
            };
            if !names.is_empty() && !names.iter().any(near) {
                self.verdict.missing.push(format!("{} (a folder that was asked for)", path.display()));
            }
            return;
        }
        let relative = path.strip_prefix("repo").unwrap_or(path).to_string_lossy().into_owned();
        let patterns: Vec<&String> = self.tree.globs.iter().filter(|(folder, _)| *folder == relative).map(|(_, pattern)| pattern).collect();
        let fits = |pattern: &&String| pattern.replace('*', "zz_probe");
        if patterns.is_empty() && !proof() && self.stands_for_itself(&full.join("x")) {
            return;
        }
        let names = if patterns.is_empty() { vec![self.tree.newcomer.to_owned()] } else { patterns.iter().map(fits).collect() };
        for name in names {
            write(&full.join(&name), b"---\n");
            let changed = self.changed();
            fs::remove_file(full.join(&name)).expect("it is ours");
            if !changed {
                self.verdict.missing.push(format!("{} (its names were read, `{name}` would not count)", path.display()));
            }
        }
    }

    /// Makes what was looked for, as a file and, where its name does not say that it is one, as a folder.
    fn probe(&mut self, path: &Path, full: &Path) {
        let made_from = full.ancestors().take_while(|p| fs::symlink_metadata(p).is_err()).last().unwrap_or(full).to_owned();
        // Below a file nothing can be.
        if !made_from.parent().is_some_and(Path::is_dir) {
            return;
        }
        self.verdict.probed += 1;
        if !proof() && self.stands_for_itself(full) {
            return;
        }
        let file = |at: &Path| {
            fs::create_dir_all(at.parent().expect("it has a folder")).expect("a folder can be made");
            write(at, if at.extension().is_some_and(|e| e == "py") { b"# appeared\n" } else { b"---\n" });
        };
        let mut forms: Vec<PathBuf> = vec![full.to_owned()];
        if full.extension().is_none() {
            forms.push(full.join("main.yml"));
        }
        for form in forms {
            file(&form);
            let changed = self.changed();
            if made_from.is_dir() { fs::remove_dir_all(&made_from) } else { fs::remove_file(&made_from) }.expect("it is ours");
            if !changed {
                self.verdict.missed.push(format!(
                    "{} (made as {})",
                    path.display(),
                    form.strip_prefix(self.checkout.beside("")).unwrap_or(&form).display()
                ));
            }
        }
    }

    /// Is a newcomer listed as absent, itself or a folder that comes with it; or is it in a folder that counts as a whole?
    fn stands_for_itself(&mut self, newcomer: &Path) -> bool {
        let listed = newcomer
            .ancestors()
            .take_while(|path| fs::symlink_metadata(path).is_err())
            .any(|path| self.names(path).iter().any(|name| self.absent.contains(name)));
        if listed {
            return true;
        }
        let named = newcomer
            .ancestors()
            .skip(1)
            .filter(|path| path.is_dir())
            .find(|path| self.names(path).iter().any(|name| self.labels.contains(name)));
        let Some(folder) = named.map(Path::to_owned) else { return false };
        if let Some(known) = self.whole.get(&folder) {
            return *known;
        }
        fs::create_dir(folder.join("zz_folder")).expect("a folder can be made");
        write(&folder.join("zz_folder/zz_file"), b"new\n");
        let whole = self.changed();
        fs::remove_dir_all(folder.join("zz_folder")).expect("it is ours");
        self.whole.insert(folder, whole);
        whole
    }

    fn precision(&mut self, touched: &Touched, imprecise: &[Imprecise]) {
        let root = self.checkout.root();
        let read: BTreeSet<String> = touched
            .paths
            .iter()
            .filter(|(_, how)| **how == How::Read)
            .flat_map(|(path, _)| self.names(&self.checkout.beside("").join(path)))
            .collect();
        // The template is Packer's, and most trees are played without it.
        let files = self.there.iter().filter(|name| !name.starts_with("packer") && root.join(name).is_file());
        for name in files {
            self.verdict.inputs += 1;
            if !read.contains(name) {
                self.verdict.idle.push(name.clone());
            }
        }
        let expected: BTreeSet<String> = self.tree.imprecise.iter().cloned().collect();
        for place in imprecise.iter().filter(|place| !expected.contains(&place.taken)) {
            let Imprecise { taken, because, place } = place;
            self.verdict.imprecise.push(format!("{taken} is taken whole, because {because} ({place})"));
        }
        let exact = expected.iter().filter(|folder| !imprecise.iter().any(|place| place.taken == **folder));
        self.verdict.imprecise.extend(exact.map(|folder| format!("{folder} is not taken whole")));
        for part in self.tree.because.iter().filter(|part| !imprecise.iter().any(|place| place.because.contains(*part))) {
            self.verdict.imprecise.push(format!("nothing is taken whole because of `{part}`"));
        }
        for folder in &self.tree.unreachable {
            let inner = format!("{folder}/");
            let held = self.there.iter().filter(|name| *name == folder || name.starts_with(&inner));
            self.verdict.imprecise.extend(held.map(|name| format!("{name} is an input, and nothing reaches it")));
        }
    }
}
