//! SIGINT, SIGTERM and SIGHUP as messages; what is done about them is the driver's.
//!
//! Invariant: from [`listen`] on, no signal of these ends the process by itself.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::failure::Failure;

/// Names of signals as they come.
///
/// # Errors
/// The system refuses a handler.
pub fn listen() -> Result<mpsc::UnboundedReceiver<String>, Failure> {
    let (send, receive) = mpsc::unbounded_channel();
    for (kind, name) in [(SignalKind::interrupt(), "SIGINT"), (SignalKind::terminate(), "SIGTERM"), (SignalKind::hangup(), "SIGHUP")] {
        let mut stream = signal(kind)?;
        let send = send.clone();
        tokio::task::spawn_local(async move {
            while stream.recv().await.is_some() {
                if send.send(name.to_owned()).is_err() {
                    break;
                }
            }
        });
    }
    Ok(receive)
}
