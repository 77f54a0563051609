//! Tests of the kernels against a plain loop with bounds checks.

use crate::matrix::SparseMatrix;

use super::taps::Taps;
use super::{Conv, ConvGeometry};
use crate::passes::{Extent, Margin};
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
        let units = 1 + draws.below(3);
        let mut pair = |most: usize| [1 + draws.below(most), 1 + draws.below(most)];
        let (kernel, stride) = (pair(6), pair(3));
        let pool = 1 + draws.below(2);
        let mut padding = |side: usize| draws.below(kernel[side].min(3));
        let before = [padding(0), padding(1)];
        let after = [padding(0), padding(1)];
        let mut side = |side: usize| {
            let padding = before[side] + after[side];
            let least = kernel[side] + stride[side] * (pool - 1);
            (least + draws.below(14)).max(padding + 1) - padding
        };
        let (height, mut width) = (side(0), side(1));
        if draws.below(3) == 0 {
            // Planes share the lines of such outputs.
            let outputs = [8, 16, 32][draws.below(3)] * pool;
            width = (outputs - 1) * stride[1] + kernel[1];
            width = width.saturating_sub(before[1] + after[1]).max(1);
        }
        // Other consumers of the input may need more.
        let mut margin = |sides: [usize; 2]| sides.map(|side| side + draws.below(2));
        let from = Margin {
            before: margin(before),
            after: margin(after),
        };
        let to = Margin {
            before: margin([0; 2]),
            after: margin([0; 2]),
        };
        let input = Extent {
            units,
            height,
            width,
        };
        let outputs = |side: usize, size: usize| {
            let padded = size + before[side] + after[side];
            ((padded - kernel[side]) / stride[side] + 1) / pool
        };
        let is_depthwise = draws.below(3) == 0;
        let output = Extent {
            units: if is_depthwise {
                units
            } else {
                1 + draws.below(4)
            },
            height: outputs(0, height),
            width: outputs(1, width),
        };
        let geometry = ConvGeometry {
            kernel,
            stride,
            padding: before,
            pool,
            relu: draws.below(2) == 0,
            margins: draws.below(2) == 0,
            input,
            output,
            from: Layout::new(input, from),
            to: Layout::new(output, to),
        };
        let area = kernel[0] * kernel[1];
        let shape = [output.units, units * area];
        let density = draws.below(4);
        let is_tap = |place: usize| {
            let (row, unit) = (place / shape[1], place % shape[1] / area);
            !is_depthwise || row == unit
        };
        let taps = (0..shape[0] * shape[1])
            .filter(|&place| draws.below(3) < density && is_tap(place))
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
            padding,
            pool,
            relu,
            input,
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
                    let inside = |side: usize, at: usize, tap: usize, size: usize| {
                        let at = (at * stride[side] + tap).checked_sub(padding[side]);
                        at.filter(|&at| at < size)
                    };
                    let y = inside(0, row, tap.dy, input.height);
                    let place = y.zip(inside(1, col, tap.dx, input.width));
                    place.map_or(sum, |(y, col)| {
                        let place = tap.unit * from.unit_len().unwrap() + from.place(y, col);
                        sum + f64::from(tap.value) * f64::from(x[place])
                    })
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
            let own_y = y;
            let mut y = vec![0.0; len * LANES];
            many.run(arch, &x, &mut y);
            for (place, (own, y)) in own_y[..len - Conv::SLACK]
                .iter()
                .zip(y.chunks(LANES))
                .enumerate()
            {
                assert_eq!(own.to_bits(), y[0].to_bits(), "{label}, place {place}");
            }
            for (lane, expected) in expected.iter().enumerate() {
                own.check(&y, [lane, LANES], expected, &label);
            }
        }
    }
}
