//! What `doctor` looks at: pipeline file, tools, plugins, Docker, credentials, EC2, state, room on disk.
//!
//! Every look has its own end, so that one that hangs does not keep the others from being seen. Invariant: no secret and no key id
//! in a fact.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::aws::Ec2Catalog;
use crate::cli::args::Common;
use crate::cli::client;
use crate::cli::doctor::Fact;
use crate::cli::failure::Failure;
use crate::cli::project::read_files;
use crate::cli::survey::Survey;
use crate::cli::world::World;
use crate::config::pipeline::{Pipeline, Recipe, StateLocation, Tool};
use crate::inputs::{environment, plugins};
use crate::model::name::Name;
use crate::model::node::RunId;
use crate::ports::Catalog as _;
use crate::report::style::count;
use crate::run::toolcheck::{self, Known, Place};
use crate::tools::docker::{self, Cgroup, Docker};
use crate::tools::versions;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Room that a dry run and its image take at least.
const ROOM: u64 = 4 << 30;

/// Everything, in the order in which it is needed.
pub async fn everything(common: &Common, world: &World) -> Vec<Fact> {
    let mut facts = Vec::new();
    let pipeline = pipeline(common, world, &mut facts);
    let env = environment::passed(&world.environment);
    let root = pipeline.as_ref().map_or_else(|| world.cwd.clone(), |p| p.root.clone());
    let look = Look { pipeline: pipeline.as_ref(), world, place: Place { root: &root, env: &env, dot: None } };
    let packer = look.tool(Tool::Packer, &mut facts).await;
    if let Some(packer) = packer {
        look.plugins(&packer, &mut facts).await;
    }
    if let Some(ansible) = look.tool(Tool::AnsibleCore, &mut facts).await {
        let part = |name: &str| ansible.about.get(name).map(String::as_str).unwrap_or_default();
        facts.push(Fact::good("python", format!("{}, with jinja {} (Ansible's own)", part("python"), part("jinja"))));
    }
    look.git(&mut facts).await;
    look.docker(&mut facts).await;
    look.terraform(&mut facts).await;
    look.aws(&mut facts).await;
    look.state(&mut facts).await;
    look.room("room on disk", &pipeline.as_ref().map_or_else(|| world.cwd.clone(), |p| p.dir.clone()), &mut facts);
    facts
}

fn pipeline(common: &Common, world: &World, facts: &mut Vec<Fact>) -> Option<Pipeline> {
    match read_files(common, world, false) {
        Ok(loaded) => {
            let pipeline = loaded.pipeline;
            facts.push(Fact::good(
                "pipeline",
                format!("`{}` in `{}`, {}", pipeline.name, pipeline.file.display(), count(pipeline.stages.len(), "stage")),
            ));
            if pipeline.tools.is_empty() {
                facts.push(Fact::warning(
                    "versions",
                    "no `tools` block: versions are not in the key",
                    "add a `tools` block to the pipeline file",
                ));
            }
            Some(pipeline)
        }
        Err(Failure::Problems(problems)) => {
            facts.push(Fact::bad("pipeline", problems.to_string(), "`ovenbird validate` shows where"));
            None
        }
        Err(Failure::Message { message, help, .. }) => {
            let mend = help.unwrap_or_default();
            // A machine is looked at before there is a pipeline, too; a file that was named has to be there.
            facts.push(if common.file.is_some() { Fact::bad("pipeline", message, mend) } else { Fact::warning("pipeline", message, mend) });
            None
        }
        Err(Failure::Said(_) | Failure::BrokenPipe) => None,
    }
}

struct Look<'a> {
    pipeline: Option<&'a Pipeline>,
    world: &'a World,
    place: Place<'a>,
}

impl Look<'_> {
    fn constraint(&self, tool: Tool) -> Option<&str> {
        self.pipeline?.tools.get(&tool).map(String::as_str)
    }

    async fn tool(&self, tool: Tool, facts: &mut Vec<Fact>) -> Option<Known> {
        let (program, name) = (toolcheck::program(tool), tool.attribute().replace('_', "-"));
        let constraint = self.constraint(tool);
        let Some(path) = toolcheck::which(program, self.place.env) else {
            facts.push(Fact::bad(&name, format!("`{program}` is not on PATH"), toolcheck::install(tool, constraint)));
            return None;
        };
        match toolcheck::ask(tool, &path, self.place).await {
            Ok(known) => {
                let wanted = constraint.map_or_else(String::new, |c| format!(", wanted is {c}"));
                facts.push(match constraint.and_then(|c| toolcheck::outside(tool, &known, c)) {
                    Some(wrong) => Fact::bad(&name, wrong.said, wrong.mend),
                    None => Fact::good(&name, format!("{} (`{}`){wanted}", known.version, path.display())),
                });
                Some(known)
            }
            Err(said) => {
                facts.push(Fact::bad(&name, said, toolcheck::install(tool, constraint)));
                None
            }
        }
    }

    /// Plugins that the pipeline's templates require.
    async fn plugins(&self, packer: &Known, facts: &mut Vec<Fact>) {
        let Some(pipeline) = self.pipeline else { return };
        let mut templates: BTreeSet<&PathBuf> = BTreeSet::new();
        for stage in &pipeline.stages {
            match &stage.recipe {
                Recipe::Playbook { template, .. } | Recipe::Template { template, .. } => templates.insert(template),
            };
        }
        let command = versions::packer_plugins(&packer.program, self.place.root, self.place.env);
        let installed = match toolcheck::said(&command).await {
            Ok(said) => versions::parse_packer_plugins(&said),
            Err(said) => return facts.push(Fact::bad("packer plugins", said, "`packer plugins installed` shows more")),
        };
        let mut seen = BTreeSet::new();
        for template in templates {
            for plugin in plugins::required(&pipeline.root.join(template)) {
                if !seen.insert(plugin.clone()) {
                    continue;
                }
                let there: Vec<&str> = installed.iter().filter(|(source, _)| *source == plugin.source).map(|(_, v)| v.as_str()).collect();
                let name = format!("plugin {}", plugin.source.rsplit('/').next().unwrap_or(&plugin.source));
                let mend = format!("packer init {}", template.display());
                facts.push(match versions::selected(&installed, &plugin.source, &plugin.version) {
                    Some(version) => Fact::good(&name, format!("{version}, wanted is {}", plugin.version)),
                    None if there.is_empty() => Fact::bad(&name, format!("`{}` is not installed", plugin.source), mend),
                    None => Fact::bad(
                        &name,
                        format!("`{}` is {}, the template wants `{}`", plugin.source, there.join(", "), plugin.version),
                        mend,
                    ),
                });
            }
        }
    }

    async fn git(&self, facts: &mut Vec<Fact>) {
        let mend = "install git: without it images carry no commit, and roles from repositories cannot be installed";
        let Some(path) = toolcheck::which("git", self.place.env) else {
            return facts.push(Fact::warning("git", "`git` is not on PATH", mend));
        };
        let said = toolcheck::said(&versions::git(&path, self.place.root, self.place.env)).await;
        facts.push(match said.as_deref().map(versions::parse_git) {
            Ok(Some(version)) => Fact::good("git", format!("{version} (`{}`)", path.display())),
            Ok(None) => Fact::warning("git", "does not say its version", mend),
            Err(said) => Fact::warning("git", said.clone(), mend),
        });
    }

    async fn docker(&self, facts: &mut Vec<Fact>) {
        let Some(known) = self.tool(Tool::Docker, facts).await else { return };
        let cgroup = Cgroup::parse(known.about.get("cgroup").map(String::as_str).unwrap_or_default());
        let version = if cgroup == Cgroup::V2 { "v2" } else { "v1" };
        facts.push(Fact::good(
            "systemd",
            format!("control groups {version}: containers run with {}", docker::systemd_flags(cgroup).join(" ")),
        ));
        let docker = Docker { root: self.place.root, env: self.place.env };
        if let Ok(folder) = toolcheck::said(&docker.info("{{.DockerRootDir}}")).await {
            let folder = PathBuf::from(folder.trim());
            // An engine on another machine has its folder there.
            if folder.is_dir() {
                self.room("room for Docker", &folder, facts);
            }
        }
    }

    async fn terraform(&self, facts: &mut Vec<Fact>) {
        if self.constraint(Tool::Terraform).is_some() {
            drop(self.tool(Tool::Terraform, facts).await);
            return;
        }
        for program in ["terraform", "tofu"] {
            let Some(path) = toolcheck::which(program, self.place.env) else { continue };
            let said = toolcheck::said(&versions::terraform(&path, self.place.root, self.place.env)).await;
            if let Some(version) = said.ok().as_deref().and_then(versions::parse_terraform) {
                facts.push(Fact::good(program, format!("{version} (`{}`)", path.display())));
                return;
            }
        }
        facts.push(Fact::good("terraform", "neither `terraform` nor `tofu` is on PATH; only what reads the ids needs it"));
    }

    async fn aws(&self, facts: &mut Vec<Fact>) {
        let region = self.pipeline.map(|p| p.region.clone());
        let region =
            region.or_else(|| ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| self.world.var(name)).map(str::to_owned));
        let settings = client::settings(region.as_deref().unwrap_or("us-east-1")).await;
        let found = tokio::time::timeout(PATIENCE, client::credentials_from(&settings)).await;
        match found {
            Ok(Ok(provider)) => facts.push(Fact::good("credentials", format!("from {provider}"))),
            Ok(Err(said)) => {
                let mend = "set AWS_PROFILE (and `aws sso login`), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `dry-run` needs none";
                return facts.push(Fact::bad("credentials", said, mend));
            }
            Err(_) => {
                return facts.push(Fact::bad("credentials", "no provider answered", "set AWS_PROFILE, or AWS_EC2_METADATA_DISABLED=true"));
            }
        }
        let Some(region) = region else {
            return facts.push(Fact::warning(
                "EC2",
                "no region is set, so it was not asked",
                "set AWS_REGION, or look from a pipeline's folder",
            ));
        };
        let name = self.pipeline.map_or_else(|| Name::new("doctor").expect("letters only"), |p| p.name.clone());
        let asked = ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"].iter().find_map(|name| self.world.var(name));
        let place = asked.map_or_else(|| region.clone(), |url| format!("{region} at {url}"));
        let catalog = Ec2Catalog::new(client::ec2(&settings), region.clone(), name);
        facts.push(match tokio::time::timeout(PATIENCE, catalog.images()).await {
            Ok(Ok(images)) => Fact::good("EC2", format!("{place} answers; {} of this pipeline", count(images.len(), "image"))),
            Ok(Err(error)) => {
                let failure = Failure::from(error);
                let (said, help) = match failure {
                    Failure::Message { message, help, .. } => (message, help.unwrap_or_default()),
                    Failure::Problems(_) | Failure::Said(_) | Failure::BrokenPipe => Default::default(),
                };
                Fact::bad("EC2", said, help)
            }
            Err(_) => Fact::bad(
                "EC2",
                format!("{place} does not answer within {} s", PATIENCE.as_secs()),
                "is the region right, and the network there?",
            ),
        });
    }

    async fn state(&self, facts: &mut Vec<Fact>) {
        let Some(pipeline) = self.pipeline else { return };
        if let StateLocation::Folder(folder) = &pipeline.state {
            let mut there: &Path = folder;
            while !there.exists() {
                let Some(above) = there.parent() else { break };
                there = above;
            }
            let writable = nix::unistd::access(there, nix::unistd::AccessFlags::W_OK).is_ok();
            return facts.push(if writable {
                Fact::good("state", format!("`{}` can be written", folder.display()))
            } else {
                Fact::bad("state", format!("`{}` cannot be written", folder.display()), format!("sudo chown $USER {}", there.display()))
            });
        }
        let probe = async {
            let state = Survey::state(pipeline, self.world).await?;
            let failed = |e: crate::store::StateError| Failure::chain(crate::cli::failure::Exit::Unavailable, &e).help(e.help());
            state.put_record(&RunId::new("doctor", 0), "probe", b"written by `ovenbird doctor`\n".to_vec()).await.map_err(failed)?;
            state.record(&RunId::new("doctor", 0), "probe").await.map_err(failed)?;
            Ok::<String, Failure>(state.place().to_owned())
        };
        facts.push(match tokio::time::timeout(PATIENCE, probe).await {
            Ok(Ok(place)) => Fact::good("state", format!("`{place}` can be read and written")),
            Ok(Err(Failure::Message { message, help, .. })) => Fact::bad("state", message, help.unwrap_or_default()),
            Ok(Err(other)) => Fact::bad("state", format!("{other:?}"), ""),
            Err(_) => Fact::bad(
                "state",
                format!("no answer within {} s", PATIENCE.as_secs()),
                "look at `state` in the pipeline block, and at the network",
            ),
        });
    }

    #[expect(clippy::unused_self, reason = "a look like the others")]
    fn room(&self, name: &str, folder: &Path, facts: &mut Vec<Fact>) {
        let Ok(stat) = nix::sys::statvfs::statvfs(folder) else {
            return facts.push(Fact::warning(name, format!("`{}` cannot be looked at", folder.display()), "look at its permissions"));
        };
        #[allow(clippy::useless_conversion, reason = "32 bits wide on macOS")]
        let free = u64::from(stat.blocks_available()) * u64::from(stat.fragment_size());
        let says = format!("{:.1} GB free for `{}`", to_gigabytes(free), folder.display());
        facts.push(if free < ROOM { Fact::bad(name, says, "docker system prune; rm -r .ovenbird/runs") } else { Fact::good(name, says) });
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn to_gigabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
