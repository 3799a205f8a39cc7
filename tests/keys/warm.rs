//! [`Warm`]: an Ansible that is already imported (`warm_ansible.py`): a run costs a third of a second instead of two and more.
//!
//! It watches itself by an audit hook and `os.stat`, and pretends the machine that is built; strace and a real machine are for the trees
//! that somebody wrote. Invariant: it ends with this value.

#![expect(clippy::disallowed_types, reason = "a test starts a process, not a tool of a run")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ovenbird::plan::inputs::StageInputs;
use serde_json::{Value, json};

use crate::checkout::Checkout;
use crate::run::arguments;
use crate::tools::tools;
use crate::trace::{How, Touched};
use crate::tree::{Tree, write};

/// One process that forks a run for each tree.
pub(crate) struct Warm {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    _home: tempfile::TempDir,
}

impl Warm {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().expect("a folder can be made");
        // Ansible reads its configuration when it is imported; here is none, as for a tree without ansible.cfg.
        let config = home.path().join("none.cfg");
        write(&config, b"");
        let mut child = Command::new(&tools()["OVENBIRD_PYTHON"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/warm_ansible.py"))
            .env_clear()
            .env("PATH", &tools()["PATH"])
            .env("HOME", home.path())
            .env("ANSIBLE_CONFIG", config)
            .env("ANSIBLE_HOME", home.path().join("ansible"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let asks = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut warm = Self { child, asks, answers, _home: home };
        assert_eq!(warm.line(), "ready", "Ansible cannot be imported; what it said stands above");
        warm
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers in UTF-8");
        line.trim_end().to_owned()
    }

    /// Runs a playbook: what was touched, whether it ended well, and what Ansible said.
    pub(crate) fn play(&mut self, checkout: &Checkout, tree: &Tree, inputs: &StageInputs) -> (Touched, bool, String) {
        let (touched, said) = (checkout.beside("touched"), checkout.beside("said"));
        let argv: Vec<String> = std::iter::once("ansible-playbook".to_owned()).chain(arguments(checkout, tree)).collect();
        let environment = checkout.child_environment(inputs);
        let request = json!({ "root": checkout.root(), "argv": argv, "env": environment, "touched": touched, "said": said });
        writeln!(self.asks.as_mut().expect("it runs"), "{request}").expect("it reads");
        let answer: Value = serde_json::from_str(&self.line()).expect("it answers in JSON");
        let said = String::from_utf8_lossy(&std::fs::read(said).unwrap_or_default()).into_owned();
        let code = answer["code"].as_i64().unwrap_or(-1);
        assert!([0, 1, 2, 4, 99].contains(&code), "ansible-playbook did not run: {code}\n{said}");
        (paths(&std::fs::read(touched).expect("it wrote what it touched")), code == 0, said)
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        // It ends when nobody can ask it any more.
        drop(self.asks.take());
        drop(self.child.wait());
    }
}

/// `r /path NUL l /path NUL …`
fn paths(bytes: &[u8]) -> Touched {
    let mut touched = Touched::default();
    for entry in String::from_utf8_lossy(bytes).split('\0') {
        let Some((how, path)) = entry.split_once(' ') else { continue };
        touched.calls += 1;
        let how = match how {
            "r" => How::Read,
            "l" => How::Listed,
            _ => How::Asked,
        };
        touched.add(PathBuf::from(path), how);
    }
    touched
}
