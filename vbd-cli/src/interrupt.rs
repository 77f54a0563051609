//! Ctrl-C and SIGTERM. During training, the first signal ends the current step and writes a
//! checkpoint. A second signal, or any signal outside training, ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use crate::error::INTERRUPTED;
use crate::render;

static STOP: AtomicBool = AtomicBool::new(false);
static TRAINING: AtomicBool = AtomicBool::new(false);

/// Installs the signal handler.
pub(crate) fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(on_signal).context("cannot install the signal handler")
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
