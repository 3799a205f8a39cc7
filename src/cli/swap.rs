//! `ovenbird swap NAME …`: finds the swap and what every one of its commands needs; one file a command does it.
//!
//! Invariant: whatever is asked of Terraform, git and AWS goes through the same [`Swapping`], so that `status` and `plan` see what
//! `next` would.

use std::path::PathBuf;

use crate::aws::AwsTraffic;
use crate::cli::args::{Common, SwapAction, SwapArgs};
use crate::cli::client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::project::load_files;
use crate::cli::world::World;
use crate::cli::{swap_plan, swap_run, swap_status, toolcheck};
use crate::config::load::Loaded;
use crate::config::pipeline::{Swap, Tool};
use crate::config::schema::nearest;
use crate::config::swap_spec::{Record, SwapSpec};
use crate::process::spawn;
use crate::tools::git_record::Tracked;
use crate::tools::terraform::Terraform;

/// A swap with the tools that work on it.
pub struct Swapping {
    /// Pipeline and lock file.
    pub loaded: Loaded,
    /// The block.
    pub swap: Swap,
    /// In types.
    pub spec: SwapSpec,
    /// Terraform for its environment.
    pub terraform: Terraform,
    /// The tfvars in git; `None`: not recorded.
    pub tracked: Option<Tracked>,
    /// What serves.
    pub traffic: AwsTraffic,
}

/// Does what was asked.
///
/// # Errors
/// Every way in which it ends other than well.
pub async fn run(args: &SwapArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    let swapping = Swapping::of(args, common, world, output).await?;
    match args.action {
        SwapAction::Status => swap_status::run(args, &swapping, world, output).await,
        SwapAction::Plan => swap_plan::run(args, &swapping, world, output).await,
        SwapAction::Next => swap_run::run("swap next", args, swapping, world, output).await,
        SwapAction::Run => swap_run::run("swap run", args, swapping, world, output).await,
        SwapAction::Rollback => swap_run::run("swap rollback", args, swapping, world, output).await,
    }
}

impl Swapping {
    async fn of(args: &SwapArgs, common: &Common, world: &World, output: Output) -> Result<Self, Failure> {
        let loaded = load_files(common, world, output, false)?;
        let swaps = &loaded.pipeline.swaps;
        let Some(swap) = swaps.iter().find(|swap| swap.name.as_str() == args.name).cloned() else {
            let names: Vec<&str> = swaps.iter().map(|swap| swap.name.as_str()).collect();
            let failure = Failure::usage(format!("no swap is called `{}`", args.name));
            return Err(match nearest(&args.name, names.iter().copied()) {
                Some(name) => failure.help(format!("did you mean `{name}`?")),
                None if names.is_empty() => failure.help("a `swap` block says which tfvars and groups; the README has one"),
                None => failure.help(format!("swaps of this pipeline: {}", names.join(", "))),
            });
        };
        // `config` has refused what does not fit together.
        let spec = SwapSpec::of(&swap).map_err(|wrong| Failure::data(wrong.join("; ")))?;
        if spec.command == "terraform" {
            toolcheck::check_these(&[Tool::Terraform], &loaded.pipeline, world).await?;
        }
        let terraform = Terraform {
            program: PathBuf::from(&spec.command),
            folder: loaded.pipeline.root.join(&spec.directory),
            env: world.environment.clone(),
            workspace: spec.workspace.clone(),
        };
        let tracked = tracked(&spec, &loaded, world).await?;
        let traffic = client::traffic(&client::settings(&loaded.pipeline.region).await);
        Ok(Self { loaded, swap, spec, terraform, tracked, traffic })
    }

    /// The tfvars as they are now.
    pub(super) fn tfvars(&self) -> Result<Vec<u8>, Failure> {
        std::fs::read(self.loaded.pipeline.root.join(&self.spec.tfvars))
            .map_err(|error| Failure::data(format!("`{}` cannot be read: {error}", self.spec.tfvars.display())))
    }
}

/// The tfvars in git, by the block's wish: where nobody says, in git where the folder is in a work tree.
async fn tracked(spec: &SwapSpec, loaded: &Loaded, world: &World) -> Result<Option<Tracked>, Failure> {
    if spec.record == Record::None {
        return Ok(None);
    }
    let path = loaded.pipeline.root.join(&spec.tfvars);
    // A link's target is what is written, and what git has to know.
    let path = path.canonicalize().unwrap_or(path);
    let tracked = Tracked {
        folder: path.parent().map(PathBuf::from).unwrap_or_default(),
        file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        env: world.environment.clone(),
    };
    let inside = match spawn::output(&tracked.in_work_tree(), std::time::Duration::from_secs(20), 4096).await {
        Ok(said) => said.exit.success() && said.stdout.trim() == "true",
        Err(error) if spec.record == Record::Git => return Err(Failure::chain(Exit::Unavailable, &error)),
        Err(_) => false,
    };
    if !inside && spec.record == Record::Git {
        let message = format!("`{}` is not in a git work tree, and `record` is \"git\"", spec.tfvars.display());
        return Err(Failure::data(message).help("`record = \"none\"` swaps without one"));
    }
    Ok(inside.then_some(tracked))
}

/// `user@host`, as Terraform writes it into the lock of a state.
pub(super) fn who(world: &World) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let user = user.or_else(|| world.var("USER").map(str::to_owned)).unwrap_or_default();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim())
}
