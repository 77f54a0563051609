//! Order of a convolution's taps, for one sample and for many.

use crate::matrix::SparseMatrix;

/// A kept weight of a kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    pub(super) unit: usize,
    pub(super) dy: usize,
    pub(super) dx: usize,
    pub(super) value: f32,
}

/// Taps of a weight, channel by channel.
#[derive(Debug, Default)]
pub(super) struct Taps {
    pairs: Vec<[Tap; 2]>,
    singles: Vec<Tap>,
    /// Ends of the pairs and singles of each output channel.
    ends: Vec<[usize; 2]>,
}

/// Taps of one output channel: first pairs of vertically adjacent taps, then singles.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChannelTaps<'a> {
    pub(super) pairs: &'a [[Tap; 2]],
    pub(super) singles: &'a [Tap],
}

impl Taps {
    /// Creates the taps. The columns of `weight` are the kernel of the first input channel, then of
    /// the second, and so on.
    pub(crate) fn new(weight: &SparseMatrix, kernel: [usize; 2]) -> Self {
        let (area, width) = (kernel[0] * kernel[1], kernel[1]);
        let mut taps = Self::default();
        for row in 0..weight.rows() {
            let (columns, values) = weight.row(row);
            let own = columns.iter().zip(values).map(|(&col, &value)| {
                let (unit, tap) = (col as usize / area, col as usize % area);
                Tap {
                    unit,
                    dy: tap / width,
                    dx: tap % width,
                    value,
                }
            });
            taps.push(own.collect());
        }
        taps
    }

    /// Adds the taps of a channel, kernel column by kernel column.
    fn push(&mut self, mut own: Vec<Tap>) {
        own.sort_by_key(|tap| (tap.dx, tap.unit, tap.dy));
        let mut own = own.into_iter().peekable();
        while let Some(tap) = own.next() {
            let below = (tap.dx, tap.unit, tap.dy + 1);
            match own.next_if(|next| (next.dx, next.unit, next.dy) == below) {
                Some(next) => self.pairs.push([tap, next]),
                None => self.singles.push(tap),
            }
        }
        self.ends.push([self.pairs.len(), self.singles.len()]);
    }

    /// Iterates over the output channels.
    pub(crate) fn channels(&self) -> impl Iterator<Item = ChannelTaps<'_>> {
        let mut start = [0; 2];
        self.ends.iter().map(move |&end| {
            let first = std::mem::replace(&mut start, end);
            ChannelTaps {
                pairs: &self.pairs[first[0]..end[0]],
                singles: &self.singles[first[1]..end[1]],
            }
        })
    }
}

impl<'a> ChannelTaps<'a> {
    /// Iterates over the taps in the order of addition.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a Tap> {
        self.pairs.iter().flatten().chain(self.singles)
    }
}
