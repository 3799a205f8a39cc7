//! kill -9 at random moments of a swap and of the ways back: 10, or 100 in the proof.
//!
//! Invariant: the client asks throughout, and nothing is ever mended by hand.

#![expect(clippy::disallowed_methods, reason = "a moment to kill at is waited for, not a thing")]

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::swap::proof;
use crate::swap::stage::Stage;

/// Seeds of moments; the same in every run.
fn moments(count: usize, longest: u64) -> impl Iterator<Item = Duration> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Duration::from_millis(state % longest)
    })
}

#[test]
fn killed_at_random_moments_a_swap_is_resumed_and_loses_no_request() {
    // The short form finds what goes wrong in the first steps only.
    let (count, longest, each) = if proof() { (100, 20_000, 3) } else { (10, 4_000, 5) };
    let stage = Stage::new("swap-kills");
    let client = stage.client();
    let (mut kills, mut not_resumed) = (0, 0);
    for (n, moment) in moments(count, longest).enumerate() {
        let mut running = stage.project.start(&["swap", "local", if n % 4 == 3 { "rollback" } else { "run" }]);
        std::thread::sleep(moment);
        if !running.ended() {
            kills += 1;
            running.signal(Signal::SIGKILL);
        }
        drop(running.end());
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
    assert!(kills > 0, "no moment was one of a swap");
    assert!(stage.stands().starts_with("steady"));
}
