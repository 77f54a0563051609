//! The layers of the compiled network.

use rayon::prelude::*;

use super::block::Block;
use super::entries::UpdateStep;
use super::form::{Compaction, Form, Inputs, OutputGradients, Turned, choose};
use super::gate::Gate;
use super::geometry::Geometry;
use super::pixel_batch::PixelBatch;
use crate::error::Result;
use crate::kernels::buffer::Buffer;
use crate::kernels::reparameterise::{add_square_gradient, square};
use crate::kernels::turn::{Rows, SIDE_BY_SIDE, turn};
use crate::kernels::update::Masking;
use crate::noise::NoiseKey;
use crate::ops::Plain;
use crate::recipe::WeightMethod;
use crate::step::CHUNK;
use crate::weight::{LayerParameters, Narrow, Parameter, VariationalWeight};

/// A layer that computes.
pub(super) enum Layer {
    Weighted(Box<Weighted>),
    Gate(Box<Gate>),
    Plain(Box<dyn Plain>),
}

/// A layer with a weight, and the ReLU that follows it.
pub(super) struct Weighted {
    /// Its number among the network's weights.
    pub(super) number: usize,
    name: String,
    shape: Vec<usize>,
    /// The rows and columns that are computed; `None` for all.
    narrow: Option<Narrow>,
    geometry: Geometry,
    relu: bool,
    /// Whether it is the first layer, and linear.
    reads_pixels: bool,
    pub(super) compaction: Compaction,
    pub(super) method: WeightMethod,
    form: Box<dyn Form>,
    blocks: Vec<Block>,
    x_square: Buffer,
    /// `x` and `x^2` with the samples first, where the form reads them so.
    turned: [Buffer; 2],
    /// After forward `eps / (2 sqrt(var))`, after backward the gradient of the variance.
    spread: Buffer,
    g_square: Buffer,
}

impl Weighted {
    pub(super) fn new(
        (number, name, shape): (usize, &str, &[usize]),
        (geometry, narrow): (Geometry, Option<Narrow>),
        (relu, reads_pixels, compaction): (bool, bool, Compaction),
        method: WeightMethod,
    ) -> Self {
        Self {
            number,
            name: name.to_owned(),
            shape: shape.to_vec(),
            form: choose(&geometry, &[], reads_pixels, Compaction::Never),
            narrow,
            geometry,
            relu,
            reads_pixels,
            compaction,
            method,
            blocks: Vec::new(),
            x_square: Buffer::default(),
            turned: Default::default(),
            spread: Buffer::default(),
            g_square: Buffer::default(),
        }
    }

    #[cfg(feature = "bench-internals")]
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn reads_pixels(&self) -> bool {
        self.form.reads_pixels()
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Takes parameters over, in the form that suits how many of them live.
    pub(super) fn load(&mut self, layer: &LayerParameters) -> Result<()> {
        layer.check(&self.name, &self.shape)?;
        let dense = match &self.narrow {
            Some(narrow) => narrow.take(layer)?,
            None => LayerParameters {
                weight: layer.weight.to_dense(),
                ..layer.clone()
            },
        };
        let compact = dense.weight.to_compact();
        let live = compact.live().expect("the compact form has places");
        let compaction = match dense.weight.log_sigma2() {
            Some(_) => self.compaction,
            // Entries of a plain weight that are 0 may move.
            None => Compaction::Never,
        };
        self.form = choose(&self.geometry, live, self.reads_pixels, compaction);
        self.blocks = self.form.cut(&dense);
        Ok(())
    }

    pub(super) fn parameters(&self) -> Result<LayerParameters> {
        let is_variational = self
            .blocks
            .iter()
            .any(|block| block.entries.is_variational());
        let shape = self.narrow.as_ref().map_or(&self.shape[..], Narrow::shape);
        let numel = shape.iter().product();
        let dead = |value| Parameter::new(vec![value; numel]);
        let mut theta = dead(0.0);
        let mut log_sigma2 = is_variational.then(|| dead(crate::posterior::LOG_SIGMA2_DEAD));
        for block in &self.blocks {
            block.entries.scatter(&mut theta, log_sigma2.as_mut());
        }
        let mut bias = Parameter::default();
        for own in self.blocks.iter().map(Block::bias) {
            bias.value.extend(&own.value);
            bias.m.extend(&own.m);
            bias.v.extend(&own.v);
        }
        let layer = LayerParameters {
            name: self.name.clone(),
            weight: VariationalWeight::dense(shape, theta, log_sigma2)?,
            bias,
        };
        match &self.narrow {
            Some(narrow) => narrow.put(&layer),
            None => Ok(layer),
        }
    }

    pub(super) fn mask(&mut self, active: bool, pixels: &PixelBatch) {
        let masking = Masking {
            log_alpha_threshold: self.method.log_alpha_threshold,
            active,
        };
        let form = &self.form;
        self.blocks.par_iter_mut().for_each(|block| {
            block.entries.mask(masking);
            form.masked(block, pixels);
        });
    }

    /// Outputs of a batch, with noise if there is a key.
    ///
    /// # Shapes
    /// - `y`: `[features, lanes]`; `inputs.x`: likewise, and the row of zeros behind it
    pub(super) fn forward(&mut self, inputs: Inputs<'_>, y: &mut [f32], key: Option<NoiseKey>) {
        let lanes = inputs.lanes;
        let sampled = key.filter(|_| self.blocks[0].entries.is_variational());
        let chunk = self.form.block_rows() * self.geometry.positions * lanes;
        let (form, relu) = (&self.form, self.relu);
        let Some(key) = sampled else {
            y.par_chunks_mut(chunk)
                .zip(&mut self.blocks)
                .for_each(|(y, block)| {
                    form.forward(block, inputs, y, None);
                    block.finish_mean(y, relu);
                });
            return;
        };
        if !form.reads_pixels() {
            self.x_square.resize(inputs.x.len());
            let chunks = self
                .x_square
                .par_chunks_mut(CHUNK)
                .zip(inputs.x.par_chunks(CHUNK));
            chunks.for_each(|(x_square, x)| square(x_square, x));
        }
        let inputs = Inputs {
            x_square: &self.x_square,
            ..inputs
        };
        self.spread.resize(y.len());
        let out = y
            .par_chunks_mut(chunk)
            .zip(self.spread.par_chunks_mut(chunk));
        out.zip(&mut self.blocks).for_each(|((y, spread), block)| {
            form.forward(block, inputs, y, Some(spread));
            block.finish_sample(y, spread, relu, lanes, key);
        });
    }

    /// Gradients and update, after [`Weighted::forward`] of the same inputs with noise.
    ///
    /// # Shapes
    /// - `g_x`, where it is wanted: as `inputs.x` without its row of zeros
    /// - `y`, and its gradient `g`, which is overwritten: `[features, lanes]`
    pub(super) fn backward(
        &mut self,
        (inputs, g_x): (Inputs<'_>, Option<&mut [f32]>),
        (y, g): (&[f32], &mut [f32]),
        step: UpdateStep,
    ) {
        let lanes = inputs.lanes;
        let chunk = self.form.block_rows() * self.geometry.positions * lanes;
        let (form, relu) = (&self.form, self.relu);
        self.spread.resize(g.len());
        let rows = g
            .par_chunks_mut(chunk)
            .zip(self.spread.par_chunks_mut(chunk));
        rows.zip(y.par_chunks(chunk))
            .zip(&mut self.blocks)
            .for_each(|(((g, spread), y), block)| {
                block.backward_noise(g, spread, y, relu);
            });
        if let Some(g_x) = g_x {
            self.g_square.resize(g_x.len());
            let gradients = OutputGradients {
                mean: g,
                variance: &self.spread,
            };
            form.input_gradient(&self.blocks, gradients, (g_x, &mut self.g_square), lanes);
            if self.blocks[0].entries.is_variational() {
                let out = g_x
                    .par_chunks_mut(CHUNK)
                    .zip(self.g_square.par_chunks(CHUNK));
                // The row of zeros behind the inputs has no gradient.
                let x = &inputs.x[..self.geometry.inputs() * lanes];
                out.zip(x.par_chunks(CHUNK))
                    .for_each(|((g_x, g_square), x)| {
                        add_square_gradient(g_x, x, g_square);
                    });
            }
        }
        if form.reads_turned() {
            turn_inputs(&mut self.turned, self.geometry.inputs(), inputs);
        }
        let [x, x_square] = &self.turned;
        let inputs = Inputs {
            x_square: &self.x_square,
            turned: Turned { x, x_square },
            ..inputs
        };
        let WeightMethod {
            log_alpha_threshold,
            kl_weight,
            ..
        } = self.method;
        let update = step.of(self.method.prior(), log_alpha_threshold, kl_weight);
        let rows = g.par_chunks(chunk).zip(self.spread.par_chunks(chunk));
        rows.zip(&mut self.blocks)
            .for_each(|((mean, variance), block)| {
                block.update_bias(update);
                form.update(block, inputs, OutputGradients { mean, variance }, update);
            });
    }
}

/// Turns the inputs of a batch and their squares: `[samples, features]`.
fn turn_inputs([x, x_square]: &mut [Buffer; 2], features: usize, inputs: Inputs<'_>) {
    let len = inputs.samples * features;
    x.resize(len);
    x_square.resize(len);
    let chunk = SIDE_BY_SIDE * features;
    let chunks = x.par_chunks_mut(chunk).zip(x_square.par_chunks_mut(chunk));
    chunks.enumerate().for_each(|(index, (x, x_square))| {
        let from = Rows {
            values: &inputs.x[..features * inputs.lanes],
            step: inputs.lanes,
            first_column: index * SIDE_BY_SIDE,
        };
        turn(x, features, from);
        square(x_square, x);
    });
}
