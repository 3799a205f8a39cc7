//! What the verification of an AMI, and of those that it stands on, says about taking it into service.
//!
//! A swap knows an image and no checkout that it was made from, so it is the checks that ran last that count, whichever they were.
//! Invariant: an image of a stage with checks comes into service only with the mark of a pass.

use crate::config::pipeline::Pipeline;
use crate::model::artifact::{Image, tags};
use crate::plan::verification::{Unverified, has_passed};
use crate::run::swap_asks::{Halt, HaltKind};
use crate::store::State;

/// Why not, and the stage to build. Of its own the image needs a pass; below it only a failure counts: what was made before its stage
/// had checks has no mark. `find` looks an AMI up by its id.
///
/// # Errors
/// EC2 or the state do not answer.
pub(super) async fn unverified(
    pipeline: &Pipeline,
    state: &State,
    image: &Image,
    find: impl AsyncFn(&str) -> Result<Option<Image>, Halt>,
) -> Result<Option<(String, String)>, Halt> {
    let mut looked_at = image.clone();
    // A chain of stages has no circle, but tags can be written by anybody.
    for depth in 0..=pipeline.stages.len() {
        let id = looked_at.id.clone();
        let of = looked_at.tag(tags::STAGE).unwrap_or_default().to_owned();
        if pipeline.stages.iter().any(|s| s.name.as_str() == of && s.verify.is_some()) {
            let last = state.verification(&id).await;
            let last = last.map_err(|e| Halt::new(HaltKind::Unavailable, e.to_string()).help(e.help()))?;
            match has_passed(&looked_at, last.as_ref()) {
                Err(Unverified::Never) if depth == 0 => {
                    return Ok(Some((format!("it is not verified: it has no `{}` tag", tags::VERIFIED), of)));
                }
                Err(why) if depth == 0 => return Ok(Some((format!("its {why}"), of))),
                Err(why @ Unverified::Failed { .. }) => return Ok(Some((format!("it stands on {id}, whose {why}"), of))),
                Ok(()) | Err(_) => {}
            }
        }
        let Some(parent) = looked_at.tag(tags::PARENT).filter(|_| looked_at.tag(tags::PARENT_KEY).is_some()) else { break };
        let Some(parent) = find(parent).await? else { break };
        looked_at = parent;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::model::digest::{Digest, StageKey};
    use crate::model::node::RunId;
    use crate::model::verification::{Mark, Verification};
    use crate::plan::testing::{self, node, sealed};

    /// web on base, as images, with these marks.
    fn images(web: Option<Mark>, base: Option<Mark>) -> (Image, Image) {
        let marked = |stage: &str, mark: Option<Mark>| {
            let mut image = sealed(&format!("ami-{stage}"), &node(stage), StageKey(Digest::of(stage.as_bytes())), "1");
            image.tags.extend(mark.map(|mark| (tags::VERIFIED.to_owned(), mark.to_string())));
            image
        };
        let (mut web, base) = (marked("web", web), marked("base", base));
        web.tags.insert(tags::PARENT.to_owned(), base.id.clone());
        web.tags.insert(tags::PARENT_KEY.to_owned(), "sha256:0".to_owned());
        (web, base)
    }

    #[tokio::test]
    async fn an_image_needs_its_own_pass_and_no_failure_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::folder(folder.path());
        let mut pipeline = testing::pipeline(&[("base", ""), ("web", "base")]);
        let passed = || Some(Mark::Passed(Digest::of(b"whichever")));
        let failed = || Some(Mark::Failed { key: Digest::of(b"a"), run: "R".to_owned() });
        let ask = async |pipeline: &Pipeline, web: Option<Mark>, base: Option<Mark>| {
            let (web, base) = images(web, base);
            unverified(pipeline, &state, &web, async |id: &str| Ok((id == base.id).then(|| base.clone()))).await.unwrap()
        };
        assert_eq!(ask(&pipeline, None, failed()).await, None, "a stage without checks is as it was");
        for stage in &mut pipeline.stages {
            stage.verify = Some(PathBuf::from("verify.yml"));
        }
        let told = |why: &str, stage: &str| Some((why.to_owned(), stage.to_owned()));
        assert_eq!(ask(&pipeline, None, passed()).await, told("it is not verified: it has no `ovenbird:verified` tag", "web"));
        assert_eq!(ask(&pipeline, failed(), passed()).await, told("its verification failed in run R", "web"));
        assert_eq!(ask(&pipeline, passed(), failed()).await, told("it stands on ami-base, whose verification failed in run R", "base"));
        for base in [passed(), None] {
            assert_eq!(ask(&pipeline, passed(), base).await, None);
        }
        // The mark of the failure could not be written: the state knows.
        let last = Verification {
            image: "ami-web".to_owned(),
            key: Digest::of(b"newer"),
            node: node("web"),
            run: RunId::new("20261122t000000", 2),
            passed: false,
            message: None,
            task: Some("ask (verify.yml:3)".to_owned()),
            tasks: 1,
            seconds: 1.0,
            checks: std::collections::BTreeMap::new(),
        };
        state.put_verification(&last).await.unwrap();
        let want = "its verification failed in run 20261122t000000-000002: task ask (verify.yml:3)";
        assert_eq!(ask(&pipeline, passed(), None).await, told(want, "web"));
    }
}
