//! Sets the thread count of rayon, Candle and the sparse runtime.

use std::num::NonZeroUsize;

/// Variable that rayon reads when its pool starts.
const RAYON: &str = "RAYON_NUM_THREADS";
/// Variable that Candle reads when its pool starts.
const CANDLE: &str = "CANDLE_NUM_THREADS";

/// Maximum number of threads, from any source.
pub(crate) const MOST: usize = 1024;

/// Sets the thread count to `asked`, or else rayon's variable, up to [`MOST`], or else the number of
/// cores, and returns it. Must be called before any thread is started.
pub(crate) fn set(asked: Option<NonZeroUsize>) -> usize {
    let threads = asked
        .or_else(from_environment)
        .map_or_else(available, NonZeroUsize::get)
        .min(MOST);
    for name in [RAYON, CANDLE, vbd_net::runtime::VARIABLE] {
        set_variable(name, &threads.to_string());
    }
    threads
}

fn from_environment() -> Option<NonZeroUsize> {
    std::env::var(RAYON).ok()?.parse().ok()
}

fn available() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[expect(
    unsafe_code,
    reason = "Candle and rayon read their thread count from the environment only"
)]
fn set_variable(name: &str, value: &str) {
    // SAFETY: `main` calls this before anything that starts a thread, so that no other thread can
    // read the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}
