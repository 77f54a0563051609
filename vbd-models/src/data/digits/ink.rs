//! Rendering: from polylines to gray pixels.

use super::draws::Draws;
use super::pen::{Line, Point};
use super::{PIXELS, SIDE};

/// A pen. Lengths are in pixels.
struct Pen {
    /// Half the stroke width.
    radius: f32,
    /// Width of its soft edge.
    blur: f32,
    /// Relative increase of the stroke width from beginning to end.
    pressure: f32,
    /// Brightness of full ink; values above 1 saturate.
    darkness: f32,
}

impl Pen {
    fn new(draws: &mut Draws) -> Self {
        Self {
            radius: (1.25 + 0.35 * draws.normal()).clamp(0.55, 2.4),
            blur: (1.1 + 0.25 * draws.normal()).clamp(0.6, 2.0),
            pressure: (0.2 * draws.normal()).clamp(-0.5, 0.5),
            darkness: (1.05 + 0.12 * draws.normal()).clamp(0.75, 1.2),
        }
    }
}

/// Draws the lines, white on black.
pub(super) fn draw(lines: &[Line], draws: &mut Draws, pixels: &mut [u8]) {
    let pen = Pen::new(draws);
    let mut paper = [0.0; PIXELS];
    for line in lines {
        let pieces = (line.len() - 1) as f32;
        for (index, pair) in line.windows(2).enumerate() {
            let along = (index as f32 + 0.5) / pieces - 0.5;
            let radius = pen.radius * (1.0 + pen.pressure * along);
            stamp(&mut paper, [pair[0], pair[1]], radius, pen.blur);
        }
    }
    for (pixel, &ink) in pixels.iter_mut().zip(&paper) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 255"
        )]
        let grey = (ink * pen.darkness * 255.0).min(255.0) as u8;
        *pixel = grey;
    }
}

/// Draws a straight segment. The ink falls from 1 to 0 across the stroke's edge.
fn stamp(paper: &mut [f32; PIXELS], [from, to]: [Point; 2], radius: f32, blur: f32) {
    let reach = radius + 0.5 * blur;
    let [columns, rows] = [0, 1].map(|axis| {
        let low = from[axis].min(to[axis]) - reach;
        let high = from[axis].max(to[axis]) + reach;
        pixel(low)..pixel(high + 1.0)
    });
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let scale = 1.0 / (dx * dx + dy * dy).max(1e-6);
    for row in rows {
        let y = row as f32 + 0.5 - from[1];
        for (column, ink) in columns
            .clone()
            .zip(&mut paper[row * SIDE..][columns.clone()])
        {
            let x = column as f32 + 0.5 - from[0];
            let t = ((x * dx + y * dy) * scale).clamp(0.0, 1.0);
            let (x, y) = (x - t * dx, y - t * dy);
            let edge = ((radius - (x * x + y * y).sqrt()) / blur + 0.5).clamp(0.0, 1.0);
            *ink = ink.max(edge * edge * (3.0 - 2.0 * edge));
        }
    }
}

/// Returns the pixel of a coordinate, clamped to the image.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 28"
)]
fn pixel(at: f32) -> usize {
    at.clamp(0.0, SIDE as f32) as usize
}
