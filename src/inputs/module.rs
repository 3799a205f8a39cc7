//! What a module reads of this machine, by its name and arguments; what else its name pulls in.
//!
//! Invariant: arguments that are one template as a whole are followed through their values or take the root, and a module that is
//! not Ansible's own counts by every file that its arguments name.

use std::path::Path;

use super::arguments::Arguments;
use super::jinja;
use super::known::Known;
use super::named::Purpose;
use super::reach::{Reach, Scope};
use crate::syntax::yaml::{Kind, Node};

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
    "include_vars",
    "meta",
    "pause",
    "set_fact",
    "set_stats",
    "wait_for_connection",
    "ping",
];

/// Modules of ansible-core, which return facts of their own names only (`ansible_…`, `packages`, `services`).
const BUILTIN: &[&str] = &[
    "apt",
    "apt_key",
    "apt_repository",
    "assemble",
    "async_status",
    "blockinfile",
    "command",
    "copy",
    "cron",
    "deb822_repository",
    "debconf",
    "dnf",
    "dnf5",
    "dpkg_selections",
    "expect",
    "fetch",
    "file",
    "find",
    "gather_facts",
    "get_url",
    "getent",
    "git",
    "group",
    "hostname",
    "include",
    "iptables",
    "known_hosts",
    "lineinfile",
    "mount_facts",
    "package",
    "package_facts",
    "pip",
    "raw",
    "reboot",
    "replace",
    "rpm_key",
    "script",
    "service",
    "service_facts",
    "setup",
    "shell",
    "slurp",
    "stat",
    "subversion",
    "systemd",
    "systemd_service",
    "sysvinit",
    "tempfile",
    "template",
    "unarchive",
    "uri",
    "user",
    "validate_argument_spec",
    "wait_for",
    "yum",
    "yum_repository",
];

/// Does it pull in tasks.
pub(super) fn include(module: &str) -> bool {
    matches!(module, "import_role" | "include_role" | "import_tasks" | "include_tasks" | "include")
}

/// May it read or change anything where it runs.
pub(super) fn touches_this_machine(module: &str, arguments: &Arguments<'_>) -> bool {
    let names_none = |parameters: &[&str]| parameters.iter().all(|parameter| arguments.get(parameter).is_empty());
    match module {
        "uri" => !names_none(&["src", "dest", "ca_path", "client_cert", "client_key", "unix_socket"]) || !names_none(&["body_format"]),
        "wait_for" => !names_none(&["path"]),
        "setup" => !names_none(&["fact_path"]),
        _ => !HARMLESS_LOCALLY.contains(&module),
    }
}

impl Reach<'_> {
    /// `collections:` of a play, a role or a task: short names may mean any of theirs.
    pub(super) fn collections_named(&mut self, node: &Node, scope: &mut Scope) {
        for list in node.get_all("collections") {
            for item in list.one_or_many() {
                let Some((namespace, collection)) = item.text().and_then(|text| text.split_once('.')) else { continue };
                if item.text().is_some_and(|text| std::sync::Arc::make_mut(&mut scope.collections).insert(text.to_owned())) {
                    for folder in self.collection_folders(scope, namespace, collection) {
                        self.collection(&folder, namespace, collection, scope, item.line);
                    }
                }
            }
        }
    }

    /// A plugin or module by its full name brings its collection: what runs of it here may load all of it.
    pub(super) fn fqcn(&mut self, name: &str, scope: &Scope, line: usize) {
        let mut parts = name.split('.');
        let (Some(namespace), Some(collection), Some(first)) = (parts.next(), parts.next(), parts.next()) else { return };
        let last = std::iter::once(first).chain(parts).collect::<Vec<_>>().join(".");
        if namespace == "ansible" && matches!(collection, "builtin" | "legacy") {
            return;
        }
        for folder in self.collection_folders(scope, namespace, collection) {
            self.collection(&folder, namespace, collection, scope, line);
            self.plugins_named(&folder, &last, scope);
        }
    }

    /// `module_defaults:` are arguments of every task below them.
    pub(super) fn defaults_of_modules(&mut self, node: &Node, scope: &Scope) {
        for defaults in node.get_all("module_defaults") {
            for (key, value) in defaults.entries() {
                if let Some(module) = key.text() {
                    // Which modules are in a group only its collection knows.
                    let group = module.starts_with("group/");
                    let members = ["template", "copy", "unarchive", "script", "include_vars", "set_fact"];
                    for member in members.iter().filter(|_| group) {
                        self.module(member, &Arguments::of(value, None), value, scope);
                    }
                    if let Some(name) = module.strip_prefix("group/") {
                        self.fqcn(name, scope, key.line);
                    }
                    self.module(&jinja::short(module), &Arguments::of(value, None), value, scope);
                }
            }
        }
    }

    /// What one module reads.
    pub(super) fn module(&mut self, module: &str, arguments: &Arguments<'_>, value: &Node, scope: &Scope) {
        let name = |reach: &mut Self, purpose: Purpose, parameter: &str| {
            for (text, line) in arguments.get(parameter) {
                reach.name(purpose.clone(), &text, scope, line);
            }
        };
        let files = if self.preserves(arguments, scope) { Purpose::Preserved("files") } else { Purpose::Source("files") };
        match module {
            "import_role" | "include_role" => {
                name(self, Purpose::Role, "name");
                name(self, Purpose::Role, "role");
                self.applied(arguments, scope);
            }
            "import_tasks" | "include_tasks" | "include" => {
                name(self, Purpose::Tasks, "file");
                self.free_form(Purpose::Tasks, arguments, scope);
                self.applied(arguments, scope);
            }
            "include_vars" => {
                name(self, Purpose::Vars, "file");
                name(self, Purpose::VarsFolder, "dir");
                self.free_form(Purpose::Vars, arguments, scope);
                for (variable, _) in arguments.get("name") {
                    self.variables.assign(&variable, Known::Open("is filled by `include_vars`".to_owned()));
                }
            }
            "set_fact" | "add_host" => self.assigns(arguments, value),
            "template" | "ansible.windows.win_template" | "win_template" => {
                name(self, Purpose::Template, "src");
                if matches!(files, Purpose::Preserved(_)) {
                    name(self, Purpose::Preserved("templates"), "src");
                }
                if ["block_start_string", "variable_start_string", "comment_start_string"].iter().any(|p| !arguments.get(p).is_empty()) {
                    self.widen(None, "a template with delimiters of its own", scope, arguments.line);
                }
                self.whole(arguments, scope);
            }
            "copy" | "unarchive" | "win_copy" | "ansible.windows.win_copy" | "uri" | "ansible.posix.patch" | "patch" => {
                // `uri` sends files in a form: `body: { part: { filename: x } }`.
                for part in arguments.nodes("body").flat_map(Node::entries) {
                    for file in part.1.get_all("filename").filter_map(Node::text) {
                        self.name(files.clone(), file, scope, arguments.line);
                    }
                }
                // A switch that is no literal may be off.
                if arguments.yes("remote_src") != Some(true) {
                    name(self, files, "src");
                }
                self.whole(arguments, scope);
            }
            "assemble" => {
                // On the other machine unless told, here or by `module_defaults` around it; there its path is mostly absolute.
                let told = !arguments.get("remote_src").is_empty();
                let remote = arguments.yes("remote_src") == Some(true);
                for (text, line) in arguments.get("src").into_iter().filter(|(text, _)| !remote && (told || !text.starts_with('/'))) {
                    if told || !jinja::templated(&text) {
                        self.name(files.clone(), &text, scope, line);
                    }
                }
                self.whole(arguments, scope);
            }
            "script" => {
                name(self, Purpose::Script, "cmd");
                // Its words up to the first that is an argument of the module; one with a variable is all that may be known.
                for text in arguments.all().filter_map(Node::text) {
                    self.name(Purpose::Script, text, scope, arguments.line);
                }
                self.whole(arguments, scope);
            }
            "synchronize" | "ansible.posix.synchronize" => {
                name(self, Purpose::Preserved("files"), "src");
                self.whole(arguments, scope);
            }
            "get_url" | "git" | "pip" | "apt" | "package" | "dnf" | "yum" => self.floating(module, arguments, scope),
            _ if BUILTIN.contains(&module) || HARMLESS_LOCALLY.contains(&module) => {}
            _ => {
                let led = self.led_to(module, scope);
                if led != module && (BUILTIN.contains(&led.as_str()) || HARMLESS_LOCALLY.contains(&led.as_str())) {
                    return self.module(&led, arguments, value, scope);
                }
                self.unknown_module(module, arguments, scope);
            }
        }
    }

    /// `include_tasks: x.yml`; words with `=` in them are arguments of the old form.
    fn free_form(&mut self, purpose: Purpose, arguments: &Arguments<'_>, scope: &Scope) {
        let free = arguments.free();
        if !free.is_empty() {
            self.name(purpose, &free, scope, arguments.line);
        }
    }

    /// `apply:` of what is included.
    fn applied(&mut self, arguments: &Arguments<'_>, scope: &Scope) {
        for apply in arguments.nodes("apply") {
            if Self::runs_here(apply) {
                self.widen(None, "what is included runs on this machine", scope, apply.line);
            }
            for vars in apply.get_all("vars") {
                self.variables.assign_all(vars);
            }
            for key in ["delegate_to", "connection"] {
                for text in apply.get_all(key).filter_map(Node::text).filter(|text| jinja::templated(text)) {
                    self.name(Purpose::Machine, text, scope, apply.line);
                }
            }
        }
    }

    fn assigns(&mut self, arguments: &Arguments<'_>, value: &Node) {
        self.variables.assign_all(value);
        for args in arguments.all() {
            self.variables.assign_all(args);
        }
        for (key, text) in &arguments.words {
            if let Some(key) = key {
                self.variables.assign(key, Known::Text(text.clone()));
            }
        }
        // A host's name may be anything, and is what `inventory_hostname` says then.
        for (name, _) in ["name", "hostname", "host"].iter().flat_map(|parameter| arguments.get(parameter)) {
            if name.contains('/') || jinja::templated(&name) {
                self.variables.assign("inventory_hostname", Known::Text(name));
            }
        }
        if arguments.template().is_some() {
            self.variables.blind.get_or_insert_with(|| "facts whose names are no literals".to_owned());
        }
    }

    /// All arguments in one template: their values are not known by name.
    fn whole(&mut self, arguments: &Arguments<'_>, scope: &Scope) {
        if let Some(text) = arguments.template() {
            let because = format!("the arguments are `{}`, known only when it runs", super::known::one_line(text));
            self.widen(None, because, scope, arguments.line);
        }
    }

    /// Does it keep mode bits. A mode that a variable gives is looked at when all variables are known.
    fn preserves(&mut self, arguments: &Arguments<'_>, scope: &Scope) -> bool {
        let modes: Vec<_> = arguments.get("mode").into_iter().chain(arguments.get("directory_mode")).collect();
        for (mode, line) in modes.iter().filter(|(mode, _)| jinja::templated(mode)) {
            for (source, _) in arguments.get("src") {
                self.name(Purpose::Mode(source), mode, scope, *line);
            }
        }
        modes.iter().any(|(mode, _)| mode == "preserve")
    }

    /// A module that is not Ansible's own: its action plugin may read what its arguments name, and its facts become variables.
    fn unknown_module(&mut self, module: &str, arguments: &Arguments<'_>, scope: &Scope) {
        self.variables.facts.get_or_insert_with(|| module.to_owned());
        for (parameter, text, line) in arguments.texts() {
            if matches!(parameter.as_str(), "src" | "template" | "definition" | "local_path") {
                self.name(Purpose::Source("files"), &text, scope, line);
                self.name(Purpose::Template, &text, scope, line);
            } else if !jinja::templated(&text) && !text.contains(['\n', '\0']) && text.contains(['/', '.']) && !text.starts_with('/') {
                let bases = [scope.role.as_deref(), scope.tasks.as_deref(), Some(&*scope.playbook_dir), Some(&*self.world.root)];
                let there = |base: &Path| {
                    let disk = &self.world.disk;
                    disk.is_file(&super::names::join(base, &text)) || disk.is_file(&super::names::join(&base.join("files"), &text))
                };
                if bases.into_iter().flatten().any(there) {
                    self.name(Purpose::Source("files"), &text, scope, line);
                }
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

impl Arguments<'_> {
    /// Every text at any depth, with the parameter that it stands below.
    fn texts(&self) -> Vec<(String, String, usize)> {
        fn below(parameter: &str, node: &Node, found: &mut Vec<(String, String, usize)>) {
            match &node.kind {
                Kind::Scalar { .. } => found.extend(node.text().map(|text| (parameter.to_owned(), text.to_owned(), node.line))),
                Kind::Sequence(items) => items.iter().for_each(|item| below(parameter, item, found)),
                Kind::Mapping(_) => node.entries().into_iter().for_each(|(_, value)| below(parameter, value, found)),
            }
        }
        let mut found = Vec::new();
        for (key, value) in self.all().flat_map(Node::entries) {
            below(key.text().unwrap_or_default(), value, &mut found);
        }
        found.extend(self.words.iter().map(|(key, word)| (key.clone().unwrap_or_default(), word.clone(), self.line)));
        found
    }
}
