//! The order of a swap: check → plan → guard → write, commit, push → apply → gate; and what is done when a gate says no.
//!
//! Knows no tool: [`Hands`] does what is asked, the planner and the guard decide. Invariants: nothing is written before the guard has
//! passed, nothing is applied that the guard has not seen; only a gate's verdict rolls back, every error stops where it is; whatever
//! happens in between, `Mover::settle` finds out from the world where it stands and goes on from there.

use crate::config::swap_spec::{Apply, SwapSpec};
use crate::disk::swap_tfvars::Found;
use crate::event::swap::SwapFact;
use crate::model::gate::{FailedGate, Verdict};
use crate::model::problem::{Problem, Problems};
use crate::model::swap::Colour;
use crate::plan::swap::{State, Values, stand};
use crate::plan::swap_guard::{Foreign, Wish, judge, waits};
use crate::plan::swap_steps::{Goal, Move, Step, back, next};
use crate::run::swap_asks::{Halt, HaltKind, Hands, Question, Way};

/// How a run of a swap ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// It did what it was asked for.
    Done(State),
    /// There was nothing to do.
    Nothing(State, String),
    /// A gate failed, and this is where it was rolled back to.
    RolledBack(FailedGate, State),
    /// A gate failed, and this is where it stays.
    Stays(FailedGate, State, String),
}

/// One run of a swap.
pub struct Mover<'a> {
    /// The swap.
    pub spec: &'a SwapSpec,
    /// Who does it.
    pub hands: &'a dyn Hands,
    /// This run.
    pub run: String,
    /// AMI that shall come into service; may be unknown on a way back.
    pub ami: String,
    /// `--retire`
    pub retire: Option<Colour>,
}

/// Where it stands.
struct At {
    found: Found,
    state: State,
}

impl Mover<'_> {
    /// The tfvars and their state.
    async fn stand(&self) -> Result<At, Halt> {
        let found = self.hands.read().await?;
        match stand(self.spec, &found.values, found.marker.as_ref(), self.retire) {
            Ok(state) => Ok(At { found, state }),
            Err(reasons) => {
                let problems: Vec<Problem> = reasons.iter().map(|reason| found.problem(reason)).collect();
                let halt = Halt::new(HaltKind::Refused, "the tfvars are no state of a swap, and nothing was written");
                Err(Halt { problems: Some(Problems(problems)), ..halt })
            }
        }
    }

    /// One step forward, or all of them; the present state is finished and its gate asked again first.
    pub async fn forward(&self, all: bool) -> Result<Ended, Halt> {
        let mut at = self.stand().await?;
        self.hands.say(SwapFact::Stood { state: at.state });
        if let Some(failed) = self.settle(&at).await? {
            return self.retreat(failed).await;
        }
        let mut moved = false;
        loop {
            let serving = match at.state {
                // Nothing to do is known without asking anybody.
                State::Steady { live } if at.found.values.of(live).ami_id != self.ami => {
                    self.hands.fit(&self.ami).await?;
                    self.hands.serving(live).await?
                }
                State::Steady { .. } | State::Started { .. } | State::Joined { .. } | State::Left { .. } => 0,
            };
            let goal = Goal { ami: self.ami.clone(), serving, run: self.run.clone() };
            let Some(step) = next(self.spec, at.state, &at.found.values, at.found.marker.as_ref(), &goal) else {
                let live = at.state.old_colour();
                let nothing = || Ended::Nothing(at.state, format!("{live} serves {} already", self.ami));
                return Ok(if moved { Ended::Done(at.state) } else { nothing() });
            };
            if let Verdict::Failed(failed) = self.step(&at, step, false).await? {
                return self.retreat(failed).await;
            }
            moved = true;
            at = self.stand().await?;
            if !all || matches!(at.state, State::Steady { .. }) {
                return Ok(Ended::Done(at.state));
            }
        }
    }

    /// One way back: from started to steady, from joined and left to started.
    pub async fn rollback(&self) -> Result<Ended, Halt> {
        let at = self.stand().await?;
        self.hands.say(SwapFact::Stood { state: at.state });
        if let State::Steady { live } = at.state {
            if let Some(failed) = self.settle(&at).await? {
                return Ok(Ended::Stays(failed, at.state, String::new()));
            }
            return Ok(Ended::Nothing(at.state, format!("{live} serves alone: there is nothing to roll back")));
        }
        self.hands.check(&at.found, true, true).await?;
        self.back_from(at).await
    }

    /// Finishes what an earlier run began: records, applies what is missing, and asks the state's gate. A failed gate comes back.
    async fn settle(&self, at: &At) -> Result<Option<FailedGate>, Halt> {
        let earlier = self.hands.check(&at.found, true, false).await?;
        self.hands.say(SwapFact::PhaseStarted { phase: "plan".to_owned(), detail: "of the tfvars as they are".to_owned() });
        let Some(plan) = self.hands.plan(Way::Whole, None).await? else { return Err(no_plan()) };
        let steady = matches!(at.state, State::Steady { .. });
        let mut foreign = judge(self.spec, &plan, Wish::Settle(at.state), &at.found.values);
        if steady && !earlier.written && foreign.is_empty() && !plan.changes.is_empty() {
            // Allowed in what it changes, but nobody began it: somebody's own change.
            foreign.extend(plan.changes.iter().map(|change| {
                let names: Vec<&str> = change.attributes.iter().map(|a| a.name.as_str()).collect();
                Foreign { address: change.address.clone(), attribute: names.join(", "), change: change.actions.join(", then ") }
            }));
        }
        if steady {
            foreign.extend(waits(self.spec, &plan));
        }
        if !foreign.is_empty() {
            let message = if steady { "Terraform would change something before the swap has begun" } else { GUARD };
            self.hands.say(SwapFact::Refused { foreign: foreign.clone() });
            let help = "bring code and world together first (`terraform plan`, `terraform apply`); nothing was written";
            return Err(Halt::foreign(message, foreign).help(if steady { help } else { GUARD_HELP }));
        }
        if !plan.changes.is_empty() {
            self.hands.say(SwapFact::Guarded { changes: plan.told() });
            self.bring(&at.found.values).await?;
        }
        self.go_on()?;
        match self.hands.gate(Question::State(at.state, earlier.passed)).await? {
            Verdict::Passed => {
                self.hands.passed().await;
                Ok(None)
            }
            Verdict::Failed(failed) => Ok(Some(failed)),
        }
    }

    /// One step from start to gate.
    async fn step(&self, at: &At, step: Move, backwards: bool) -> Result<Verdict, Halt> {
        let began = tokio::time::Instant::now();
        if !backwards {
            self.hands.check(&at.found, false, false).await?;
            let foreign = self.hands.quiet().await?;
            if !foreign.is_empty() {
                self.hands.say(SwapFact::Refused { foreign: foreign.clone() });
                return Err(Halt::foreign("something stands against the step, and nothing was written", foreign));
            }
        }
        let text = at.found.splice(self.spec, &step.values, step.marker.as_ref()).map_err(|problem| {
            let halt = Halt::new(HaltKind::Refused, "the tfvars cannot be edited, and nothing was written");
            Halt { problems: Some(Problems(vec![problem])), ..halt }
        })?;
        let new = step.new_colour();
        self.hands.say(SwapFact::StepStarted { step: step.step, new, diff: at.found.diff(&text) });
        self.guarded(at, &step, new, backwards).await?;
        self.go_on()?;
        self.hands.write(&at.found, &text, &step).await?;
        self.hands.record(&at.found, &text, &step).await?;
        self.bring(&step.values).await?;
        self.go_on()?;
        let question = match step.step {
            Step::Start | Step::Join | Step::Leave | Step::Finish => Question::State(step.to, false),
            Step::Abandon => Question::Gone(new),
            Step::Return | Step::Rejoin => Question::Serves(new.other()),
        };
        let verdict = self.hands.gate(question).await?;
        if verdict == Verdict::Passed {
            // A way back asks less than the state's own gate does.
            if !step.step.is_back() {
                self.hands.passed().await;
            }
            let seconds = began.elapsed().as_secs_f64();
            self.hands.say(SwapFact::StepFinished { step: step.step, state: step.to, seconds });
        }
        Ok(verdict)
    }

    /// A plan of the step that the guard lets pass, ready to be applied.
    async fn guarded(&self, at: &At, step: &Move, new: Colour, backwards: bool) -> Result<(), Halt> {
        let wish = if backwards { Wish::Back(step.step, at.state) } else { Wish::Step(step.step, new) };
        let ways: &[Way] = if backwards { &[Way::Whole, Way::Targeted, Way::Recorded] } else { &[Way::Whole] };
        let mut refused: Option<Halt> = None;
        for way in ways {
            let detail = match way {
                Way::Whole => String::new(),
                Way::Targeted => "an unrelated change stands in the plan: with -target on the two groups".to_owned(),
                Way::Recorded => "with the code of the last step that was recorded".to_owned(),
            };
            self.hands.say(SwapFact::PhaseStarted { phase: "plan".to_owned(), detail });
            let plan = match self.hands.plan(*way, Some((&at.found, &step.values))).await {
                Ok(Some(plan)) => plan,
                Ok(None) => continue,
                Err(halt) if backwards && halt.kind != HaltKind::Interrupted => {
                    refused.get_or_insert(halt);
                    continue;
                }
                Err(halt) => return Err(halt),
            };
            let mut foreign = judge(self.spec, &plan, wish, &step.values);
            if step.step == Step::Start {
                foreign.extend(waits(self.spec, &plan));
            }
            if foreign.is_empty() {
                self.hands.say(SwapFact::Guarded { changes: plan.told() });
                return Ok(());
            }
            refused.get_or_insert_with(|| Halt::foreign(GUARD, foreign).help(GUARD_HELP));
        }
        let halt = refused.unwrap_or_else(no_plan);
        if !halt.foreign.is_empty() {
            self.hands.say(SwapFact::Refused { foreign: halt.foreign.clone() });
        }
        Err(halt)
    }

    /// Has the last plan applied.
    async fn bring(&self, values: &Values) -> Result<(), Halt> {
        self.go_on()?;
        match self.spec.apply {
            Apply::Terraform => self.hands.apply().await,
            Apply::External => self.hands.arrive(values).await,
        }
    }

    fn go_on(&self) -> Result<(), Halt> {
        if self.hands.stopped() { Err(Halt::new(HaltKind::Interrupted, "interrupted")) } else { Ok(()) }
    }

    /// After a gate's verdict.
    async fn retreat(&self, failed: FailedGate) -> Result<Ended, Halt> {
        let at = self.stand().await?;
        if matches!(at.state, State::Steady { .. }) {
            return Ok(Ended::Stays(failed, at.state, String::new()));
        }
        Ok(match self.back_from(at).await? {
            Ended::Done(state) => Ended::RolledBack(failed, state),
            Ended::Stays(second, state, _) => Ended::Stays(failed, state, second.message),
            other @ (Ended::Nothing(..) | Ended::RolledBack(..)) => other,
        })
    }

    /// From started to steady; from joined and left to started, the old colour attached and healthy first.
    async fn back_from(&self, mut at: At) -> Result<Ended, Halt> {
        let started = matches!(at.state, State::Started { .. });
        if matches!(at.state, State::Joined { .. })
            && let Verdict::Failed(failed) = self.hands.gate(Question::Serves(at.state.old_colour())).await?
        {
            return Ok(Ended::Stays(failed, at.state, String::new()));
        }
        loop {
            let Some(step) = back(self.spec, at.state, &at.found.values, at.found.marker.as_ref(), &self.run) else {
                return Ok(Ended::Done(at.state));
            };
            let to = step.to;
            if let Verdict::Failed(failed) = self.step(&at, step, true).await? {
                return Ok(Ended::Stays(failed, to, String::new()));
            }
            if started || matches!(to, State::Started { .. }) {
                return Ok(Ended::Done(to));
            }
            at = self.stand().await?;
        }
    }
}

const GUARD: &str = "Terraform would change what the step must not, and nothing was written";
const GUARD_HELP: &str = "apply or take back what is not the swap's first; `ovenbird swap NAME rollback` goes back all the same";

fn no_plan() -> Halt {
    Halt::new(HaltKind::Failed, "Terraform gave no plan")
}
