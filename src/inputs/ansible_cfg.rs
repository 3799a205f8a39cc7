//! Which ansible.cfg is in force, by Ansible's own precedence for a child that runs in the root, and what it points to.
//!
//! Reads that one file and the environment handed in. Invariant: the same file that this finds is what `ANSIBLE_CONFIG` is set to
//! in the child, so Ansible's own search can never find another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{InputContext, hash, names};

/// Settings of `[defaults]` that name folders of plugins, with the variable that beats them.
const PLUGIN_PATHS: &[(&str, &str)] = &[
    ("library", "ANSIBLE_LIBRARY"),
    ("module_utils", "ANSIBLE_MODULE_UTILS"),
    ("action_plugins", "ANSIBLE_ACTION_PLUGINS"),
    ("become_plugins", "ANSIBLE_BECOME_PLUGINS"),
    ("cache_plugins", "ANSIBLE_CACHE_PLUGINS"),
    ("callback_plugins", "ANSIBLE_CALLBACK_PLUGINS"),
    ("connection_plugins", "ANSIBLE_CONNECTION_PLUGINS"),
    ("cliconf_plugins", "ANSIBLE_CLICONF_PLUGINS"),
    ("httpapi_plugins", "ANSIBLE_HTTPAPI_PLUGINS"),
    ("netconf_plugins", "ANSIBLE_NETCONF_PLUGINS"),
    ("doc_fragment_plugins", "ANSIBLE_DOC_FRAGMENT_PLUGINS"),
    ("filter_plugins", "ANSIBLE_FILTER_PLUGINS"),
    ("inventory_plugins", "ANSIBLE_INVENTORY_PLUGINS"),
    ("lookup_plugins", "ANSIBLE_LOOKUP_PLUGINS"),
    ("strategy_plugins", "ANSIBLE_STRATEGY_PLUGINS"),
    ("terminal_plugins", "ANSIBLE_TERMINAL_PLUGINS"),
    ("test_plugins", "ANSIBLE_TEST_PLUGINS"),
    ("vars_plugins", "ANSIBLE_VARS_PLUGINS"),
];

/// What is in force.
#[derive(Debug, Clone, Default)]
pub(super) struct AnsibleConfig {
    /// The file, and its name in the key.
    pub(super) file: Option<(PathBuf, String)>,
    /// Places in the root that were looked at before it and hold none.
    pub(super) absent: Vec<PathBuf>,
    /// Folders that roles are searched in, after the playbook's own.
    pub(super) roles_path: Vec<PathBuf>,
    /// Folders that hold `ansible_collections`.
    pub(super) collections_path: Vec<PathBuf>,
    /// Setting → folders of plugins and modules.
    pub(super) plugin_paths: BTreeMap<&'static str, Vec<PathBuf>>,
    /// Callback plugins that are enabled by name.
    pub(super) callbacks_enabled: Vec<String>,
    /// `playbook_vars_root`: `group_vars` are looked for beside lists of tasks too.
    pub(super) vars_everywhere: bool,
    /// Where Ansible writes its log: no input wherever it lies.
    pub(super) logs: Vec<PathBuf>,
    /// Tasks run on this machine unless something says otherwise.
    pub(super) local_transport: bool,
    /// Arguments of ssh, and the program.
    pub(super) ssh: Vec<String>,
    /// Full names of plugins in any setting: callbacks, plugins of variables, strategies….
    pub(super) qualified: BTreeSet<String>,
    /// Files that hold passwords: never hashed.
    pub(super) password_files: Vec<PathBuf>,
}

impl AnsibleConfig {
    /// `ANSIBLE_CONFIG`, then `ansible.cfg` in the root (cwd of every child), then the home folder's, then the system's.
    pub(super) fn in_force(root: &Path, context: &InputContext) -> Self {
        let mut found = Self::default();
        let mut candidates = Vec::new();
        if let Some(named) = context.environment.get("ANSIBLE_CONFIG").filter(|v| !v.is_empty()) {
            let path = expand(root, named, root, context);
            candidates.push(if path.is_dir() { path.join("ansible.cfg") } else { path });
        }
        candidates.push(root.join("ansible.cfg"));
        candidates.extend(context.home.as_ref().map(|home| home.join(".ansible.cfg")));
        candidates.push(PathBuf::from("/etc/ansible/ansible.cfg"));
        let mut settings = BTreeMap::new();
        for path in candidates {
            if path.is_file() {
                let label = names::inside(root, &path).unwrap_or_else(|| format!("cfg:{}", names::last(&path).trim_start_matches('.')));
                let (text, _) = hash::read(&path, 1 << 20).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                found.qualified = qualified(&text);
                settings = defaults(&text);
                let lines = text.lines().filter_map(|line| line.split_once('='));
                let arguments = lines.filter(|(key, _)| key.trim_start().starts_with("ssh_") && !key.contains("key"));
                found.ssh = arguments.map(|(_, value)| value.trim().to_owned()).collect();
                found.file = Some((path, label));
                break;
            }
            if path.starts_with(root) && !found.absent.contains(&path) {
                found.absent.push(path);
            }
        }
        let base = found.file.as_ref().and_then(|(file, _)| file.parent()).unwrap_or(root).to_owned();
        let get = |variable: &str, keys: &[&str]| -> Option<(String, PathBuf)> {
            let set = context.environment.get(variable).filter(|v| !v.is_empty()).map(|v| (v.clone(), root.to_owned()));
            set.or_else(|| keys.iter().find_map(|key| settings.get(*key)).map(|v| (v.clone(), base.clone())))
        };
        let paths = |setting: Option<(String, PathBuf)>| -> Vec<PathBuf> {
            let Some((value, base)) = setting else { return Vec::new() };
            value.split(':').filter(|p| !p.trim().is_empty()).map(|p| expand(&base, p.trim(), root, context)).collect()
        };
        let system = |rest: &[&str]| rest.iter().map(PathBuf::from).collect::<Vec<_>>();
        found.roles_path = match get("ANSIBLE_ROLES_PATH", &["roles_path"]) {
            // ANSIBLE_HOME lies in `.ovenbird/`, so of the defaults only the system's folders are left.
            None => vec![PathBuf::from("/usr/share/ansible/roles"), PathBuf::from("/etc/ansible/roles")],
            set => paths(set),
        };
        found.collections_path = match get("ANSIBLE_COLLECTIONS_PATH", &["collections_path", "collections_paths"]) {
            None => system(&["/usr/share/ansible/collections"]),
            set => paths(set),
        };
        for (key, variable) in PLUGIN_PATHS {
            let folders = paths(get(variable, &[key]));
            if !folders.is_empty() {
                found.plugin_paths.insert(key, folders);
            }
        }
        found.vars_everywhere = get("ANSIBLE_PLAYBOOK_VARS_ROOT", &["playbook_vars_root"]).is_some_and(|(value, _)| value != "top");
        found.logs = paths(get("ANSIBLE_LOG_PATH", &["log_path"]));
        let enabled =
            get("ANSIBLE_CALLBACKS_ENABLED", &["callbacks_enabled", "callback_whitelist"]).map(|(list, _)| list).unwrap_or_default();
        found.callbacks_enabled = enabled.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let transport = get("ANSIBLE_TRANSPORT", &["transport"]).map(|(value, _)| value).unwrap_or_default();
        found.local_transport = super::named::is_here(&transport);
        for (_, value) in context.environment.iter().filter(|(name, _)| name.starts_with("ANSIBLE_")) {
            found.qualified.extend(qualified(value));
        }
        found.password_files = paths(get("ANSIBLE_VAULT_PASSWORD_FILE", &["vault_password_file"]));
        found.password_files.extend(paths(get("ANSIBLE_BECOME_PASSWORD_FILE", &["become_password_file"])));
        found.password_files.extend(paths(get("ANSIBLE_CONNECTION_PASSWORD_FILE", &["connection_password_file"])));
        if let Some((list, base)) = get("ANSIBLE_VAULT_IDENTITY_LIST", &["vault_identity_list"]) {
            let files = list.split(',').filter_map(|item| item.trim().rsplit('@').next().map(str::to_owned));
            found.password_files.extend(files.filter(|f| f != "prompt").map(|f| expand(&base, &f, root, context)));
        }
        found
    }
}

/// A path of a setting: `~`, `{{CWD}}` and `$HOME`, relative to the file it stands in.
fn expand(base: &Path, text: &str, cwd: &Path, context: &InputContext) -> PathBuf {
    let home = context.home.as_deref().unwrap_or(Path::new("/nonexistent"));
    let text = text.replace("{{CWD}}", &cwd.to_string_lossy()).replace("{{ CWD }}", &cwd.to_string_lossy());
    let text = text.replace("$HOME", &home.to_string_lossy()).replace("${HOME}", &home.to_string_lossy());
    match text.strip_prefix("~/") {
        Some(rest) => names::join(home, rest),
        None => names::join(base, &text),
    }
}

/// Words that are names of plugins with their collection.
fn qualified(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')));
    words
        .filter(|word| word.matches('.').count() >= 2 && !word.starts_with(|c: char| c == '.' || c.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

/// `[defaults]` as Python's configparser reads it: `=` or `:`, `;` ends a line, indented lines go on.
fn defaults(text: &str) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let (mut inside, mut last) = (false, None::<String>);
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.split(" ;").next().unwrap_or(line);
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with(';') {
            continue;
        }
        if let Some(section) = trimmed.strip_prefix('[').and_then(|s| s.strip_suffix(']')) {
            (inside, last) = (section == "defaults", None);
        } else if !inside {
        } else if let (true, Some(key)) = (line.starts_with([' ', '\t']), &last) {
            let value = settings.entry(key.clone()).or_default();
            value.push_str(trimmed);
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            let key = key.trim().to_lowercase();
            settings.insert(key.clone(), value.trim().to_owned());
            last = Some(key);
        }
    }
    settings
}
