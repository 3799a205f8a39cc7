//! What a child does with signals, set between fork and exec.
//!
//! Must not allocate there or take a lock. Invariant: a child leads a process group of its own, hears SIGINT, and does not outlive
//! the thread that started it.

use std::io;
use std::os::unix::process::CommandExt as _;

use nix::sys::signal::{SigHandler, Signal, signal};

/// Makes the child a group leader that hears SIGINT, and that gets SIGTERM when the thread that started it ends, so that Packer
/// cleans up even after `kill -9` of ovenbird.
///
/// A shell starts what it puts into the background (`ovenbird build &` in a script, many CI runners) with SIGINT ignored, and an
/// ignored signal is inherited: Ansible and shell provisioners below Packer would never hear the interrupt that asks for a clean-up.
#[allow(clippy::disallowed_types, reason = "duct's hook hands out the command that it is about to start")]
pub(super) fn own_group(child: &mut std::process::Command) {
    child.process_group(0);
    #[cfg(target_os = "linux")]
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only a few system calls are made; none allocates or takes a lock.
    #[expect(unsafe_code, reason = "what a child does with signals can only be set in the child itself")]
    unsafe {
        child.pre_exec(move || {
            signal(Signal::SIGINT, SigHandler::SigDfl)?;
            #[cfg(target_os = "linux")]
            {
                nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
                // The parent may have ended before the signal was asked for.
                if nix::unistd::getppid() != parent {
                    return Err(io::Error::from(nix::errno::Errno::ESRCH));
                }
            }
            Ok(())
        });
    }
}
