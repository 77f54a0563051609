//! How many threads: told to rayon, Candle and the sparse runtime before any of them starts one.

use std::num::NonZeroUsize;

/// What rayon reads when its pool starts.
const RAYON: &str = "RAYON_NUM_THREADS";
/// What Candle reads when its own pool starts.
const CANDLE: &str = "CANDLE_NUM_THREADS";

/// Sets the number of threads of this process: as asked for, else as rayon's variable says, else as
/// many as the machine has. Must be called before any thread is started.
pub(crate) fn set(asked: Option<NonZeroUsize>) -> usize {
    let threads = asked
        .or_else(from_environment)
        .map_or_else(available, NonZeroUsize::get);
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
    reason = "Candle and rayon take their number of threads from nowhere else"
)]
fn set_variable(name: &str, value: &str) {
    // SAFETY: `main` calls this before anything that starts a thread, so that no other thread can
    // read the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}
