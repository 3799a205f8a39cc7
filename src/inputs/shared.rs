//! [`Found`]: what was read once and holds for every stage that reaches it: a role, or the files that a templated name stands for.
//!
//! A role is read alone, as if no stage were there; what only a stage can follow (other roles, because of circles; what galaxy
//! promises; modes of files that others took) is kept as a wish, and carried out where it is merged. Fifty stages of two hundred
//! roles read each role once. Invariant: merging gives a stage what it would have found by reading for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::assigned::{Around, Asked, Values};
use super::galaxy::NamedRole;
use super::named::{Elsewhere, Purpose};
use super::reach::{Reach, Scope, Take};
use super::variables::Locals;
use super::walk::Part;
use crate::model::problem::Problem;
use crate::plan::inputs::Imprecise;
use crate::plan::why::Chain;

/// A name that can only be made when all variables are known.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) purpose: Purpose,
    pub(super) text: String,
    pub(super) scope: Scope,
    pub(super) line: usize,
    /// What it stood for, by the variables that were asked for.
    resolved: Mutex<Vec<Arc<Resolved>>>,
}

/// The names that a templated one stands for, and what following them found.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) names: Result<BTreeSet<String>, (String, String)>,
    pub(super) found: Found,
    asked: Asked,
    around: Around,
}

/// A role that another one pulls in.
#[derive(Debug)]
struct Nested {
    dir: PathBuf,
    scope: Scope,
    /// By `dependencies`: only that way can roles go in a circle.
    depends: bool,
}

/// An entry of `dependencies`.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) target: PathBuf,
    pub(super) span: std::ops::Range<usize>,
    pub(super) file: Arc<Path>,
}

/// What a reading alone leaves to the stage.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    roles: Vec<Nested>,
    pub(super) dependencies: Vec<Dependency>,
    /// Roles by name, which galaxy may bring.
    pub(super) named: Vec<NamedRole>,
    pub(super) exact: Vec<PathBuf>,
}

/// What reading something found. Reasons begin at what was read.
#[derive(Debug)]
pub(super) struct Found {
    takes: Vec<(PathBuf, Part, Take)>,
    imprecise: Vec<Imprecise>,
    notes: Vec<String>,
    environment: Vec<String>,
    problems: Vec<Problem>,
    variables: Vec<(Arc<str>, Values)>,
    blind: Option<String>,
    facts: Option<String>,
    pending: Vec<Arc<Pending>>,
    elsewhere: Vec<Elsewhere>,
    roles: BTreeSet<PathBuf>,
    task_folders: BTreeSet<PathBuf>,
    wishes: Wishes,
    /// The five sets are empty.
    is_plain: bool,
}

/// A role's folder, the playbook's, and the loops around it.
type RolePlace = (OsString, OsString, Arc<Locals>);

/// What was read of roles.
#[derive(Default)]
pub(super) struct Roles(Mutex<BTreeMap<RolePlace, Arc<OnceLock<Arc<Found>>>>>);

impl Roles {
    /// Reads a role once; a second stage that wants it meanwhile waits.
    pub(super) fn get(&self, dir: &Path, scope: &Scope, read: impl FnOnce() -> Found) -> Arc<Found> {
        let place = (dir.as_os_str().to_owned(), scope.playbook_dir.as_os_str().to_owned(), Arc::clone(&scope.locals));
        let cell = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(place).or_default());
        Arc::clone(cell.get_or_init(|| Arc::new(read())))
    }
}

impl Pending {
    pub(super) fn new(purpose: Purpose, text: &str, scope: &Scope, line: usize) -> Self {
        Self { purpose, text: text.to_owned(), scope: scope.clone(), line, resolved: Mutex::default() }
    }

    /// The same name of the same place, whoever read it.
    fn same(&self, other: &Self) -> bool {
        self.line == other.line
            && self.purpose == other.purpose
            && self.text == other.text
            && self.scope.file == other.scope.file
            && self.scope.surroundings() == other.scope.surroundings()
    }
}

impl Reach<'_> {
    fn found(mut self, within: Option<&Path>) -> Found {
        let takes = self.without_contained(within);
        let (blind, facts) = (self.variables.blind.clone(), self.variables.facts.clone());
        let is_plain = self.imprecise.is_empty()
            && self.notes.is_empty()
            && self.environment.is_empty()
            && self.roles.is_empty()
            && self.task_folders.is_empty();
        Found {
            is_plain,
            takes,
            imprecise: self.imprecise.into_iter().collect(),
            notes: self.notes.into_iter().collect(),
            environment: self.environment.into_iter().collect(),
            problems: self.problems,
            variables: self.variables.into_values(),
            blind,
            facts,
            pending: self.pending.into_iter().map(|(pending, _)| pending).collect(),
            elsewhere: self.elsewhere,
            roles: self.roles,
            task_folders: self.task_folders,
            wishes: self.wishes.unwrap_or_default(),
        }
    }

    /// Follows a role, or leaves that to the stages. True the first time.
    pub(super) fn enter_role(&mut self, dir: &Path, scope: Scope, depends: bool) -> bool {
        if !self.first_time("role", dir, &scope) {
            return false;
        }
        match &mut self.wishes {
            Some(wishes) => wishes.roles.push(Nested { dir: dir.to_owned(), scope, depends }),
            None => self.merge_role(dir, &scope, depends),
        }
        true
    }

    /// What a role's folder holds, read by the first stage that reaches it.
    fn merge_role(&mut self, dir: &Path, scope: &Scope, depends: bool) {
        let world = self.world;
        let found = world.roles.get(dir, scope, || {
            let mut alone = Reach::alone(world);
            alone.role_alone(dir, Scope { why: Chain::default(), ..scope.clone() });
            alone.found(None)
        });
        let above = if depends { None } else { Some(std::mem::take(&mut self.depending)) };
        self.depending.push(dir.to_owned());
        self.merge(&found, &scope.why);
        self.depending.pop();
        if let Some(above) = above {
            self.depending = above;
        }
    }

    /// Takes over what was found; `outer` is why it was read.
    pub(super) fn merge(&mut self, found: &Found, outer: &Chain) {
        for (path, part, take) in &found.takes {
            self.merge_take(path, part, take, outer);
        }
        // Most hold little: to extend five sets by nothing, for twenty thousand names a plan, takes longer than to ask.
        if !found.is_plain {
            self.imprecise.extend(found.imprecise.iter().cloned());
            self.notes.extend(found.notes.iter().cloned());
            self.environment.extend(found.environment.iter().cloned());
            self.roles.extend(found.roles.iter().cloned());
            self.task_folders.extend(found.task_folders.iter().cloned());
        }
        for problem in &found.problems {
            if !self.problems.contains(problem) {
                self.problems.push(problem.clone());
            }
        }
        self.variables.assign_values(&found.variables);
        if let Some(blind) = &found.blind {
            self.variables.blind.get_or_insert_with(|| blind.clone());
        }
        if let Some(facts) = &found.facts {
            self.variables.facts.get_or_insert_with(|| facts.clone());
        }
        self.pending.extend(found.pending.iter().map(|pending| (Arc::clone(pending), outer.clone())));
        self.elsewhere.extend(found.elsewhere.iter().map(|name| name.below(outer)));
        let Wishes { roles, dependencies, named, exact } = &found.wishes;
        for role in named {
            self.role_of_galaxy(NamedRole { scope: role.scope.below(outer), ..role.clone() });
        }
        for path in exact {
            self.exact(path);
        }
        for dependency in dependencies {
            self.refuse_circle(dependency);
        }
        for Nested { dir, scope, depends } in roles {
            self.enter_role(dir, scope.below(outer), *depends);
        }
    }

    /// What a templated name stands for with the variables of this stage.
    pub(super) fn resolved(&self, pending: &Pending) -> Arc<Resolved> {
        let mut known = pending.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resolved) = known.iter().find(|one| self.variables.answers(&one.asked, &one.around)) {
            return Arc::clone(resolved);
        }
        let (names, asked) = self.variables.asking(|variables| variables.names(&pending.text, &pending.scope));
        let mut alone = Reach::alone(self.world);
        for name in names.iter().flatten().filter(|name| !name.is_empty()) {
            alone.literal(&pending.purpose, name, &pending.scope, pending.line);
        }
        // Whoever meets a name in a role has the role as a whole.
        let role = pending.scope.role.as_deref();
        let resolved = Arc::new(Resolved { names, found: alone.found(role), asked, around: self.variables.around() });
        known.push(Arc::clone(&resolved));
        resolved
    }

    /// Takes out what was put off twice: a file is read as a part of its role, and again by the templated name that means it. A file
    /// that includes itself so would never end.
    pub(super) fn forget_doubles(&mut self, from: usize) {
        let mut at = from;
        while at < self.pending.len() {
            let (before, rest) = self.pending.split_at(at);
            if before.iter().any(|(other, _)| Arc::ptr_eq(other, &rest[0].0) || other.same(&rest[0].0)) {
                self.pending.remove(at);
            } else {
                at += 1;
            }
        }
    }
}
