//! Ctrl-C and SIGTERM. During training, the first signal ends the current step and writes a
//! checkpoint. A second signal, or any signal outside training, ends the process at once.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use crate::error::INTERRUPTED;
use crate::render;

static STOP: AtomicBool = AtomicBool::new(false);
static TRAINING: AtomicBool = AtomicBool::new(false);

/// Installs the signal handler. A signal that the parent process has set to be ignored stays
/// ignored: `nohup vbd train ...` goes on when its terminal is closed.
pub(crate) fn install() -> anyhow::Result<()> {
    #[cfg(unix)]
    let ignored = ignored::signals();
    ctrlc::set_handler(on_signal).context("cannot install the signal handler")?;
    #[cfg(unix)]
    ignored::ignore(&ignored);
    Ok(())
}

/// Signals that are ignored when the process starts.
#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "the disposition of a signal can only be read and set by the C library"
)]
mod ignored {
    use libc::{SIG_IGN, SIGHUP, SIGINT, SIGTERM, c_int};

    /// Returns those of the handled signals that are ignored.
    pub(super) fn signals() -> Vec<c_int> {
        let handled = [SIGINT, SIGTERM, SIGHUP].into_iter();
        handled.filter(|&signal| is_ignored(signal)).collect()
    }

    fn is_ignored(signal: c_int) -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a null new action only reads the current one into `action`, which is zeroed, valid
        // for writes, and a plain C struct.
        let action = unsafe {
            if libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) != 0 {
                return false;
            }
            action.assume_init()
        };
        action.sa_sigaction == SIG_IGN
    }

    /// Ignores signals again.
    pub(super) fn ignore(signals: &[c_int]) {
        for &signal in signals {
            // SAFETY: `SIG_IGN` is a valid disposition, and no handler of this process depends on
            // the signal.
            unsafe { libc::signal(signal, SIG_IGN) };
        }
    }
}

fn on_signal() {
    let first = !STOP.swap(true, Ordering::Relaxed);
    if first && TRAINING.load(Ordering::Relaxed) {
        render::say(
            "finishing the step and writing a checkpoint; press Ctrl-C again to stop at once",
        );
    } else {
        std::process::exit(i32::from(INTERRUPTED));
    }
}

/// Returns the flag that is set when the run should stop.
pub(crate) fn stop_flag() -> &'static AtomicBool {
    &STOP
}

/// Takes a child process out of the terminal's group, so that Ctrl-C reaches it through
/// [`stop_child`] alone, once.
pub(crate) fn leave_group(command: &mut Command) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    #[cfg(not(unix))]
    let _ = command;
}

/// Asks a training child process to finish its step and write a checkpoint; elsewhere than on Unix, ends it.
#[cfg_attr(
    unix,
    expect(unsafe_code, reason = "a signal can only be sent by the C library")
)]
pub(crate) fn stop_child(child: &mut Child) {
    #[cfg(unix)]
    if let Ok(id) = libc::pid_t::try_from(child.id()) {
        // SAFETY: the child has not been waited for, so its id is still its own; sending a signal changes
        // no memory of this process.
        unsafe { libc::kill(id, libc::SIGINT) };
    }
    #[cfg(not(unix))]
    let _ = child.kill();
}

/// Guard of a training run. While it exists, the first signal only sets [`stop_flag`].
pub(crate) struct InTraining;

impl InTraining {
    /// Marks the start of training.
    pub(crate) fn begin() -> Self {
        TRAINING.store(true, Ordering::Relaxed);
        Self
    }
}

impl Drop for InTraining {
    fn drop(&mut self) {
        TRAINING.store(false, Ordering::Relaxed);
    }
}
