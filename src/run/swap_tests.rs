//! The order of a swap, killed before and after every single thing that it does.
//!
//! In the model of `swap_model`. Invariant: after each end the model's world and file agree.

use crate::event::swap::SwapFact;
use crate::model::swap::Colour;
use crate::plan::swap::State;
use crate::run::swap::Ended;
use crate::run::swap_asks::{HaltKind, Question};
use crate::run::swap_model::World;

const GREEN: State = State::Steady { live: Colour::Green };
const STARTED: State = State::Started { new: Colour::Green };
const JOINED: State = State::Joined { new: Colour::Green };
const LEFT: State = State::Left { new: Colour::Green };

#[tokio::test]
async fn a_run_exchanges_the_colours_and_a_second_one_has_nothing_to_do() {
    let world = World::new();
    assert_eq!(world.run(true, false).await.unwrap().unwrap(), Ended::Done(GREEN));
    assert_eq!((world.live(), *world.applied.borrow() == world.found().values), (vec![Colour::Green], true));
    assert_eq!(world.applied.borrow().green.min_size, 2, "as configured");
    assert!(matches!(world.run(true, false).await.unwrap().unwrap(), Ended::Nothing(state, _) if state == GREEN));
}

#[tokio::test]
async fn killed_at_any_point_a_run_goes_on_or_goes_back_and_something_always_serves() {
    let counted = World::new();
    assert!(counted.run(true, false).await.unwrap().is_ok());
    let points = counted.points.get();
    assert!(points > 60, "{points}");
    for n in 0..points {
        let world = World::new();
        world.dies_at.set(Some(n));
        assert!(world.run(true, false).await.is_none(), "killed at {n}");
        let again = world.run(true, false).await.unwrap();
        match again.unwrap_or_else(|halt| panic!("killed at {n}: {}", halt.message)) {
            Ended::Done(state) | Ended::Nothing(state, _) => assert_eq!(state, GREEN, "killed at {n}"),
            other => panic!("killed at {n}: {other:?}"),
        }
        assert_eq!(*world.applied.borrow(), world.found().values, "killed at {n}");

        let world = World::new();
        world.dies_at.set(Some(n));
        assert!(world.run(true, false).await.is_none());
        let back = world.run(true, true).await.unwrap().unwrap_or_else(|halt| panic!("killed at {n}: {}", halt.message));
        let (Ended::Done(state) | Ended::Nothing(state, _)) = back else { panic!("killed at {n}: {back:?}") };
        assert!(matches!(state, State::Steady { .. } | State::Started { .. }), "killed at {n}: {state}");
        if state == STARTED {
            let back = world.run(true, true).await.unwrap();
            assert_eq!(back.unwrap(), Ended::Done(State::Steady { live: Colour::Blue }), "killed at {n}");
        }
        assert_eq!(*world.applied.borrow(), world.found().values, "killed at {n}");
    }
}

#[tokio::test]
async fn killed_at_any_point_of_the_way_back_it_goes_back_or_on() {
    for begin in [STARTED, JOINED, LEFT] {
        let prepared = async || {
            let world = World::new();
            loop {
                match world.run(false, false).await.unwrap().unwrap() {
                    Ended::Done(state) if state == begin => break,
                    Ended::Done(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            world.points.set(0);
            world
        };
        let world = prepared().await;
        world.run(true, true).await.unwrap().unwrap();
        let points = world.points.get();
        for n in 0..points {
            for rollback in [true, false] {
                let world = prepared().await;
                world.dies_at.set(Some(n));
                assert!(world.run(true, true).await.is_none());
                let ended =
                    world.run(true, rollback).await.unwrap().unwrap_or_else(|halt| panic!("{begin} killed at {n}: {}", halt.message));
                assert!(matches!(ended, Ended::Done(_) | Ended::Nothing(..)), "{begin} killed at {n}: {ended:?}");
                assert_eq!(*world.applied.borrow(), world.found().values, "{begin} killed at {n}");
            }
        }
    }
}

#[tokio::test]
async fn a_gates_verdict_rolls_back_as_the_description_says() {
    let blue = State::Steady { live: Colour::Blue };
    for (refused, to, live) in
        [(STARTED, blue, vec![Colour::Blue]), (JOINED, STARTED, vec![Colour::Blue]), (LEFT, STARTED, vec![Colour::Blue])]
    {
        let world = World::new();
        world.refuses.borrow_mut().push(Question::State(refused, false));
        let ended = world.run(true, false).await.unwrap().unwrap();
        assert!(matches!(ended, Ended::RolledBack(_, state) if state == to), "{refused}: {ended:?}");
        assert_eq!(world.live(), live, "{refused}");
    }
    let world = World::new();
    world.refuses.borrow_mut().push(Question::State(GREEN, false));
    let ended = world.run(true, false).await.unwrap().unwrap();
    assert!(matches!(ended, Ended::Stays(_, state, _) if state == GREEN), "after step 4 it stops: {ended:?}");
}

#[tokio::test]
async fn the_new_colour_stays_on_live_while_the_old_one_is_not_healthy_there() {
    let world = World::new();
    world.refuses.borrow_mut().extend([Question::State(LEFT, false), Question::Serves(Colour::Blue)]);
    let ended = world.run(true, false).await.unwrap().unwrap();
    assert!(matches!(ended, Ended::Stays(_, state, _) if state == JOINED), "{ended:?}");
    assert_eq!(world.live(), [Colour::Blue, Colour::Green]);
}

#[tokio::test]
async fn an_apply_that_fails_halfway_rolls_nothing_back_and_next_applies_the_rest() {
    for steps in 0..4 {
        let world = World::new();
        for _ in 0..steps {
            world.run(false, false).await.unwrap().unwrap();
        }
        world.breaks.set(true);
        let halt = world.run(false, false).await.unwrap().unwrap_err();
        assert_eq!((halt.kind, halt.message.as_str()), (HaltKind::Failed, "apply failed halfway"));
        assert!(!world.facts.borrow().iter().any(|fact| matches!(fact, SwapFact::StepStarted { step, .. } if step.is_back())));
        let ended = world.run(true, false).await.unwrap().unwrap();
        assert!(matches!(ended, Ended::Done(state) | Ended::Nothing(state, _) if state == GREEN), "{steps}: {ended:?}");
    }
}

#[tokio::test]
async fn what_is_foreign_is_refused_before_anything_is_written_and_the_way_back_is_open() {
    for steps in 0..4 {
        let world = World::new();
        for _ in 0..steps {
            world.run(false, false).await.unwrap().unwrap();
        }
        world.stranger.set(true);
        let (file, applied) = (world.file.borrow().clone(), world.applied.borrow().clone());
        let halt = world.run(true, false).await.unwrap().unwrap_err();
        assert_eq!((halt.kind, halt.foreign[0].address.as_str()), (HaltKind::Refused, "aws_s3_bucket.logs"), "{steps}");
        assert_eq!((&*world.file.borrow(), &*world.applied.borrow()), (&file, &applied), "{steps}");
        if steps > 0 {
            assert!(matches!(world.run(true, true).await.unwrap().unwrap(), Ended::Done(_)), "{steps}");
            assert_eq!(world.live(), [Colour::Blue], "{steps}");
        }
    }
}

#[tokio::test]
async fn somebodys_own_change_of_sizes_is_not_applied_by_a_swap() {
    let world = World::new();
    let edited = world.file.borrow().replace("blue_max_size = 4", "blue_max_size = 6");
    world.file.replace(edited.clone());
    world.recorded.replace(edited);
    let halt = world.run(true, false).await.unwrap().unwrap_err();
    assert_eq!((halt.kind, halt.message.as_str()), (HaltKind::Refused, "Terraform would change something before the swap has begun"));
    assert_eq!(world.applied.borrow().blue.max_size, 4);
}
