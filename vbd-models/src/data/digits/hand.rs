//! Handwriting: the distortion of all strokes of one sample.
//!
//! This module, `pen` and `ink` only use additions, multiplications, divisions and square roots,
//! which are rounded the same way on every machine, so the data set is the same too.

use super::draws::Draws;
use super::pen::{Line, Point};
use super::skeletons::Stroke;

/// Mean, standard deviation and minimum of the factor on all distortions of a hand. Chosen so that
/// a dense LeNet-300-100 has a test error of about 1.5 %; on MNIST it has 1.6 to 1.9 %.
const MESS: [f32; 3] = [1.08, 0.4, 0.3];
/// Standard deviation of the tangent of the angle of rotation.
const TILT: f32 = 0.1;
/// Mean and standard deviation of the slant: displacement of the top to the right, relative to the
/// height.
const SLANT: [f32; 2] = [0.1, 0.2];
/// Standard deviation of the ratio of width to height.
const STRETCH: f32 = 0.16;
/// Standard deviations of the quadratic and of the cubic terms of the displacement, in half heights.
const BEND: [f32; 2] = [0.06, 0.05];
/// Standard deviation of the error of single points, in half heights.
const TREMOR: f32 = 0.06;
/// Number of terms of second and third order in two variables.
const TERMS: usize = 7;

/// Distortion of all strokes of a digit.
pub(super) struct Hand {
    /// Standard deviation of the error of single points.
    tremor: f32,
    /// The linear part: rotation, slant and proportions.
    linear: [[f32; 2]; 2],
    /// The elastic part: a cubic displacement, x and y.
    elastic: [[f32; TERMS]; 2],
}

impl Hand {
    /// Draws a hand, usually neat, sometimes messy.
    pub(super) fn new(draws: &mut Draws) -> Self {
        let [mean, spread, least] = MESS;
        let mess = (mean + spread * draws.normal()).max(least);
        let tilt = TILT * mess * draws.normal();
        let slant = SLANT[0] + SLANT[1] * mess * draws.normal();
        let width = (1.0 + STRETCH * mess * draws.normal()).clamp(0.45, 1.7);
        let cos = 1.0 / (1.0 + tilt * tilt).sqrt();
        let sin = cos * tilt;
        // Proportions and slant first, then rotation; y grows downwards.
        let linear = [
            [cos * width, -cos * slant - sin],
            [sin * width, cos - sin * slant],
        ];
        let mut elastic = [[0.0; TERMS]; 2];
        for axis in &mut elastic {
            let (quadratic, cubic) = axis.split_at_mut(3);
            quadratic.fill_with(|| BEND[0] * mess * draws.normal());
            cubic.fill_with(|| BEND[1] * mess * draws.normal());
        }
        Self {
            tremor: TREMOR * mess,
            linear,
            elastic,
        }
    }

    /// Displaces each point of a stroke slightly. The two points of a corner stay together.
    pub(super) fn jitter(&self, stroke: Stroke, draws: &mut Draws) -> Line {
        let mut line: Line = Vec::with_capacity(stroke.len());
        for (index, &(x, y)) in stroke.iter().enumerate() {
            let point = if index > 0 && stroke[index - 1] == (x, y) {
                line[index - 1]
            } else {
                let error = [draws.normal(), draws.normal()].map(|error| error * self.tremor);
                [
                    f32::from(x) / 50.0 - 1.0 + error[0],
                    f32::from(y) / 50.0 - 1.0 + error[1],
                ]
            };
            line.push(point);
        }
        line
    }

    /// Maps a point of the box [-1, 1]^2.
    pub(super) fn bend(&self, [x, y]: Point) -> Point {
        let terms = [
            x * x,
            x * y,
            y * y,
            x * x * x,
            x * x * y,
            x * y * y,
            y * y * y,
        ];
        let moved = |axis: usize, from: f32| {
            let shift: f32 = terms
                .iter()
                .zip(&self.elastic[axis])
                .map(|(t, e)| t * e)
                .sum();
            from + shift
        };
        let (x, y) = (moved(0, x), moved(1, y));
        self.linear
            .map(|[along_x, along_y]| along_x * x + along_y * y)
    }
}
