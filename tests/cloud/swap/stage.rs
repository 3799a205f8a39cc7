//! [`Stage`]: a local EC2 of one's own with the environment of the demo applied, blue in service, and a checkout with a remote.
//!
//! Must not hold any expectation about a swap, but that something serves at the start. Invariant: the environment is that of the
//! repository, word for word; only the tfvars are made here.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]
#![expect(clippy::disallowed_types, reason = "a test starts processes as a user does, and prepares folders")]

use std::process::Command;

use serde_json::{Value as Json, json};

use crate::harness::{LocalEc2, root};
use crate::project::{Project, copy_folder};
use crate::swap::client::Client;

/// Where Terraform works.
pub const ENVIRONMENT: &str = "terraform/environments/local";
/// The file that a swap edits.
pub const TFVARS: &str = "terraform/environments/local/variables.tfvars";

/// A swap that can begin.
pub struct Stage {
    /// The checkout.
    pub project: Project,
    /// Its account.
    pub ec2: LocalEc2,
    /// Address of the live load balancer, with its port.
    pub live: String,
    /// Of the test one.
    pub test: String,
    /// AMI in service at the start.
    pub old: String,
    /// AMI that shall come into service.
    pub new: String,
    images: std::cell::Cell<u32>,
}

impl Stage {
    /// Blue serves with two instances.
    pub fn new(name: &str) -> Self {
        Self::of(name, |_| {})
    }

    /// The same; `prepare` is done to the checkout before Terraform first works in it.
    pub fn of(name: &str, prepare: impl FnOnce(&mut Project)) -> Self {
        let ec2 = LocalEc2::start(false);
        let project = Project::swap(name, &ec2);
        let mut stage = Self {
            project,
            ec2,
            live: String::new(),
            test: String::new(),
            old: String::new(),
            new: String::new(),
            images: std::cell::Cell::new(0),
        };
        stage.calm();
        stage.old = stage.image();
        stage.new = stage.image();
        let values = format!(
            "# Which AMI serves, and where.\nblue_ami_id = \"{0}\"\nblue_min_size = \"2\"\nblue_max_size = \"4\"\nblue_elb_name = \"elb-prd\"\n\
             green_ami_id = \"{0}\"\ngreen_min_size = 0\ngreen_max_size = 0\ngreen_elb_name = \"elb-test\"\n",
            stage.old
        );
        stage.project.write(TFVARS, &values);
        stage.emit(&stage.new.clone());
        // A machine that is busy with other tests must not have its instances replaced for that.
        stage.project.write(&format!("{ENVIRONMENT}/terraform.tfvars"), "health_check_grace_period = 1200\n");
        prepare(&mut stage.project);
        stage.terraform(&["init", "-input=false"]);
        stage.apply();
        (stage.live, stage.test) = (stage.address("elb-prd"), stage.address("elb-test"));
        stage.project.edit("ovenbird.hcl", "http://TEST", &format!("http://{}", stage.test));
        stage.project.commit();
        stage.remote();
        let live = stage.live.clone();
        crate::harness::until("blue serves", || one(&live));
        stage
    }

    /// Where a load balancer listens.
    pub fn address(&self, name: &str) -> String {
        let urls: Json = serde_json::from_str(&self.terraform(&["output", "-json", "urls"])).expect("JSON");
        let url = urls[name].as_str().unwrap_or_else(|| panic!("no URL of {name}: {urls}"));
        format!("{}:80", url.trim_start_matches("http://").trim_end_matches('/'))
    }

    /// Knobs off, and health checks at a pace that a machine which is busy with other tests keeps.
    pub fn calm(&self) {
        self.ec2.reset();
        self.ec2.turn(&json!({ "clock": 3 }));
    }

    /// A new light AMI, sealed and verified as a build of this pipeline.
    pub fn image(&self) -> String {
        self.image_like(|_| {})
    }

    /// The same with something else about it than a build of this pipeline has.
    pub fn image_like(&self, spoil: impl FnOnce(&mut Json)) -> String {
        self.images.set(self.images.get() + 1);
        let key = format!("sha256:{:064x}", self.images.get());
        let tags =
            json!({ "ovenbird:key": key, "ovenbird:verified": key, "ovenbird:pipeline": self.project.name, "ovenbird:stage": "web" });
        let mut image = json!({ "name": format!("web-{}", self.images.get()), "tags": tags });
        spoil(&mut image);
        let made = self.ec2.control("POST", "light", &image);
        made["id"].as_str().unwrap_or_else(|| panic!("no light AMI: {made}")).to_owned()
    }

    /// Writes the AMI as an emit does.
    pub fn emit(&self, ami: &str) {
        self.project.write(&format!("{ENVIRONMENT}/images.auto.tfvars"), &format!("web_ami_id = \"{ami}\"\napi_ami_id = \"\"\n"));
    }

    /// Another image, emitted, committed and pushed.
    pub fn emit_and_push(&self) -> String {
        let image = self.image();
        self.emit(&image);
        self.push("Emit another image");
        image
    }

    /// An edit of a file, committed and pushed.
    pub fn edit_and_push(&self, file: &str, from: &str, to: &str) {
        self.project.edit(file, from, to);
        self.push("Edit");
    }

    /// Everything as it is, committed and pushed.
    pub fn push(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["push", "--quiet"]);
    }

    /// Runs Terraform in the environment, and gives its stdout.
    #[track_caller]
    pub fn terraform(&self, arguments: &[&str]) -> String {
        self.terraform_in(ENVIRONMENT, arguments)
    }

    /// The same in another folder of the checkout.
    #[track_caller]
    pub fn terraform_in(&self, folder: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("terraform");
        command.args(arguments).current_dir(self.project.path(folder)).env_clear().envs(&self.project.environment);
        let output = command.output().expect("terraform starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "terraform {arguments:?}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// `terraform apply` as a person does it.
    #[track_caller]
    pub fn apply(&self) {
        self.terraform(&["apply", "-input=false", "-auto-approve", "-var-file=variables.tfvars"]);
    }

    /// Runs git in the checkout, and gives its stdout.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        let output =
            Command::new("git").args(arguments).current_dir(self.project.path("")).env_clear().envs(&self.project.environment).output();
        let output = output.expect("git starts");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Calls AWS as a person does beside ovenbird: `aws("autoscaling", "set_desired_capacity(…)")`, in boto3's words. Gives the answer.
    #[track_caller]
    pub fn aws(&self, service: &str, call: &str) -> Json {
        let script = format!("import boto3, json\nprint(json.dumps(boto3.client({service:?}).{call}, default=str))");
        let mut command = Command::new(&self.project.environment["OVENBIRD_PYTHON"]);
        let output = command.args(["-c", &script]).env_clear().envs(&self.project.environment).output().expect("Python starts");
        assert!(output.status.success(), "{service}.{call}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Gives the checkout a remote that it is pushed to.
    fn remote(&self) {
        let remote = self.project.beside("remote.git");
        let path = remote.display().to_string();
        self.git(&["init", "--quiet", "--bare", &path]);
        self.git(&["config", "user.name", "test"]);
        self.git(&["config", "user.email", "test@localhost"]);
        self.git(&["remote", "add", "origin", &path]);
        self.git(&["push", "--quiet", "--set-upstream", "origin", "HEAD"]);
    }

    /// `ovenbird swap local …`, with this exit code.
    #[track_caller]
    pub fn swap(&self, code: i32, arguments: &[&str]) -> crate::project::Ran {
        self.project.expect(code, &[&["swap", "local"], arguments].concat())
    }

    /// `status --json`.
    #[track_caller]
    pub fn status(&self) -> Json {
        self.project.run(&["swap", "local", "status", "--json"]).json()
    }

    /// State and colour by the tfvars: `steady blue`, `started green` …; and fails unless all three say the same.
    #[track_caller]
    pub fn stands(&self) -> String {
        let status = self.status();
        assert_eq!(status["differences"], json!([]), "{status:#}");
        let colour = status["state"]["live"].as_str().or_else(|| status["state"]["new"].as_str());
        format!("{} {}", status["state"]["state"].as_str().unwrap_or("irregular"), colour.unwrap_or_default())
    }

    /// A client on the live load balancer.
    pub fn client(&self) -> Client {
        Client::start(&self.live)
    }

    /// The AMIs that answer on the live load balancer now.
    pub fn serving(&self) -> Vec<String> {
        let mut found: Vec<String> = (0..20).filter_map(|_| one(&self.live)).collect();
        found.sort();
        found.dedup();
        found
    }
}

/// One answer of a load balancer: the AMI.
fn one(address: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let json: Json = serde_json::from_str(body).ok().filter(|_| head.contains(" 200 "))?;
    Some(json["ami"].as_str()?.to_owned())
}

impl Project {
    /// The swap's pipeline with the repository's Terraform beside it.
    pub fn swap(name: &str, cloud: &LocalEc2) -> Self {
        let project = Self::of("tests/fixtures/swap", "swap", name, cloud);
        copy_folder(&root().join("packer"), &project.path("packer"));
        for folder in ["modules", "environments/local"] {
            copy_folder(&root().join("terraform").join(folder), &project.path("terraform").join(folder));
        }
        for left in [".terraform", ".terraform.lock.hcl", "terraform.tfstate"] {
            let path = project.path(ENVIRONMENT).join(left);
            if path.is_dir() {
                std::fs::remove_dir_all(path).ok()
            } else {
                std::fs::remove_file(path).ok()
            };
        }
        project.write(".gitignore", ".ovenbird/\n.terraform/\n*.tfstate*\n");
        project
    }
}
