//! [`Asking`]: threads that do one thing over and over and count in one place, until they are ended.
//!
//! Must not know what is asked. Invariant: each thread ends with it, after the turn that it is in.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is how it fails")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// At work, counting in a `C`.
pub struct Asking<C> {
    stop: Arc<AtomicBool>,
    counted: Arc<Mutex<C>>,
    threads: Vec<JoinHandle<()>>,
}

impl<C: Clone + Default + Send + 'static> Asking<C> {
    /// Begins: a thread for each of `turns`, which is called again and again with a pause between.
    pub fn begin<T: FnMut(&Mutex<C>) + Send + 'static>(pause: Duration, turns: impl IntoIterator<Item = T>) -> Self {
        let (stop, counted) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(C::default())));
        let thread = |mut turn: T| {
            let (stop, counted) = (Arc::clone(&stop), Arc::clone(&counted));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    turn(&counted);
                    std::thread::park_timeout(pause);
                }
            })
        };
        let threads = turns.into_iter().map(thread).collect();
        Self { stop, counted, threads }
    }

    /// So far.
    pub fn so_far(&self) -> C {
        self.counted.lock().expect("no thread panics").clone()
    }

    /// Ends it.
    pub fn end(mut self) -> C {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("no thread panics");
        }
        self.so_far()
    }
}

impl<C> Drop for Asking<C> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
