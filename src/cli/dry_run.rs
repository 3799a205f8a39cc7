//! `ovenbird dry-run`: provisions in Docker for real, parents first.
//!
//! Wires only. Invariant: has no catalog, so it cannot call AWS.

use std::time::Duration;

use crate::cli::args::{Common, DryRunArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::launching::{Gathered, Records};
use crate::cli::output::Output;
use crate::cli::planning::Planning;
use crate::cli::project::Project;
use crate::cli::survey::{self, Survey};
use crate::cli::world::World;
use crate::cli::{galaxy, running, toolcheck, update};
use crate::inputs::environment;
use crate::plan::plan::Wishes;
use crate::process::{foreground, spawn};
use crate::run::keep;
use crate::run::step::Steps;
use crate::tools::docker::{Docker, label};

/// Dry-runs.
///
/// # Errors
/// Whatever keeps the run from starting; what happens in it is the exit code.
pub async fn run(args: &DryRunArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    let mut project = Project::read(common, world, output, !args.shell)?;
    let stages = project.stages_named(&args.stages)?;
    if args.shell {
        return shell(&project, &stages, world).await;
    }
    let dir = project.pipeline().dir.clone();
    let mut begun = running::begin(&dir, "dry-run", args.running.no_wait, world, output).await?;
    if begun.waited {
        project = Project::read(common, world, output, true)?;
    }
    let ready = async {
        let state = Survey::state(project.pipeline(), world).await?;
        update::fill_missing(&mut project, None, common, world, output).await?;
        let again = args.again || args.keep;
        let wishes = Wishes { stages, build: false, dry_run: true, again, emit: Some(false) };
        let mut planning = Planning::make(&project, world, None, &state, &wishes, output).await?;
        running::refuse_blocked(&planning.plan)?;
        if survey::fetch(&planning.plan, &planning.docker, project.pipeline(), world, output).await? {
            planning = Planning::make(&project, world, None, &state, &wishes, output).await?;
        }
        running::warn(&planning.plan, output);
        if planning.plan.counts().dry_run > 0 {
            let stages = running::stages_that_run(&planning.plan);
            toolcheck::check(project.pipeline(), &stages, true, world).await?;
            galaxy::ensure(&project, &stages, world).await?;
        }
        Ok((state, planning))
    };
    let (state, planning) = begun.prepare(Box::pin(ready), output).await?;

    let gathered = Gathered::of(&project, world, false).await?;
    let records = Records::new(&project, world, &state, &planning);
    let (run, folder) = (begun.run.clone(), begun.folder.path().to_path_buf());
    let steps = Steps { keep: args.keep, ..gathered.steps(&planning.plan, &run, &folder, &records) };
    running::carry_out(begun, &planning.plan, &steps, &args.running, world, output, |_, _| Ok(())).await
}

/// A shell in the container that `--keep` left.
async fn shell(project: &Project, stages: &[crate::model::name::Name], world: &World) -> Result<Exit, Failure> {
    let [stage] = stages else {
        return Err(Failure::usage("`--shell` wants one stage").help("`ovenbird dry-run --shell STAGE`"));
    };
    let pipeline = project.pipeline();
    let node = project.graph.nodes().iter().find(|n| n.stage == *stage).expect("a stage has a node");
    let env = environment::passed(&world.environment);
    let docker = Docker { root: &pipeline.root, env: &env };
    let mark = keep::mark(&pipeline.dir, node);
    let listed = spawn::output(&docker.containers(&[(label::KEPT, &mark)], true), Duration::from_secs(20), 64 * 1024)
        .await
        .map_err(|e| Failure::chain(Exit::Unavailable, &e))?;
    let Some(container) = listed.stdout.split_whitespace().next() else {
        return Err(
            Failure::data(format!("no container of stage `{stage}` is kept")).help(format!("`ovenbird dry-run --keep {stage}` leaves one"))
        );
    };
    let mut env = env.clone();
    env.extend(world.var("TERM").map(|term| ("TERM".to_owned(), term.to_owned())));
    let command = Docker { root: &pipeline.root, env: &env }.shell(container);
    let exit = foreground::run(&command).await.map_err(|e| Failure::chain(Exit::Unavailable, &e))?;
    Ok(if exit.success() { Exit::Done } else { Exit::Failed })
}
