//! What can be written on the command line. The only user of clap.
//!
//! No behaviour: each command's file takes its struct. Invariant: a wish that can be wrong is checked where the thing is known,
//! not here; here is only syntax (exit 64).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::swap::Colour;

/// Builds machine images with Packer and Ansible, rebuilds only what changed, and writes their ids where Terraform reads them.
#[derive(Debug, Parser)]
#[command(name = "ovenbird", version, disable_help_subcommand = true, max_term_width = 100, subcommand_required = true)]
#[command(
    after_help = "Exit codes: 0 done · 1 a stage, step or gate failed · 2 there is work (--check, --detailed-exitcode) · 4 something is left behind\n\
    64 wrong usage · 65 the pipeline or an input is wrong · 69 a tool or service is missing · 75 another run holds the lock\n\
    130/143 interrupted and cleaned up"
)]
pub struct Cli {
    /// Everything that any command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Pipeline file; the default is the nearest `ovenbird.hcl` in this folder or above it
    #[arg(long, short = 'f', global = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Value of a `variable`; beats files and environment
    #[arg(long = "var", global = true, value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// File with values of variables (`name = value` lines); a later one beats an earlier one
    #[arg(long = "var-file", global = true, value_name = "FILE")]
    pub var_files: Vec<PathBuf>,
    /// Refuse to add anything to `ovenbird.lock`; what CI uses
    #[arg(long, global = true)]
    pub locked: bool,
    /// Colour: `auto` looks at the terminal, `NO_COLOR`, `CLICOLOR_FORCE` and `TERM`
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// As the terminal says.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a small working pipeline here; an existing file is never touched
    Init(InitArgs),
    /// Check everything that can be checked without cloud, Docker or network
    Validate(ValidateArgs),
    /// Move the pins in `ovenbird.lock`
    Update(UpdateArgs),
    /// Show what a build would do, and why
    Plan(PlanArgs),
    /// Provision in Docker for real, parents first; never calls AWS
    DryRun(DryRunArgs),
    /// Dry-run what has not passed, build, tag, verify, and write the ids
    Build(BuildArgs),
    /// Write the ids of what is built where Terraform reads them
    Emit(EmitArgs),
    /// Move traffic from one colour to the other in four gated steps
    Swap(SwapArgs),
    /// List the images of this pipeline
    Images(ImagesArgs),
    /// List the files in a stage's key, each with why it is in
    Inputs(InputsArgs),
    /// Show a stage's key line by line, and what changed since the nearest earlier image
    Explain(ExplainArgs),
    /// Check tools, plugins, credentials and Docker; each line a fact and the command that mends it
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// `init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder to write into
    #[arg(default_value = ".")]
    pub folder: PathBuf,
}

/// `validate`
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Problems as JSON, in the shape of Terraform's diagnostics
    #[arg(long)]
    pub json: bool,
}

/// `update`
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Sources, stages or requirement files; all by default
    pub names: Vec<String>,
    /// Ask for a rebuild of a stage, and so of what is built on it
    #[arg(long, value_name = "STAGE")]
    pub rebuild: Vec<String>,
    /// Only say what would move; exit 2 when something would
    #[arg(long)]
    pub check: bool,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Stages; all by default
    pub stages: Vec<String>,
    /// The plan as JSON
    #[arg(long)]
    pub json: bool,
    /// Exit 2 when there is something to build
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Save the plan for `build --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What is to be built as a job matrix for a CI system
    #[arg(long, value_enum, value_name = "SYSTEM", conflicts_with = "json")]
    pub matrix: Option<Matrix>,
    /// Plan without dry runs
    #[arg(long)]
    pub no_dry_run: bool,
}

/// Systems that `plan --matrix` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Matrix {
    /// GitHub Actions' `strategy.matrix`.
    Github,
}

/// `dry-run`
#[derive(Debug, Args)]
pub struct DryRunArgs {
    /// Stages; all by default
    pub stages: Vec<String>,
    /// Leave the container, and converge in the one that is there: seconds, not recorded as passed
    #[arg(long)]
    pub keep: bool,
    /// Open a shell in the kept container
    #[arg(long)]
    pub shell: bool,
    /// Repeat dry runs that passed
    #[arg(long)]
    pub again: bool,
    /// How to run.
    #[command(flatten)]
    pub running: RunningArgs,
}

/// `build`
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Stages; all by default. A build of all writes the emits, a partial one does not
    pub stages: Vec<String>,
    /// Execute a saved plan; refused when it no longer fits
    #[arg(long, value_name = "FILE", conflicts_with = "stages")]
    pub plan: Option<PathBuf>,
    /// Build without dry runs
    #[arg(long)]
    pub no_dry_run: bool,
    /// Write the emits after a partial build too
    #[arg(long)]
    pub emit: bool,
    /// How to run.
    #[command(flatten)]
    pub running: RunningArgs,
}

/// How a run goes.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct RunningArgs {
    /// Steps at once
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Finish the other branches when a stage fails
    #[arg(long)]
    pub keep_going: bool,
    /// Give up (exit 75) when another run holds the lock
    #[arg(long)]
    pub no_wait: bool,
    /// One event a line on stdout
    #[arg(long)]
    pub json: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = Progress::Auto, value_name = "HOW")]
    pub progress: Progress,
    /// Show the tools' output too
    #[arg(long, short = 'v')]
    pub verbose: bool,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// By terminal and environment.
    Auto,
    /// Lines that are drawn over.
    Terminal,
    /// Plain prefixed lines.
    Plain,
    /// Plain lines in GitHub's groups.
    Github,
}

/// `emit`
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// Files; all by default
    pub paths: Vec<PathBuf>,
    /// Only say whether a file would change; exit 2 when one would
    #[arg(long)]
    pub check: bool,
    /// Show the difference and write nothing
    #[arg(long)]
    pub diff: bool,
}

/// `swap`
#[derive(Debug, Args)]
pub struct SwapArgs {
    /// Swap
    pub name: String,
    /// What to do
    #[arg(value_enum)]
    pub action: SwapAction,
    /// Both colours serve and no marker says which one is new: this one goes
    #[arg(long, value_name = "COLOUR", value_parser = |text: &str| text.parse::<Colour>())]
    pub retire: Option<Colour>,
    /// Give up (exit 75) when another run holds the lock, or somebody else the Terraform state
    #[arg(long)]
    pub no_wait: bool,
    /// `status` and `plan`: one JSON document; else one event a line on stdout
    #[arg(long)]
    pub json: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = Progress::Auto, value_name = "HOW")]
    pub progress: Progress,
    /// Show more of what happens
    #[arg(long, short = 'v')]
    pub verbose: bool,
}

/// What `swap` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SwapAction {
    /// tfvars, Terraform's state and AWS side by side
    Status,
    /// The steps that are left, and what Terraform would do
    Plan,
    /// Look at the present state's gate again, then take one step
    Next,
    /// Take all steps that are left
    Run,
    /// Take a step back: from started to steady, from joined and left to started
    Rollback,
}

/// `images`
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Stages; all by default
    pub stages: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `inputs`
#[derive(Debug, Args)]
pub struct InputsArgs {
    /// Stage
    pub stage: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Why is this path in, or not
    #[arg(long, value_name = "PATH")]
    pub why: Option<String>,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Stage
    pub stage: String,
    /// Compare with this key (or its first digits) instead of the nearest earlier image's
    pub key: Option<String>,
    /// Compare these two keys with each other
    pub other: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
