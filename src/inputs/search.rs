//! Where Ansible looks for a name, folder by folder in its own order.
//!
//! Reads no disk. Invariant: a list of folders says itself whether the first find ends the search or all of them count.

use std::path::PathBuf;

use super::named::Purpose;
use super::names;
use super::reach::{Reach, Scope};

/// Folders in which Ansible looks for a relative name: the role, the folder of the list of tasks, the playbook's, those of the templates
/// around it; each with `dir` first.
fn search(scope: &Scope, dir: &str) -> Vec<PathBuf> {
    let mut folders = Vec::with_capacity(6);
    let bases = [scope.role.as_deref(), scope.tasks.as_deref(), Some(&*scope.playbook_dir)];
    for base in bases.into_iter().flatten().chain(scope.rendered.iter().map(PathBuf::as_path)) {
        if !dir.is_empty() {
            folders.push(names::below(base, dir));
        }
        folders.push(base.to_owned());
    }
    folders
}

impl Reach<'_> {
    /// Folders that are searched, in order; and whether all of them count and not only those before the first find.
    pub(super) fn folders(&self, purpose: &Purpose, scope: &Scope) -> (Vec<PathBuf>, bool) {
        let any_task = scope.tasks.is_none();
        match purpose {
            Purpose::Source(_) | Purpose::Preserved(_) | Purpose::Template | Purpose::Vars => (search(scope, purpose.folder()), any_task),
            Purpose::Glob | Purpose::VarsFolder => (search(scope, purpose.folder()), true),
            Purpose::Included => {
                let mut folders = search(scope, "templates");
                folders.extend([scope.folder().join("templates"), scope.folder().to_owned()]);
                (folders, true)
            }
            Purpose::Tasks => self.task_folders(scope),
            Purpose::Role => (self.role_folders(scope), true),
            Purpose::Playbook => (vec![scope.folder().to_owned()], false),
            Purpose::Mode(_) | Purpose::Script | Purpose::Environment | Purpose::Machine => (Vec::new(), false),
        }
    }

    /// Where `include_tasks` and `import_tasks` look (`path_dwim_relative` of ansible-core, once for each include around it): the
    /// folder that Ansible runs in and the playbook's come before the folder of the file that includes.
    fn task_folders(&self, scope: &Scope) -> (Vec<PathBuf>, bool) {
        let (root, beside, folder) = (self.world.root.as_path(), &*scope.playbook_dir, scope.folder());
        if let Some(role) = &scope.role {
            let part = if names::is_in(folder, &names::below(role, "handlers")) { "handlers" } else { "tasks" };
            let mut folders = vec![
                names::below(role, part),
                names::below(role, "tasks"),
                names::below(root, part),
                role.to_path_buf(),
                names::below(beside, part),
                beside.to_owned(),
            ];
            folders.extend([
                names::below(folder, "tasks"),
                folder.to_owned(),
                names::below(root, "tasks"),
                names::below(beside, "tasks"),
                root.to_owned(),
            ]);
            // A list that another one included searches twice, and asks everywhere though the first search has found it.
            let included = scope.file.file_stem().is_none_or(|stem| stem != "main");
            return (folders, included || folder != names::below(role, part));
        }
        let inner = folder.strip_prefix(beside).or_else(|_| folder.strip_prefix(root)).unwrap_or(folder);
        let parts: Vec<_> = inner.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
        let mut folders = Vec::new();
        for base in [beside, root] {
            folders.extend((0..parts.len()).map(|from| base.join(parts[from..].iter().collect::<PathBuf>())));
            folders.push(base.to_owned());
        }
        folders.extend([beside.join("tasks"), root.join("tasks"), folder.to_owned()]);
        (folders, !parts.is_empty())
    }
}
