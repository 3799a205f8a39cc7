//! [`Ci`]: what applies on a push where `apply = "external"`: a checkout of its own that is pulled, and applied when it moved.
//!
//! Must not know ovenbird. Invariant: it ends with the test, and a pull or an apply that fails fails the test.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]
#![expect(clippy::disallowed_types, reason = "a test starts processes as a CI does")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::swap::stage::{ENVIRONMENT, Stage};

/// At work.
pub struct Ci {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u32>>,
}

impl Ci {
    /// Clones the remote, applies what is there, then whatever comes.
    pub fn start(stage: &Stage) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, environment) = (Arc::clone(&stop), stage.project.environment.clone());
        let (remote, checkout) = (stage.project.beside("remote.git"), stage.project.beside("ci"));
        let thread = std::thread::spawn(move || {
            let run = |folder: &Path, line: &[&str]| {
                let output = Command::new(line[0]).args(&line[1..]).current_dir(folder).env_clear().envs(&environment).output();
                let output = output.expect("it starts");
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(output.status.success(), "CI: {line:?}\n{said}{}", String::from_utf8_lossy(&output.stderr));
                said
            };
            let path = checkout.display().to_string();
            run(&remote, &["git", "clone", "--quiet", &remote.display().to_string(), &path]);
            let folder = checkout.join(ENVIRONMENT);
            run(&folder, &["terraform", "init", "-input=false"]);
            let (mut seen, mut applied) = (String::new(), 0);
            while !ended.load(Ordering::Relaxed) {
                run(&checkout, &["git", "pull", "--quiet"]);
                let now = run(&checkout, &["git", "rev-parse", "HEAD"]);
                if now != seen {
                    let apply = ["terraform", "apply", "-input=false", "-auto-approve", "-lock-timeout=120s", "-var-file=variables.tfvars"];
                    run(&folder, &apply);
                    (seen, applied) = (now, applied + 1);
                }
                std::thread::park_timeout(Duration::from_millis(300));
            }
            applied
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it, and tells how often it applied.
    pub fn end(mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it ends once").join().expect("CI could do its work")
    }
}

impl Drop for Ci {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
