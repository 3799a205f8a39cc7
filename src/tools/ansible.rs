//! Ansible: environment for our plugins, arguments, inventory of one container, the second pass.
//!
//! Reading the report is `ansible_report.rs`. Invariants: values of the user's reach Ansible in a file (`-e @file`); what the user's
//! ansible.cfg says about plugins still holds beside ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::process::command::CommandLine;
use crate::tools::opened;

/// Our callback plugin; writes the report that [`super::ansible_report`] reads.
pub const CALLBACK: &str = "ovenbird_callback";
/// Our connection plugin: `docker exec`.
pub const CONNECTION: &str = "ovenbird_docker";
/// Tags of tasks that may change something in every pass; molecule's names.
pub const NOT_IDEMPOTENT_TAGS: &str = "molecule-idempotence-notest,idempotence-notest";

/// Files that a run folder gets: name below `plugins/` and text.
pub const PLUGINS: [(&str, &str); 3] = [
    opened::SITECUSTOMIZE,
    ("callback_plugins/ovenbird_callback.py", include_str!("../run/assets/callback_plugins/ovenbird_callback.py")),
    ("connection_plugins/ovenbird_docker.py", include_str!("../run/assets/connection_plugins/ovenbird_docker.py")),
];

/// What the user's own settings say about plugins (environment or ansible.cfg); a variable of ours would hide it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// Folders of callback plugins.
    pub callback_plugins: Vec<PathBuf>,
    /// Callbacks that are enabled.
    pub callbacks_enabled: Vec<String>,
    /// Folders of connection plugins.
    pub connection_plugins: Vec<PathBuf>,
    /// Folders of roles that galaxy files were installed into; first on the path.
    pub galaxy_roles: Vec<PathBuf>,
    /// Folders of roles on the user's path.
    pub roles_path: Vec<PathBuf>,
    /// Folders of collections that galaxy files were installed into; first on the path.
    pub galaxy_collections: Vec<PathBuf>,
    /// Folders of collections on the user's path.
    pub collections_path: Vec<PathBuf>,
}

/// Where a run that reports to `report` writes down what it opens.
pub fn opened_beside(report: &Path) -> PathBuf {
    report.with_extension("opened")
}

/// PYTHONPATH of every child: the guard first, then the user's own where a playbook reads it and so gets it.
pub fn python_path(plugins: &Path, own: Option<&str>) -> String {
    let guard = plugins.join("guard").display().to_string();
    match own {
        Some(own) if !own.is_empty() => format!("{guard}:{own}"),
        _ => guard,
    }
}

/// Variables that bring our plugins in; `plugins` is the folder that holds [`PLUGINS`], `report` the file to write.
pub fn environment(plugins: &Path, report: &Path, configured: &Configured) -> BTreeMap<String, String> {
    let joined =
        |first: &[PathBuf], rest: &[PathBuf]| first.iter().chain(rest).map(|p| p.display().to_string()).collect::<Vec<_>>().join(":");
    let enabled: Vec<&str> = configured.callbacks_enabled.iter().map(String::as_str).chain([CALLBACK]).collect();
    let mut env = BTreeMap::from([
        ("ANSIBLE_CALLBACK_PLUGINS".to_owned(), joined(&[plugins.join("callback_plugins")], &configured.callback_plugins)),
        ("ANSIBLE_CALLBACKS_ENABLED".to_owned(), enabled.join(",")),
        ("ANSIBLE_CONNECTION_PLUGINS".to_owned(), joined(&[plugins.join("connection_plugins")], &configured.connection_plugins)),
        ("ANSIBLE_NOCOLOR".to_owned(), "1".to_owned()),
        ("OVENBIRD_REPORT".to_owned(), report.display().to_string()),
        ("OVENBIRD_OPENED".to_owned(), opened_beside(report).display().to_string()),
    ]);
    if !configured.galaxy_roles.is_empty() {
        env.insert("ANSIBLE_ROLES_PATH".to_owned(), joined(&configured.galaxy_roles, &configured.roles_path));
    }
    if !configured.galaxy_collections.is_empty() {
        env.insert("ANSIBLE_COLLECTIONS_PATH".to_owned(), joined(&configured.galaxy_collections, &configured.collections_path));
    }
    env
}

/// Arguments of every pass: the user's own, then the file with the stage's variables.
pub fn arguments(own: &[String], vars_file: Option<&Path>) -> Vec<String> {
    let vars = vars_file.into_iter().flat_map(|file| ["-e".to_owned(), format!("@{}", file.display())]);
    own.iter().cloned().chain(vars).collect()
}

/// Text of a shell script that stands as `ansible-playbook` first on Packer's PATH in a dry run. It runs the real one, and then
/// once more in the same container: with a report of its own, and without the tasks that say of themselves that they always
/// change something. A container that is started anew would not do: what a playbook left in `/tmp` or `/etc/hosts` would be gone.
pub fn second_pass_script(real: &Path, second_report: Option<&Path>, skip_tags: &[String]) -> String {
    let real = crate::process::command::quoted(&real.display().to_string());
    let skip = if skip_tags.is_empty() {
        String::new()
    } else {
        format!(" --skip-tags {}", crate::process::command::quoted(&skip_tags.join(",")))
    };
    let mut script = format!(
        "#!/bin/sh\n# Stands before ansible-playbook in a dry run. Written by ovenbird, lives as long as the run.\n\
         case \" $* \" in *\" --version \"*) exec {real} \"$@\" ;; esac\n{real} \"$@\"{skip} || exit\n"
    );
    if let Some(report) = second_report {
        let report = crate::process::command::quoted(&report.display().to_string());
        script += "echo 'ovenbird: second pass, nothing may change now'\n";
        let second = format!("OVENBIRD_REPORT={report} exec {real} \"$@\"{skip} --skip-tags {NOT_IDEMPOTENT_TAGS}\n");
        script.push_str(&second);
    }
    script
}

/// Inventory of one container, named `default` as in Packer's own.
pub fn inventory(container: &str, user: &str, groups: &[String]) -> String {
    let host = format!("default ansible_connection={CONNECTION} ansible_host={container} ansible_user={user}\n");
    std::iter::once(host).chain(groups.iter().map(|group| format!("[{group}]\ndefault\n"))).collect()
}

/// `ansible-playbook` straight into a container, with the variables that Packer's provisioner would set.
pub fn playbook(
    program: &Path,
    root: &Path,
    env: &BTreeMap<String, String>,
    inventory: &Path,
    arguments: &[String],
    skip_tags: &[String],
    playbook: &Path,
) -> CommandLine {
    let mut line = CommandLine::new(program, root)
        .envs(env)
        .env("PYTHONUNBUFFERED", "1")
        .args(["-e", "packer_build_name=image", "-e", "packer_builder_type=docker", "-i"])
        .arg(inventory)
        .args(arguments);
    if !skip_tags.is_empty() {
        line = line.arg("--skip-tags").arg(skip_tags.join(","));
    }
    line.arg(playbook)
}

/// `ansible-playbook [core 2.19.4]` → `2.19.4`.
pub fn parse_version(text: &str) -> Option<String> {
    Some(text.lines().next()?.split_once("[core ")?.1.split(']').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_configured_about_plugins_still_holds() {
        let configured = Configured {
            callback_plugins: vec!["/etc/cb".into()],
            callbacks_enabled: vec!["timer".to_owned()],
            galaxy_roles: vec!["/g".into()],
            roles_path: vec!["/r".into()],
            ..Configured::default()
        };
        let env = environment(Path::new("/p"), Path::new("/t/report"), &configured);
        assert_eq!(env["ANSIBLE_CALLBACK_PLUGINS"], "/p/callback_plugins:/etc/cb");
        assert_eq!(env["ANSIBLE_CALLBACKS_ENABLED"], "timer,ovenbird_callback");
        assert_eq!(env["ANSIBLE_ROLES_PATH"], "/g:/r");
        assert!(!env.contains_key("ANSIBLE_COLLECTIONS_PATH"), "without galaxy the user's own path is left alone");
        assert_eq!(env["OVENBIRD_OPENED"], "/t/report.opened");
        assert_eq!(python_path(Path::new("/p"), Some("/mine:/yours")), "/p/guard:/mine:/yours");
        assert_eq!(python_path(Path::new("/p"), Some("")), "/p/guard", "an empty entry would be the working folder");
    }

    #[test]
    fn the_wiring_is_that_which_recipe_names() {
        let env = environment(Path::new("/p"), Path::new("/t/report"), &Configured::default());
        let names: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        insta::assert_snapshot!(names.join("\n"), @r"
        ANSIBLE_CALLBACKS_ENABLED=ovenbird_callback
        ANSIBLE_CALLBACK_PLUGINS=/p/callback_plugins
        ANSIBLE_CONNECTION_PLUGINS=/p/connection_plugins
        ANSIBLE_NOCOLOR=1
        OVENBIRD_OPENED=/t/report.opened
        OVENBIRD_REPORT=/t/report
        ");
        // The number that goes into every key. Whoever changes this wiring raises it.
        assert_eq!(crate::plan::manifest::RECIPE, 2);
    }

    #[test]
    fn the_second_pass_has_its_own_report_and_leaves_out_tasks_that_say_so() {
        let script = second_pass_script(Path::new("/v/ansible-playbook"), Some(Path::new("/t/second")), &["kernel".to_owned()]);
        insta::assert_snapshot!(script, @r#"
        #!/bin/sh
        # Stands before ansible-playbook in a dry run. Written by ovenbird, lives as long as the run.
        case " $* " in *" --version "*) exec /v/ansible-playbook "$@" ;; esac
        /v/ansible-playbook "$@" --skip-tags kernel || exit
        echo 'ovenbird: second pass, nothing may change now'
        OVENBIRD_REPORT=/t/second exec /v/ansible-playbook "$@" --skip-tags kernel --skip-tags molecule-idempotence-notest,idempotence-notest
        "#);
    }

    #[test]
    fn a_playbook_goes_straight_into_a_container() {
        let arguments = arguments(&["--diff".to_owned()], Some(Path::new("/t/vars.json")));
        let env = BTreeMap::new();
        let line =
            playbook(Path::new("ansible-playbook"), Path::new("/"), &env, Path::new("/t/inv"), &arguments, &[], Path::new("web.yml"));
        let want = "ansible-playbook -e packer_build_name=image -e packer_builder_type=docker -i /t/inv --diff -e @/t/vars.json web.yml";
        assert_eq!(line.to_string(), want);
        assert_eq!(
            inventory("c0", "admin", &["web".to_owned()]),
            "default ansible_connection=ovenbird_docker ansible_host=c0 ansible_user=admin\n[web]\ndefault\n"
        );
    }

    #[test]
    fn the_version_is_read() {
        assert_eq!(parse_version("ansible-playbook [core 2.19.4]\n  config file = None\n").as_deref(), Some("2.19.4"));
    }
}
