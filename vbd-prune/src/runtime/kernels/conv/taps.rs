//! In which order a convolution's taps are added, for one sample and for many.

use crate::matrix::SparseMatrix;

/// A kept weight of a kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    pub(super) unit: usize,
    pub(super) dy: usize,
    pub(super) dx: usize,
    pub(super) value: f32,
}

/// The taps of one output channel: pairs of which the second is below the first come first.
#[derive(Debug)]
pub(super) struct Taps {
    pub(super) pairs: Vec<[Tap; 2]>,
    pub(super) singles: Vec<Tap>,
}

impl Taps {
    /// The taps of a row of `weight`, whose columns are the kernel of the first input channel, of the
    /// second, and so on; kernel column by kernel column.
    pub(super) fn new(weight: &SparseMatrix, row: usize, kernel: usize) -> Self {
        let (columns, values) = weight.row(row);
        let taps = columns.iter().zip(values).map(|(&col, &value)| {
            let (unit, tap) = (
                col as usize / (kernel * kernel),
                col as usize % (kernel * kernel),
            );
            Tap {
                unit,
                dy: tap / kernel,
                dx: tap % kernel,
                value,
            }
        });
        let mut taps: Vec<Tap> = taps.collect();
        taps.sort_by_key(|tap| (tap.dx, tap.unit, tap.dy));
        let (mut pairs, mut singles) = (Vec::new(), Vec::new());
        let mut taps = taps.into_iter().peekable();
        while let Some(tap) = taps.next() {
            let below = (tap.dx, tap.unit, tap.dy + 1);
            match taps.next_if(|next| (next.dx, next.unit, next.dy) == below) {
                Some(next) => pairs.push([tap, next]),
                None => singles.push(tap),
            }
        }
        Self { pairs, singles }
    }

    /// In the order in which they are added.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Tap> {
        self.pairs.iter().flatten().chain(&self.singles)
    }
}
