//! A plan hashes always, so hashing must be cheap.

use std::time::{Duration, Instant};

use super::*;
use crate::model::digest::Digest;

/// Reads each file once and digests it, one after the other: what the machine can do at this moment, busy as it is.
fn plainly(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += plainly(&path);
        } else {
            std::hint::black_box(Digest::of(&std::fs::read(path).unwrap()));
            files += 1;
        }
    }
    files
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

#[test]
fn ten_thousand_files_take_hardly_longer_than_reading_them() {
    let project = Project::new();
    for role in 0..100 {
        for file in 0..100 {
            project.file(&format!("ansible/roles/nginx/files/{role}/{file}"), format!("{role} {file}\n").repeat(200));
        }
    }
    project.inputs();
    // Turn by turn, so that what else the machine does meanwhile slows down both.
    let rounds = (0..5).map(|_| {
        let ours = timed(|| assert!(project.inputs().trees["ansible/roles/nginx"].len() > 10_000));
        let plain = timed(|| assert_eq!(plainly(&project.path("ansible/roles/nginx/files")), 10_000));
        (ours, plain)
    });
    let (ours, plain) = rounds.fold((Duration::MAX, Duration::MAX), |best, round| (best.0.min(round.0), best.1.min(round.1)));
    // Measured on two idle cores, in a debug build: 0.1 s.
    assert!(ours < plain * 4, "{ours:?}, reading and hashing alone {plain:?}");
}
