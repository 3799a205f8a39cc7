//! What the eight values of a swap and its marker say: [`Colour`], [`Values`], [`Marker`], [`State`], and [`stand`], which tells a
//! state or every reason why there is none.
//!
//! Pure; where the values come from is `disk::swap_tfvars`, what is done about a state is `plan::swap_steps`. Invariant: what is not
//! one of the 2 × 4 states is irregular with a name, and nothing is ever written to it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::swap_spec::{Balancer, SwapSpec};
use crate::model::swap::{Colour, Field};

/// The four values of one colour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// `<colour>_ami_id`
    pub ami_id: String,
    /// `<colour>_min_size`
    pub min_size: u32,
    /// `<colour>_max_size`
    pub max_size: u32,
    /// `<colour>_elb_name`; empty: on no load balancer.
    pub elb_name: String,
}

impl Side {
    /// Can it have an instance at all.
    fn off(&self) -> bool {
        self.min_size == 0 && self.max_size == 0
    }

    /// Always has an instance.
    fn on(&self) -> bool {
        self.min_size > 0
    }
}

/// The eight values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    /// Blue's.
    pub blue: Side,
    /// Green's.
    pub green: Side,
}

impl Values {
    /// Those of one colour.
    pub fn of(&self, colour: Colour) -> &Side {
        match colour {
            Colour::Blue => &self.blue,
            Colour::Green => &self.green,
        }
    }

    /// Those of one colour, to be changed.
    pub fn of_mut(&mut self, colour: Colour) -> &mut Side {
        match colour {
            Colour::Blue => &mut self.blue,
            Colour::Green => &mut self.green,
        }
    }

    /// One value as text.
    pub fn text(&self, colour: Colour, field: Field) -> String {
        let side = self.of(colour);
        match field {
            Field::AmiId => side.ami_id.clone(),
            Field::MinSize => side.min_size.to_string(),
            Field::MaxSize => side.max_size.to_string(),
            Field::ElbName => side.elb_name.clone(),
        }
    }
}

/// The comment above the values while a swap is under way. It is what tells the two directions of `joined` apart, and remembers the
/// sizes to go back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The colour that comes into service.
    pub new: Colour,
    /// Sizes of the colour in service before the swap: minimum and maximum.
    pub was: (u32, u32),
    /// AMI of the colour that goes.
    pub from: String,
    /// AMI of the colour that comes.
    pub to: String,
    /// Run that began the swap.
    pub run: String,
}

/// How every marker begins.
pub const MARKER_HEAD: &str = "# ovenbird:";

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { new, was: (min, max), from, to, run } = self;
        write!(f, "{MARKER_HEAD} {new} replaces {} (was {min}/{max}), {from} → {to}, run {run}", new.other())
    }
}

impl Marker {
    /// Reads a line back; `None`: it is not what [`Display`](fmt::Display) writes.
    pub fn parse(line: &str) -> Option<Self> {
        let rest = line.trim().strip_prefix(MARKER_HEAD)?.trim_start();
        let (new, rest) = rest.split_once(" replaces ")?;
        let (old, rest) = rest.split_once(" (was ")?;
        let (was, rest) = rest.split_once("), ")?;
        let (from, rest) = rest.split_once(" → ")?;
        let (to, run) = rest.split_once(", run ")?;
        let (min, max) = was.split_once('/')?;
        let (new, old): (Colour, Colour) = (new.parse().ok()?, old.parse().ok()?);
        let word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
        let sound = new != old && word(from) && word(to) && word(run);
        let marker =
            Self { new, was: (min.parse().ok()?, max.parse().ok()?), from: from.to_owned(), to: to.to_owned(), run: run.to_owned() };
        (sound && marker.was.0 > 0 && marker.was.0 <= marker.was.1).then_some(marker)
    }
}

/// Where a swap stands, by the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// One colour serves, the other has size 0.
    Steady {
        /// In service.
        live: Colour,
    },
    /// The new colour is on the test load balancer.
    Started {
        /// Coming into service.
        new: Colour,
    },
    /// Both colours serve.
    Joined {
        /// Coming into service.
        new: Colour,
    },
    /// The new colour serves alone, the old one still runs.
    Left {
        /// In service now.
        new: Colour,
    },
}

impl State {
    /// `steady`, `started`, `joined`, `left`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady { .. } => "steady",
            Self::Started { .. } => "started",
            Self::Joined { .. } => "joined",
            Self::Left { .. } => "left",
        }
    }

    /// The colour that comes into service. In `steady`: the idle one, which a swap would start.
    pub fn new_colour(self) -> Colour {
        match self {
            Self::Steady { live } => live.other(),
            Self::Started { new } | Self::Joined { new } | Self::Left { new } => new,
        }
    }

    /// The other one.
    pub fn old_colour(self) -> Colour {
        self.new_colour().other()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let old = self.old_colour();
        let new = self.new_colour();
        match self {
            Self::Steady { live } => write!(f, "steady: {live} serves, {new} is off"),
            Self::Started { .. } => write!(f, "started: {old} serves, {new} is on test"),
            Self::Joined { .. } => write!(f, "joined: {old} and {new} serve"),
            Self::Left { .. } => write!(f, "left: {new} serves, {old} is on no load balancer and still runs"),
        }
    }
}

/// One reason why the values are no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Irregular {
    /// A load balancer that the swap does not know.
    #[error("{0} is on `{1}`, which is neither `live` nor `test` of this swap nor empty")]
    UnknownBalancer(Colour, String),
    /// Minimum above maximum.
    #[error("{0} has the minimum {1} above the maximum {2}")]
    SizesReversed(Colour, u32, u32),
    /// Minimum 0 and maximum above: on or off cannot be told.
    #[error("{0} has the sizes 0/{1}, which is neither on nor off")]
    HalfOff(Colour, u32),
    /// In service, or about to be, without an AMI.
    #[error("{0} runs and has the AMI `{1}`, which is no id")]
    NoAmi(Colour, String),
    /// Neither colour is on live.
    #[error("neither colour is on `{0}`: nothing is in service")]
    NothingLive(String),
    /// On live without instances.
    #[error("{0} is on `{1}` with size 0")]
    LiveOff(Colour, String),
    /// Both on live, and no marker that says which one is new.
    #[error("both colours are on `{0}`, and no marker says which one is new")]
    JoinedUnmarked(String),
    /// A comment that begins as a marker does and is none.
    #[error("a comment begins as a marker of ovenbird's and cannot be read as one: `{0}`")]
    MarkerUnreadable(String),
    /// Two of them.
    #[error("there are {0} markers of ovenbird's")]
    MarkerTwice(usize),
    /// A marker, and no swap is under way.
    #[error("a marker says that {0} replaces {1}, and the values are steady with {2} in service")]
    MarkerLeft(Colour, Colour, Colour),
    /// A marker that says another direction than the values.
    #[error("the marker says that {0} replaces {1}, and the values say that {1} replaces {0}")]
    MarkerReversed(Colour, Colour),
    /// A marker that says another AMI than the values.
    #[error("the marker says `{1}` for {0}, and the values say `{2}`")]
    MarkerAmi(Colour, String, String),
}

impl Irregular {
    /// Values that it is about; none: the marker.
    pub fn fields(&self) -> Vec<(Colour, Field)> {
        match self {
            Self::UnknownBalancer(colour, _) => vec![(*colour, Field::ElbName)],
            Self::SizesReversed(colour, ..) | Self::HalfOff(colour, _) => vec![(*colour, Field::MinSize), (*colour, Field::MaxSize)],
            Self::NoAmi(colour, _) | Self::MarkerAmi(colour, ..) => vec![(*colour, Field::AmiId)],
            Self::LiveOff(colour, _) => vec![(*colour, Field::MaxSize), (*colour, Field::ElbName)],
            Self::NothingLive(_) | Self::JoinedUnmarked(_) => vec![(Colour::Blue, Field::ElbName), (Colour::Green, Field::ElbName)],
            Self::MarkerUnreadable(_) | Self::MarkerTwice(_) | Self::MarkerLeft(..) | Self::MarkerReversed(..) => Vec::new(),
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::UnknownBalancer(..) => "the values are those of `live` and `test` in the swap block, or \"\"".to_owned(),
            Self::SizesReversed(..) => "exchange the two".to_owned(),
            Self::HalfOff(..) => "0/0 is off; a colour that is on has a minimum of at least 1".to_owned(),
            Self::NoAmi(..) => "an id such as `ami-0123456789abcdef0`".to_owned(),
            Self::NothingLive(_) => {
                "put the colour that shall serve on `live` and apply; a swap begins with one colour in service".to_owned()
            }
            Self::LiveOff(..) => "give it its sizes back and apply, or take it off".to_owned(),
            Self::JoinedUnmarked(_) => "`ovenbird swap NAME next --retire COLOUR` says which colour goes".to_owned(),
            Self::MarkerUnreadable(_) | Self::MarkerTwice(_) | Self::MarkerLeft(..) | Self::MarkerReversed(..) | Self::MarkerAmi(..) => {
                "somebody edited the file during a swap: `git log -p` on it shows how; restore it, or remove the marker's line when no \
                 swap is under way"
                    .to_owned()
            }
        }
    }
}

fn is_ami(text: &str) -> bool {
    text.strip_prefix("ami-").is_some_and(|id| id.len() >= 8 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// On which of the two a value says that a colour is.
fn on(side: &Side, balancer: &Balancer) -> bool {
    side.elb_name == balancer.value
}

/// The state, or every reason why there is none. `retire` names the old colour where both serve and no marker says it.
///
/// # Errors
/// What is irregular, at least one reason.
pub fn stand(spec: &SwapSpec, values: &Values, marker: Option<&Marker>, retire: Option<Colour>) -> Result<State, Vec<Irregular>> {
    let mut wrong = Vec::new();
    for colour in Colour::BOTH {
        let side = values.of(colour);
        if !side.elb_name.is_empty() && !on(side, &spec.live) && !on(side, &spec.test) {
            wrong.push(Irregular::UnknownBalancer(colour, side.elb_name.clone()));
        }
        if side.min_size > side.max_size {
            wrong.push(Irregular::SizesReversed(colour, side.min_size, side.max_size));
        } else if !side.on() && !side.off() {
            wrong.push(Irregular::HalfOff(colour, side.max_size));
        }
        if !side.off() && !is_ami(&side.ami_id) {
            wrong.push(Irregular::NoAmi(colour, side.ami_id.clone()));
        }
        if on(side, &spec.live) && side.off() {
            wrong.push(Irregular::LiveOff(colour, spec.live.value.clone()));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let live = |colour: Colour| on(values.of(colour), &spec.live);
    let state = match Colour::BOTH.map(live) {
        [false, false] => return Err(vec![Irregular::NothingLive(spec.live.value.clone())]),
        [true, true] => match marker.map(|marker| marker.new).or(retire.map(Colour::other)) {
            Some(new) => State::Joined { new },
            None => return Err(vec![Irregular::JoinedUnmarked(spec.live.value.clone())]),
        },
        [blue, _] => {
            let live = if blue { Colour::Blue } else { Colour::Green };
            let other = values.of(live.other());
            if other.off() {
                State::Steady { live }
            } else if on(other, &spec.test) {
                State::Started { new: live.other() }
            } else {
                State::Left { new: live }
            }
        }
    };
    if let Some(marker) = marker {
        wrong.extend(disagreement(state, values, marker));
    }
    if wrong.is_empty() { Ok(state) } else { Err(wrong) }
}

fn disagreement(state: State, values: &Values, marker: &Marker) -> Vec<Irregular> {
    if let State::Steady { live } = state {
        return vec![Irregular::MarkerLeft(marker.new, marker.new.other(), live)];
    }
    if state.new_colour() != marker.new {
        return vec![Irregular::MarkerReversed(marker.new, marker.new.other())];
    }
    let said = [(marker.new, &marker.to), (marker.new.other(), &marker.from)];
    let differs = |(colour, ami): (Colour, &String)| {
        let held = &values.of(colour).ami_id;
        (held != ami).then(|| Irregular::MarkerAmi(colour, ami.clone(), held.clone()))
    };
    said.into_iter().filter_map(differs).collect()
}
