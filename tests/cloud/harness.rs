//! [`LocalEc2`]: the local EC2 as tests use it: started, asked what was called and what is left, turned, ended.
//!
//! Must not know what is tested. Invariants: a server ends with the test binary, however that ends (it waits on a pipe that we
//! hold); no child of a test sees an AWS setting of whoever runs the tests; when the server cannot start, the test fails.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tools::tools;

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A test that waits longer than this waits for ever.
pub const PATIENCE: Duration = Duration::from_mins(8);

/// Asks until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    asked(|| what.to_owned(), Duration::from_millis(20), ask)
}

/// The same for what is dear to ask, say a process in a container; and what was waited for is said with how things stand at the end.
#[track_caller]
pub fn until_or<T>(what: impl Fn() -> String, ask: impl FnMut() -> Option<T>) -> T {
    asked(what, Duration::from_millis(250), ask)
}

#[expect(clippy::disallowed_methods, reason = "asking again is how one waits for a thing in another process")]
#[track_caller]
fn asked<T>(what: impl Fn() -> String, pause: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain: {}", what());
        std::thread::sleep(pause);
    }
}

/// A running local EC2.
pub struct LocalEc2 {
    child: Child,
    environment: BTreeMap<String, String>,
    /// `127.0.0.1:PORT`
    address: String,
}

/// One whose instances are not containers, shared by the tests of this binary one at a time: knobs off, calls forgotten.
/// Images of earlier tests are still there: a test takes a pipeline name of its own.
pub fn instant() -> MutexGuard<'static, LocalEc2> {
    static SHARED: OnceLock<Mutex<LocalEc2>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| Mutex::new(LocalEc2::start(true)));
    // A test that failed holding it must not fail all others.
    let guard = shared.lock().unwrap_or_else(PoisonError::into_inner);
    guard.reset();
    guard
}

impl LocalEc2 {
    /// A server of one's own; `instant`: without containers.
    #[expect(clippy::disallowed_types, reason = "a test starts a server, not a tool of a run")]
    pub fn start(instant: bool) -> Self {
        let mut command = std::process::Command::new(root().join("tests/cloud/local-ec2"));
        command.arg("run");
        if instant {
            command.arg("--instant");
        }
        // Prints its environment, then lives as long as our end of the pipe.
        command.args(["--", "sh", "-c", "env; echo READY; exec cat >/dev/null"]);
        command.env_clear().envs(tools()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("tests/cloud/local-ec2 starts");
        let mut environment = BTreeMap::new();
        let mut ready = false;
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let line = line.expect("its environment is UTF-8");
            if line == "READY" {
                ready = true;
                break;
            }
            if let Some((name, value)) = line.split_once('=')
                && (name.starts_with("AWS_") || name.starts_with("OVENBIRD_") || ["PATH", "HOME", "PACKER_PLUGIN_PATH"].contains(&name))
            {
                environment.insert(name.to_owned(), value.to_owned());
            }
        }
        assert!(ready, "the local EC2 did not start; what it said stands above (`make tools` installs what it needs)");
        environment.insert("CHECKPOINT_DISABLE".to_owned(), "1".to_owned());
        let endpoint = environment.get("AWS_ENDPOINT_URL").expect("it tells its endpoint");
        let address = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { child, environment, address }
    }

    /// What a child needs to see this EC2 and nothing else of AWS.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> &str {
        &self.environment["AWS_ENDPOINT_URL"]
    }

    /// The binary under test in `folder`, with a clean environment.
    pub fn ovenbird(&self, folder: &Path) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_ovenbird"));
        command.current_dir(folder).env_clear().envs(&self.environment);
        command
    }

    /// Turns knobs; the table stands in README.md.
    pub fn turn(&self, knobs: &Value) {
        self.ask("POST", "knobs", &knobs.to_string());
    }

    /// Knobs off, calls forgotten.
    pub fn reset(&self) {
        self.ask("DELETE", "knobs", "");
        self.ask("POST", "calls/reset", "");
    }

    /// Actions that an agent (`ovenbird`, `packer`, `other`) called, in order.
    pub fn actions(&self, agent: &str) -> Vec<String> {
        let calls = self.ask("GET", "calls", "");
        let calls = calls["calls"].as_array().expect("a list");
        calls.iter().filter(|c| c["agent"] == agent).map(|c| c["action"].as_str().expect("a name").to_owned()).collect()
    }

    /// Calls of everybody.
    pub fn calls(&self) -> Vec<Call> {
        let all = self.ask("GET", "calls", "");
        let text = |call: &Value, name: &str| call[name].as_str().unwrap_or_default().to_owned();
        let calls = all["calls"].as_array().expect("a list");
        calls.iter().map(|c| Call { agent: text(c, "agent"), action: text(c, "action"), knob: text(c, "knob") }).collect()
    }

    /// Everything in the account that was not there at the start.
    pub fn left(&self) -> Value {
        self.ask("GET", "left", "")
    }

    /// Fails unless the account holds, of what was not there at the start, only images in `keep` with their snapshots.
    pub fn assert_only(&self, keep: &[&str]) {
        let left = self.left();
        let mut wrong = Vec::new();
        for (kind, things) in left.as_object().expect("an object") {
            for thing in things.as_array().into_iter().flatten() {
                let kept = match kind.as_str() {
                    "images" => keep.iter().any(|id| thing["id"] == *id),
                    "snapshots" => keep.iter().any(|id| thing["image"] == *id) && thing["orphan"] == false,
                    // What images consist of; the server counts them by image.
                    "docker_images" => true,
                    _ => false,
                };
                if !kept {
                    wrong.push(format!("{kind}: {thing}"));
                }
            }
        }
        assert!(wrong.is_empty(), "left behind:\n{}", wrong.join("\n"));
    }

    /// Id of a source AMI that is there from the start.
    pub fn source(&self, region: &str, name: &str) -> String {
        let about = self.ask("GET", "about", "");
        about["images"][region][name].as_str().unwrap_or_else(|| panic!("no source {name} in {region}: {about}")).to_owned()
    }

    /// A request to the control endpoint.
    pub fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, path, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(&self.address).expect("the local EC2 listens");
        let length = body.len();
        write!(
            stream,
            "{method} /_local/{path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
            self.address
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        assert!(head.lines().next().is_some_and(|line| line.contains(" 200 ")), "{method} {path}: {answer}");
        serde_json::from_str(body).expect("JSON")
    }
}

/// A call to the API.
#[derive(Debug, Clone)]
pub struct Call {
    /// `packer`, `ovenbird`, `other`.
    pub agent: String,
    /// `RunInstances` ….
    pub action: String,
    /// The knob that hit it, or nothing.
    pub knob: String,
}

impl Drop for LocalEc2 {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}
