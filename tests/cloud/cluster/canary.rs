//! [`Canary`]: the search for secrets in all places where none may be.
//!
//! Must not print a secret, nor give one to a process as an argument. Where a secret belongs (the instance's own files of mode 0600 and
//! 0640, Consul's KV, Terraform's state) is not searched. Invariant: a place that cannot be searched fails the test.

#![expect(clippy::disallowed_types, reason = "a test starts processes as a user does")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use crate::account::Account;
use crate::asking::Asking;
use crate::cluster::node::Node;
use crate::cluster::stage::{REGIONS, Stage};

/// Secrets that are looked for.
pub(super) struct Canary {
    /// One a line.
    file: PathBuf,
    /// With it the account's buckets can be read.
    environment: BTreeMap<String, String>,
    processes: Asking<Vec<String>>,
}

impl Canary {
    /// Looks at the command lines of this machine from now on, and everywhere when it is asked.
    pub(super) fn new(stage: &Stage, secrets: &[&str]) -> Self {
        let file = PathBuf::from(stage.secret("canaries", &(secrets.join("\n") + "\n")));
        Self { file, environment: stage.project.environment.clone(), processes: watch(secrets) }
    }

    /// Places in which one was found, each once: `layers of ovenbird/…`, `/var/log of i-…`.
    #[track_caller]
    pub(super) fn found(&self, stage: &Stage, nodes: &[Node]) -> Vec<String> {
        let mut found = self.processes.so_far();
        let mut look = |what: String, script: &str, arguments: &[&str]| {
            if self.finds(script, arguments) {
                found.push(what);
            }
        };
        // The search finds what it looks for, or all that follows says nothing.
        assert!(self.finds("cat \"$1\"", &[&self.file.display().to_string()]), "the search is blind");

        let mut images = stage.project.dry_run_images();
        let own = &Account::of(&stage.ec2).0["images"];
        images.extend(own.as_array().expect("a list").iter().filter_map(|i| i["docker"].as_str().map(str::to_owned)));
        images.sort();
        images.dedup();
        assert!(!images.is_empty(), "there are images to search");
        // All in one: layers that they share are searched once.
        let all: Vec<&str> = images.iter().map(String::as_str).collect();
        look(format!("layers of {}", images.join(", ")), "docker save \"$@\"", &all);

        for node in nodes {
            let (id, container) = (&node.id, node.container.as_str());
            look(format!("journal of {id}"), "docker exec \"$1\" journalctl --no-pager --all --output=export", &[container]);
            look(
                format!("/var/log of {id}"),
                "docker exec \"$1\" tar -C / -cf - --warning=none --exclude=var/log/journal var/log",
                &[container],
            );
            look(format!("command lines of {id}"), "docker exec \"$1\" sh -c 'cat /proc/[0-9]*/cmdline 2>/dev/null || true'", &[container]);
            look(
                format!("world-readable files of {id}"),
                "docker exec \"$1\" sh -c 'find /etc /var/lib /srv /opt /run /tmp /var/tmp -xdev -type f -perm -o+r -print0 2>/dev/null | xargs -0 cat 2>/dev/null || true'",
                &[container],
            );
        }
        for folder in [".ovenbird", "ansible", "packer"] {
            let path = stage.project.path(folder).display().to_string();
            look(format!("{folder} of the checkout"), "tar -cPf - --warning=none \"$1\"", &[&path]);
        }
        for path in [".ansible", ".cache"].map(|name| stage.project.beside("home").join(name)).iter().filter(|p| p.exists()) {
            look(path.display().to_string(), "tar -cPf - --warning=none \"$1\"", &[&path.display().to_string()]);
        }
        for bucket in ["staging-releases", "production-releases"] {
            let script = format!(
                "\"$OVENBIRD_PYTHON\" -c \"import boto3, sys\ns3 = boto3.client('s3', region_name='{}')\nfor o in s3.list_objects_v2(Bucket='{bucket}').get('Contents', []):\n    sys.stdout.buffer.write(o['Key'].encode() + s3.get_object(Bucket='{bucket}', Key=o['Key'])['Body'].read())\"",
                REGIONS[0]
            );
            look(format!("bucket {bucket}"), &script, &[]);
        }
        let calls = stage.secret("calls", &stage.ec2.control("GET", "calls", &json!({})).to_string());
        look("the record of calls to AWS".to_owned(), "cat \"$1\"", &[&calls]);
        found.sort();
        found.dedup();
        found
    }

    /// Is one in what the script writes?
    #[track_caller]
    fn finds(&self, script: &str, arguments: &[&str]) -> bool {
        let pipe = format!(
            "set -o pipefail; {{ {script}; }} | {{ grep --text --quiet --fixed-strings --file=\"$CANARIES\"; hit=$?; cat >/dev/null; exit $hit; }}"
        );
        let mut command = Command::new("bash");
        command.args(["-c", &pipe, "search"]).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        let output = command.env_clear().envs(&self.environment).env("CANARIES", &self.file).output().expect("bash starts");
        match output.status.code() {
            Some(0) => true,
            Some(1) if output.stderr.is_empty() => false,
            code => panic!("{script} {arguments:?}: {code:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

/// Watches the command lines of all processes of this machine, which short-lived ones would hide from a single look.
fn watch(secrets: &[&str]) -> Asking<Vec<String>> {
    let secrets: Vec<Vec<u8>> = secrets.iter().map(|s| s.as_bytes().to_vec()).collect();
    Asking::begin(Duration::from_millis(50), [move |seen: &Mutex<Vec<String>>| look(&secrets, seen)])
}

fn look(secrets: &[Vec<u8>], seen: &Mutex<Vec<String>>) {
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(line) = std::fs::read(Path::new(&entry.path()).join("cmdline")) else { continue };
        if secrets.iter().any(|s| line.windows(s.len()).any(|part| part == s)) {
            let program = String::from_utf8_lossy(line.split(|b| *b == 0).next().unwrap_or_default()).into_owned();
            let mut seen = seen.lock().expect("no thread panics");
            let place = format!("a command line of {program}");
            if !seen.contains(&place) {
                seen.push(place);
            }
        }
    }
}
