//! Options of a benchmark.

use std::time::Duration;

/// Options of a benchmark.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `time` | 1 s | | measuring time per engine and batch size
/// `turns` | 25 | 1 or more | number of turns this time is divided into
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchOptions {
    /// Measuring time per engine and batch size.
    pub time: Duration,
    /// Number of turns this time is divided into.
    pub turns: u32,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(1),
            turns: 25,
        }
    }
}

impl BenchOptions {
    pub(super) fn turns(self) -> u32 {
        self.turns.max(1)
    }

    pub(super) fn turn(self) -> Duration {
        (self.time / self.turns()).max(Duration::from_nanos(1))
    }
}
