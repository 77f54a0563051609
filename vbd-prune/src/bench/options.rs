//! How long to measure.

use std::time::Duration;

/// How long to measure.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `time` | 1 s | | for each contender at each batch size
/// `turns` | 25 | 1 or more | that each of them has of it
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchOptions {
    /// Time for each contender at each batch size.
    pub time: Duration,
    /// Turns that each of them has.
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
