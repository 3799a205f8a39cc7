//! What people do with a cluster that runs: fill its KV, deploy, go back, launch one more; by the repository's playbooks.
//!
//! Must not write into Consul or S3 by other ways than the playbooks, but to spoil a release. Invariant: no secret is an argument.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]
#![expect(clippy::disallowed_types, reason = "a test starts processes as a user does")]

use std::process::Command;

use serde_json::{Value as Json, json};

use crate::cluster::node::Node;
use crate::cluster::stage::{Amis, ENVIRONMENT, Environment, Stage};
use crate::project::Ran;

impl Environment {
    /// Where its releases are, as its tfvars say.
    pub fn releases(&self) -> String {
        format!("s3://{}-releases/app", self.name)
    }
}

impl Stage {
    /// Gives an environment a vault of its own; its one secret is unlike any other, and is given back.
    #[track_caller]
    pub fn vault(&self, environment: &str) -> String {
        let secret = self.python("import json, secrets\nprint(json.dumps('canary-' + secrets.token_hex(16)))");
        let secret = secret.as_str().expect("a text").to_owned();
        let file = format!("ansible/kv/{environment}/vault.yml");
        self.project.write(&file, &format!("vault_database_password: {secret}\n"));
        let ran = self.ansible("ansible-vault", &["encrypt", &file, "--vault-password-file", "ansible/kv/vault-password"]);
        assert_eq!(ran.code, Some(0), "{ran}");
        assert!(self.project.read(&file).starts_with("$ANSIBLE_VAULT;"), "{file} is encrypted");
        secret
    }

    /// Runs one of Ansible's programs at the checkout's top.
    pub fn ansible(&self, program: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.project.path("")).env_clear().envs(&self.project.environment);
        command.env("KV_VAULT_PASSWORD", "ovenbird-example").env("ANSIBLE_HOST_KEY_CHECKING", "False").env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("ANSIBLE_LOCALHOST_WARNING", "False").env("ANSIBLE_INVENTORY_UNPARSED_WARNING", "False").env("LANG", "C.UTF-8");
        let output = command.output().expect("Ansible starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// A playbook that talks to Consul on `server`, as the login of the image.
    pub fn play(&self, environment: &Environment, playbook: &str, server: &Node, arguments: &[&str]) -> Ran {
        let key = self.project.beside(&format!("{}.pem", environment.region)).display().to_string();
        let host = format!("consul_host={}", server.private);
        let fixed =
            [playbook, "-e", &host, "--user", "admin", "--private-key", &key, "--ssh-common-args", "-o UserKnownHostsFile=/dev/null"];
        self.ansible("ansible-playbook", &[&fixed[..], arguments].concat())
    }

    /// Fills the environment's KV; the banner stands in place of the file's.
    #[track_caller]
    pub fn kv(&self, environment: &Environment, server: &Node, banner: &str, more: &[&str]) -> Ran {
        let (which, banner) = (format!("kv_environment={}", environment.name), format!("{{\"app_banner\": \"{banner}\"}}"));
        let vault = ["--vault-password-file", "ansible/kv/vault-password", "-e", &which, "-e", &banner];
        let ran = self.play(environment, "ansible/kv.yml", server, &[&vault[..], more].concat());
        assert_eq!(ran.code, Some(0), "{ran}");
        ran
    }

    /// Publishes a release and brings it to every node of these services.
    #[track_caller]
    pub fn deploy(&self, environment: &Environment, server: &Node, release: &str, services: &[&str]) {
        let app = self.project.read("ansible/roles/app/files/app.py");
        self.project.write(&format!("build/{release}/app.py"), &app);
        let source = format!("deploy_source={}", self.project.path(&format!("build/{release}")).display());
        let services = json!({ "deploy_services": services }).to_string();
        self.release(environment, server, release, &["-e", &source, "-e", &services]);
    }

    /// Goes back to a release that was published before.
    #[track_caller]
    pub fn roll_back(&self, environment: &Environment, server: &Node, release: &str) {
        self.release(environment, server, release, &[]);
    }

    #[track_caller]
    fn release(&self, environment: &Environment, server: &Node, release: &str, more: &[&str]) {
        let (which, url) = (format!("deploy_release={release}"), format!("deploy_url={}", environment.releases()));
        let ran = self.play(environment, "ansible/deploy.yml", server, &[&["-e", &which, "-e", &url][..], more].concat());
        assert_eq!(ran.code, Some(0), "{ran}");
    }

    /// Puts a release beside the good one `like` that no machine can serve: its archive is no archive, and its manifest has another
    /// checksum (`right`: the one that these bytes have).
    #[track_caller]
    pub fn spoiled(&self, environment: &Environment, release: &str, like: &str, right: bool) {
        let script = format!(
            "import boto3, hashlib, json, re\n\
             s3, bucket = boto3.client('s3', region_name='ap-northeast-1'), '{bucket}-releases'\n\
             text = s3.get_object(Bucket=bucket, Key='app/releases/{like}/manifest.yml')['Body'].read().decode().replace('{like}', '{release}')\n\
             body = b'neither gzip nor tar ' * 100\n\
             text, changed = re.subn(r'(?m)^checksum: .*$', 'checksum: ' + hashlib.sha256(body if {right} else b'others').hexdigest(), text)\n\
             assert changed == 1, text\n\
             s3.put_object(Bucket=bucket, Key='app/releases/{release}/app.tar.gz', Body=body)\n\
             s3.put_object(Bucket=bucket, Key='app/releases/{release}/manifest.yml', Body=text.encode())\n\
             print(json.dumps(text))",
            bucket = environment.name,
            right = if right { "True" } else { "False" },
        );
        self.python(&script);
    }

    /// Starts one more instance outside of any group, with its kind's user data or another.
    #[track_caller]
    pub fn launch(&self, environment: &Environment, amis: &Amis, kind: &str, user_data: Option<&str>) -> Node {
        let text =
            user_data.map_or_else(|| self.output(environment, "user_data")[kind].as_str().expect("a text").to_owned(), str::to_owned);
        let file = self.secret("user-data", &text);
        let ami = &amis.iter().find(|(name, _)| *name == format!("{kind}_ami_id")).expect("it has an image").1;
        let call = format!(
            "run_instances(ImageId='{ami}', MinCount=1, MaxCount=1, InstanceType='t3.small', KeyName='cluster', UserData=open('{file}').read())"
        );
        let id = self.aws(environment.region, "ec2", &call)["Instances"][0]["InstanceId"].as_str().expect("an id").to_owned();
        let found = self.aws(environment.region, "ec2", &format!("describe_instances(InstanceIds=['{id}'])"));
        let one = &found["Reservations"][0]["Instances"][0];
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        Node {
            container: self.container(&id),
            id,
            kind: kind.to_owned(),
            private: text("PrivateIpAddress"),
            public: text("PublicIpAddress"),
            ami: ami.clone(),
        }
    }

    /// What the build wrote for Terraform.
    #[track_caller]
    pub fn emitted(&self) -> Amis {
        let text = self.project.read(&format!("{ENVIRONMENT}/images.auto.tfvars"));
        let value = |name: &'static str| {
            let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
            (name, line.split('"').nth(1).unwrap_or_default().to_owned())
        };
        ["consul_server_ami_id", "web_ami_id", "api_ami_id"].map(value).to_vec()
    }

    /// AMIs of Docker images, by stage.
    #[track_caller]
    pub fn adopt(&self, images: &std::collections::BTreeMap<String, String>) -> Amis {
        let known = ["consul_server_ami_id", "web_ami_id", "api_ami_id"];
        let adopted = |name: &'static str| {
            let image = images.get(name.trim_end_matches("_ami_id"))?;
            let made: Json = self.ec2.control("POST", "images", &json!({ "docker": image }));
            Some((name, made["id"].as_str().unwrap_or_else(|| panic!("no AMI: {made}")).to_owned()))
        };
        known.into_iter().filter_map(adopted).collect()
    }
}
