//! Sparse linear layer for one sample: short rows, four at a time.

use crate::matrix::SparseMatrix;
use pulp::{Arch, Simd, WithSimd};

use crate::runtime::kernels::{Pixel, mul_add};

/// Number of rows summed together, so that their additions overlap.
const GROUP: usize = 4;

/// A sparse weight with rows grouped by length (SELL-4-σ): rows are sorted by their number of
/// entries and padded to the longest in their group.
#[derive(Debug)]
pub(crate) struct RowGroups {
    /// Number of entries per row of each group.
    lens: Vec<u32>,
    places: Vec<[u32; GROUP]>,
    values: Vec<[f32; GROUP]>,
    /// Row number and bias; padded with nonexistent rows.
    rows: Vec<[(u32, f32); GROUP]>,
    relu: bool,
}

impl RowGroups {
    /// Creates the groups. `place` maps a column to the position of its input.
    pub(crate) fn new(
        weight: &SparseMatrix,
        bias: &[f32],
        relu: bool,
        place: impl Fn(u32) -> u32,
    ) -> Self {
        let mut order: Vec<u32> = (0..).take(weight.rows()).collect();
        order.sort_by_key(|&row| weight.row(row as usize).0.len());
        let mut groups = Self {
            lens: Vec::new(),
            places: Vec::new(),
            values: Vec::new(),
            rows: Vec::new(),
            relu,
        };
        for group in order.chunks(GROUP) {
            let longest = group
                .iter()
                .map(|&row| weight.row(row as usize).0.len())
                .max();
            let len = longest.unwrap_or(0);
            for entry in 0..len {
                let (mut places, mut values) = ([0; GROUP], [0.0; GROUP]);
                for ((places, values), &row) in places.iter_mut().zip(&mut values).zip(group) {
                    let (columns, row_values) = weight.row(row as usize);
                    // A padding entry reads an input that the row reads anyway.
                    let filled = columns.last().map_or(0, |&col| place(col));
                    *places = columns.get(entry).map_or(filled, |&col| place(col));
                    *values = row_values.get(entry).copied().unwrap_or(0.0);
                }
                groups.places.push(places);
                groups.values.push(values);
            }
            let mut rows = [(u32::MAX, 0.0); GROUP];
            for (slot, &row) in rows.iter_mut().zip(group) {
                *slot = (row, bias[row as usize]);
            }
            groups
                .lens
                .push(u32::try_from(len).expect("a row is shorter than its weight"));
            groups.rows.push(rows);
        }
        groups
    }

    /// Computes `y = W x + b`, optionally with ReLU.
    pub(crate) fn run<T: Pixel>(&self, arch: Arch, x: &[T], y: &mut [f32]) {
        arch.dispatch(Run { groups: self, x, y });
    }
}

struct Run<'a, T> {
    groups: &'a RowGroups,
    x: &'a [T],
    y: &'a mut [f32],
}

impl<T: Pixel> WithSimd for Run<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { groups, x, y } = self;
        let mut places = &groups.places[..];
        let mut values = &groups.values[..];
        for (&len, rows) in groups.lens.iter().zip(&groups.rows) {
            let (these, those) = places.split_at(len as usize);
            places = those;
            let (factors, others) = values.split_at(len as usize);
            values = others;
            let mut sums = rows.map(|(_, bias)| bias);
            for (places, values) in these.iter().zip(factors) {
                for ((sum, &place), &value) in sums.iter_mut().zip(places).zip(values) {
                    *sum = mul_add(simd, value, x[place as usize].to_f32(), *sum);
                }
            }
            for (&(row, _), &sum) in rows.iter().zip(&sums) {
                if let Some(y) = y.get_mut(row as usize) {
                    *y = if groups.relu && sum < 0.0 { 0.0 } else { sum };
                }
            }
        }
    }
}
