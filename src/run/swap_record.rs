//! The git side of [`Work`]: the message of a step, finishing what an earlier run left, taking back what git refuses.
//!
//! Invariants: before an apply, what git refuses is taken back, file and commit; after one, nothing is; on a way back git only warns.

use crate::disk::swap_memory::Memory;
use crate::disk::swap_tfvars::Found;
use crate::event::swap::SwapFact;
use crate::model::digest::Digest;
use crate::plan::swap_steps::Move;
use crate::run::swap_asks::{Earlier, Halt, HaltKind, Hands as _};
use crate::run::swap_git::{Committed, Git, Pushed};
use crate::run::swap_work::Work;
use crate::tools::git_record::TRAILER;

impl Work<'_> {
    /// As the journal and git tell it: a sentence and the trailer.
    pub(super) fn message(&self, found: &Found, step: &Move) -> String {
        let name = &self.set.spec.name;
        let mut lines = format!("Swap {name}: {}\n\n", step.step.describe(step.new_colour()));
        for (colour, field, variable) in self.set.spec.variables() {
            let (old, now) = (found.values.text(colour, field), step.values.text(colour, field));
            if old != now {
                lines.extend([format!("{variable}: {old:?} -> {now:?}\n")]);
            }
        }
        format!("{lines}\n{TRAILER}: {name} {} {}\n", step.step, self.set.run)
    }

    async fn finish(&self, git: &Git<'_>, at: Committed, memory: Option<&Memory>, text: &str) -> Result<(), Halt> {
        let Some(memory) = memory else {
            // Committed by another machine's run, or before this checkout forgot.
            return match git.push().await? {
                Pushed::Refused(said) => Err(not_pushed(&said)),
                Pushed::Yes | Pushed::Nowhere => Ok(()),
            };
        };
        self.say(SwapFact::PhaseStarted { phase: "push".to_owned(), detail: "what an earlier run wrote".to_owned() });
        if at == Committed::Not
            && let Err(halt) = git.commit(&memory.message, text, &self.set.scratch).await
        {
            return Err(if memory.applied { halt } else { self.taken_back(git, &halt.message).await? });
        }
        match git.push().await? {
            Pushed::Yes | Pushed::Nowhere => Ok(()),
            Pushed::Refused(said) if memory.applied => Err(not_pushed(&said)),
            Pushed::Refused(said) => Err(self.taken_back(git, &said).await?),
        }
    }

    /// Nothing was applied: the file and the branch become what they were.
    async fn taken_back(&self, git: &Git<'_>, said: &str) -> Result<Halt, Halt> {
        git.take_back().await?;
        let path = self.path();
        self.say(SwapFact::TakenBack { path: path.clone(), why: said.to_owned() });
        let message = format!("`{path}` is as it was and nothing was applied, because git refused the step: {said}");
        Ok(Halt::new(HaltKind::Failed, message).help("when git takes commits and pushes again, run the same command again"))
    }

    /// Is the file unmodified and up to date; with `finish`, what an earlier run left is recorded first.
    pub(super) async fn check_record(&self, found: &Found, finish: bool, leniently: bool) -> Result<Earlier, Halt> {
        let text = &found.source.text;
        let memory = self.memory().filter(|memory| memory.after == Digest::of(text.as_bytes()));
        let mut earlier = Earlier {
            written: memory.as_ref().is_some_and(|memory| !memory.applied),
            passed: memory.as_ref().is_some_and(|memory| memory.passed),
        };
        let Some(git) = self.git() else { return Ok(earlier) };
        let (at, warnings) = git.check(memory.is_some(), leniently).await?;
        for warning in warnings {
            self.warn(warning);
        }
        if finish && !leniently && at != Committed::All {
            self.finish(&git, at, memory.as_ref(), text).await?;
        }
        // Another machine's run: what it committed last is a step.
        earlier.written |= memory.is_none() && git.last_is_ours(self.set.spec.name.as_str()).await;
        Ok(earlier)
    }

    /// Commits and pushes a step.
    pub(super) async fn write_record(&self, found: &Found, text: &str, step: &Move) -> Result<(), Halt> {
        let path = self.path();
        let written = |commit, pushed| self.say(SwapFact::Written { path: path.clone(), commit, pushed });
        let Some(git) = self.git() else {
            written(None, false);
            return Ok(());
        };
        let back = step.step.is_back();
        self.say(SwapFact::PhaseStarted { phase: "push".to_owned(), detail: String::new() });
        // A way back to what was never committed otherwise.
        let commit = if git.holds(text).await {
            None
        } else {
            match git.commit(&self.message(found, step), text, &self.set.scratch).await {
                Ok(commit) => Some(commit),
                Err(halt) if back => {
                    self.warn(format!("going back all the same: {}", halt.message));
                    None
                }
                Err(halt) => return Err(self.taken_back(&git, &halt.message).await?),
            }
        };
        match git.push().await {
            Ok(Pushed::Yes) => written(commit, true),
            Ok(Pushed::Nowhere) => written(commit, false),
            Ok(Pushed::Refused(said)) if back => {
                self.warn(format!("going back all the same, though the commit could not be pushed: {said}"));
                written(commit, false);
            }
            Ok(Pushed::Refused(said)) => return Err(self.taken_back(&git, &said).await?),
            Err(halt) if back => self.warn(format!("going back all the same: {}", halt.message)),
            Err(halt) => return Err(halt),
        }
        Ok(())
    }
}

fn not_pushed(said: &str) -> Halt {
    let message = format!("the last step is committed and not pushed: {said}");
    Halt::new(HaltKind::Failed, message).help("it was applied, so that the commit stays; `git push` has to get through first")
}
