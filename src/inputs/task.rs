//! Lists of tasks, wherever they stand: what their modules read on this machine, which roles and files they pull in.
//!
//! Handlers, blocks and loops are walked like tasks; fully qualified names mean the same as short ones. Invariant: a task that runs
//! on this machine and may read anything takes the whole root.

use std::collections::BTreeMap;
use std::path::Path;

use super::arguments::{Arguments, quote};
use super::jinja;
use super::known::Known;
use super::named::Purpose;
use super::reach::{Reach, Scope};
use super::variables::Locals;
use super::world::Parsed;
use crate::plan::inputs::Why;
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

/// Modules that touch nothing of the machine that Ansible runs on, even when they run there.
const HARMLESS_LOCALLY: &[&str] = &[
    "add_host",
    "assert",
    "debug",
    "fail",
    "group_by",
    "import_role",
    "import_tasks",
    "include_role",
    "include_tasks",
    "meta",
    "pause",
    "set_fact",
    "uri",
    "wait_for",
    "wait_for_connection",
    "setup",
    "ping",
];

/// The alternatives of one `first_found` item: a name, or `{files, paths}`.
///
/// # Errors
/// Why they cannot be known.
pub(super) fn alternatives(value: &Known) -> Result<Vec<String>, String> {
    let list = |value: Option<&Known>| -> Result<Vec<String>, String> {
        let items = match value {
            None => return Ok(Vec::new()),
            Some(Known::List(items)) => items.as_slice(),
            Some(Known::Text(text)) if jinja::templated(text) => return Ok(vec![text.clone()]),
            Some(Known::Text(text)) => return Ok(text.split([',', ';']).map(|t| t.trim().to_owned()).collect()),
            Some(_) => return Err("has alternatives that are no literals".to_owned()),
        };
        let text = |item: &Known| if let Known::Text(text) = item { Ok(text.clone()) } else { Err("has a list in a list".to_owned()) };
        items.iter().map(text).collect()
    };
    match value {
        Known::Text(text) => Ok(vec![text.clone()]),
        Known::List(items) => items.iter().map(alternatives).collect::<Result<Vec<_>, _>>().map(|lists| lists.concat()),
        Known::Map(map) => {
            let (files, paths) = (list(map.get("files"))?, list(map.get("paths"))?);
            let joined = paths.iter().flat_map(|path| files.iter().map(move |file| format!("{}/{file}", path.trim_end_matches('/'))));
            Ok(if paths.is_empty() { files } else { joined.collect() })
        }
        Known::Open(why) => Err(why.clone()),
        Known::Counted => Ok(Vec::new()),
        Known::Each(_) | Known::Alternatives(_) => Err("is a loop in a loop".to_owned()),
    }
}

impl Reach<'_> {
    /// A file of tasks. True the first time.
    pub(super) fn tasks_file(&mut self, file: &Path, scope: &Scope, why: Vec<Why>) -> bool {
        if !self.first_time("tasks", file, &scope.playbook_dir) {
            return false;
        }
        let scope = scope.in_file(file, why);
        match &*self.world.yaml(file) {
            Parsed::Absent => {}
            Parsed::Refused(why, line) => self.widen(None, format!("tasks that cannot be read: the file {why}"), &scope, *line),
            Parsed::Yaml(documents) => {
                for document in documents {
                    self.tasks(document, &scope, &Locals::new());
                }
            }
        }
        true
    }

    /// A list of tasks.
    pub(super) fn tasks(&mut self, list: &Node, scope: &Scope, locals: &Locals) {
        for task in list.items() {
            if matches!(task.kind, Kind::Mapping(_)) {
                self.task(task, scope, locals);
            }
        }
    }

    fn task(&mut self, task: &Node, scope: &Scope, outer: &Locals) {
        let mut locals = outer.clone();
        for vars in task.get_all("vars") {
            self.variables.assign_all(vars);
        }
        for register in task.get_all("register").filter_map(Node::text) {
            self.variables.assign(register, Known::Open("is registered at run time".to_owned()));
        }
        let is_block = ["block", "rescue", "always"].iter().any(|part| task.get(part).is_some());
        for part in ["block", "rescue", "always"] {
            for list in task.get_all(part) {
                self.tasks(list, scope, &locals);
            }
        }
        self.looped(task, scope, &mut locals);
        let here = Self::runs_here(task);
        let extra = task.get("args");
        for (key, value) in task.entries() {
            let Some(name) = key.text() else { continue };
            if is_block && matches!(name, "block" | "rescue" | "always") {
                continue;
            }
            self.lookups_in(value, scope, &locals);
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
            if (here || local) && !HARMLESS_LOCALLY.contains(&module.as_str()) {
                self.widen(None, format!("`{module}` runs on this machine"), scope, key.line);
            }
            if module.contains("{{") {
                self.widen(None, "the module's name is not a literal", scope, key.line);
            }
            let mut arguments = Arguments::of(value, extra);
            if matches!(name, "action" | "local_action") && !arguments.words.is_empty() {
                arguments.words.remove(0);
            }
            self.module(&module, &arguments, value, scope, &locals);
        }
    }

    /// Does the task run on the machine that Ansible runs on.
    fn runs_here(task: &Node) -> bool {
        let says = |key: &str, values: &[&str]| task.get_all(key).filter_map(Node::text).any(|t| values.contains(&t));
        says("delegate_to", &["localhost", "127.0.0.1", "::1"]) || says("connection", &["local", "ansible.builtin.local"])
    }

    /// What `item` may be.
    fn looped(&mut self, task: &Node, scope: &Scope, locals: &mut Locals) {
        let control = task.get("loop_control");
        let name = control.and_then(|c| c.get("loop_var")).and_then(Node::text).unwrap_or("item").to_owned();
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
                    self.first_found(known.clone(), scope, key.line, locals);
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
                    self.lookup(Some(plugin), &arguments, scope, key.line, locals);
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
                    self.lookup(Some(other), &[], scope, key.line, locals);
                    items.push(Known::Open(format!("comes from look-up `{other}`")));
                }
            }
        }
        if !items.is_empty() {
            locals.insert(name, items);
        }
    }

    fn module(&mut self, module: &str, arguments: &Arguments<'_>, value: &Node, scope: &Scope, locals: &Locals) {
        let line = arguments.line;
        let name = |reach: &mut Self, purpose: Purpose, parameter: &str| {
            for (text, line) in arguments.get(parameter) {
                reach.name(purpose.clone(), &text, scope, line, locals);
            }
        };
        let preserve = arguments.get("mode").iter().chain(&arguments.get("directory_mode")).any(|(mode, _)| mode == "preserve");
        match module {
            "import_role" | "include_role" => {
                name(self, Purpose::Role, "name");
                name(self, Purpose::Role, "role");
            }
            "import_tasks" | "include_tasks" | "include" => {
                name(self, Purpose::Tasks, "file");
                if !arguments.free().is_empty() {
                    self.name(Purpose::Tasks, &arguments.free(), scope, line, locals);
                }
            }
            "include_vars" => {
                name(self, Purpose::Vars, "file");
                name(self, Purpose::VarsFolder, "dir");
                if !arguments.free().is_empty() {
                    self.name(Purpose::Vars, &arguments.free(), scope, line, locals);
                }
                for (variable, _) in arguments.get("name") {
                    self.variables.assign(&variable, Known::Open("is filled by `include_vars`".to_owned()));
                }
            }
            "set_fact" => {
                self.variables.assign_all(value);
                for (key, text) in &arguments.words {
                    if let Some(key) = key {
                        self.variables.assign(key, Known::Text(text.clone()));
                    }
                }
            }
            "template" | "ansible.windows.win_template" | "win_template" => name(self, Purpose::Template, "src"),
            "copy" | "unarchive" | "win_copy" | "ansible.windows.win_copy" | "uri" | "ansible.posix.patch" | "patch"
                if arguments.yes("remote_src") != Some(true) =>
            {
                name(self, Purpose::Source("files"), "src");
            }
            "assemble" if arguments.yes("remote_src") == Some(false) => {
                name(self, Purpose::Source("files"), "src");
            }
            "script" => {
                name(self, Purpose::Source("files"), "cmd");
                if let Some(script) = arguments.words.iter().find(|(key, _)| key.is_none()).map(|(_, word)| word.clone()) {
                    self.name(Purpose::Source("files"), &script, scope, line, locals);
                }
            }
            "synchronize" | "ansible.posix.synchronize" => {
                name(self, Purpose::Source("files"), "src");
                self.exact_modes(scope, arguments.get("src"));
            }
            "get_url" | "git" | "pip" | "apt" | "package" | "dnf" | "yum" => self.floating(module, arguments, scope),
            _ => {}
        }
        if preserve {
            self.exact_modes(scope, arguments.get("src"));
        }
    }

    /// Mode bits of what is sent reach the image: of the role's files and of what was named.
    fn exact_modes(&mut self, scope: &Scope, sources: Vec<(String, usize)>) {
        if let Some(role) = scope.role.clone() {
            self.exact(&role);
        }
        for (source, _) in sources {
            let paths: Vec<_> =
                self.takes.keys().map(|(path, _)| path.clone()).filter(|path| path.ends_with(source.trim_end_matches('/'))).collect();
            for path in paths {
                self.exact(&path);
            }
        }
    }

    fn floating(&mut self, module: &str, arguments: &Arguments<'_>, scope: &Scope) {
        let state_latest = arguments.get("state").iter().any(|(state, _)| state == "latest");
        let what = match module {
            "get_url" if arguments.get("checksum").is_empty() => "downloads without a checksum",
            "git" if arguments.get("version").iter().all(|(v, _)| v.len() != 40 || !v.bytes().all(|b| b.is_ascii_hexdigit())) => {
                "checks out something else than a commit"
            }
            "pip" | "apt" | "package" | "dnf" | "yum" if state_latest => "installs what is latest",
            _ => return,
        };
        let place = self.place(&scope.file, arguments.line);
        self.notes.insert(format!("{place} floats: `{module}` {what}"));
    }
}
