//! Dense weight of a convolution, with gathered products and without a column buffer.

use std::sync::Arc;

use rayon::prelude::*;
use vbd_net::graph::Window;

use super::panels::Panels;
use super::reach::TapReach;
use super::slabs::{self, Slabs};
use super::{AllGradients, Form, Inputs, OutputGradients, Outputs};
use crate::kernels::dots::{self, Dots, Run};
use crate::kernels::product::{Product, TILE_ROWS, Taps};
use crate::method::WeightMethod;
use crate::step::cpu::block::{Block, cut};
use crate::step::cpu::geometry::{OUTSIDE, TapGeometry, narrow};
use crate::weight::LayerParameters;

/// Rows per block, and input channels per piece of work of the input gradient: two tiles, which
/// share cached inputs.
const BLOCK_ROWS: usize = 2 * TILE_ROWS;
/// Weights with fewer rows than this have smaller blocks, to share them between threads.
const FEW_ROWS: usize = 4 * TILE_ROWS;

/// Dense form of a convolution. Entries of a block, whose rows are of one group, are `[taps, rows]`.
pub(super) struct TapsForm {
    geometry: TapGeometry,
    block_rows: usize,
    /// Input channels per piece of work of the input gradient, all of one group.
    chunk_channels: usize,
    /// For each group, `[positions, taps]`.
    input_rows: Vec<Vec<u32>>,
    /// Taps in the order of the weight's gradient, and output positions.
    order: Vec<u32>,
    dots: Vec<Run>,
    /// For output positions, the kernel positions inside the image: kernel position, input
    /// position.
    forward: TapReach,
    /// For input positions, the kernel positions that reach them: kernel position, output position.
    backward: TapReach,
    /// The window, if inputs are gathered into slabs.
    gathers: Option<Window>,
}

impl TapsForm {
    pub(super) fn new(geometry: &TapGeometry) -> Self {
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
        // In the same order of kernel positions at every position.
        for list in &mut reached {
            list.sort_unstable();
        }
        let block_rows = if geometry.rows < FEW_ROWS {
            geometry.rows.div_ceil(4)
        } else {
            BLOCK_ROWS
        };
        let channels = geometry.group_channels();
        let groups = (0..geometry.groups).map(|group| group * channels..(group + 1) * channels);
        let input_rows: Vec<Vec<u32>> = groups.map(|own| geometry.input_rows(own)).collect();
        Self {
            block_rows: part_of_group(geometry, geometry.group_rows(), block_rows),
            chunk_channels: part_of_group(geometry, channels, BLOCK_ROWS),
            order: geometry.taps_by_channel(),
            dots: dots::runs(&input_rows[0], geometry.taps()),
            input_rows,
            forward: TapReach::new((0..geometry.positions).map(inside)),
            backward: TapReach::new(reached.into_iter()),
            gathers: geometry.window.filter(|_| slabs::suit(geometry)),
            geometry: geometry.clone(),
        }
    }
}

/// Order of the entries of a kernel position.
#[derive(Clone, Copy)]
enum Order {
    /// `[channels, rows]`.
    RowsLast,
    /// `[rows, channels]`.
    ChannelsLast,
    /// The same, with the kernel positions from last to first.
    Turned,
}

/// Returns the largest number up to `most` that divides `of`, a group's rows or channels; without
/// groups, `most`.
fn part_of_group(geometry: &TapGeometry, of: usize, most: usize) -> usize {
    match geometry.groups {
        1 => most,
        _ => (1..=most.min(of))
            .rev()
            .find(|part| of.is_multiple_of(*part))
            .unwrap_or(1),
    }
}

impl TapsForm {
    fn slabs(&self, window: Window, lanes: usize) -> Slabs {
        Slabs {
            window,
            units: self.geometry.channels,
            lanes,
        }
    }

    /// Returns the entries of all blocks in one matrix for each kernel position.
    fn gathered(
        &self,
        blocks: &[Block],
        entries: &dyn Fn(&Block) -> &[f32],
        order: Order,
    ) -> Vec<f32> {
        let TapGeometry { rows, channels, .. } = self.geometry;
        let mut all = vec![0.0; self.geometry.taps() * rows];
        for block in blocks {
            let own = block.rows();
            for (tap, entries) in entries(block).chunks_exact(own).enumerate() {
                let (kernel, channel) = (tap / channels, tap % channels);
                for (row, &entry) in (block.first_row..).zip(entries) {
                    let place = match order {
                        Order::RowsLast => tap * rows + row,
                        Order::ChannelsLast => (kernel * rows + row) * channels + channel,
                        Order::Turned => {
                            let kernel = self.geometry.kernel_area - 1 - kernel;
                            (kernel * rows + row) * channels + channel
                        }
                    };
                    all[place] = entry;
                }
            }
        }
        all
    }

    /// Returns the group of a block's rows.
    fn group(&self, block: &Block) -> usize {
        block.first_row / self.geometry.group_rows()
    }
}

impl Form for TapsForm {
    fn block_rows(&self) -> usize {
        self.block_rows
    }

    fn cut(&self, layer: &LayerParameters, method: &Arc<dyn WeightMethod>) -> Vec<Block> {
        let geometry = &self.geometry;
        cut(layer, method, self.block_rows, |rows| {
            let taps = (0..geometry.taps()).flat_map(|tap| rows.clone().map(move |row| (row, tap)));
            taps.map(|(row, tap)| geometry.place(row, tap)).collect()
        })
    }

    fn forward(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        mean: &mut [f32],
        mut variance: Option<&mut [f32]>,
    ) {
        let (geometry, lanes, rows) = (&self.geometry, inputs.lanes, block.rows());
        let entries = &block.entries;
        let channels = geometry.group_channels();
        let first = self.group(block) * channels * geometry.input_area * lanes;
        for (run, starts) in self.forward.iter() {
            let taps = Taps {
                starts,
                weight_unit: channels * rows,
                input_unit: lanes,
                len: channels,
                weight_step: rows,
                input_step: geometry.input_area * lanes,
                row_step: 1,
            };
            let product = |out: &mut [f32], weight: &[f32], input: &[f32]| {
                Product {
                    weight,
                    input,
                    taps,
                    rows,
                    columns: run.positions * lanes,
                    out: &mut out[run.first * lanes..],
                    out_step: geometry.positions * lanes,
                    accumulate: false,
                }
                .run();
            };
            product(mean, &entries.mean, &inputs.x[first..]);
            if let Some(variance) = &mut variance {
                product(variance, &entries.variance, &inputs.x_square[first..]);
            }
        }
    }

    fn forward_all(&self, blocks: &[Block], inputs: Inputs<'_>, out: &mut Outputs<'_>) -> bool {
        let Some(window) = self.gathers else {
            return false;
        };
        let slabs = self.slabs(window, inputs.lanes);
        let product = |entries: &dyn Fn(&Block) -> &[f32], x: &[f32], out: &mut [f32]| {
            let weight = self.gathered(blocks, entries, Order::RowsLast);
            slabs.product(&weight, self.geometry.rows, x, out);
        };
        product(&|block| &block.entries.mean, inputs.x, out.mean);
        if let Some(variance) = &mut out.variance {
            product(&|block| &block.entries.variance, inputs.x_square, variance);
        }
        true
    }

    fn input_gradient(
        &self,
        blocks: &[Block],
        g: OutputGradients<'_>,
        g_x: &mut [f32],
        g_square: &mut [f32],
        lanes: usize,
    ) {
        let geometry = &self.geometry;
        if let Some(window) = self.gathers {
            let turned = slabs::backward(&window);
            let product = |entries: &dyn Fn(&Block) -> &[f32], g: &[f32], out: &mut [f32]| {
                if let Some(window) = turned {
                    let slabs = Slabs {
                        window,
                        units: geometry.rows,
                        lanes,
                    };
                    let weight = self.gathered(blocks, entries, Order::Turned);
                    slabs.product(&weight, geometry.channels, g, out);
                    return;
                }
                Panels {
                    reach: &self.backward,
                    weight: &self.gathered(blocks, entries, Order::ChannelsLast),
                    rows: geometry.channels,
                    units: geometry.rows,
                    unit_len: geometry.positions * lanes,
                    lanes,
                }
                .run(g, out);
            };
            product(&|block| &block.entries.mean, g.mean, g_x);
            if blocks[0].entries.is_sampled() {
                product(&|block| &block.entries.variance, g.variance, g_square);
            }
            return;
        }
        let channel = geometry.input_area * lanes;
        let chunk = self.chunk_channels;
        let out = g_x.par_chunks_mut(chunk * channel);
        let out = out.zip(g_square.par_chunks_mut(chunk * channel));
        out.enumerate().for_each(|(index, (g_x, g_square))| {
            let channels = g_x.len() / channel;
            let group = index * chunk / geometry.group_channels();
            let first = index * chunk - group * geometry.group_channels();
            let own = blocks.iter().filter(|block| self.group(block) == group);
            for (run, starts) in self.backward.iter() {
                for (number, block) in own.clone().enumerate() {
                    let rows = block.rows();
                    let taps = Taps {
                        starts,
                        weight_unit: geometry.group_channels() * rows,
                        input_unit: lanes,
                        len: rows,
                        weight_step: 1,
                        input_step: geometry.positions * lanes,
                        row_step: rows,
                    };
                    let product = |out: &mut [f32], weight: &[f32], g: &[f32]| {
                        Product {
                            weight: &weight[first * rows..],
                            input: &g[block.first_row * geometry.positions * lanes..],
                            taps,
                            rows: channels,
                            columns: run.positions * lanes,
                            out: &mut out[run.first * lanes..],
                            out_step: channel,
                            accumulate: number > 0,
                        }
                        .run();
                    };
                    product(g_x, &block.entries.mean, g.mean);
                    if block.entries.is_sampled() {
                        product(g_square, &block.entries.variance, g.variance);
                    }
                }
            }
        });
    }

    fn all_gradients(
        &self,
        inputs: Inputs<'_>,
        g: OutputGradients<'_>,
        is_sampled: bool,
    ) -> Option<AllGradients> {
        let slabs = self.slabs(self.gathers?, inputs.lanes);
        let rows = self.geometry.rows;
        let mut sigma2 = Vec::new();
        if is_sampled {
            sigma2 = slabs.weight_gradient(inputs.x_square, g.variance, rows);
        }
        Some(AllGradients {
            theta: slabs.weight_gradient(inputs.x, g.mean, rows),
            sigma2,
        })
    }

    fn gradients(&self, block: &mut Block, inputs: Inputs<'_>, g: OutputGradients<'_>) {
        block.resize_gradients(block.entries.len());
        if let Some(all) = inputs.gradients {
            let (first, rows) = (block.first_row, block.rows());
            let take = |own: &mut [f32], all: &[f32]| {
                let taps = all.chunks_exact(self.geometry.rows);
                for (own, all) in own.chunks_exact_mut(rows).zip(taps) {
                    own.copy_from_slice(&all[first..first + rows]);
                }
            };
            take(&mut block.theta_gradient, &all.theta);
            take(&mut block.sigma2_gradient, &all.sigma2);
            return;
        }
        let (rows, group) = (block.rows(), self.group(block));
        let sums = &mut block.partial_sums;
        let mut dots = |input: &[f32], g: &[f32], out: &mut [f32]| {
            Dots {
                input,
                input_rows: &self.input_rows[group],
                taps: self.geometry.taps(),
                order: &self.order,
                runs: &self.dots,
                g,
                rows,
                positions: self.geometry.positions,
                lanes: inputs.lanes,
                out,
                sums: &mut *sums,
            }
            .run();
        };
        dots(inputs.x, g.mean, &mut block.theta_gradient);
        if block.entries.is_sampled() {
            dots(inputs.x_square, g.variance, &mut block.sigma2_gradient);
        }
    }
}
