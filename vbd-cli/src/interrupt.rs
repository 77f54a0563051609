//! Ctrl-C and SIGTERM: a run in training finishes its step and writes a checkpoint, a second one
//! ends the process at once, as does the first where nothing is in training.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use crate::error::INTERRUPTED;
use crate::render;

static STOP: AtomicBool = AtomicBool::new(false);
static TRAINING: AtomicBool = AtomicBool::new(false);

/// Takes over Ctrl-C and SIGTERM.
pub(crate) fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(on_signal).context("Ctrl-C cannot be handled")
}

fn on_signal() {
    let first = !STOP.swap(true, Ordering::Relaxed);
    if first && TRAINING.load(Ordering::Relaxed) {
        render::say("finishing the step, then writing a checkpoint; once more to stop at once");
    } else {
        std::process::exit(i32::from(INTERRUPTED));
    }
}

/// The flag that is set when the run should stop.
pub(crate) fn stop_flag() -> &'static AtomicBool {
    &STOP
}

/// While it lives, the first signal sets [`stop_flag`] and does no more.
pub(crate) struct InTraining;

impl InTraining {
    /// From now on a run is in training.
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
