//! Pen paths: from a shape to smooth, distorted polylines in pixels.

use super::SIDE;
use super::draws::Draws;
use super::hand::Hand;
use super::skeletons::Shape;

/// Standard deviation of the size.
const ZOOM: f32 = 0.05;
/// Standard deviation of the position, in pixels.
const SHIFT: f32 = 0.6;
/// Side of the box that the centre lines of the strokes fill, in pixels: about 20 with the stroke
/// width.
const BOX: f32 = 18.0;
/// Centre of the image.
const CENTRE: f32 = SIDE as f32 / 2.0;
/// Number of straight segments between two points of a skeleton.
const PIECES: u8 = 5;

/// A point, relative to the skeleton's box or in pixels.
pub(super) type Point = [f32; 2];

/// A stroke as a polyline.
pub(super) type Line = Vec<Point>;

/// Draws the strokes of a digit by one hand, in pixels, with the centre of mass near the image's
/// centre.
pub(super) fn write(shape: &Shape, draws: &mut Draws) -> Vec<Line> {
    let hand = Hand::new(draws);
    let mut lines: Vec<Line> = shape
        .strokes
        .iter()
        .map(|stroke| {
            let mut line = smooth(&hand.jitter(stroke, draws));
            for point in &mut line {
                *point = hand.bend(*point);
            }
            line
        })
        .collect();
    place(&mut lines, draws);
    lines
}

/// Computes a Catmull-Rom spline through the points as straight segments.
fn smooth(points: &[Point]) -> Line {
    let mut line = vec![points[0]];
    for (index, pair) in points.windows(2).enumerate() {
        let (from, to) = (pair[0], pair[1]);
        if same(from, to) {
            continue;
        }
        // At an end or a corner the curve starts along its chord.
        let before = if index > 0 && !same(points[index - 1], from) {
            points[index - 1]
        } else {
            from
        };
        let after = match points.get(index + 2) {
            Some(&after) if !same(after, to) => after,
            _ => to,
        };
        for piece in 1..=PIECES {
            let t = f32::from(piece) / f32::from(PIECES);
            let at = |axis: usize| {
                let (p0, p1, p2, p3) = (before[axis], from[axis], to[axis], after[axis]);
                let slope = p2 - p0;
                let square = 2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3;
                let cube = 3.0 * (p1 - p2) + p3 - p0;
                p1 + 0.5 * t * (slope + t * (square + t * cube))
            };
            line.push([at(0), at(1)]);
        }
    }
    line
}

/// Returns whether two points form a corner, that is, are equal.
fn same(one: Point, other: Point) -> bool {
    one.map(f32::to_bits) == other.map(f32::to_bits)
}

/// Scales the digit to its box and moves its centre of mass to the image's centre, as in MNIST,
/// both with small errors.
fn place(lines: &mut [Line], draws: &mut Draws) {
    let mut low = [f32::INFINITY; 2];
    let mut high = [f32::NEG_INFINITY; 2];
    for point in lines.iter().flatten() {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    let side = (high[0] - low[0]).max(high[1] - low[1]).max(0.1);
    let zoom = (1.0 + ZOOM * draws.normal()).clamp(0.6, 1.2) * BOX / side;
    let centre = centre_of_mass(lines);
    let shift = [draws.normal(), draws.normal()].map(|shift| shift * SHIFT + CENTRE);
    for point in lines.iter_mut().flatten() {
        for axis in 0..2 {
            point[axis] = (point[axis] - centre[axis]) * zoom + shift[axis];
        }
    }
}

/// Returns the centre of mass of the strokes.
fn centre_of_mass(lines: &[Line]) -> Point {
    let (mut sum, mut total) = ([0.0; 2], 1e-6);
    for pair in lines.iter().flat_map(|line| line.windows(2)) {
        let (from, to) = (pair[0], pair[1]);
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let length = (dx * dx + dy * dy).sqrt();
        total += length;
        for axis in 0..2 {
            sum[axis] += length * 0.5 * (from[axis] + to[axis]);
        }
    }
    sum.map(|sum| sum / total)
}

#[cfg(test)]
mod tests {
    use super::super::skeletons::SHAPES;
    use super::*;

    #[test]
    fn every_shape_stays_in_the_picture_and_within_its_draws() {
        for shape in SHAPES.iter().copied().flatten() {
            for index in 0..200 {
                // Panics if a shape asks for more numbers than a sample has.
                let lines = write(shape, &mut Draws::new(3, 0, index));
                for [x, y] in lines.into_iter().flatten() {
                    assert!(
                        (-6.0..34.0).contains(&x) && (-6.0..34.0).contains(&y),
                        "{x} {y}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_curve_goes_through_its_points_and_keeps_its_corners() {
        let line = smooth(&[[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [2.0, 0.0]]);
        assert_eq!(line.len(), 1 + 2 * usize::from(PIECES));
        // Both sides of the corner are straight.
        for [x, y] in line {
            assert!((y - x.min(2.0 - x)).abs() < 1e-6, "{x} {y}");
        }
        let bent = smooth(&[[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]);
        assert!(same(bent[usize::from(PIECES)], [1.0, 1.0]));
        assert!(bent[usize::from(PIECES) - 1][1] > 1.0 - 1.0 / f32::from(PIECES));
    }
}
