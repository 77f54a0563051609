//! Tests of the kernels against a plain loop with bounds checks.

use crate::matrix::SparseMatrix;

use super::taps::Taps;
use super::{Conv, ConvGeometry};
use crate::passes::Extent;
use crate::runtime::Layout;
use crate::runtime::kernels::{LANES, arches};
use crate::testing::Draws;

/// A convolution with random sides, weight and bias.
struct Case {
    geometry: ConvGeometry,
    weight: SparseMatrix,
    bias: Vec<f32>,
}

impl Case {
    fn draw(draws: &mut Draws) -> Self {
        let (units, kernel, stride) = (1 + draws.below(3), 1 + draws.below(6), 1 + draws.below(3));
        let (padding, pool) = (draws.below(kernel.min(3)), 1 + draws.below(2));
        let mut side =
            || (kernel + stride * (pool - 1) + draws.below(14)).max(2 * padding + 1) - 2 * padding;
        let (height, width) = (side(), side());
        let input = Extent {
            units,
            height,
            width,
        };
        let outputs =
            |side: usize| ((side + 2 * padding).saturating_sub(kernel) / stride + 1) / pool;
        let output = Extent {
            units: 1 + draws.below(4),
            height: outputs(height),
            width: outputs(width),
        };
        let geometry = ConvGeometry {
            kernel,
            stride,
            pool,
            relu: draws.below(2) == 0,
            margins: draws.below(2) == 0,
            input,
            output,
            from: Layout::new(input, padding),
            to: Layout::new(output, draws.below(2)),
        };
        let shape = [output.units, units * kernel * kernel];
        let density = draws.below(4);
        let taps = (0..shape[0] * shape[1])
            .filter(|_| draws.below(3) < density)
            .collect::<Vec<_>>();
        let taps = taps.into_iter().map(|place| (place, draws.real()));
        let weight = SparseMatrix::from_places(shape, 0, taps.collect::<Vec<_>>().into_iter());
        let each = if draws.below(2) == 0 {
            output.area() * pool * pool
        } else {
            1
        };
        let bias = (0..output.units * each).map(|_| draws.real()).collect();
        Self {
            geometry,
            weight,
            bias,
        }
    }

    /// A sample with zeros at its sides, in a buffer as the layout has it.
    fn input(&self, draws: &mut Draws) -> Vec<f32> {
        let ConvGeometry { input, from, .. } = self.geometry;
        let unit_len = from.unit_len().unwrap();
        let mut x = vec![0.0; input.units * unit_len + Conv::SLACK];
        let margin = draws.below(1 + input.width / 2);
        for unit in 0..input.units {
            for y in 0..input.height {
                for col in margin..input.width - draws.below(1 + margin) {
                    x[unit * unit_len + from.place(y, col)] = draws.real();
                }
            }
        }
        x
    }

    /// The outputs, one after another without padding.
    fn outputs(&self, x: &[f32]) -> Vec<f64> {
        let ConvGeometry {
            kernel,
            stride,
            pool,
            relu,
            output,
            from,
            ..
        } = self.geometry;
        let [height, width] = self.geometry.outputs();
        let mut y = Vec::new();
        let taps = Taps::new(&self.weight, kernel);
        for (channel, taps) in taps.channels().enumerate() {
            let at = |row: usize, col: usize| {
                let each = self.bias.len() > output.units;
                let bias = if each {
                    (channel * height + row) * width + col
                } else {
                    channel
                };
                taps.iter().fold(f64::from(self.bias[bias]), |sum, tap| {
                    let place = (tap.unit * from.rows() + row * stride + tap.dy) * from.row_step();
                    sum + f64::from(tap.value) * f64::from(x[place + col * stride + tap.dx])
                })
            };
            for place in 0..output.area() {
                let (row, col) = (place / output.width * pool, place % output.width * pool);
                let window =
                    (0..pool * pool).map(|place| at(row + place / pool, col + place % pool));
                let largest = window.fold(if relu { 0.0 } else { f64::NEG_INFINITY }, f64::max);
                y.push(largest);
            }
        }
        y
    }

    /// Compares the values of a buffer from `first` on at distance `step`. The padding must be 0.
    fn check(&self, y: &[f32], [first, step]: [usize; 2], expected: &[f64], label: &str) {
        let ConvGeometry { output, to, .. } = self.geometry;
        for (index, expected) in expected.iter().enumerate() {
            let (channel, place) = (index / output.area(), index % output.area());
            let place = to.place(place / output.width, place % output.width);
            let found = f64::from(y[(channel * to.unit_len().unwrap() + place) * step + first]);
            let same = (found - expected).abs() < 1e-4 * expected.abs().max(1.0);
            assert!(same, "{label}: {found} {expected} {:?}", self.geometry);
        }
        let sum = |values: &[f64]| values.iter().map(|y| y.abs()).sum::<f64>();
        let len = output.units * to.unit_len().unwrap();
        let all: Vec<f64> = (0..len)
            .map(|place| f64::from(y[place * step + first]))
            .collect();
        assert!(
            (sum(&all) - sum(expected)).abs() < 1e-3 * sum(expected).max(1.0),
            "{label}"
        );
    }
}

#[test]
fn kernels_agree_with_the_checked_loop() {
    let draws = &mut Draws(3);
    for case in 0..400 {
        let own = Case::draw(draws);
        let inputs: Vec<Vec<f32>> = (0..LANES).map(|_| own.input(draws)).collect();
        let len = own.geometry.output.units * own.geometry.to.unit_len().unwrap() + Conv::SLACK;
        let expected: Vec<Vec<f64>> = inputs.iter().map(|x| own.outputs(x)).collect();
        for arch in arches() {
            let label = format!("case {case}, {arch:?}");
            let Conv { one, many } = Conv::new(&own.weight, &own.bias, own.geometry);
            let mut scratch = vec![f32::NAN; one.scratch_len()];
            let mut y = vec![0.0; len];
            one.run(arch, &inputs[0], &mut y, &mut scratch);
            own.check(&y, [0, 1], &expected[0], &label);

            let places = inputs[0].len();
            let x: Vec<f32> = (0..places * LANES)
                .map(|at| inputs[at % LANES][at / LANES])
                .collect();
            let mut y = vec![0.0; len * LANES];
            many.run(arch, &x, &mut y);
            for (lane, expected) in expected.iter().enumerate() {
                own.check(&y, [lane, LANES], expected, &label);
            }
        }
    }
}
