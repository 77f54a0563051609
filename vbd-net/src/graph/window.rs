//! A window that slides over an image: a kernel, or a pool.

use super::{MAX_ACTIVATION, MAX_TENSOR, checked_len};
use std::ops::Range;

use crate::ops::conv2d::FUSED_WINDOW;
use crate::spec::{Padding, Sides};

/// A window at each of its positions. Pairs are rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Size of the window.
    pub kernel: [usize; 2],
    /// Step between neighbouring positions.
    pub stride: [usize; 2],
    /// Padding above and to the left.
    pub before: [usize; 2],
    /// Padding below and to the right.
    pub after: [usize; 2],
    /// Size of the image.
    pub input: [usize; 2],
    /// Number of positions.
    pub output: [usize; 2],
}

impl Window {
    /// Works out the positions of a window on an image.
    ///
    /// # Errors
    /// A description of the problem: a size of 0, a window larger than the padded image, or one of
    /// the two too large.
    pub(crate) fn new(
        kernel: Sides,
        stride: Sides,
        padding: Padding,
        input: [usize; 2],
    ) -> Result<Self, String> {
        let (kernel, stride) = (kernel.pair(), stride.pair());
        for (name, sides) in [("stride", stride), ("kernel", kernel)] {
            if sides.contains(&0) {
                return Err(format!("{name} must be positive, got 0"));
            }
        }
        checked_len(&kernel, MAX_TENSOR)?;
        let (mut before, mut after, mut output) = ([0; 2], [0; 2], [0; 2]);
        for side in 0..2 {
            let (size, kernel, stride) = (input[side], kernel[side], stride[side]);
            match padding {
                Padding::Sides(sides) => {
                    let padding = sides.pair()[side];
                    let padded = padding.checked_mul(2).and_then(|all| all.checked_add(size));
                    let room = padded.and_then(|padded| padded.checked_sub(kernel));
                    let room = room.ok_or_else(|| {
                        format!("kernel {kernel} is larger than its input, {size}")
                    })?;
                    (before[side], after[side]) = (padding, padding);
                    output[side] = room / stride + 1;
                }
                Padding::Same => {
                    output[side] = size.div_ceil(stride);
                    let reach = output[side].saturating_sub(1).saturating_mul(stride);
                    let padding = reach.saturating_add(kernel).saturating_sub(size);
                    before[side] = padding / 2;
                    after[side] = padding - padding / 2;
                }
            }
        }
        for side in 0..2 {
            let padded = before[side]
                .saturating_add(input[side])
                .saturating_add(after[side]);
            if padded > MAX_ACTIVATION {
                return Err(format!(
                    "padded side of {padded} exceeds the limit of {MAX_ACTIVATION}"
                ));
            }
        }
        Ok(Self {
            kernel,
            stride,
            before,
            after,
            input,
            output,
        })
    }

    /// Returns the number of places in the window.
    pub fn area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Returns the number of positions.
    pub fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Returns whether it is a window of 2 x 2 with adjacent positions, without padding.
    pub(crate) fn is_fused(&self) -> bool {
        self.kernel == [FUSED_WINDOW; 2] && self.stride == self.kernel && !self.is_padded()
    }

    /// Returns whether each output is the input at its own position.
    pub(crate) fn is_identity(&self) -> bool {
        self.kernel == [1; 2] && self.stride == [1; 2] && !self.is_padded()
    }

    /// Returns whether there is padding.
    pub fn is_padded(&self) -> bool {
        self.before != [0; 2] || self.after != [0; 2]
    }

    /// Returns the rows (`side` 0) or columns (1) of the image in the window at a row or column of
    /// the output. Inlined, for kernels.
    #[inline(always)]
    pub fn inside(&self, side: usize, at: usize) -> Range<usize> {
        let first = at * self.stride[side];
        let end = (first + self.kernel[side]).saturating_sub(self.before[side]);
        first.saturating_sub(self.before[side])..end.min(self.input[side])
    }

    /// Returns the indices in the image of the window's places at a position (`0..positions`), row by
    /// row, without those in the padding.
    pub fn inputs_at(&self, position: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let window = *self;
        (0..self.area()).filter_map(move |place| window.input_at(position, place))
    }

    /// Returns the index in the image of a place in the window (`0..area`) at a position
    /// (`0..positions`), both row by row; `None` in the padding.
    pub fn input_at(&self, position: usize, place: usize) -> Option<usize> {
        let columns = self.output[1];
        let position = [position / columns, position % columns];
        let place = [place / self.kernel[1], place % self.kernel[1]];
        let inside = |side: usize| {
            let at = position[side] * self.stride[side] + place[side];
            let at = at.checked_sub(self.before[side])?;
            (at < self.input[side]).then_some(at)
        };
        Some(inside(0)? * self.input[1] + inside(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: usize, stride: usize, padding: Padding, size: usize) -> Window {
        Window::new(kernel.into(), stride.into(), padding, [size; 2]).unwrap()
    }

    #[test]
    fn same_is_as_tensorflow_has_it() {
        // size, kernel, stride: outputs, zeros before, zeros after
        for (size, kernel, stride, expected) in [
            (32, 3, 1, (32, 1, 1)),
            (32, 3, 2, (16, 0, 1)),
            (33, 3, 2, (17, 1, 1)),
            (32, 1, 2, (16, 0, 0)),
            (49, 10, 2, (25, 4, 5)),
            (10, 4, 2, (5, 1, 1)),
            (5, 2, 1, (5, 0, 1)),
        ] {
            let window = window(kernel, stride, Padding::Same, size);
            let found = (window.output[0], window.before[0], window.after[0]);
            assert_eq!(found, expected, "{size} {kernel} {stride}");
        }
    }

    #[test]
    fn places_outside_the_image_are_padding() {
        let same = window(3, 2, Padding::Same, 4);
        // No zeros before, one after.
        assert_eq!(same.input_at(0, 0), Some(0));
        assert_eq!(same.input_at(3, 0), Some(10));
        assert_eq!(same.input_at(3, 8), None);
        let padded = window(3, 1, Padding::Sides(Sides::square(1)), 4);
        assert_eq!(
            (padded.input_at(0, 0), padded.input_at(0, 4)),
            (None, Some(0))
        );
        assert_eq!((padded.output, padded.is_padded()), ([4, 4], true));
    }

    #[test]
    fn a_window_that_does_not_fit_is_refused() {
        let none = Padding::default();
        assert!(Window::new(5.into(), 1.into(), none, [8, 4]).is_err());
        assert!(Window::new(0.into(), 1.into(), none, [8, 4]).is_err());
        assert!(Window::new(1.into(), 0.into(), none, [8, 4]).is_err());
        let huge = Padding::Sides(Sides::square(usize::MAX));
        assert!(Window::new(1.into(), 1.into(), huge, [8, 4]).is_err());
        assert!(Window::new((1 << 20).into(), 1.into(), Padding::Same, [8, 4]).is_err());
        let half = Padding::Sides(Sides::square(1 << 39));
        assert!(Window::new((1 << 40).into(), 1.into(), half, [8, 4]).is_err());
    }
}
