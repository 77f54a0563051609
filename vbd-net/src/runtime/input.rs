//! Reads pixels into the first buffer.

use pulp::{Arch, Simd, WithSimd};

use super::kernels::{Pixel, Transpose, mul_add};
use super::layout::Layout;
use crate::net::PrunedNet;
use crate::passes::{Extent, Pixels, Program};

/// Conversion of pixels to the first step's input.
#[derive(Debug)]
pub(super) struct Input {
    /// Number of pixels read per sample.
    len: usize,
    /// Normalisation of a sample, unless the net reads raw pixels.
    pub(super) image: Option<Image>,
    lanes: Transpose,
}

/// `x = pixel * factor + shift` for the channels that are read.
#[derive(Debug)]
pub(super) struct Image {
    extent: Extent,
    /// First pixel of each channel.
    channels: Vec<usize>,
    /// Factor and shift of each pixel of these channels.
    factors: Vec<f32>,
    shifts: Vec<f32>,
    layout: Layout,
}

impl Input {
    pub(super) fn new(net: &PrunedNet, program: &Program, layout: Layout) -> Self {
        let extent = program.input;
        let unit_len = layout.unit_len().expect("a buffer has been made for it");
        let spare = u32::try_from(extent.units * unit_len).expect("a buffer has fewer values");
        let input_len = net.spec.input_len();
        if program.pixels == Pixels::Raw {
            let lanes = Transpose::new(program.inputs.iter().copied().zip(0..), input_len, spare);
            return Self {
                len: program.inputs.len(),
                image: None,
                lanes,
            };
        }
        let (scale, mean, std) = (net.scale(), net.mean_values(), net.std_values());
        let rule_of = |pixel: usize| {
            let (mean, std) = (mean.at(pixel), std.at(pixel));
            let shift = match program.pixels {
                Pixels::Scaled => 0.0,
                _ => -mean / std,
            };
            (scale / std, shift)
        };
        let Extent { height, width, .. } = extent;
        let channels: Vec<usize> = program
            .inputs
            .iter()
            .map(|&channel| channel as usize * extent.area())
            .collect();
        let rows = channels.iter().enumerate().flat_map(|(unit, &first)| {
            (0..height).flat_map(move |y| {
                (0..width)
                    .map(move |x| (first + y * width + x, unit * unit_len + layout.place(y, x)))
            })
        });
        let number = |place| u32::try_from(place).expect("a buffer has fewer values");
        let rows = rows.map(|(pixel, row)| (number(pixel), number(row)));
        let lanes = Transpose::new(rows, input_len, spare)
            .with_rule(|pixel| rule_of((pixel as usize).min(input_len - 1)));
        let pixels = channels
            .iter()
            .flat_map(|&first| first..first + extent.area());
        let (factors, shifts) = pixels.map(rule_of).unzip();
        let image = Image {
            extent,
            channels,
            factors,
            shifts,
            layout,
        };
        Self {
            len: extent.units * extent.area(),
            image: Some(image),
            lanes,
        }
    }

    /// Number of pixels read per sample.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Loads samples into lanes.
    pub(super) fn load_lanes<T: Pixel>(
        &self,
        arch: Arch,
        samples: &[T],
        sample_len: usize,
        y: &mut [f32],
        lanes: usize,
    ) {
        self.lanes.run(arch, samples, sample_len, y, lanes);
    }
}

impl Image {
    /// One sample.
    pub(super) fn load_one<T: Pixel>(&self, arch: Arch, pixels: &[T], out: &mut [f32]) {
        arch.dispatch(LoadOne {
            image: self,
            pixels,
            out,
        });
    }
}

struct LoadOne<'a, T> {
    image: &'a Image,
    pixels: &'a [T],
    out: &'a mut [f32],
}

impl<T: Pixel> WithSimd for LoadOne<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { image, pixels, out } = self;
        let Extent { height, width, .. } = image.extent;
        let layout = image.layout;
        // Without padding a channel is one long row.
        let (rows, len) = if layout.row_step() == width {
            (1, height * width)
        } else {
            (height, width)
        };
        for (unit, &first) in image.channels.iter().enumerate() {
            for y in 0..rows {
                let place = unit * layout.unit_len().unwrap_or(0) + layout.place(y, 0);
                let rule = (unit * rows + y) * len;
                let out = &mut out[place..place + len];
                let pixels = &pixels[first + y * len..][..len];
                let factors = &image.factors[rule..rule + len];
                let shifts = &image.shifts[rule..rule + len];
                for (((out, pixel), &factor), &shift) in
                    out.iter_mut().zip(pixels).zip(factors).zip(shifts)
                {
                    *out = mul_add(simd, pixel.to_f32(), factor, shift);
                }
            }
        }
    }
}
