//! `ovenbird images`: what exists in the account for this pipeline.
//!
//! Reads only. Invariant: shows what EC2 says, also images without seal, so that nothing that costs money is hidden.

use crate::cli::args::{Common, ImagesArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::project::Project;
use crate::cli::survey::Survey;
use crate::cli::world::World;
use crate::model::artifact::{Image, tags};
use crate::report::images_text;

/// Lists.
///
/// # Errors
/// EC2 does not answer.
pub async fn run(args: &ImagesArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    let project = Project::read(common, world, output, false)?;
    let stages = project.stages_named(&args.stages)?;
    let survey = Survey::open(project.pipeline(), world).await?;
    let mut images = survey.images(output).await?;
    images.retain(|i| stages.is_empty() || i.tag(tags::STAGE).is_some_and(|s| stages.iter().any(|n| n.as_str() == s)));
    images.sort_by(|a, b| (stage_of(a), &b.created, &b.id).cmp(&(stage_of(b), &a.created, &a.id)));
    if args.json {
        output.json(&images)?;
        return Ok(Exit::Done);
    }
    output.data(&images_text::render(&images, world.started, output.width))?;
    Ok(Exit::Done)
}

fn stage_of(image: &Image) -> Option<&str> {
    image.tag(tags::STAGE)
}
