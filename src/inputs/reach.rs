//! [`Reach`]: what one playbook or template was found to read, gathered while `playbook`, `role`, `task` and `template` read it.
//!
//! Decides nothing about YAML or HCL; it knows what was taken, why, and where more had to be taken. Invariant: a path that was
//! looked for and is not there is taken too (the file that appears later changes the key), and whatever is widened says so.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assigned::Variables;
use super::galaxy::Hidden;
use super::known::Known;
use super::names;
use super::shared::{Pending, Wishes};
use super::snapshot::Map;
use super::variables::Locals;
use super::walk::Part;
use super::world::World;
use crate::model::problem::Problem;
use crate::plan::inputs::Imprecise;
use crate::plan::why::{Chain, Place};

/// A file or folder that counts.
#[derive(Debug, Clone)]
pub(super) struct Take {
    /// Its name in the key.
    pub(super) label: String,
    /// Do all mode bits count.
    pub(super) exact: bool,
    pub(super) why: Chain,
}

/// Where something is read: decides where relative names are searched.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// Folder of the playbook that the play stands in.
    pub(super) playbook_dir: Arc<Path>,
    /// Folder of the role, inside one.
    pub(super) role: Option<Arc<Path>>,
    /// Folder of the list of tasks that runs; `None`: a text that any task may use, such as a variable.
    pub(super) tasks: Option<Arc<Path>>,
    /// Collections whose names may be written without their prefix.
    pub(super) collections: Arc<BTreeSet<String>>,
    /// Items of the loops around it: a file that is included in a loop sees them.
    pub(super) locals: Arc<Locals>,
    /// Folders of the templates that are rendered.
    pub(super) rendered: Arc<BTreeSet<PathBuf>>,
    /// File being read.
    pub(super) file: Arc<Path>,
    /// Why that file is read.
    pub(super) why: Chain,
}

/// Everything of a [`Scope`] but the file that decides what a name in it means.
pub(super) type Surroundings = (Arc<Path>, Option<Arc<Path>>, Option<Arc<Path>>, Arc<Locals>, Arc<BTreeSet<PathBuf>>);

impl Scope {
    /// A file outside of any role.
    pub(super) fn new(playbook_dir: &Path, file: &Path, why: Chain) -> Self {
        Self {
            playbook_dir: playbook_dir.into(),
            role: None,
            tasks: None,
            collections: Arc::default(),
            locals: Arc::default(),
            rendered: Arc::default(),
            file: file.into(),
            why,
        }
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        (Arc::clone(&self.playbook_dir), self.role.clone(), self.tasks.clone(), Arc::clone(&self.locals), Arc::clone(&self.rendered))
    }

    /// Folder of the file being read.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// The same search, from another file.
    pub(super) fn in_file(&self, file: &Path, why: Chain) -> Self {
        Self { file: file.into(), why, ..self.clone() }
    }

    /// The same, where these names stand for something that is known only when it runs.
    pub(super) fn binding(&self, names: BTreeSet<String>, why: &str) -> Self {
        let mut inner = self.clone();
        let locals = Arc::make_mut(&mut inner.locals);
        for name in names {
            let values = locals.entry(name).or_default();
            let open = Known::Open(why.to_owned());
            if !values.contains(&open) {
                values.push(open);
            }
        }
        inner
    }

    /// The same, read because of `outer`.
    pub(super) fn below(&self, outer: &Chain) -> Self {
        Self { why: self.why.behind(outer), ..self.clone() }
    }
}

/// Everything found so far.
pub(super) struct Reach<'w> {
    pub(super) world: &'w World<'w>,
    /// Parts of one path by what they are; see [`Self::without_contained`] for their order.
    takes: Map<Vec<(Part, Take)>>,
    pub(super) imprecise: BTreeSet<Imprecise>,
    pub(super) notes: BTreeSet<String>,
    /// Names of environment variables that something looks up.
    pub(super) environment: BTreeSet<String>,
    pub(super) problems: Vec<Problem>,
    /// What was read already: kind, file or folder, and as what.
    seen: Map<Vec<(&'static str, Surroundings)>>,
    /// Roles whose `meta` dependencies are being read, outermost first.
    pub(super) depending: Vec<PathBuf>,
    /// Roles that requirement files promise.
    pub(super) galaxy_roles: BTreeSet<String>,
    /// Those of them that something names.
    pub(super) hidden: Hidden,
    pub(super) variables: Variables,
    /// Names that wait for variables, each with why the thing was read that holds it.
    pub(super) pending: Vec<(Arc<Pending>, Chain)>,
    /// Roles that were read.
    pub(super) roles: BTreeSet<PathBuf>,
    /// Folders of lists of tasks outside of roles, other than the playbooks' own.
    pub(super) task_folders: BTreeSet<PathBuf>,
    /// Names that another role's folder or another list of tasks may answer.
    pub(super) elsewhere: Vec<super::named::Elsewhere>,
    /// Something is read alone, for all stages: what is left to them.
    pub(super) wishes: Option<Wishes>,
}

impl<'w> Reach<'w> {
    pub(super) fn new(world: &'w World<'w>) -> Self {
        Self {
            world,
            takes: Map::default(),
            imprecise: BTreeSet::new(),
            notes: BTreeSet::new(),
            environment: BTreeSet::new(),
            problems: Vec::new(),
            seen: Map::default(),
            depending: Vec::new(),
            galaxy_roles: BTreeSet::new(),
            hidden: Hidden::default(),
            variables: Variables::default(),
            pending: Vec::new(),
            roles: BTreeSet::new(),
            task_folders: BTreeSet::new(),
            elsewhere: Vec::new(),
            wishes: None,
        }
    }

    /// To read one thing for all stages.
    pub(super) fn alone(world: &'w World<'w>) -> Self {
        Self { wishes: Some(Wishes::default()), ..Self::new(world) }
    }

    /// True the first time that `path` is read from such a place. Its own file is `path`, so who names it does not matter.
    pub(super) fn first_time(&mut self, kind: &'static str, path: &Path, scope: &Scope) -> bool {
        let known = self.seen.entry(path.as_os_str().to_owned()).or_default();
        let same = |(other, place): &(&'static str, Surroundings)| {
            let (playbook_dir, role, tasks, locals, rendered) = place;
            *other == kind
                && same_path(Some(playbook_dir), Some(&scope.playbook_dir))
                && same_path(role.as_ref(), scope.role.as_ref())
                && same_path(tasks.as_ref(), scope.tasks.as_ref())
                && *locals == scope.locals
                && *rendered == scope.rendered
        };
        if known.iter().any(same) {
            return false;
        }
        known.push((kind, scope.surroundings()));
        true
    }

    /// `file:line` as people and `why` name it.
    pub(super) fn place(&self, file: &Path, line: usize) -> String {
        format!("{}:{line}", self.world.label(file, ""))
    }

    /// A text without where the checkout lies: `playbook_dir` and `path.root` put that into names.
    fn shown(&self, text: String) -> String {
        let root = self.world.root.to_string_lossy();
        if text.contains(&*root) { text.replace(&format!("{root}/"), "") } else { text }
    }

    /// One more link of a reason chain.
    pub(super) fn because(&self, scope: &Scope, what: impl Into<String>, line: usize) -> Chain {
        let place = Place { file: self.world.label(&scope.file, ""), line: Some(line) };
        scope.why.then(self.shown(what.into()), Some(place))
    }

    pub(super) fn take(&mut self, path: &Path, why: Chain) {
        let label = self.world.label(path, "");
        self.take_as(path, Part::Whole, label, why);
    }

    pub(super) fn take_as(&mut self, path: &Path, part: Part, label: String, why: Chain) {
        // Somebody named `/` or `/usr`: that is this machine. Collections are installed by the thousand, and are known by name.
        let world = self.world;
        let outside = !names::is_in(path, &world.root) && !label.starts_with("collection:");
        if outside && world.is_folder(path) && world.within_reason(path) != path {
            let because = format!("`{}` is a folder of this machine, and too large to be taken", path.display());
            let place = why.place().unwrap_or_else(|| world.label(&world.pipeline.file, ""));
            self.imprecise.insert(Imprecise { taken: "the root".to_owned(), because, place });
            return self.take(&world.root, why);
        }
        let known = self.takes.entry(path.as_os_str().to_owned()).or_default();
        if known.iter().all(|(other, _)| *other != part) {
            known.push((part, Take { label, exact: false, why }));
        }
    }

    /// Takes what was found alone; `outer` is why it was read.
    pub(super) fn merge_take(&mut self, path: &Path, part: &Part, take: &Take, outer: &Chain) {
        let known = self.takes.entry(path.as_os_str().to_owned()).or_default();
        match known.iter_mut().find(|(other, _)| other == part) {
            Some((_, known)) => known.exact |= take.exact,
            None => known.push((part.clone(), Take { why: take.why.behind(outer), ..take.clone() })),
        }
    }

    /// All mode bits of this file or folder count.
    pub(super) fn exact(&mut self, path: &Path) {
        if let Some(wishes) = &mut self.wishes {
            wishes.exact.push(path.to_owned());
        }
        for (_, take) in self.takes.get_mut(path.as_os_str()).into_iter().flatten() {
            take.exact = true;
        }
    }

    /// Takes more than is read: a folder, or the whole root.
    pub(super) fn widen(&mut self, folder: Option<&Path>, because: impl Into<String>, scope: &Scope, line: usize) {
        let mut because = self.shown(because.into());
        let root = self.world.root.clone();
        // A folder that holds the root, or that is not there, says nothing: the root is what the checkout has.
        let there = folder.filter(|folder| self.world.is_folder(folder));
        let folder = there.map_or(root.clone(), |folder| self.world.within_reason(folder).to_owned());
        if let Some(vast) = there.filter(|there| *there != folder && !root.starts_with(there)) {
            because = format!("{because}; `{}` is too large to be taken", self.world.label(vast, &vast.to_string_lossy()));
        }
        let taken = if folder == root { "the root".to_owned() } else { self.world.label(&folder, "") };
        self.imprecise.insert(Imprecise { taken, because: because.clone(), place: self.place(&scope.file, line) });
        let why = self.because(scope, format!("imprecise: {because}"), line);
        self.take(&folder, why);
    }

    /// Looks for `text` in `folders` as Ansible does, takes what is found first and, as absent, what was looked for before it.
    pub(super) fn first(&mut self, folders: &[PathBuf], text: &str, why: &Chain) -> Option<PathBuf> {
        let mut tried: Vec<PathBuf> = Vec::new();
        for folder in folders {
            let path = match text.strip_prefix("~/") {
                Some(rest) => match &self.world.context.home {
                    Some(home) => names::join(home, rest),
                    None => return None,
                },
                None => names::join(folder, text),
            };
            if tried.iter().any(|other| other.as_os_str() == path.as_os_str()) {
                continue;
            }
            let label = self.world.label(&path, text);
            self.take_as(&path, Part::Whole, label, why.clone());
            if self.world.disk.exists(&path) {
                return Some(path);
            }
            tried.push(path);
        }
        None
    }

    /// Hands over what is left when single files that stand in a folder that counts as a whole are taken out.
    /// `within` is a folder that counts as a whole for whoever takes over what is left.
    pub(super) fn without_contained(&mut self, within: Option<&Path>) -> Vec<(PathBuf, Part, Take)> {
        let world = self.world;
        let mut left = Vec::new();
        // A folder stands before what is in it. So these are the folders around the present path, outermost first.
        let mut around: Vec<(PathBuf, bool)> = Vec::new();
        let takes = std::mem::take(&mut self.takes).into_iter();
        let each = |(path, parts): (OsString, Vec<(Part, Take)>)| {
            let path = PathBuf::from(path);
            parts.into_iter().map(move |(part, take)| (path.clone(), part, take))
        };
        let mut all: Vec<(PathBuf, Part, Take)> = takes.flat_map(each).collect();
        // A folder directly before all that is in it: `/` counts as less than any other byte of a name.
        let order = |path: &Path| path.as_os_str().as_bytes().iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect::<Vec<u8>>();
        all.sort_by_cached_key(|(path, part, _)| (order(path), part.clone()));
        for (path, part, take) in all {
            while around.last().is_some_and(|(folder, _)| !names::is_in(&path, folder)) {
                around.pop();
            }
            let folder = world.is_folder(&path);
            let within = within.filter(|outer| part == Part::Whole && names::is_in(&path, outer));
            if within.is_some_and(|outer| held(&path, take.exact, [(outer, false)].into_iter(), world)) {
                continue;
            }
            let outer = around.iter().rev().map(|(folder, all_modes)| (folder.as_path(), *all_modes));
            let needed = part != Part::Whole || folder || !held(&path, take.exact, outer, world);
            if part == Part::Whole && folder {
                around.push((path.clone(), take.exact));
            }
            if needed {
                left.push((path, part, take));
            }
        }
        left
    }
}

/// By their bytes: scopes hold paths that are written one way.
fn same_path(one: Option<&Arc<Path>>, other: Option<&Arc<Path>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.as_os_str() == other.as_os_str(),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Does one of the folders, innermost first, hold the path, all that counts of it included.
fn held<'f>(path: &Path, exact: bool, around: impl Iterator<Item = (&'f Path, bool)>, world: &World<'_>) -> bool {
    let mut inner = path;
    for (folder, all_modes) in around {
        while inner.as_os_str() != folder.as_os_str() {
            // What the walker leaves out of a folder stays an input of its own when somebody named it.
            if super::walk::fixed(inner, &world.disk).is_some() || world.never.keys().any(|other| other.as_os_str() == inner.as_os_str()) {
                return false;
            }
            let Some(outer) = names::apart(inner).map(|(outer, _)| outer).or_else(|| inner.parent()) else { return false };
            inner = outer;
        }
        if all_modes || !exact {
            return true;
        }
    }
    false
}
