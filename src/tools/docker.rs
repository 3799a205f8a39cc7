//! Docker: containers with systemd, images and their labels.
//!
//! Invariant: every container and image that ovenbird makes carries [`label::RUN`], so that it can be found and removed; nothing
//! without our labels is ever removed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::process::command::CommandLine;

/// Labels on containers and images.
pub mod label {
    /// Run that made it.
    pub const RUN: &str = "ovenbird.run";
    /// Pipeline's name.
    pub const PIPELINE: &str = "ovenbird.pipeline";
    /// Stage's name.
    pub const STAGE: &str = "ovenbird.stage";
    /// `x86_64` or `arm64`.
    pub const ARCHITECTURE: &str = "ovenbird.architecture";
    /// Dry-run key, `sha256:…`.
    pub const KEY: &str = "ovenbird.dry-run-key";
    /// Docker image that it started from.
    pub const PARENT: &str = "ovenbird.parent";
    /// Checkout (digest of its path) whose kept container it is.
    pub const KEPT: &str = "ovenbird.kept";
}

/// The docker command and what surrounds it.
#[derive(Debug, Clone)]
pub struct Docker<'a> {
    /// Working folder.
    pub root: &'a Path,
    /// The whole environment (`DOCKER_HOST`, `DOCKER_CONFIG` …).
    pub env: &'a BTreeMap<String, String>,
}

/// Version of the engine, its layout of control groups and its architecture: `20.10.24 1 x86_64`.
pub const INFO: &str = "{{.ServerVersion}} {{.CgroupVersion}} {{.Architecture}}";

/// How control groups are laid out on the Docker host; decides how systemd can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroup {
    /// One hierarchy a controller.
    V1,
    /// The unified one.
    V2,
}

impl Cgroup {
    /// From `docker info --format {{.CgroupVersion}}`; an engine too old to say it has v1.
    pub fn parse(text: &str) -> Self {
        if text.trim() == "2" { Self::V2 } else { Self::V1 }
    }
}

/// Flags under which systemd runs as first process. Measured for v1; for v2 as systemd's own documentation asks.
pub fn systemd_flags(cgroup: Cgroup) -> Vec<String> {
    let cgroups: &[&str] = match cgroup {
        Cgroup::V1 => &["--volume=/sys/fs/cgroup:/sys/fs/cgroup:ro"],
        Cgroup::V2 => &["--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"],
    };
    let common = ["--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined", "--tmpfs=/run", "--tmpfs=/run/lock"];
    // /etc/hosts and the like are mounts in a container: Ansible's rename onto them fails, writing in place does not.
    let env = ["-e", "container=docker", "-e", "ANSIBLE_UNSAFE_WRITES=1"];
    common.iter().chain(cgroups).chain(&env).map(|s| (*s).to_owned()).collect()
}

/// What a container runs as its first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstProcess {
    /// systemd, under the flags for this layout.
    Systemd(Cgroup),
    /// Nothing but waiting: the image has no systemd, services cannot be started.
    Sleep,
}

/// `docker run` arguments behind `run`, for Packer's `run_command` and for [`Docker::run`]. `image` may be Packer's `{{.Image}}`.
pub fn run_arguments(image: &str, first: FirstProcess, labels: &BTreeMap<String, String>, platform: Option<&str>) -> Vec<String> {
    let mut args = vec!["-d".to_owned()];
    if let FirstProcess::Systemd(cgroup) = first {
        args.extend(systemd_flags(cgroup));
    } else {
        args.extend(["--init", "-e", "ANSIBLE_UNSAFE_WRITES=1"].map(str::to_owned));
    }
    args.extend(platform.map(|platform| format!("--platform={platform}")));
    args.extend(labels.iter().map(|(name, value)| format!("--label={name}={value}")));
    args.extend(["--entrypoint=", "--", image].map(str::to_owned));
    match first {
        FirstProcess::Systemd(_) => args.push(INIT.to_owned()),
        FirstProcess::Sleep => args.extend(["/bin/sh", "-c", "while :; do sleep 3600; done"].map(str::to_owned)),
    }
    args
}

/// Docker's name for an architecture.
pub fn platform(architecture: crate::model::node::Architecture) -> &'static str {
    match architecture {
        crate::model::node::Architecture::X86_64 => "linux/amd64",
        crate::model::node::Architecture::Arm64 => "linux/arm64",
    }
}

impl Docker<'_> {
    fn line<'s>(&self, args: impl IntoIterator<Item = &'s str>) -> CommandLine {
        CommandLine::new("docker", self.root).envs(self.env).args(args)
    }

    /// What the engine says about itself, in the format [`INFO`].
    pub fn info(&self, format: &str) -> CommandLine {
        self.line(["info", "--format", format])
    }

    /// Id of an image, `sha256:…`; fails when it is not there.
    pub fn image_id(&self, image: &str) -> CommandLine {
        self.line(["image", "inspect", "--format", "{{.Id}}", "--", image])
    }

    /// Our images of a pipeline, a line each: `ID REPOSITORY:TAG`.
    pub fn images(&self, pipeline: &str) -> CommandLine {
        let filter = format!("label={}={pipeline}", label::PIPELINE);
        self.line(["image", "ls", "--no-trunc", "--filter", &filter, "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"])
    }

    /// Fetches an image.
    pub fn pull(&self, image: &str) -> CommandLine {
        self.line(["pull", "--quiet", "--", image])
    }

    /// Gives an image a further name.
    pub fn tag(&self, image: &str, name: &str) -> CommandLine {
        self.line(["tag", image, name])
    }

    /// Takes a name from an image; the image goes with its last name.
    pub fn remove_image(&self, name: &str) -> CommandLine {
        self.line(["rmi", "--no-prune", "--", name])
    }

    /// Starts a container; prints its id.
    pub fn run(&self, arguments: &[String]) -> CommandLine {
        self.line(["run"]).args(arguments)
    }

    /// Removes a container, running or not, with its anonymous volumes.
    pub fn remove_container(&self, id: &str) -> CommandLine {
        self.line(["rm", "--force", "--volumes", "--", id])
    }

    /// Ids of containers with all of these labels, newest first; `running` leaves out those that ended.
    pub fn containers(&self, labels: &[(&str, &str)], running: bool) -> CommandLine {
        let mut line = self.line(["ps", "--no-trunc", "--quiet"]);
        if !running {
            line = line.arg("--all");
        }
        for (name, value) in labels {
            line = line.arg(format!("--filter=label={name}={value}"));
        }
        line
    }

    /// State of a container (`running`, `exited` …); fails when there is none.
    pub fn container_state(&self, id: &str) -> CommandLine {
        self.line(["container", "inspect", "--format", "{{.State.Status}}", "--", id])
    }

    /// A label of a container; empty when it has none.
    pub fn container_label(&self, id: &str, name: &str) -> CommandLine {
        let format = format!("{{{{index .Config.Labels {}}}}}", serde_json::Value::from(name));
        self.line(["container", "inspect", "--format", &format, "--", id])
    }

    /// A command in a container as root, without a terminal.
    pub fn exec(&self, container: &str, script: &str) -> CommandLine {
        self.line(["exec", "-u", "root", container, "/bin/sh", "-c", script])
    }

    /// A shell in a container, for a person at a terminal.
    pub fn shell(&self, container: &str) -> CommandLine {
        self.line(["exec", "-it", container, "/bin/sh", "-c", "command -v bash >/dev/null && exec bash -l || exec sh"])
    }

    /// Copies a file out of a container, running or not, a link as a link; fails when it is not there.
    pub fn copy(&self, container: &str, from: &str, to: &Path) -> CommandLine {
        self.line(["cp", "--"]).arg(format!("{container}:{from}")).arg(to.as_os_str())
    }

    /// Makes a container that is never started: to be looked into, or to be committed with labels.
    pub fn create(&self, image: &str, labels: &BTreeMap<String, String>) -> CommandLine {
        let labels = labels.iter().map(|(name, value)| format!("--label={name}={value}"));
        self.line(["create"]).args(labels).args(["--entrypoint=", "--", image, "/bin/true"])
    }

    /// Commits a container with labels under `name`; prints the image's id.
    pub fn commit(&self, container: &str, name: &str, labels: &BTreeMap<String, String>, changes: &[String]) -> CommandLine {
        let mut line = self.line(["commit"]);
        for (name, value) in labels {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            line = line.arg(format!("--change=LABEL {}={}", quoted(name), quoted(value)));
        }
        line.args(changes.iter().map(|c| format!("--change={c}"))).args([container, name])
    }
}

/// Where systemd is found as the first process; an image without it runs no services.
pub const INIT: &str = "/sbin/init";

/// Waits until systemd has come up in a container; prints its state.
pub const WAIT_FOR_SYSTEMD: &str = "for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do \
     systemctl list-units >/dev/null 2>&1 && break; sleep 0.2; done; timeout 60 systemctl is-system-running --wait; :";

/// A line of [`Docker::info`]: version, layout of control groups, architecture.
pub fn parse_info(text: &str) -> Option<(String, Cgroup, String)> {
    let mut words = text.split_whitespace();
    Some((words.next()?.to_owned(), Cgroup::parse(words.next()?), words.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_runs_first_under_the_flags_of_the_hosts_layout() {
        let labels = BTreeMap::from([(label::RUN.to_owned(), "r1".to_owned())]);
        insta::assert_snapshot!(run_arguments("{{.Image}}", FirstProcess::Systemd(Cgroup::V1), &labels, None).join(" "), @"-d --cap-add=SYS_ADMIN --security-opt=seccomp=unconfined --tmpfs=/run --tmpfs=/run/lock --volume=/sys/fs/cgroup:/sys/fs/cgroup:ro -e container=docker -e ANSIBLE_UNSAFE_WRITES=1 --label=ovenbird.run=r1 --entrypoint= -- {{.Image}} /sbin/init");
        let v2 = run_arguments("x", FirstProcess::Systemd(Cgroup::parse("2\n")), &labels, Some("linux/arm64")).join(" ");
        assert!(v2.contains("--cgroupns=host") && v2.contains(":rw") && v2.contains("--platform=linux/arm64"), "{v2}");
    }

    #[test]
    fn an_image_without_systemd_only_waits() {
        let line = run_arguments("debian:12", FirstProcess::Sleep, &BTreeMap::new(), None).join(" ");
        assert!(line.ends_with("--entrypoint= -- debian:12 /bin/sh -c while :; do sleep 3600; done"), "{line}");
    }

    #[test]
    fn the_engine_says_version_and_layout() {
        assert_eq!(parse_info("20.10.24+dfsg1 1 x86_64\n"), Some(("20.10.24+dfsg1".to_owned(), Cgroup::V1, "x86_64".to_owned())));
        assert_eq!(parse_info(""), None);
    }
}
