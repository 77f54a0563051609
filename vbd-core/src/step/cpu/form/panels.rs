//! Input gradients of a convolution with a stride, whose outputs' gradients are gathered into panels
//! first, for the reason that [`slabs`](super::slabs) gives.
//!
//! A panel holds the values that one position depends on, tap by tap: with a stride, neighbouring
//! positions depend on different taps.

use rayon::prelude::*;

use super::pieces::{cut_rows, per_piece};
use super::reach::TapReach;
use crate::kernels::product::{Product, Taps};

/// Weights and inputs of a product over panels. An output is `sum over taps and units of weight[tap,
/// unit, row] * input[unit, position of the tap]`.
pub(super) struct Panels<'a> {
    /// For each output position, its taps and the input positions that they read.
    pub(super) reach: &'a TapReach,
    /// `[taps, units, rows]`.
    pub(super) weight: &'a [f32],
    pub(super) rows: usize,
    /// Input units that are summed over.
    pub(super) units: usize,
    /// Values of an input unit.
    pub(super) unit_len: usize,
    pub(super) lanes: usize,
}

impl Panels<'_> {
    /// Computes all outputs.
    ///
    /// # Shapes
    /// - `input`: `[units, input positions, lanes]`, more may follow
    /// - `out`: `[rows, positions, lanes]`
    pub(super) fn run(&self, input: &[f32], out: &mut [f32]) {
        let (lanes, rows) = (self.lanes, self.rows);
        let positions = out.len() / (rows * lanes);
        let per_piece = per_piece(positions);
        let mut pieces = cut_rows(out, positions * lanes, per_piece * lanes);
        let places: Vec<Vec<[usize; 2]>> =
            self.reach.lists().map(|list| self.places(list)).collect();
        let most = places.iter().map(Vec::len).max().unwrap_or_default();
        pieces.par_iter_mut().enumerate().for_each_init(
            || (vec![0.0; most * lanes], vec![0.0; rows * lanes]),
            |(panel, sums), (piece, out)| {
                let first = piece * per_piece;
                let end = positions.min(first + per_piece);
                for part in self.reach.within(first..end) {
                    for position in part.positions {
                        self.gather(panel, input, part.list, position - part.run.first);
                        Product {
                            weight: self.weight,
                            input: panel,
                            taps: Taps {
                                starts: &[],
                                row_step: 1,
                                ..Taps::matrix(0, lanes)
                            },
                            rows,
                            columns: lanes,
                            out: sums,
                            out_step: lanes,
                            accumulate: false,
                        }
                        .run_over(&places[part.number]);
                        let at = (position - first) * lanes;
                        for (out, sums) in out.iter_mut().zip(sums.chunks_exact(lanes)) {
                            out[at..at + lanes].copy_from_slice(sums);
                        }
                    }
                }
            },
        );
    }

    /// Returns weight and panel row of each tap, unit by unit.
    fn places(&self, list: &[(u32, u32)]) -> Vec<[usize; 2]> {
        let taps = (0..self.units).flat_map(|unit| list.iter().map(move |&(tap, _)| (unit, tap)));
        let places = taps.enumerate().map(|(row, (unit, tap))| {
            let weight = (tap as usize * self.units + unit) * self.rows;
            [weight, row * self.lanes]
        });
        places.collect()
    }

    /// Copies the inputs of a position, which is `moved` behind the first of its list.
    fn gather(&self, panel: &mut [f32], input: &[f32], list: &[(u32, u32)], moved: usize) {
        let mut rows = panel.chunks_exact_mut(self.lanes);
        for unit in input.chunks(self.unit_len).take(self.units) {
            for (&(_, place), row) in list.iter().zip(rows.by_ref()) {
                let at = (place as usize + moved) * self.lanes;
                row.copy_from_slice(&unit[at..at + self.lanes]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vbd_net::graph::Window;

    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;
    use crate::step::cpu::geometry::narrow;

    const LANES: usize = 16;

    #[test]
    fn panels_give_the_sums_of_all_taps_in_f64() {
        for (kernel, stride, before, input, output) in [
            ([3, 3], [1, 1], [1, 1], [8, 8], [8, 8]),
            ([3, 3], [2, 2], [0, 0], [8, 8], [4, 4]),
            ([1, 1], [2, 2], [0, 0], [8, 8], [4, 4]),
            ([2, 3], [1, 2], [0, 1], [5, 4], [4, 2]),
        ] {
            let window = Window {
                kernel,
                stride,
                before,
                after: before,
                input,
                output,
            };
            let (units, rows) = (3, 7);
            let unit_len = input[0] * input[1] * LANES;
            let list = |position: usize| -> Vec<(u32, u32)> {
                let places = (0..window.area()).filter_map(|place| {
                    let at = window.input_at(position, place)?;
                    Some((narrow(place), narrow(at)))
                });
                places.collect()
            };
            let positions = window.positions();
            let reach = TapReach::new((0..positions).map(list));
            let weight = test_values(1, window.area() * units * rows);
            let x = test_values(2, units * unit_len);
            let found = same_bits(|| {
                let mut out = vec![0.0; rows * positions * LANES];
                let panels = Panels {
                    reach: &reach,
                    weight: &weight,
                    rows,
                    units,
                    unit_len,
                    lanes: LANES,
                };
                panels.run(&x, &mut out);
                out
            });
            for (at, found) in found.iter().enumerate() {
                let (row, position, lane) =
                    (at / (positions * LANES), at / LANES % positions, at % LANES);
                let mut sum = 0.0;
                for (place, input) in list(position) {
                    for unit in 0..units {
                        let weight = weight[(place as usize * units + unit) * rows + row];
                        let x = x[unit * unit_len + input as usize * LANES + lane];
                        sum += f64::from(weight) * f64::from(x);
                    }
                }
                assert!((f64::from(*found) - sum).abs() < 1e-5, "{window:?} {at}");
            }
        }
    }
}
