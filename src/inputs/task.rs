//! Lists of tasks, wherever they stand: what their modules read on this machine, which roles and files they pull in.
//!
//! Handlers, blocks and loops are walked like tasks; fully qualified names mean the same as short ones. Invariant: a task that runs
//! on this machine and may read anything takes the whole root.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::arguments::{Arguments, quote};
use super::jinja;
use super::known::Known;
use super::module::{include, touches_this_machine};
use super::named::Purpose;
use super::reach::{Reach, Scope};
use super::world::Parsed;
use crate::plan::why::Chain;
use crate::syntax::yaml::{Kind, Node};

/// Keywords of tasks and blocks: everything else in a task is its module.
const KEYWORDS: &[&str] = &[
    "action",
    "any_errors_fatal",
    "args",
    "async",
    "become",
    "become_exe",
    "become_flags",
    "become_method",
    "become_user",
    "changed_when",
    "check_mode",
    "collections",
    "connection",
    "debugger",
    "delay",
    "delegate_facts",
    "delegate_to",
    "diff",
    "environment",
    "failed_when",
    "ignore_errors",
    "ignore_unreachable",
    "listen",
    "local_action",
    "loop",
    "loop_control",
    "module_defaults",
    "name",
    "no_log",
    "notify",
    "poll",
    "port",
    "register",
    "remote_user",
    "retries",
    "run_once",
    "tags",
    "throttle",
    "timeout",
    "until",
    "vars",
    "when",
    "block",
    "rescue",
    "always",
];

/// The alternatives of one `first_found` item: a name, or `{files, paths}`.
///
/// # Errors
/// Why they cannot be known.
pub(super) fn alternatives(value: &Known) -> Result<Vec<String>, String> {
    // Ansible takes texts apart at these wherever they stand.
    let cut = |text: &str, at: &[char]| -> Vec<String> {
        if jinja::templated(text) { vec![text.to_owned()] } else { text.split(at).map(|t| t.trim().to_owned()).collect() }
    };
    let list = |value: Option<&Known>, at: &[char]| -> Result<Vec<String>, String> {
        let items = match value {
            None => return Ok(Vec::new()),
            Some(Known::List(items)) => items.as_slice(),
            Some(Known::Text(text)) => return Ok(cut(text, at)),
            Some(_) => return Err("has alternatives that are no literals".to_owned()),
        };
        let text = |item: &Known| if let Known::Text(text) = item { Ok(cut(text, at)) } else { Err("has a list in a list".to_owned()) };
        items.iter().map(text).collect::<Result<Vec<_>, _>>().map(|lists| lists.concat())
    };
    let below = |paths: &[String], files: &[String]| -> Vec<String> {
        paths.iter().flat_map(|path| files.iter().map(move |file| format!("{}/{file}", path.trim_end_matches('/')))).collect()
    };
    match value {
        Known::Text(text) => Ok(cut(text, &[',', ';'])),
        Known::List(items) => {
            let mut names = Vec::new();
            for item in items {
                let own = alternatives(item)?;
                // The `paths` of a map stay in force for the texts behind it.
                if matches!(item, Known::Text(_)) {
                    for map in items {
                        if let Known::Map(map) = map {
                            names.extend(below(&list(map.get("paths"), &[',', ':', ';'])?, &own));
                        }
                    }
                }
                names.extend(own);
            }
            Ok(names)
        }
        Known::Map(map) => {
            let (files, paths) = (list(map.get("files"), &[',', ';'])?, list(map.get("paths"), &[',', ':', ';'])?);
            Ok(if paths.is_empty() { files } else { below(&paths, &files) })
        }
        Known::Open(why) => Err(why.clone()),
        Known::Counted => Ok(Vec::new()),
        Known::Each(_) | Known::Alternatives(_) => Err("is a loop in a loop".to_owned()),
    }
}

impl Reach<'_> {
    /// A file of tasks. True the first time.
    pub(super) fn tasks_file(&mut self, file: &Path, scope: &Scope, why: Chain) -> bool {
        let folder = file.parent().unwrap_or(file).to_owned();
        let scope = Scope { tasks: Some(folder.as_path().into()), ..scope.in_file(file, why) };
        if !self.first_time("tasks", file, &scope) {
            return false;
        }
        if !scope.role.as_ref().is_some_and(|role| super::names::is_in(&folder, role)) && *folder != *scope.playbook_dir {
            self.role_probes(&folder, &scope);
            self.task_folders.insert(folder);
        }
        self.vars_beside_tasks(&scope);
        match &*self.world.yaml(file) {
            Parsed::Absent => {}
            Parsed::Refused(why, line) => self.widen(None, format!("tasks that cannot be read: the file {why}"), &scope, *line),
            Parsed::Yaml(documents) => {
                for document in documents {
                    self.tasks(document, &scope, false);
                }
            }
        }
        true
    }

    /// With `playbook_vars_root` Ansible loads `group_vars` beside lists of tasks too.
    fn vars_beside_tasks(&mut self, scope: &Scope) {
        if self.world.config.vars_everywhere
            && let Some(folder) = scope.tasks.clone()
        {
            for name in ["group_vars", "host_vars"] {
                let path = folder.join(name);
                let why = self.because(scope, format!("{name} beside the tasks"), 1);
                self.take(&path, why.clone());
                self.vars(&path, scope, &why);
            }
        }
    }

    /// A list of tasks. `here`: something around them hands them all to this machine.
    pub(super) fn tasks(&mut self, list: &Node, scope: &Scope, here: bool) {
        for task in list.items() {
            if matches!(task.kind, Kind::Mapping(_)) {
                self.task(task, scope, here);
            }
        }
    }

    fn task(&mut self, task: &Node, outer: &Scope, here: bool) {
        // A playbook that a name with a fact in it fits as well: Ansible refuses it as a list of tasks.
        if task.get("hosts").is_some_and(|hosts| !matches!(hosts.kind, Kind::Mapping(_))) || task.get("import_playbook").is_some() {
            return;
        }
        let mut scope = outer.clone();
        self.collections_named(task, &mut scope);
        for vars in task.get_all("vars") {
            self.variables.assign_all(vars);
        }
        for register in task.get_all("register").filter_map(Node::text) {
            self.variables.assign(register, Known::Open("is registered at run time".to_owned()));
        }
        for index in task.get_all("loop_control").flat_map(|c| c.get_all("index_var")).filter_map(Node::text) {
            self.variables.assign(index, Known::Open("counts a loop".to_owned()));
        }
        let here = here || Self::runs_here(task);
        self.defaults_of_modules(task, &scope);
        let parts = ["block", "rescue", "always"];
        if parts.iter().any(|part| task.get(part).is_some()) {
            self.machine(task, &scope);
        }
        for list in parts.iter().flat_map(|part| task.get_all(part)) {
            self.tasks(list, &scope, here);
        }
        self.looped(task, &mut scope);
        let extra = task.get("args");
        for (key, value) in task.entries() {
            let Some(name) = key.text() else { continue };
            if parts.contains(&name) {
                continue;
            }
            self.lookups_in(value, &scope);
            let (module, value, local) = match name {
                "action" | "local_action" => {
                    let local = name == "local_action";
                    match value.text().and_then(|t| t.split_whitespace().next()) {
                        Some(module) => (jinja::short(module), value, local),
                        None => match value.get("module").and_then(Node::text) {
                            Some(module) => (jinja::short(module), value, local),
                            None => continue,
                        },
                    }
                }
                _ if KEYWORDS.contains(&name) || name.starts_with("with_") => continue,
                _ => (jinja::short(name), value, false),
            };
            let mut arguments = Arguments::of(value, extra);
            if matches!(name, "action" | "local_action") && !arguments.words.is_empty() {
                arguments.words.remove(0);
            }
            if jinja::templated(&module) {
                self.widen(None, "the module's name is not a literal", &scope, key.line);
            }
            let touches = touches_this_machine(&module, &arguments);
            if (here || local) && (touches || include(&module)) {
                self.widen(None, format!("`{module}` runs on this machine"), &scope, key.line);
            } else if touches {
                self.machine(task, &scope);
            }
            if value.items().iter().any(|item| matches!(item.kind, Kind::Mapping(_))) && include(&module) {
                self.widen(None, format!("`{module}` with a list"), &scope, key.line);
            }
            self.fqcn(&module, &scope, key.line);
            self.module(&module, &arguments, value, &scope);
        }
    }

    /// Where a task or what is in a block runs, when only a variable says it.
    fn machine(&mut self, task: &Node, scope: &Scope) {
        for key in ["delegate_to", "connection"] {
            for node in task.get_all(key) {
                if let Some(text) = node.text().filter(|text| jinja::templated(text)) {
                    self.name(Purpose::Machine, text, scope, node.line);
                }
            }
        }
    }

    /// Does it run on the machine that Ansible runs on: a task, a block, an entry of `roles:`, what `apply` gives to what is included.
    pub(super) fn runs_here(task: &Node) -> bool {
        let says = |node: &Node| {
            let mut texts = node.get_all("delegate_to").chain(node.get_all("connection")).filter_map(Node::text);
            texts.any(super::named::is_here)
        };
        says(task)
    }

    /// What `item` may be.
    fn looped(&mut self, task: &Node, scope: &mut Scope) {
        let control = task.get("loop_control");
        let name = control.and_then(|c| c.get("loop_var")).and_then(Node::text).unwrap_or("item").to_owned();
        if jinja::templated(&name) {
            self.variables.blind.get_or_insert_with(|| "a loop whose variable is named by a template".to_owned());
        }
        let mut items = Vec::new();
        for (key, value) in task.entries() {
            let Some(plugin) = key.text() else { continue };
            let plugin = if plugin == "loop" { "items" } else { plugin.strip_prefix("with_").unwrap_or("") };
            let plugin = plugin.strip_prefix("ansible.builtin.").unwrap_or(plugin);
            let known = Known::of(value);
            match plugin {
                "" => {}
                "items" | "list" | "flattened" => items.push(Known::Each(Box::new(known))),
                "first_found" => {
                    self.first_found(known.clone(), scope, key.line);
                    items.push(Known::Alternatives(Box::new(known)));
                }
                "file"
                | "template"
                | "fileglob"
                | "filetree"
                | "env"
                | "lines"
                | "pipe"
                | "csvfile"
                | "ini"
                | "password"
                | "url"
                | "community.general.filetree" => {
                    let arguments: Vec<String> = value.one_or_many().iter().filter_map(|n| n.text()).map(quote).collect();
                    self.lookup(Some(plugin), &arguments, scope, key.line);
                    items.push(match plugin {
                        "fileglob" => Known::Counted,
                        "filetree" | "community.general.filetree" => Known::Map(BTreeMap::from([("src".to_owned(), Known::Counted)])),
                        _ => Known::Open(format!("comes from look-up `{plugin}`")),
                    });
                }
                "dict" => match &known {
                    Known::Map(map) => items.extend(map.iter().map(|(key, value)| {
                        Known::Map(BTreeMap::from([("key".to_owned(), Known::Text(key.clone())), ("value".to_owned(), value.clone())]))
                    })),
                    _ => items.push(Known::Open("is an item of a map that is not a literal".to_owned())),
                },
                "sequence"
                | "random_choice"
                | "nested"
                | "cartesian"
                | "together"
                | "subelements"
                | "indexed_items"
                | "inventory_hostnames" => {
                    items.push(Known::Open(format!("comes from `with_{plugin}`")));
                }
                other => {
                    self.lookup(Some(other), &[], scope, key.line);
                    items.push(Known::Open(format!("comes from look-up `{other}`")));
                }
            }
        }
        if !items.is_empty() {
            Arc::make_mut(&mut scope.locals).insert(name, items);
        }
    }
}
