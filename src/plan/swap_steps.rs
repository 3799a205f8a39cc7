//! Which step comes next from a state, forward or back, and what it writes.
//!
//! Pure: the new AMI and the number of instances that serve come as data. Invariants: whatever order of steps is taken, a colour with
//! a minimum above 0 is on live; every step but those to steady leaves a marker, so that no direction is ever forgotten.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::swap_spec::SwapSpec;
use crate::model::swap::Colour;
use crate::plan::swap::{Marker, State, Values};

/// A step: what is written, applied and then gated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// 1: steady → started. AMI, sizes and test load balancer of the new colour; minimum of both at what serves now.
    Start,
    /// 2: started → joined. The new colour goes on live.
    Join,
    /// 3: joined → left. The old colour goes off live.
    Leave,
    /// 4: left → steady. The old colour goes to size 0, the new one gets the sizes as configured.
    Finish,
    /// Back: started → steady.
    Abandon,
    /// Back: joined → started.
    Return,
    /// Back: left → joined.
    Rejoin,
}

impl Step {
    /// Forward, in order.
    pub const FORWARD: [Self; 4] = [Self::Start, Self::Join, Self::Leave, Self::Finish];

    /// Its name; of the forward ones as gates are called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Finish => "finish",
            Self::Abandon => "abandon",
            Self::Return => "return",
            Self::Rejoin => "rejoin",
        }
    }

    /// Does it lead back.
    pub fn is_back(self) -> bool {
        matches!(self, Self::Abandon | Self::Return | Self::Rejoin)
    }

    /// In one line, for people.
    pub fn describe(self, new: Colour) -> String {
        let old = new.other();
        match self {
            Self::Start => format!("step 1 of 4: {new} starts on test"),
            Self::Join => format!("step 2 of 4: {new} joins {old} on live"),
            Self::Leave => format!("step 3 of 4: {old} leaves live"),
            Self::Finish => format!("step 4 of 4: {old} goes to size 0"),
            Self::Abandon => format!("back: {new} goes to size 0"),
            Self::Return => format!("back: {new} returns to test"),
            Self::Rejoin => format!("back: {old} goes on live again"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a swap is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// AMI that shall come into service.
    pub ami: String,
    /// Instances in service now; step 1 pins the minimum of both colours at it.
    pub serving: u32,
    /// This run, for the marker.
    pub run: String,
}

/// A step with what the file shall hold after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub step: Step,
    /// State after it.
    pub to: State,
    /// The eight values then.
    pub values: Values,
    /// The marker then.
    pub marker: Option<Marker>,
}

impl Move {
    /// The colour that comes into service, or goes out of it again on a way back.
    pub fn new_colour(&self) -> Colour {
        // Of a steady state the new colour is the idle one: after the last step forward that is the one which went.
        if self.step == Step::Finish { self.to.old_colour() } else { self.to.new_colour() }
    }
}

/// The next step of a swap; `None`: it is done, the AMI that shall serve does.
pub fn next(spec: &SwapSpec, state: State, values: &Values, marker: Option<&Marker>, goal: &Goal) -> Option<Move> {
    let new = state.new_colour();
    let old = state.old_colour();
    let mut after = values.clone();
    match state {
        State::Steady { live } => {
            let was = values.of(live);
            if was.ami_id == goal.ami {
                return None;
            }
            // An old colour without traffic would be scaled in during the soak, and a rollback would find two instances for the load
            // of eight. The maximum still holds: EC2 cannot run more.
            let pinned = goal.serving.clamp(was.min_size, was.max_size);
            let marker =
                Marker { new, was: (was.min_size, was.max_size), from: was.ami_id.clone(), to: goal.ami.clone(), run: goal.run.clone() };
            let side = after.of_mut(new);
            side.ami_id.clone_from(&goal.ami);
            side.min_size = pinned;
            side.max_size = was.max_size;
            side.elb_name.clone_from(&spec.test.value);
            after.of_mut(old).min_size = pinned;
            Some(Move { step: Step::Start, to: State::Started { new }, values: after, marker: Some(marker) })
        }
        State::Started { .. } => {
            after.of_mut(new).elb_name.clone_from(&spec.live.value);
            Some(Move { step: Step::Join, to: State::Joined { new }, marker: Some(kept(new, values, marker, goal)), values: after })
        }
        State::Joined { .. } => {
            after.of_mut(old).elb_name.clear();
            Some(Move { step: Step::Leave, to: State::Left { new }, marker: Some(kept(new, values, marker, goal)), values: after })
        }
        State::Left { .. } => {
            let side = after.of_mut(old);
            side.min_size = 0;
            side.max_size = 0;
            if let Some(marker) = marker {
                let side = after.of_mut(new);
                (side.min_size, side.max_size) = marker.was;
            }
            Some(Move { step: Step::Finish, to: State::Steady { live: new }, values: after, marker: None })
        }
    }
}

/// The marker that is there; or, where somebody took the first steps by hand, one with the sizes that the new colour has.
fn kept(new: Colour, values: &Values, marker: Option<&Marker>, goal: &Goal) -> Marker {
    marker.cloned().unwrap_or_else(|| {
        let side = values.of(new);
        Marker {
            new,
            was: (side.min_size, side.max_size),
            from: values.of(new.other()).ami_id.clone(),
            to: side.ami_id.clone(),
            run: goal.run.clone(),
        }
    })
}

/// The next step back; `None` in steady: nothing to go back from.
///
/// From `left` two of them lead to `started`, where the new colour stays to be looked at; one more leads to steady.
pub fn back(spec: &SwapSpec, state: State, values: &Values, marker: Option<&Marker>, run: &str) -> Option<Move> {
    let new = state.new_colour();
    let old = state.old_colour();
    let goal = Goal { ami: String::new(), serving: 0, run: run.to_owned() };
    let mut after = values.clone();
    match state {
        State::Steady { .. } => None,
        State::Started { .. } => {
            let side = after.of_mut(new);
            side.min_size = 0;
            side.max_size = 0;
            if let Some(marker) = marker {
                let side = after.of_mut(old);
                (side.min_size, side.max_size) = marker.was;
            }
            Some(Move { step: Step::Abandon, to: State::Steady { live: old }, values: after, marker: None })
        }
        State::Joined { .. } => {
            after.of_mut(new).elb_name.clone_from(&spec.test.value);
            Some(Move { step: Step::Return, to: State::Started { new }, marker: Some(kept(new, values, marker, &goal)), values: after })
        }
        State::Left { .. } => {
            after.of_mut(old).elb_name.clone_from(&spec.live.value);
            Some(Move { step: Step::Rejoin, to: State::Joined { new }, marker: Some(kept(new, values, marker, &goal)), values: after })
        }
    }
}

/// Every step that is left until steady, as `swap plan` shows them.
pub fn rest(spec: &SwapSpec, state: State, values: &Values, marker: Option<&Marker>, goal: &Goal) -> Vec<Move> {
    let mut moves: Vec<Move> = Vec::new();
    let mut at = (state, values.clone(), marker.cloned());
    while let Some(step) = next(spec, at.0, &at.1, at.2.as_ref(), goal) {
        at = (step.to, step.values.clone(), step.marker.clone());
        let done = matches!(step.to, State::Steady { .. });
        moves.push(step);
        if done {
            break;
        }
    }
    moves
}
