//! Plugins that lie in the checkout: Ansible runs them on this machine, so what one opens may be anything.
//!
//! Reads their text, runs nothing. A text search, not a proof: the guard at run time stands behind it. Invariant: a plugin that
//! visibly opens files or starts programs takes the whole root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::names;
use super::reach::{Reach, Scope};
use crate::plan::why::Chain;

/// Folders of plugins that run on this machine, beside a playbook and in a role. Modules run on the other one.
const FOLDERS: &[&str] = &[
    "action_plugins",
    "become_plugins",
    "cache_plugins",
    "callback_plugins",
    "cliconf_plugins",
    "connection_plugins",
    "filter_plugins",
    "httpapi_plugins",
    "inventory_plugins",
    "lookup_plugins",
    "netconf_plugins",
    "shell_plugins",
    "strategy_plugins",
    "terminal_plugins",
    "test_plugins",
    "vars_plugins",
];

/// What opens, lists or runs something. `os.path.join` alone does not.
const OPENS: &[&str] = &[
    "open(",
    "read_text(",
    "read_bytes(",
    "listdir(",
    "scandir(",
    "iterdir(",
    "glob(",
    "os.walk(",
    "os.system(",
    "popen(",
    "Popen(",
    "subprocess",
    "load_from_file(",
    "_find_needle(",
    "find_file_in_search_path(",
    "get_file_contents(",
    "path_dwim",
    "exec(",
    "importlib",
    "__import__",
    "FileSystemLoader",
    "fileinput",
    "linecache",
    "np.load",
    "ConfigParser(",
    "configparser",
    "sqlite3",
    "ctypes",
    "zipfile",
    "tarfile",
    "os.stat(",
    "os.path.exists(",
    "os.path.isfile(",
    "os.path.isdir(",
    "os.environ",
    "getenv(",
    "os.access(",
    "os.path.get",
    "islink(",
    "lexists(",
    "readlink(",
    "realpath(",
    ".exists(",
    ".is_file(",
    ".is_dir(",
    "shutil",
    "runpy",
    "imp.load_",
    "sys.path",
    "eval(",
    "secure_hash",
    "checksum(",
    "_transfer_file(",
    "put_file(",
    "list_directory(",
    "get_real_file(",
    "lookup_loader",
    "action_loader",
    // Plugins of Ansible's own that read what they are told, under another name.
    "ansible.plugins.action.",
    "ansible.plugins.lookup.",
    "ansible.plugins.connection.local",
];

/// Filters whose result is worked out here: one of the checkout's own may take their place.
const FILTERS: &[&str] = &["basename", "d", "default", "lower", "mandatory", "string", "trim", "upper"];

impl Reach<'_> {
    /// Plugins in the folders of a playbook or role.
    pub(super) fn plugins_in(&mut self, base: &Path, scope: &Scope) {
        for name in FOLDERS {
            let folder = names::below(base, name);
            self.plugin_files(&folder, scope);
            self.collections_in_code(&folder, scope);
        }
        for name in ["library", "module_utils"] {
            let folder = names::below(base, name);
            self.collections_in_code(&folder, scope);
            // A module need not be Python.
            for file in &*self.world.files_below(&folder) {
                self.variables_of_code(file);
            }
        }
    }

    /// Collections that Python code names: what it imports (`ansible_collections.acme.tools…`), and modules that it runs
    /// (`"acme.tools.x"`).
    pub(super) fn collections_in_code(&mut self, folder: &Path, scope: &Scope) {
        let mut named: BTreeMap<String, (PathBuf, usize)> = BTreeMap::new();
        for file in self.world.files_below(folder).iter().filter(|file| file.extension().is_some_and(|e| e == "py")) {
            for (at, line) in self.world.text(file).lines().enumerate().filter(|(_, line)| line.matches('.').count() > 1) {
                for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))) {
                    let mut parts = word.trim_start_matches("ansible_collections.").split('.');
                    if let (Some(namespace), Some(collection), Some(_)) = (parts.next(), parts.next(), parts.next()) {
                        named.entry(format!("{namespace}.{collection}.*")).or_insert_with(|| (file.clone(), at + 1));
                    }
                }
            }
        }
        for (name, (file, line)) in named {
            self.fqcn(&name, &scope.in_file(&file, scope.why.clone()), line);
        }
    }

    /// Plugins in one folder.
    pub(super) fn plugin_files(&mut self, folder: &Path, scope: &Scope) {
        for file in &*self.world.files_below(folder) {
            self.plugin_file(file, scope);
        }
    }

    /// One plugin, when it is Python.
    pub(super) fn plugin_file(&mut self, file: &Path, scope: &Scope) {
        let folder = file.parent().unwrap_or(file);
        if file.extension().is_none_or(|e| e != "py") || !self.first_time("plugin", file, &Scope::new(folder, file, Chain::default())) {
            return;
        }
        let text = self.world.text(file);
        let found = text.lines().enumerate().find_map(|(at, line)| {
            let code = line.split('#').next().unwrap_or(line);
            OPENS.iter().find(|word| code.contains(*word)).map(|word| (at + 1, *word))
        });
        if let Some((line, word)) = found {
            let scope = scope.in_file(file, scope.why.clone());
            let what = word.trim_end_matches('(');
            self.widen(None, format!("a plugin that may read anything on this machine (`{what}`)"), &scope, line);
        }
        self.variables_of_code(file);
    }

    /// Variables that code gives to a play: facts, what a plugin of variables answers, filters under names that are known.
    fn variables_of_code(&mut self, file: &Path) {
        let text = self.world.text(file);
        let label = self.world.label(file, "");
        let renames = |name: &&str| ['\'', '"'].iter().any(|quote| text.contains(&format!("{quote}{name}{quote}:")));
        let why = if text.contains("ansible_facts") || text.contains("set_host_facts") || text.contains("set_nonpersistent_facts") {
            "facts"
        } else if text.contains("get_vars") && text.contains("VarsModule") {
            "variables"
        } else if text.contains("FilterModule") && FILTERS.iter().any(renames) {
            "filters of known names"
        } else {
            return;
        };
        self.variables.blind.get_or_insert_with(|| format!("`{label}`, which may give {why}"));
    }
}
