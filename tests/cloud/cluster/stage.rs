//! [`Stage`]: a local EC2 whose regions are networks, a checkout of the repository's pipeline, and environments that Terraform applies.
//!
//! Must not hold any expectation about a cluster. Invariant: module, environment and tfvars are the repository's, word for word; what
//! only the local EC2 needs comes from its own answer, as one more tfvars file.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a test starts processes as a user does, and prepares folders")]

use std::process::Command;

use serde_json::{Value as Json, json};

use crate::cluster::images::{copy_pipeline, release_site};
use crate::cluster::node::Node;
use crate::harness::{LocalEc2, until_or};
use crate::project::Project;

/// Where Terraform works.
pub const ENVIRONMENT: &str = "terraform/environments/cluster";
/// The two clouds.
pub const REGIONS: [&str; 2] = ["ap-northeast-1", "us-west-2"];

/// An environment, as its tfvars file has it.
#[derive(Debug, Clone, Copy)]
pub struct Environment {
    /// Its file, which names its workspace too.
    pub file: &'static str,
    /// `production` ….
    pub name: &'static str,
    /// Consul's datacentre.
    pub datacenter: &'static str,
    /// Where it runs.
    pub region: &'static str,
}

/// The large one.
pub const PRODUCTION: Environment = Environment { file: "production", name: "production", datacenter: "tokyo", region: REGIONS[0] };
/// Its second cloud.
pub const OREGON: Environment = Environment { file: "production-oregon", name: "production", datacenter: "oregon", region: REGIONS[1] };
/// The small one.
pub const STAGING: Environment = Environment { file: "staging", name: "staging", datacenter: "tokyo", region: REGIONS[0] };

/// AMI ids by the names of Terraform's variables.
pub type Amis = Vec<(&'static str, String)>;

/// A cloud in which clusters can be made.
pub struct Stage {
    /// The checkout.
    pub project: Project,
    /// Its account.
    pub ec2: LocalEc2,
    /// The gossip key, unlike any other.
    pub gossip: String,
    id: String,
}

impl Stage {
    /// Networks, key pair and buckets are there; no instance is.
    pub fn new(name: &str) -> Self {
        let ec2 = LocalEc2::start(false);
        let mut project = Project::empty(name, &ec2);
        project.environment.extend(release_site());
        copy_pipeline(&project.path(""));
        project.called("shop");
        project.write(".gitignore", ".ovenbird/\n.terraform/\n*.tfstate*\n");
        project.commit();
        let id = ec2.control("GET", "about", &json!({}))["id"].as_str().expect("an id").to_owned();
        let mut stage = Self { project, ec2, gossip: String::new(), id };
        // As `consul keygen` makes one.
        let gossip = stage.python("import base64, os, json\nprint(json.dumps(base64.b64encode(os.urandom(32)).decode()))");
        stage.gossip.push_str(gossip.as_str().expect("a key"));
        // A machine that is busy with other tests must not have its instances replaced for that.
        stage.ec2.turn(&json!({ "clock": 3 }));
        let networks = stage.ec2.control("POST", "networks", &json!({ "regions": REGIONS }));
        for region in REGIONS {
            let pair = stage.aws(region, "ec2", "create_key_pair(KeyName='cluster', KeyType='ed25519')");
            stage.secret(&format!("{region}.pem"), pair["KeyMaterial"].as_str().expect("a key"));
            let mut inputs = networks["regions"][region]["cluster"].clone();
            inputs["key_name"] = json!("cluster");
            inputs["roll"] = json!(false);
            inputs["health_check_grace_period"] = json!(1200);
            stage.project.write(&format!("{ENVIRONMENT}/{region}.tfvars.json"), &inputs.to_string());
        }
        for bucket in ["staging-releases", "production-releases"] {
            let location = format!("CreateBucketConfiguration=dict(LocationConstraint='{}')", REGIONS[0]);
            stage.aws(REGIONS[0], "s3", &format!("create_bucket(Bucket='{bucket}', {location})"));
        }
        stage.terraform(&["init", "-input=false"]);
        stage
    }

    /// A file beside the checkout that only we can read; gives its path.
    pub fn secret(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.project.beside(name);
        std::fs::write(&path, text).expect("a file can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode can be set");
        path.display().to_string()
    }

    /// Calls AWS, in boto3's words. Gives the answer.
    #[track_caller]
    pub fn aws(&self, region: &str, service: &str, call: &str) -> Json {
        self.python(&format!(
            "import boto3, json\nprint(json.dumps(boto3.client({service:?}, region_name={region:?}).{call}, default=str))"
        ))
    }

    /// Runs a script that prints JSON; a secret is not for its text.
    #[track_caller]
    pub(super) fn python(&self, script: &str) -> Json {
        let mut command = Command::new(&self.project.environment["OVENBIRD_PYTHON"]);
        let output = command.args(["-c", script]).env_clear().envs(&self.project.environment).output().expect("Python starts");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Runs Terraform among the environments, and gives its stdout.
    #[track_caller]
    pub fn terraform(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("terraform");
        command.args(arguments).current_dir(self.project.path(ENVIRONMENT)).env_clear().envs(&self.project.environment);
        let output = command.env("TF_VAR_gossip_key", &self.gossip).output().expect("terraform starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "terraform {arguments:?}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// `terraform apply` of an environment with these images; `more` are further variables.
    #[track_caller]
    pub fn apply(&self, environment: &Environment, amis: &Amis, more: &[&str]) {
        self.changed(&["apply", "-auto-approve"], environment, amis, more);
    }

    /// `terraform destroy` of it; returns when its instances are gone.
    #[track_caller]
    pub fn destroy(&self, environment: &Environment, amis: &Amis) {
        self.changed(&["destroy", "-auto-approve"], environment, amis, &[]);
    }

    fn changed(&self, command: &[&str], environment: &Environment, amis: &Amis, more: &[&str]) {
        self.terraform(&["workspace", "select", "-or-create", environment.file]);
        let files = [format!("-var-file={}.tfvars", environment.file), format!("-var-file={}.tfvars.json", environment.region)];
        let amis: Vec<String> = amis.iter().map(|(name, id)| format!("-var={name}={id}")).collect();
        let more: Vec<String> = more.iter().map(|one| format!("-var={one}")).collect();
        let words = command.iter().copied().chain(["-input=false"]);
        let all: Vec<&str> = words.chain(files.iter().chain(&amis).chain(&more).map(String::as_str)).collect();
        self.terraform(&all);
    }

    /// An output of an environment.
    #[track_caller]
    pub fn output(&self, environment: &Environment, name: &str) -> Json {
        self.terraform(&["workspace", "select", environment.file]);
        serde_json::from_str(&self.terraform(&["output", "-json", name])).expect("JSON")
    }

    /// Instances of these kinds that run now.
    #[track_caller]
    pub fn nodes(&self, environment: &Environment, kinds: &[&str]) -> Vec<Node> {
        let found =
            self.aws(environment.region, "ec2", "describe_instances(Filters=[dict(Name='instance-state-name', Values=['running'])])");
        let mut nodes = Vec::new();
        for one in found["Reservations"].as_array().into_iter().flatten().flat_map(|r| r["Instances"].as_array().into_iter().flatten()) {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            let tags = one["Tags"].as_array().into_iter().flatten();
            let group =
                tags.clone().find(|t| t["Key"] == "aws:autoscaling:groupName").and_then(|t| t["Value"].as_str()).unwrap_or_default();
            let Some(kind) = group.strip_prefix(&format!("{}-{}-", environment.name, environment.datacenter)) else { continue };
            let kind = if kind == "consul" { "consul_server" } else { kind };
            if !kinds.contains(&kind) {
                continue;
            }
            let id = text("InstanceId");
            nodes.push(Node {
                container: self.container(&id),
                id,
                kind: kind.to_owned(),
                private: text("PrivateIpAddress"),
                public: text("PublicIpAddress"),
                ami: text("ImageId"),
            });
        }
        nodes
    }

    /// Name of an instance's container.
    pub fn container(&self, instance: &str) -> String {
        format!("{instance}-{}", self.id)
    }

    /// Waits until so many instances of a kind run, and gives them.
    #[track_caller]
    pub fn running(&self, environment: &Environment, kind: &str, count: usize) -> Vec<Node> {
        until_or(
            || format!("{count} {kind} of {} run: {:?}", environment.file, self.nodes(environment, &[kind])),
            || {
                let nodes = self.nodes(environment, &[kind]);
                (nodes.len() == count).then_some(nodes)
            },
        )
    }
}
