//! Starts the real tools under strace.
//!
//! Must not judge what they touch. Packer and its plugins take longer to start than a small play, so most trees are run with the command
//! line that its Ansible provisioner (1.0.3) renders: variables of its own, `--ssh-extra-args`, the stage's arguments, the inventory, the
//! playbook as an absolute path. Invariant: the environment is the one that ovenbird gives a child.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a test starts a process as a user does")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use ovenbird::plan::inputs::StageInputs;

use crate::checkout::Checkout;
use crate::tools::tools;
use crate::trace::{self, Touched};
use crate::tree::{Tree, write};

/// Seconds that no run comes near.
const PATIENCE: &str = "300";

/// A program of the tools' PATH.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = tools().get("PATH").map(String::as_str).unwrap_or_default();
    let found = path.split(':').map(|folder| Path::new(folder).join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is not on PATH; `make tools` installs what the tests need"))
}

/// Arguments of strace that write what each process touches into files `t.PID` of a folder.
pub(crate) fn strace(into: &Path) -> Vec<String> {
    let fixed = ["--seccomp-bpf", "-f", "-ff", "-y", "-s", "200", "-e", "trace=%file,getdents64", "-e", "signal=none", "-o"];
    fixed.iter().map(|a| (*a).to_owned()).chain([into.join("t").display().to_string()]).collect()
}

/// A variable of whoever runs the tests.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Are the long numbers asked for.
pub(crate) fn proof() -> bool {
    variable("OVENBIRD_PROOF").is_some_and(|v| v == "1")
}

/// Runs a program under strace in the root.
///
/// # Errors
/// It failed: what it said.
pub(crate) fn traced(
    checkout: &Checkout,
    program: &Path,
    arguments: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<Touched, String> {
    let into = checkout.beside("trace");
    std::fs::create_dir(&into).expect("a folder can be made");
    let output = Command::new("timeout")
        .args([PATIENCE, "strace"])
        .args(strace(&into))
        .arg(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(checkout.root())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("timeout starts");
    if output.status.success() {
        return Ok(trace::read(&into, &checkout.root()));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Err(format!("{} ended with {}\n{}\n{}", program.display(), output.status, text(&output.stdout), text(&output.stderr)))
}

/// In the place of the machine's Python: says yes to every module. A real one is a thousand look-ups of its own a module, on this
/// machine only because the other one stands here too.
fn answers(checkout: &Checkout) -> String {
    let script = checkout.beside("tmp").join("python");
    // What the plays of the trees ask of an answer: the last two are the example's health page.
    let answer = r#"{"changed": true, "rc": 0, "stat": {"exists": false}, "checksum": "1", "status": 200, "content": "example is well\n"}"#;
    write(&script, format!("#!/bin/sh\ncat <<'END'\n{answer}\nEND\n").as_bytes());
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it was just written");
    script.display().to_string()
}

/// The line of the inventory for the machine that is built. Nothing of it can be known before the run.
fn machine(checkout: &Checkout, tree: &Tree) -> String {
    let python = if tree.real_machine { tools()["OVENBIRD_PYTHON"].clone() } else { answers(checkout) };
    format!(
        "default ansible_host=127.0.0.1 ansible_user=root ansible_port=22 ansible_connection=local \
         ansible_python_interpreter={} out={}\n",
        python,
        checkout.beside("out").display()
    )
}

/// Arguments of ansible-playbook as Packer's provisioner renders them.
pub(crate) fn arguments(checkout: &Checkout, tree: &Tree) -> Vec<String> {
    let machine = machine(checkout, tree);
    let stage = checkout.stage();
    let groups = stage.groups.iter().map(|group| format!("[{group}]\n{machine}"));
    let inventory = checkout.beside("tmp").join("packer-provisioner-ansible1");
    write(&inventory, std::iter::once(machine.clone()).chain(groups).collect::<String>().as_bytes());
    let mut arguments: Vec<String> =
        ["-e", "packer_build_name=\"image\"", "-e", "packer_builder_type=amazon-ebs"].map(str::to_owned).into();
    arguments.extend(["-e", "packer_http_addr=ERR_HTTP_ADDR_NOT_IMPLEMENTED_BY_BUILDER"].map(str::to_owned));
    arguments.extend(["--ssh-extra-args", "'-o IdentitiesOnly=yes'"].map(str::to_owned));
    arguments.extend(stage.ansible_arguments.iter().cloned());
    if !stage.vars.is_empty() {
        let values: BTreeMap<&String, serde_json::Value> = stage
            .vars
            .iter()
            .map(|(name, value)| (name, value.to_json(&mut |_| Err::<String, ()>(())).expect("a tree has no references")))
            .collect();
        let file = checkout.beside("tmp").join("vars.json");
        write(&file, serde_json::to_string(&values).expect("JSON serialises").as_bytes());
        arguments.extend(["-e".to_owned(), format!("@{}", file.display())]);
    }
    arguments.extend(["-i".to_owned(), inventory.display().to_string(), checkout.root().join(&tree.playbook).display().to_string()]);
    arguments
}

/// Runs the tree's playbook.
///
/// # Errors
/// The play failed: what it said.
pub(crate) fn play(checkout: &Checkout, tree: &Tree, inputs: &StageInputs) -> Result<Touched, String> {
    let environment = checkout.child_environment(inputs);
    traced(checkout, &program("ansible-playbook"), &arguments(checkout, tree), &environment)
}
