//! A dense weight of a convolution, by gathered products: no column buffer.

use rayon::prelude::*;

use super::{Form, Inputs, OutputGradients};
use crate::kernels::tile::{Dots, Product, Taps};
use crate::step::cpu::block::{Block, cut};
use crate::step::cpu::entries::Update;
use crate::step::cpu::geometry::{Geometry, OUTSIDE, narrow};
use crate::weight::LayerParameters;

/// Rows of a block, and input channels whose gradient is one piece of work: two tiles of rows.
const BLOCK_ROWS: usize = 6;
/// Fewer rows where the weight has too few to be shared between threads.
const FEW_ROWS: usize = 24;

/// Entries of a block are `[taps, rows]`.
pub(super) struct TapsForm {
    geometry: Geometry,
    block_rows: usize,
    /// `[positions, taps]`.
    input_rows: Vec<u32>,
    /// For each output position the kernel positions inside: kernel position, input position.
    forward: Lists,
    /// For each input position the kernel positions that reach it: kernel position, output position.
    backward: Lists,
}

/// Lists of pairs, one after another.
struct Lists {
    ends: Vec<usize>,
    pairs: Vec<(u32, u32)>,
}

impl Lists {
    fn new(lists: impl Iterator<Item = Vec<(u32, u32)>>) -> Self {
        let (mut ends, mut pairs) = (vec![0], Vec::new());
        for list in lists {
            pairs.extend(list);
            ends.push(pairs.len());
        }
        Self { ends, pairs }
    }

    fn list(&self, index: usize) -> &[(u32, u32)] {
        &self.pairs[self.ends[index]..self.ends[index + 1]]
    }
}

impl TapsForm {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let inside = |position: usize| {
            let places = (0..).zip(geometry.inside(position).iter().copied());
            places
                .filter(|&(_, place)| place != OUTSIDE)
                .collect::<Vec<(u32, u32)>>()
        };
        let mut reached = vec![Vec::new(); geometry.input_area];
        for position in 0..geometry.positions {
            for (kernel_position, place) in inside(position) {
                reached[place as usize].push((kernel_position, narrow(position)));
            }
        }
        let block_rows = if geometry.rows < FEW_ROWS {
            geometry.rows.div_ceil(4)
        } else {
            BLOCK_ROWS
        };
        Self {
            block_rows,
            input_rows: geometry.input_rows(),
            forward: Lists::new((0..geometry.positions).map(inside)),
            backward: Lists::new(reached.into_iter()),
            geometry: geometry.clone(),
        }
    }
}

impl Form for TapsForm {
    fn block_rows(&self) -> usize {
        self.block_rows
    }

    fn cut(&self, layer: &LayerParameters) -> Vec<Block> {
        let geometry = &self.geometry;
        cut(layer, self.block_rows, |rows| {
            let taps = (0..geometry.taps()).flat_map(|tap| rows.clone().map(move |row| (row, tap)));
            taps.map(|(row, tap)| geometry.place(row, tap)).collect()
        })
    }

    fn forward(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        mean: &mut [f32],
        variance: Option<&mut [f32]>,
    ) {
        let (geometry, lanes, rows) = (&self.geometry, inputs.lanes, block.rows());
        let Block { entries, .. } = block;
        let out_step = geometry.positions * lanes;
        let mut variance = variance;
        for position in 0..geometry.positions {
            let taps = Taps {
                starts: self.forward.list(position),
                start_step: geometry.channels * rows,
                len: geometry.channels,
                input_step: geometry.input_area * lanes,
                weight_step: rows,
                row_step: 1,
            };
            let mean = &mut mean[position * lanes..];
            if let Some(variance) = &mut variance {
                product(
                    [
                        (&entries.mean, inputs.x),
                        (&entries.variance, inputs.x_square),
                    ],
                    (&taps, rows, lanes),
                    [mean, &mut variance[position * lanes..]],
                    (out_step, false),
                );
            } else {
                let shape = (&taps, rows, lanes);
                product(
                    [(&entries.mean, inputs.x)],
                    shape,
                    [mean],
                    (out_step, false),
                );
            }
        }
    }

    fn input_gradient(
        &self,
        blocks: &[Block],
        g: OutputGradients<'_>,
        (g_x, g_square): (&mut [f32], &mut [f32]),
        lanes: usize,
    ) {
        let geometry = &self.geometry;
        let channel = geometry.input_area * lanes;
        let out = g_x.par_chunks_mut(BLOCK_ROWS * channel);
        let out = out.zip(g_square.par_chunks_mut(BLOCK_ROWS * channel));
        out.enumerate().for_each(|(index, (g_x, g_square))| {
            let (first, channels) = (index * BLOCK_ROWS, g_x.len() / channel);
            for position in 0..geometry.input_area {
                for block in blocks {
                    let rows = block.rows();
                    let taps = Taps {
                        starts: self.backward.list(position),
                        start_step: geometry.channels * rows,
                        len: rows,
                        input_step: geometry.positions * lanes,
                        weight_step: 1,
                        row_step: rows,
                    };
                    let from = block.first_row * geometry.positions * lanes;
                    let weights = first * rows;
                    let mean = (&block.entries.mean[weights..], &g.mean[from..]);
                    let g_x = &mut g_x[position * lanes..];
                    let (shape, step) = ((&taps, channels, lanes), (channel, block.number > 0));
                    if block.entries.is_variational() {
                        let variance = (&block.entries.variance[weights..], &g.variance[from..]);
                        let g_square = &mut g_square[position * lanes..];
                        product([mean, variance], shape, [g_x, g_square], step);
                    } else {
                        product([mean], shape, [g_x], step);
                    }
                }
            }
        });
    }

    fn update(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        g: OutputGradients<'_>,
        update: Update,
    ) {
        block.resize_gradients(block.entries.len());
        let rows = block.rows();
        let dots = |input: &[f32], g: &[f32], out: &mut [f32]| {
            Dots {
                input,
                input_rows: &self.input_rows,
                taps: self.geometry.taps(),
                g,
                rows,
                positions: self.geometry.positions,
                lanes: inputs.lanes,
                out,
            }
            .run();
        };
        dots(inputs.x, g.mean, &mut block.theta_gradient);
        if block.entries.is_variational() {
            dots(inputs.x_square, g.variance, &mut block.sigma2_gradient);
        }
        block.update_entries(update);
    }
}

fn product<const N: usize>(
    operands: [(&[f32], &[f32]); N],
    (taps, rows, lanes): (&Taps<'_>, usize, usize),
    out: [&mut [f32]; N],
    (out_step, accumulate): (usize, bool),
) {
    let (weights, inputs) = (operands.map(|pair| pair.0), operands.map(|pair| pair.1));
    Product {
        weights,
        inputs,
        taps,
        rows,
        lanes,
        out,
        out_step,
        accumulate,
    }
    .run();
}
