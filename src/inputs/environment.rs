//! The one allow-list: which variables of the caller's environment a child gets, and which of them are in the key.
//!
//! Pure. Invariant: what changes an image and comes from the environment is in [`ChildEnvironment::keyed`]; everything that is not
//! named here is dropped, so a developer's shell cannot change an image unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::InputContext;
use super::ansible_cfg::AnsibleConfig;
use crate::config::pipeline::Pipeline;
use crate::plan::inputs::StageInputs;

/// Needed to run at all, and to reach Docker, AWS and the network; no playbook should look at them, and one that does
/// (`lookup('env', 'HOME')`) has the name in its key.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "PACKER_PLUGIN_PATH",
    "PACKER_CONFIG",
    "PACKER_CONFIG_DIR",
    "PACKER_CACHE_DIR",
    "PACKER_GITHUB_API_TOKEN",
];
const PASSED_PREFIXES: &[&str] = &["AWS_", "DOCKER_"];
const KEYED_PREFIXES: &[&str] = &["ANSIBLE_", "PKR_VAR_"];

/// Ansible's settings of how it shows and logs, which no image can see.
const DISPLAY: &[&str] = &[
    "ANSIBLE_FORCE_COLOR",
    "ANSIBLE_NOCOLOR",
    "ANSIBLE_NOCOWS",
    "ANSIBLE_LOG_PATH",
    "ANSIBLE_DISPLAY_ARGS_TO_STDOUT",
    "ANSIBLE_VERBOSITY",
];

/// Parts of names that say that a value is a secret, whoever reads it.
const SECRETS: &[&str] =
    &["PASSWORD", "PASSWD", "_PASS", "SECRET", "TOKEN", "PRIVATE_KEY", "API_KEY", "APIKEY", "ACCESS_KEY", "CREDENTIAL", "VAULT_IDENTITY"];

/// Is the value of this variable one that no key, manifest or message may hold: by its name, or as a `secret` of the pipeline.
pub fn is_secret(name: &str, pipeline: &Pipeline) -> bool {
    says_secret(name) || pipeline.secrets.values().any(|secret| secret.env == name)
}

/// Is the value of this variable in every key, by its name alone.
pub(super) fn is_keyed(name: &str) -> bool {
    KEYED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn says_secret(name: &str) -> bool {
    let upper = name.to_uppercase();
    SECRETS.iter().any(|word| upper.contains(word))
}

/// What a child's environment is made of, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChildEnvironment {
    /// From the caller, with its value in the key.
    pub keyed: BTreeMap<String, String>,
    /// From the caller, needed to run; not in the key.
    pub passed: BTreeMap<String, String>,
    /// Always set by ovenbird; wins over the others.
    pub always: BTreeMap<String, String>,
}

impl ChildEnvironment {
    /// All of it, as a child gets it.
    pub fn all(&self) -> BTreeMap<String, String> {
        let mut all = self.passed.clone();
        all.extend(self.keyed.clone());
        all.extend(self.always.clone());
        all
    }
}

/// What of `all` is needed to run a tool that makes no image (`docker`, `git`, `terraform`).
pub fn passed(all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let passes = |name: &str| PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    all.iter().filter(|(name, _)| passes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Sorts `all` by the allow-list. `read` are names that a look-up of a playbook or template reads: they are keyed whatever they are.
pub fn child_environment(
    all: &BTreeMap<String, String>,
    read: &BTreeSet<String>,
    ansible_config: Option<&Path>,
    ansible_home: &Path,
) -> ChildEnvironment {
    let always = always(ansible_config, ansible_home);
    let mut environment = ChildEnvironment { always, passed: passed(all), ..ChildEnvironment::default() };
    for (name, value) in all {
        if environment.always.contains_key(name) {
            continue;
        }
        let prefixed = is_keyed(name);
        let told = says_secret(name);
        let secret = told && (prefixed || environment.passed.contains_key(name));
        if told && !secret {
            // Read by a look-up, perhaps: a value that no key may hold must not reach an image by the back door.
            continue;
        }
        if read.contains(name) && !secret || prefixed && !secret && !DISPLAY.contains(&name.as_str()) {
            environment.keyed.insert(name.clone(), value.clone());
            environment.passed.remove(name);
        } else if secret || DISPLAY.contains(&name.as_str()) {
            environment.passed.insert(name.clone(), value.clone());
        }
    }
    environment
}

/// Set in every child, so that neither the shell nor the machine's defaults decide.
fn always(ansible_config: Option<&Path>, ansible_home: &Path) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    BTreeMap::from([
        ("ANSIBLE_CONFIG".to_owned(), text(ansible_config.unwrap_or(&empty_config(ansible_home)))),
        ("ANSIBLE_HOME".to_owned(), text(ansible_home)),
        // Facts of an earlier run are in no key.
        ("ANSIBLE_CACHE_PLUGIN".to_owned(), "memory".to_owned()),
        ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
        ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
        ("TZ".to_owned(), "UTC".to_owned()),
        ("CHECKPOINT_DISABLE".to_owned(), "1".to_owned()),
        ("PACKER_NO_COLOR".to_owned(), "1".to_owned()),
    ])
}

/// The environment of a stage's children: what its inputs say is keyed, exactly.
pub fn for_stage(pipeline: &Pipeline, context: &InputContext, inputs: &StageInputs) -> ChildEnvironment {
    let read: BTreeSet<String> = inputs.environment.keys().cloned().collect();
    let config = ansible_config(pipeline, context);
    child_environment(&context.environment, &read, config.as_deref(), &ansible_home(pipeline))
}

/// The ansible.cfg that is in force, absolute.
pub fn ansible_config(pipeline: &Pipeline, context: &InputContext) -> Option<PathBuf> {
    let root = std::fs::canonicalize(&pipeline.root).unwrap_or_else(|_| pipeline.root.clone());
    AnsibleConfig::in_force(&root, context).file.map(|(path, _)| path)
}

/// Folders that roles and collections are searched in by configuration; galaxy's folders of a stage go before them.
pub fn search_paths(pipeline: &Pipeline, context: &InputContext) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let root = std::fs::canonicalize(&pipeline.root).unwrap_or_else(|_| pipeline.root.clone());
    let config = AnsibleConfig::in_force(&root, context);
    (config.roles_path, config.collections_path)
}

/// Folders of plugins and enabled callbacks by the user's own settings; a variable of ours would hide them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginSettings {
    /// Folders of callback plugins.
    pub callback_plugins: Vec<PathBuf>,
    /// Callbacks that are enabled.
    pub callbacks_enabled: Vec<String>,
    /// Folders of connection plugins.
    pub connection_plugins: Vec<PathBuf>,
}

/// What the user's environment and ansible.cfg say about plugins.
pub fn plugin_settings(pipeline: &Pipeline, context: &InputContext) -> PluginSettings {
    let root = std::fs::canonicalize(&pipeline.root).unwrap_or_else(|_| pipeline.root.clone());
    let config = AnsibleConfig::in_force(&root, context);
    let folders = |key: &str| config.plugin_paths.get(key).cloned().unwrap_or_default();
    PluginSettings {
        callback_plugins: folders("callback_plugins"),
        connection_plugins: folders("connection_plugins"),
        callbacks_enabled: config.callbacks_enabled,
    }
}

/// An ansible.cfg without settings, for when none is in force: Ansible 2.19 refuses `/dev/null` for its missing extension.
fn empty_config(ansible_home: &Path) -> PathBuf {
    ansible_home.join("none.cfg")
}

/// Makes what every child's environment points to.
///
/// # Errors
/// `.ovenbird/` cannot be written.
pub fn prepare(pipeline: &Pipeline) -> std::io::Result<()> {
    let home = ansible_home(pipeline);
    std::fs::create_dir_all(&home)?;
    let config = empty_config(&home);
    if config.exists() { Ok(()) } else { std::fs::File::create(config).map(drop) }
}

/// `ANSIBLE_HOME` of every child: inside `.ovenbird/`, so nothing of the user's home takes part.
pub fn ansible_home(pipeline: &Pipeline) -> PathBuf {
    pipeline.dir.join(".ovenbird/ansible")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], read: &[&str]) -> ChildEnvironment {
        let all = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let read = read.iter().map(|n| (*n).to_owned()).collect();
        child_environment(&all, &read, None, Path::new("/r/.ovenbird/ansible"))
    }

    #[test]
    fn what_is_not_on_the_list_is_dropped() {
        let all = of(&[("PYTHONPATH", "x"), ("LD_PRELOAD", "x"), ("MY_VERSION", "1"), ("PATH", "/bin")], &[]).all();
        assert_eq!(all.get("PATH").map(String::as_str), Some("/bin"));
        assert!(["PYTHONPATH", "LD_PRELOAD", "MY_VERSION"].iter().all(|name| !all.contains_key(*name)));
    }

    #[test]
    fn ansibles_packers_and_looked_up_variables_are_keyed_and_nothing_else_is() {
        let found = of(
            &[("ANSIBLE_GATHERING", "smart"), ("PKR_VAR_x", "1"), ("MY_VERSION", "1"), ("HOME", "/h"), ("AWS_REGION", "r")],
            &["MY_VERSION"],
        );
        assert_eq!(found.keyed.keys().collect::<Vec<_>>(), ["ANSIBLE_GATHERING", "MY_VERSION", "PKR_VAR_x"]);
        assert_eq!(found.passed.keys().collect::<Vec<_>>(), ["AWS_REGION", "HOME"]);
        assert!(of(&[("HOME", "/h")], &["HOME"]).keyed.contains_key("HOME"));
    }

    #[test]
    fn what_ovenbird_sets_wins_over_the_shell() {
        let found = of(&[("ANSIBLE_CONFIG", "/mine.cfg"), ("TZ", "Asia/Tokyo"), ("PYTHONDONTWRITEBYTECODE", "")], &["TZ"]);
        assert!(found.keyed.is_empty());
        assert_eq!(found.all()["ANSIBLE_CONFIG"], "/r/.ovenbird/ansible/none.cfg");
        assert_eq!((found.all()["TZ"].as_str(), found.all()["PYTHONDONTWRITEBYTECODE"].as_str()), ("UTC", "1"));
    }

    #[test]
    fn passwords_reach_the_child_and_never_the_key() {
        let found = of(&[("ANSIBLE_VAULT_PASSWORD_FILE", "/run/pw"), ("ANSIBLE_BECOME_PASS", "s3cret")], &[]);
        assert!(found.keyed.is_empty());
        assert_eq!(found.passed.len(), 2);
    }
}
