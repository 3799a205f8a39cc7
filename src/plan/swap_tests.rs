//! Properties of the swap planner: over every state, with any sizes and AMIs, forward, back, and mixed.
//!
//! Invariant: what is generated is regular by construction, and what is irregular is made from it by one named change.

use proptest::prelude::*;

use crate::config::swap_spec::{Apply, Balancer, ColourSpec, Record, SwapSpec};
use crate::model::name::Name;
use crate::model::swap::{Colour, Field};
use crate::plan::swap::{Irregular, Marker, Side, State, Values, stand};
use crate::plan::swap_steps::{Goal, Move, Step, back, next, rest};

pub(crate) fn spec() -> SwapSpec {
    let name = |text: &str| Name::new(text).unwrap();
    let colour = |colour: Colour| ColourSpec {
        group: format!("module.web.aws_autoscaling_group.{colour}"),
        variables: Field::ALL.into_iter().map(|field| (field, format!("{colour}_{}", field.as_str()))).collect(),
    };
    let balancer = |value: &str| Balancer { value: value.to_owned(), target_group: None };
    SwapSpec {
        name: name("production"),
        stage: name("web"),
        requires: None,
        directory: "env".into(),
        tfvars: "env/variables.tfvars".into(),
        live: balancer("elb-prd"),
        test: balancer("elb-test"),
        blue: colour(Colour::Blue),
        green: colour(Colour::Green),
        record: Record::Auto,
        apply: Apply::Terraform,
        command: "terraform".to_owned(),
        workspace: None,
    }
}

fn ami(n: u32) -> String {
    format!("ami-{n:017x}")
}

/// A steady file with `live` in service at `min`/`max`.
pub(crate) fn steady(live: Colour, min: u32, max: u32, idle_elb: &str) -> Values {
    let mut values = Values {
        blue: Side { ami_id: ami(1), min_size: 0, max_size: 0, elb_name: idle_elb.to_owned() },
        green: Side { ami_id: ami(1), min_size: 0, max_size: 0, elb_name: idle_elb.to_owned() },
    };
    *values.of_mut(live) = Side { ami_id: ami(1), min_size: min, max_size: max, elb_name: "elb-prd".to_owned() };
    values
}

fn goal(serving: u32) -> Goal {
    Goal { ami: ami(2), serving, run: "20261122t041500-3f9a1c".to_owned() }
}

#[derive(Debug, Clone)]
struct At {
    state: State,
    values: Values,
    marker: Option<Marker>,
}

impl From<Move> for At {
    fn from(step: Move) -> Self {
        Self { state: step.to, values: step.values, marker: step.marker }
    }
}

/// Steps that were taken of a swap with these sizes.
fn at(live: Colour, min: u32, max: u32, serving: u32, idle_elb: &str, steps: usize) -> At {
    let values = steady(live, min, max, idle_elb);
    let mut at = At { state: State::Steady { live }, values, marker: None };
    for _ in 0..steps {
        at = next(&spec(), at.state, &at.values, at.marker.as_ref(), &goal(serving)).unwrap().into();
    }
    at
}

fn served(values: &Values) -> bool {
    Colour::BOTH.into_iter().any(|c| values.of(c).elb_name == "elb-prd" && values.of(c).min_size > 0)
}

fn colour() -> impl Strategy<Value = Colour> {
    prop_oneof![Just(Colour::Blue), Just(Colour::Green)]
}

prop_compose! {
    fn sizes()(min in 1_u32..20, more in 0_u32..20, serving in 0_u32..60) -> (u32, u32, u32) {
        (min, min + more, serving)
    }
}

fn idle() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just("elb-test")]
}

proptest! {
    #[test]
    fn from_each_state_next_ends_steady_with_the_colours_exchanged_and_the_sizes_as_configured(
        live in colour(), (min, max, serving) in sizes(), idle in idle(), steps in 0_usize..4,
    ) {
        let start = at(live, min, max, serving, idle, steps);
        let moves = rest(&spec(), start.state, &start.values, start.marker.as_ref(), &goal(serving));
        prop_assert_eq!(moves.iter().map(|m| m.step).collect::<Vec<_>>(), Step::FORWARD[steps..].to_vec());
        let end = moves.last().unwrap();
        let new = live.other();
        prop_assert_eq!(end.to, State::Steady { live: new });
        prop_assert_eq!(end.values.of(new), &Side { ami_id: ami(2), min_size: min, max_size: max, elb_name: "elb-prd".to_owned() });
        prop_assert_eq!(end.values.of(live), &Side { ami_id: ami(1), min_size: 0, max_size: 0, elb_name: String::new() });
        prop_assert_eq!(&end.marker, &None);
        // Done: the AMI that shall serve does.
        prop_assert_eq!(next(&spec(), end.to, &end.values, None, &goal(serving)), None);
    }

    #[test]
    fn each_step_changes_what_the_description_says_and_pins_both_minimums(
        live in colour(), (min, max, serving) in sizes(), idle in idle(),
    ) {
        let new = live.other();
        let pinned = serving.clamp(min, max);
        let mut before = at(live, min, max, serving, idle, 0).values;
        for (n, step) in Step::FORWARD.into_iter().enumerate() {
            let after = at(live, min, max, serving, idle, n + 1).values;
            let mut changed = Vec::new();
            for c in Colour::BOTH {
                for field in Field::ALL {
                    if before.text(c, field) != after.text(c, field) {
                        changed.push((c == new, field));
                    }
                }
            }
            match step {
                Step::Start => {
                    prop_assert_eq!((after.of(new).min_size, after.of(new).max_size, after.of(live).min_size), (pinned, max, pinned));
                    prop_assert_eq!(&after.of(new).elb_name, "elb-test");
                    prop_assert!(changed.iter().all(|c| c.0 || c.1 == Field::MinSize), "{:?}", changed);
                }
                Step::Join => prop_assert_eq!(changed, vec![(true, Field::ElbName)]),
                Step::Leave => prop_assert_eq!(changed, vec![(false, Field::ElbName)]),
                _ => prop_assert!(changed.iter().all(|c| c.1.is_size()), "{:?}", changed),
            }
            before = after;
        }
    }

    #[test]
    fn rollback_from_each_state_reaches_what_the_description_says(
        live in colour(), (min, max, serving) in sizes(), idle in idle(), steps in 0_usize..4,
    ) {
        let start = at(live, min, max, serving, idle, steps);
        let new = live.other();
        let steps_back: &[Step] = match start.state {
            State::Steady { .. } => &[],
            State::Started { .. } => &[Step::Abandon],
            State::Joined { .. } => &[Step::Return, Step::Abandon],
            State::Left { .. } => &[Step::Rejoin, Step::Return, Step::Abandon],
        };
        let mut at = start;
        for wanted in steps_back {
            let step = back(&spec(), at.state, &at.values, at.marker.as_ref(), "r").unwrap();
            prop_assert_eq!(step.step, *wanted);
            at = step.into();
        }
        prop_assert_eq!(back(&spec(), at.state, &at.values, at.marker.as_ref(), "r"), None);
        prop_assert_eq!(at.state, State::Steady { live });
        // As it was, but for the new AMI in the idle colour.
        let mut wanted = steady(live, min, max, idle);
        if !steps_back.is_empty() {
            wanted.of_mut(new).ami_id = ami(2);
            wanted.of_mut(new).elb_name = "elb-test".to_owned();
        }
        prop_assert_eq!(at.values, wanted);
        prop_assert_eq!(at.marker, None);
    }

    #[test]
    fn no_order_of_steps_leaves_live_without_a_colour_of_size_above_0_and_each_file_reads_back_as_its_state(
        live in colour(), (min, max, serving) in sizes(), idle in idle(), choices in proptest::collection::vec((any::<bool>(), 0_u32..60), 1..40),
    ) {
        let mut now = at(live, min, max, serving, idle, 0);
        for (n, (forward, serving)) in choices.into_iter().enumerate() {
            let goal = Goal { ami: ami(10 + u32::try_from(n).unwrap()), serving, run: "r".to_owned() };
            let step = if forward {
                next(&spec(), now.state, &now.values, now.marker.as_ref(), &goal)
            } else {
                back(&spec(), now.state, &now.values, now.marker.as_ref(), "r")
            };
            let Some(step) = step else { continue };
            // Both the values before and those after: Terraform changes the two groups in any order.
            prop_assert!(served(&step.values), "{:?}", step);
            let both: Vec<Colour> = Colour::BOTH.into_iter()
                .filter(|c| now.values.of(*c).elb_name == "elb-prd" && step.values.of(*c).elb_name == "elb-prd")
                .filter(|c| now.values.of(*c).min_size > 0 && step.values.of(*c).min_size > 0)
                .collect();
            prop_assert!(!both.is_empty(), "a colour serves before, during and after {:?}", step);
            let marker = step.marker.as_ref().map(|m| Marker::parse(&m.to_string()).unwrap());
            prop_assert_eq!(&marker, &step.marker);
            prop_assert_eq!(stand(&spec(), &step.values, marker.as_ref(), None), Ok(step.to));
            now = step.into();
        }
    }

    #[test]
    fn any_values_are_a_state_or_irregular_and_a_state_always_serves(
        sides in proptest::collection::vec((0_u32..3, 0_u32..3, prop_oneof![Just(""), Just("elb-prd"), Just("elb-test"), Just("elb-x")], any::<bool>()), 2),
        marker in proptest::option::of(colour()), retire in proptest::option::of(colour()),
    ) {
        let side = |n: usize| {
            let (min_size, max_size, elb, ami_ok) = sides[n];
            Side { ami_id: if ami_ok { ami(1) } else { String::new() }, min_size, max_size, elb_name: elb.to_owned() }
        };
        let values = Values { blue: side(0), green: side(1) };
        let marker = marker.map(|new| Marker { new, was: (1, 2), from: ami(1), to: ami(1), run: "r".to_owned() });
        match stand(&spec(), &values, marker.as_ref(), retire) {
            Ok(state) => {
                prop_assert!(served(&values), "{}", state);
                let goal = goal(2);
                for step in [next(&spec(), state, &values, marker.as_ref(), &goal), back(&spec(), state, &values, marker.as_ref(), "r")] {
                    prop_assert!(step.is_none_or(|step| served(&step.values)));
                }
            }
            Err(reasons) => prop_assert!(!reasons.is_empty()),
        }
    }

    #[test]
    fn a_line_that_is_no_marker_is_never_read_as_one(text in "(# ovenbird:)?[ a-z0-9/(),→-]{0,60}") {
        if let Some(marker) = Marker::parse(&text) {
            prop_assert_eq!(Marker::parse(&marker.to_string()), Some(marker));
        }
    }
}

#[test]
fn joined_without_its_marker_is_irregular_until_somebody_says_who_goes() {
    let joined = at(Colour::Blue, 2, 4, 3, "", 2);
    let stands = |retire| stand(&spec(), &joined.values, None, retire);
    assert_eq!(stands(None), Err(vec![Irregular::JoinedUnmarked("elb-prd".to_owned())]));
    assert_eq!(stands(Some(Colour::Blue)), Ok(State::Joined { new: Colour::Green }));
    assert_eq!(stands(Some(Colour::Green)), Ok(State::Joined { new: Colour::Blue }));
    let step = next(&spec(), State::Joined { new: Colour::Green }, &joined.values, None, &goal(3)).unwrap();
    assert_eq!(step.marker.map(|m| (m.new, m.was)), Some((Colour::Green, (3, 4))), "the next file says the direction");
}

#[test]
fn every_irregular_input_has_its_name() {
    type Spoil = fn(&mut Values, &mut Option<Marker>);
    let cases: [(usize, Spoil, &str); 14] = [
        (0, |v, _| v.green.elb_name = "elb-x".into(), "green is on `elb-x`, which is neither `live` nor `test` of this swap nor empty"),
        (0, |v, _| v.blue.elb_name = "elb-test".into(), "neither colour is on `elb-prd`: nothing is in service"),
        (0, |v, _| v.blue.elb_name = String::new(), "neither colour is on `elb-prd`: nothing is in service"),
        (0, |v, _| (v.blue.min_size, v.blue.max_size) = (0, 0), "blue is on `elb-prd` with size 0"),
        (0, |v, _| v.green.elb_name = "elb-prd".into(), "green is on `elb-prd` with size 0"),
        (0, |v, _| v.blue.min_size = 9, "blue has the minimum 9 above the maximum 4"),
        (0, |v, _| v.blue.min_size = 0, "blue has the sizes 0/4, which is neither on nor off"),
        (0, |v, _| v.green.max_size = 3, "green has the sizes 0/3, which is neither on nor off"),
        (0, |v, _| v.blue.ami_id = "ami".into(), "blue runs and has the AMI `ami`, which is no id"),
        (
            1,
            |v, _| v.green.ami_id = ami(7),
            "the marker says `ami-00000000000000002` for green, and the values say `ami-00000000000000007`",
        ),
        (2, |_, m| *m = None, "both colours are on `elb-prd`, and no marker says which one is new"),
        (
            3,
            |_, m| m.as_mut().unwrap().new = Colour::Blue,
            "the marker says that blue replaces green, and the values say that green replaces blue",
        ),
        (
            1,
            |v, _| *v = steady(Colour::Blue, 2, 4, ""),
            "a marker says that green replaces blue, and the values are steady with blue in service",
        ),
        (1, |v, _| v.blue.ami_id = ami(9), "the marker says `ami-00000000000000001` for blue, and the values say `ami-00000000000000009`"),
    ];
    for (steps, spoil, wanted) in cases {
        let mut at = at(Colour::Blue, 2, 4, 3, "elb-test", steps);
        spoil(&mut at.values, &mut at.marker);
        let told: Vec<String> = stand(&spec(), &at.values, at.marker.as_ref(), None).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(told, [wanted]);
    }
}

#[test]
fn the_first_steps_taken_by_hand_are_gone_on_from() {
    // Started without a marker: no sizes to go back to are known, so those that stand there stay.
    let mut at = at(Colour::Green, 2, 4, 2, "", 1);
    at.marker = None;
    let moves = rest(&spec(), at.state, &at.values, None, &goal(2));
    assert_eq!(moves.iter().map(|m| m.marker.is_some()).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!((moves[2].values.blue.min_size, moves[2].values.blue.max_size), (2, 4));
    assert_eq!(back(&spec(), at.state, &at.values, None, "r").unwrap().values.green, at.values.green);
}

#[test]
fn the_marker_is_written_as_the_description_shows_it() {
    let marker = at(Colour::Blue, 2, 4, 3, "", 1).marker.unwrap();
    let line = "# ovenbird: green replaces blue (was 2/4), ami-00000000000000001 → ami-00000000000000002, run 20261122t041500-3f9a1c";
    assert_eq!(marker.to_string(), line);
    assert_eq!(Marker::parse(&format!("  {line}\t")), Some(marker));
    for bad in
        ["# ovenbird: green replaces green (was 2/4), a → b, run r", "# ovenbird: green replaces blue (was 0/4), a → b, run r", "# green"]
    {
        assert_eq!(Marker::parse(bad), None);
    }
}
