//! [`Project`]: a checkout with a pipeline in a temporary folder, and ovenbird run in it.
//!
//! Must not hold any expectation about ovenbird. Invariant: containers and Docker images that the runs made go with the project,
//! found by the pipeline's name, which no other project has.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a test starts a process as a user does, and prepares folders")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

use crate::harness::{LocalEc2, PATIENCE, root, until};
use crate::tools::tools;

/// A checkout.
pub struct Project {
    folder: tempfile::TempDir,
    /// The pipeline's name.
    pub name: String,
    /// Environment of ovenbird.
    pub environment: BTreeMap<String, String>,
}

impl Project {
    /// The small pipeline: a base, two apps on it, an emit. `name` must differ between tests.
    pub fn small(name: &str, cloud: &LocalEc2) -> Self {
        let project = Self::of("tests/fixtures/small", "small", name, cloud);
        copy_folder(&root().join("packer"), &project.path("packer"));
        project.commit();
        project
    }

    /// Somebody's existing template.
    pub fn foreign(which: &str, pipeline: &str, cloud: &LocalEc2) -> Self {
        let mut project = Self::of(&format!("tests/fixtures/foreign/{which}"), pipeline, pipeline, cloud);
        project.environment.insert("OVENBIRD_VAR_ec2_endpoint".to_owned(), cloud.endpoint().to_owned());
        project.commit();
        project
    }

    /// A fixture, its pipeline called `name`.
    pub fn of(fixture: &str, pipeline: &str, name: &str, cloud: &LocalEc2) -> Self {
        let project = Self::empty(name, cloud);
        copy_folder(&root().join(fixture), &project.path(""));
        project.called(pipeline);
        project
    }

    /// Gives the pipeline, `pipeline` in its file, this project's name.
    pub fn called(&self, pipeline: &str) {
        self.edit("ovenbird.hcl", &format!("pipeline \"{pipeline}\""), &format!("pipeline \"{}\"", self.name));
        self.write(".gitignore", ".ovenbird/\n");
    }

    /// A checkout with nothing in it.
    pub fn empty(name: &str, cloud: &LocalEc2) -> Self {
        let folder = tempfile::Builder::new().prefix("ovenbird-test-").tempdir().expect("a folder can be made");
        let name = format!("{name}-{}", std::process::id());
        let mut environment = tools().clone();
        environment.extend(cloud.environment().clone());
        let mut project = Self { folder, name, environment };
        let home = project.folder.path().join("home");
        std::fs::create_dir(&home).expect("a folder can be made");
        project.environment.insert("HOME".to_owned(), home.display().to_string());
        project
    }

    /// Puts the fake Packer before the real one, with these rules (see its head).
    pub fn fake_packer(&mut self, rules: &Json) {
        let bin = self.folder.path().join("bin");
        std::fs::create_dir_all(&bin).expect("a folder can be made");
        let settings = serde_json::json!({ "record": self.folder.path().join("packer-calls"), "rules": rules });
        std::fs::write(bin.join("fake-packer.json"), settings.to_string()).expect("a file can be written");
        let link = bin.join("packer");
        if !link.exists() {
            std::os::unix::fs::symlink(root().join("tests/fakes/packer"), link).expect("a link can be made");
            let path = format!("{}:{}", bin.display(), self.environment["PATH"]);
            self.environment.insert("PATH".to_owned(), path);
        }
    }

    /// Puts a script first on PATH under a tool's name; `REAL` in it is the tool itself.
    pub fn put_before(&mut self, tool: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.environment["PATH"].clone();
        let real = path.split(':').map(|folder| Path::new(folder).join(tool)).find(|file| file.exists()).expect("the tool is on PATH");
        let bin = self.folder.path().join("before");
        std::fs::create_dir_all(&bin).expect("a folder can be made");
        std::fs::write(bin.join(tool), script.replace("REAL", &real.display().to_string())).expect("a file can be written");
        std::fs::set_permissions(bin.join(tool), std::fs::Permissions::from_mode(0o755)).expect("its mode can be set");
        self.environment.insert("PATH".to_owned(), format!("{}:{path}", bin.display()));
    }

    /// Builds that the fake Packer ran: stage and `dry-run` or `build`, in the order in which they ended.
    pub fn packer_runs(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(self.folder.path().join("packer-calls")).unwrap_or_default();
        let field = |line: &Json, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        text.lines()
            .map(|l| serde_json::from_str::<Json>(l).expect("a line is JSON"))
            .map(|l| (field(&l, "stage"), field(&l, "kind")))
            .collect()
    }

    /// A path in the checkout.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("checkout").join(path)
    }

    /// A path beside the checkout.
    pub fn beside(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Makes an empty file beside the checkout; what waits for it goes on.
    pub fn touch_beside(&self, path: &str) {
        std::fs::write(self.beside(path), "").expect("a file can be written");
    }

    /// The text of a file.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("it is in the checkout")).expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    }

    /// Replaces a text that is in a file.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no `{from}`");
        self.write(path, &text.replace(from, to));
    }

    /// Commits everything.
    pub fn commit(&self) {
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.args(["-c", "user.name=test", "-c", "user.email=test@localhost"]).args(arguments).current_dir(self.path(""));
            let output = command.env_clear().envs(&self.environment).output().expect("git starts");
            assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        git(&["init", "--quiet"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", "As it is"]);
    }

    /// Runs ovenbird to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).end()
    }

    /// Runs it, and wants this exit code.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        self.expect_within(PATIENCE, code, arguments)
    }

    /// The same of what takes its time.
    #[track_caller]
    pub fn expect_within(&self, patience: Duration, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.start(arguments).end_within(patience);
        assert_eq!(ran.code, Some(code), "ovenbird {}\n{ran}", arguments.join(" "));
        ran
    }

    /// Starts it in a process group of its own, as a shell does.
    pub fn start(&self, arguments: &[&str]) -> Running {
        use std::os::unix::process::CommandExt as _;
        let output = tempfile::tempdir_in(self.folder.path()).expect("a folder can be made");
        let file = |name: &str| File::create(output.path().join(name)).expect("a file can be made");
        let child = self.command(arguments).process_group(0).stdout(file("out")).stderr(file("err")).spawn().expect("ovenbird starts");
        Running { child, output }
    }

    /// The command, for tests that connect it otherwise.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ovenbird"));
        command.args(arguments).current_dir(self.path("")).env_clear().envs(&self.environment).stdin(Stdio::null());
        command
    }

    /// Private folders of runs, which hold keys and values, that are still there.
    pub fn scratch_left(&self) -> Vec<PathBuf> {
        let Ok(runs) = std::fs::read_dir(self.path(".ovenbird/runs")) else { return vec![] };
        runs.map(|run| run.expect("a folder can be listed").path().join("tmp")).filter(|tmp| tmp.exists()).collect()
    }

    /// Containers of this pipeline, by id.
    pub fn containers(&self) -> Vec<String> {
        docker(&["ps", "--all", "--quiet", "--filter", &format!("label=ovenbird.pipeline={}", self.name)])
    }

    /// Docker images of this pipeline's dry runs, by name.
    pub fn dry_run_images(&self) -> Vec<String> {
        docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", &format!("ovenbird/{}/*", self.name)])
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let containers = self.containers();
        if !containers.is_empty() {
            docker(&[&["rm", "--force", "--volumes"][..], &containers.iter().map(String::as_str).collect::<Vec<_>>()].concat());
        }
        let mut images = self.dry_run_images();
        images.sort();
        if !images.is_empty() {
            docker(&[&["rmi", "--force"][..], &images.iter().map(String::as_str).collect::<Vec<_>>()].concat());
        }
    }
}

/// Words that docker prints.
pub fn docker(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("docker").args(arguments).env_clear().envs(tools()).output().expect("docker starts");
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

/// A run of ovenbird that has not ended.
pub struct Running {
    child: Child,
    output: tempfile::TempDir,
}

impl Running {
    /// What it has printed on stdout.
    pub fn stdout(&self) -> String {
        self.read("out")
    }

    /// What it has printed on stderr.
    pub fn stderr(&self) -> String {
        self.read("err")
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.output.path().join(name)).expect("it can be read")).into_owned()
    }

    /// Waits until it has said this, on either stream.
    #[track_caller]
    pub fn says(&mut self, text: &str) {
        until(&format!("`{text}`"), || {
            let ended = self.child.try_wait().expect("it can be waited for");
            let said = self.stdout().contains(text) || self.stderr().contains(text);
            assert!(said || ended.is_none(), "it ended ({ended:?}) and never said `{text}`\n{}\n{}", self.stdout(), self.stderr());
            said.then_some(())
        });
    }

    /// Has it ended?
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    /// Sends it a signal; to it alone, not to its group.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it is there");
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("an id fits"))
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(self) -> Ran {
        self.end_within(PATIENCE)
    }

    /// Waits for the end of what takes its time.
    #[track_caller]
    pub fn end_within(mut self, patience: Duration) -> Ran {
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "ovenbird does not end\n{}\n{}", self.stdout(), self.stderr());
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        Ran { code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Running {
    /// A test that failed leaves no run behind.
    fn drop(&mut self) {
        if !self.ended() {
            self.signal(Signal::SIGTERM);
            let deadline = Instant::now() + PATIENCE;
            while !self.ended() && Instant::now() < deadline {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}

/// A run of ovenbird that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; none: a signal.
    pub code: Option<i32>,
    /// What it printed for programs.
    pub stdout: String,
    /// What it printed for people.
    pub stderr: String,
}

impl Ran {
    /// Both streams.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Its stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("stdout is not JSON: {e}\n{self}"))
    }

    /// Its stdout as events, one a line.
    #[track_caller]
    pub fn events(&self) -> Vec<Json> {
        self.stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("`{l}` is not JSON: {e}\n{self}"))).collect()
    }

    /// It said this.
    #[track_caller]
    pub fn said(&self, text: &str) -> &Self {
        assert!(self.text().contains(text), "it never said `{text}`\n{self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Copies a folder's contents.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let entry = entry.expect("a folder can be listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it has a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}
