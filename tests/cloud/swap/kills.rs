//! kill -9 at random moments of a swap and of the ways back: 10, or 100 in the proof.
//!
//! Invariant: the client asks throughout, and nothing is ever mended by hand.

#![expect(clippy::disallowed_methods, reason = "a moment to kill at is waited for, not a thing")]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::swap::proof;
use crate::swap::stage::Stage;

/// Seeds of moments; the same in every run.
fn moments(longest: u64) -> impl Iterator<Item = Duration> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Duration::from_millis(state % longest)
    })
}

#[test]
fn killed_at_random_moments_a_swap_is_resumed_and_loses_no_request() {
    let stage = Stage::new("swap-kills");
    let client = stage.client();
    let (count, longest, each) = if proof() {
        // As long as a swap takes on this machine now, so that every step is killed.
        let begun = Instant::now();
        stage.swap(0, &["run"]);
        stage.emit_and_push();
        (100, u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), 3)
    } else {
        // The short form finds what goes wrong in the first steps only.
        (10, 4_000, 5)
    };
    let (mut kills, mut not_resumed) = (0, 0);
    for (n, moment) in moments(longest).enumerate() {
        // The short form takes that many moments, whether or not one was of a swap.
        if kills == count || (!proof() && n == count) {
            break;
        }
        let mut running = stage.project.start(&["swap", "local", if n % 4 == 3 { "rollback" } else { "run" }]);
        std::thread::sleep(moment);
        if !running.ended() {
            kills += 1;
            running.signal(Signal::SIGKILL);
        }
        let ran = running.end();
        if proof() {
            let step = ran.text().lines().rfind(|line| line.starts_with("step ") || line.starts_with("back: ")).map(str::to_owned);
            println!("kill {kills} after {moment:?}: {}", step.unwrap_or_else(|| "before a step".to_owned()));
        }
        if n % each == each - 1 {
            // To the end, and a new swap with another image.
            let ran = stage.project.run(&["swap", "local", "run"]);
            if ran.code != Some(0) {
                not_resumed += 1;
                println!("not resumed: {ran}");
            }
            stage.emit_and_push();
        }
    }
    let ran = stage.swap(0, &["run"]);
    let counted = client.end();
    println!("{kills} kills, {not_resumed} not resumed, {} answers, longest {:?}", counted.answered, counted.longest);
    assert_eq!((not_resumed, counted.failed.as_slice()), (0, [].as_slice()), "{ran}");
    assert!(stage.stands().starts_with("steady"));
}
