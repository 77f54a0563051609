//! Which input and output positions a kernel connects.

use std::ops::Range;

use crate::kernels::dots::Run;
use crate::step::cpu::geometry::narrow;

/// For each position, the connected kernel positions and the position at their other end.
/// Neighbouring positions have the same list with the other end moved along, so only the first of
/// them is stored.
pub(super) struct TapReach {
    runs: Vec<Run>,
    lists: Vec<Vec<(u32, u32)>>,
}

/// Part of a run of positions.
pub(super) struct ReachPart<'a> {
    pub(super) positions: Range<usize>,
    pub(super) run: Run,
    /// Number of the run.
    pub(super) number: usize,
    /// Taps of the run's first position.
    pub(super) list: &'a [(u32, u32)],
}

impl TapReach {
    pub(super) fn new(all: impl Iterator<Item = Vec<(u32, u32)>>) -> Self {
        let (mut runs, mut lists): (Vec<Run>, Vec<Vec<(u32, u32)>>) = (Vec::new(), Vec::new());
        for (position, list) in all.enumerate() {
            if let (Some(run), Some(first)) = (runs.last_mut(), lists.last()) {
                let moved = narrow(run.positions);
                let moved = first.iter().map(|&(kernel, other)| (kernel, other + moved));
                if moved.eq(list.iter().copied()) {
                    run.positions += 1;
                    continue;
                }
            }
            runs.push(Run {
                first: position,
                positions: 1,
            });
            lists.push(list);
        }
        Self { runs, lists }
    }

    /// Iterates over the lists of taps.
    pub(super) fn lists(&self) -> impl Iterator<Item = &[(u32, u32)]> {
        self.lists.iter().map(Vec::as_slice)
    }

    /// Iterates over the parts of runs in a range of positions.
    pub(super) fn within(&self, positions: Range<usize>) -> impl Iterator<Item = ReachPart<'_>> {
        let runs = self.runs.iter().zip(&self.lists).enumerate();
        runs.filter_map(move |(number, (&run, list))| {
            let first = run.first.max(positions.start);
            let end = (run.first + run.positions).min(positions.end);
            (first < end).then_some(ReachPart {
                positions: first..end,
                run,
                number,
                list,
            })
        })
    }

    /// Iterates over the runs with their lists.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Run, &[(u32, u32)])> {
        let lists = self.lists.iter().map(Vec::as_slice);
        self.runs.iter().copied().zip(lists)
    }
}
