//! Progress bars and spinners, shown on stderr if it is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::printable;

/// Creates the progress bar of an epoch's steps.
pub(crate) fn step_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style("epoch {msg} [{bar:30}] {pos}/{len}"));
    bar
}

/// Shows a spinner with a text until the value is dropped.
pub(crate) fn spinner(text: &str) -> Spinner {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style("{spinner} {msg}"));
    bar.set_message(printable(text).into_owned());
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    Spinner(bar)
}

/// Creates the bar of transfers from the hub, which appears with the first bytes.
#[cfg(feature = "hub")]
pub(crate) fn transfer_bar() -> TransferBar {
    TransferBar(ProgressBar::with_draw_target(
        None,
        ProgressDrawTarget::hidden(),
    ))
}

/// Bar of transfers from the hub.
#[cfg(feature = "hub")]
pub(crate) struct TransferBar(ProgressBar);

#[cfg(feature = "hub")]
impl TransferBar {
    /// Shows how many bytes of a file there are; `total` is 0 if unknown.
    pub(crate) fn show(&self, name: &str, done: u64, total: u64) {
        if self.0.is_hidden() {
            self.0.set_draw_target(ProgressDrawTarget::stderr());
            self.0
                .set_style(style("{msg} [{bar:30}] {bytes}/{total_bytes}"));
        }
        self.0.set_message(printable(name).into_owned());
        self.0.set_length(total.max(done));
        self.0.set_position(done);
    }
}

#[cfg(feature = "hub")]
impl Drop for TransferBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Guard returned by [`spinner`].
pub(crate) struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
