//! The layers of the compiled network.

use rayon::prelude::*;

use super::block::Block;
use super::entries::SharedEntries;
use super::form::{
    self, Compaction, Form, Inputs, OutputGradients, Outputs, TransposedInput, choose,
};
use super::gate::CpuGate;
use super::geometry::TapGeometry;
use super::pixel_batch::PixelBatch;
use crate::error::Result;
use crate::kernels::buffer::Buffer;
use crate::kernels::reparameterise::{add_square_gradient, square};
use crate::kernels::turn::{Rows, SIDE_BY_SIDE, turn};
use crate::method::Update;
use crate::noise::NoiseKey;
use crate::ops::Plain;
use crate::ops::batch_norm::CpuNorm;
use crate::recipe::WeightSetting;
use crate::step::CHUNK;
use crate::weight::{LayerParameters, Parameter, State, Submatrix, Weight};

/// A layer of the compiled network.
pub(super) enum CpuLayer {
    Weight(Box<CpuWeight>),
    Gate(Box<CpuGate>),
    Norm(Box<CpuNorm>),
    Plain(Box<dyn Plain>),
}

/// Definition of a [`CpuWeight`].
pub(super) struct CpuWeightConfig {
    /// Number of the weight in the network.
    pub(super) number: usize,
    /// Name of the layer.
    pub(super) name: String,
    /// Shape of the weight.
    pub(super) shape: Vec<usize>,
    /// Rows and columns that are computed; `None` for all.
    pub(super) narrow: Option<Submatrix>,
    pub(super) geometry: TapGeometry,
    /// Whether a ReLU follows.
    pub(super) relu: bool,
    /// Whether there is a bias.
    pub(super) has_bias: bool,
    /// Whether it is the first layer and linear.
    pub(super) reads_pixels: bool,
    pub(super) compaction: Compaction,
    pub(super) setting: WeightSetting,
}

/// A layer with a weight, and the ReLU after it.
pub(super) struct CpuWeight {
    pub(super) config: CpuWeightConfig,
    form: Box<dyn Form>,
    blocks: Vec<Block>,
    /// States of rows, columns and the whole weight, followed by those of the net.
    shared: Vec<State>,
    /// Number of the weight's own shared states.
    own_shared: usize,
    /// Sums of the method's first phase in the current step.
    sums: Vec<f64>,
    x_square: Buffer,
    /// `x` and `x^2` with the samples first, for forms that read them transposed.
    turned: [Buffer; 2],
    /// `eps / (2 sqrt(var))` after forward, the gradient of the variance after backward.
    spread: Buffer,
    g_square: Buffer,
}

impl CpuWeight {
    /// Creates a layer without parameters; see [`CpuWeight::load`].
    pub(super) fn new(config: CpuWeightConfig) -> Self {
        Self {
            form: choose(
                &config.geometry,
                &[],
                config.reads_pixels,
                Compaction::Never,
            ),
            config,
            blocks: Vec::new(),
            shared: Vec::new(),
            own_shared: 0,
            sums: Vec::new(),
            x_square: Buffer::default(),
            turned: Default::default(),
            spread: Buffer::default(),
            g_square: Buffer::default(),
        }
    }

    #[cfg(feature = "bench-internals")]
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn reads_pixels(&self) -> bool {
        self.form.reads_pixels()
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Loads parameters and chooses the form by the share of live entries. `net` are the states shared
    /// by all weights of a method.
    pub(super) fn load(&mut self, layer: &LayerParameters, net: &[State]) -> Result<()> {
        layer.check(
            &self.config.name,
            &self.config.shape,
            &*self.config.setting.method,
        )?;
        let dense = match &self.config.narrow {
            Some(narrow) => narrow.take(layer)?,
            None => LayerParameters {
                weight: layer.weight.to_dense(),
                ..layer.clone()
            },
        };
        let compact = dense.weight.to_compact();
        let live = compact.live().expect("the compact form has places");
        // Entries that cannot die may be updated even if they are 0.
        let compaction = if self.config.setting.method.kills() {
            self.config.compaction
        } else {
            Compaction::Never
        };
        self.form = choose(
            &self.config.geometry,
            live,
            self.config.reads_pixels,
            compaction,
        );
        self.blocks = self.form.cut(&dense, &self.config.setting.method);
        let shared = dense.weight.states();
        self.shared = shared
            .filter(|state| !state.is_of_entries())
            .cloned()
            .collect();
        self.own_shared = self.shared.len();
        self.take_net(net);
        Ok(())
    }

    /// Loads the states shared by all weights of its method, if any.
    fn take_net(&mut self, net: &[State]) {
        self.shared.truncate(self.own_shared);
        let names = self.config.setting.method.net_states();
        let own = names
            .iter()
            .filter_map(|state| net.iter().find(|of_net| of_net.name == state.name));
        self.shared.extend(own.cloned());
    }

    pub(super) fn parameters(&self) -> Result<LayerParameters> {
        let shape = self
            .config
            .narrow
            .as_ref()
            .map_or(&self.config.shape[..], Submatrix::shape);
        let numel = shape.iter().product();
        let dead = |value| Parameter::new(vec![value; numel]);
        let mut theta = dead(0.0);
        let mut states = self.config.setting.method.states(shape);
        for state in states.iter_mut().filter(|state| state.is_of_entries()) {
            state.parameter = dead(state.dead.unwrap_or_default());
        }
        for block in &self.blocks {
            let own = states.iter_mut().filter(|state| state.is_of_entries());
            block.entries.scatter(&mut theta, own);
        }
        let shared = states.iter_mut().filter(|state| !state.is_of_entries());
        for (to, from) in shared.zip(&self.shared) {
            to.clone_from(from);
        }
        let mut bias = Parameter::default();
        for own in self.blocks.iter().map(Block::bias) {
            bias.value.extend(&own.value);
            bias.m.extend(&own.m);
            bias.v.extend(&own.v);
        }
        let layer = LayerParameters {
            name: self.config.name.clone(),
            weight: Weight::dense(shape, theta, states)?,
            bias,
        };
        match &self.config.narrow {
            Some(narrow) => narrow.put(&layer),
            None => Ok(layer),
        }
    }

    pub(super) fn mask(&mut self, active: bool, pixels: &PixelBatch) {
        let (form, shared) = (&self.form, &self.shared);
        self.blocks.par_iter_mut().for_each(|block| {
            block.entries.mask(shared, active);
            form.masked(block, pixels);
        });
    }

    /// Returns a block's sum over entries of the weighted penalty.
    pub(super) fn penalty(&self, block: &Block) -> f64 {
        self.config.setting.kl_weight * block.entries.penalty(&self.shared)
    }

    /// Returns the weighted penalty of the weight's own shared states.
    pub(super) fn shared_penalty(&self) -> f64 {
        let own = &self.shared[..self.own_shared];
        let own = (!own.is_empty()).then(|| self.config.setting.method.shared_penalty(own));
        self.config.setting.kl_weight * own.unwrap_or_default()
    }

    /// Computes the outputs of a batch, with noise if there is a key.
    ///
    /// # Shapes
    /// - `y`: `[features, lanes]`; `inputs.x`: likewise, followed by a row of zeros
    pub(super) fn forward(&mut self, inputs: Inputs<'_>, y: &mut [f32], key: Option<NoiseKey>) {
        let lanes = inputs.lanes;
        let sampled = key.filter(|_| self.blocks[0].entries.is_sampled());
        let chunk = self.form.block_rows() * self.config.geometry.positions * lanes;
        let (form, relu) = (&self.form, self.config.relu);
        let is_finished = !(self.config.has_bias || relu);
        let Some(key) = sampled else {
            let out = Outputs {
                mean: y,
                variance: None,
                chunk,
            };
            form::outputs(&**form, &mut self.blocks, inputs, out, |block, y, _| {
                if !is_finished {
                    block.finish_mean(y, relu);
                }
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
        let out = Outputs {
            mean: y,
            variance: Some(&mut self.spread),
            chunk,
        };
        form::outputs(
            &**form,
            &mut self.blocks,
            inputs,
            out,
            |block, y, spread| {
                block.finish_sample(y, spread, relu, lanes, key);
            },
        );
    }

    /// Computes the gradients after [`CpuWeight::forward`] of the same inputs with noise, and updates the
    /// parameters. For a method with two phases this is the first one, and [`CpuWeight::finish`] the second.
    ///
    /// # Shapes
    /// - `g_x`, if needed: like `inputs.x` without its row of zeros
    /// - `y` and its gradient `g`, which is overwritten: `[features, lanes]`
    pub(super) fn backward(
        &mut self,
        inputs: Inputs<'_>,
        g_x: Option<&mut [f32]>,
        y: &[f32],
        g: &mut [f32],
        update: &Update,
    ) {
        let lanes = inputs.lanes;
        let chunk = self.form.block_rows() * self.config.geometry.positions * lanes;
        let (form, relu, has_bias) = (&self.form, self.config.relu, self.config.has_bias);
        let is_sampled = self.blocks[0].entries.is_sampled();
        self.spread.resize(g.len());
        if has_bias || relu || is_sampled {
            let rows = g
                .par_chunks_mut(chunk)
                .zip(self.spread.par_chunks_mut(chunk));
            rows.zip(y.par_chunks(chunk))
                .zip(&mut self.blocks)
                .for_each(|(((g, spread), y), block)| {
                    block.backward_noise(g, spread, y, relu);
                });
        }
        if form.reads_turned() {
            turn_inputs(&mut self.turned, self.config.geometry.inputs(), inputs);
        }
        let [x, x_square] = &self.turned;
        let inputs = Inputs {
            x_square: &self.x_square,
            turned: TransposedInput { x, x_square },
            ..inputs
        };
        let of_outputs = OutputGradients {
            mean: g,
            variance: &self.spread,
        };
        let (blocks, g_square) = (&self.blocks, &mut self.g_square);
        let of_inputs = || {
            let Some(g_x) = g_x else { return };
            g_square.resize(g_x.len());
            form.input_gradient(blocks, of_outputs, g_x, g_square, lanes);
            if is_sampled {
                let out = g_x.par_chunks_mut(CHUNK).zip(g_square.par_chunks(CHUNK));
                // The row of zeros after the inputs has no gradient.
                let x = &inputs.x[..self.config.geometry.inputs() * lanes];
                out.zip(x.par_chunks(CHUNK))
                    .for_each(|((g_x, g_square), x)| {
                        add_square_gradient(g_x, x, g_square);
                    });
            }
        };
        // At once, so that no thread waits for the last piece of one of them.
        let ((), gradients) = rayon::join(of_inputs, || {
            form.all_gradients(inputs, of_outputs, is_sampled)
        });
        let inputs = Inputs {
            gradients: gradients.as_ref(),
            ..inputs
        };
        let update = &update.times(self.config.setting.kl_weight);
        let len = self.config.setting.method.sums(&self.config.shape);
        let shared = &self.shared;
        let rows = g.par_chunks(chunk).zip(self.spread.par_chunks(chunk));
        let blocks = rows.zip(&mut self.blocks);
        if len == 0 {
            blocks.for_each(|((mean, variance), block)| {
                if has_bias {
                    block.update_bias(update);
                }
                form.update(block, inputs, OutputGradients { mean, variance }, update);
            });
            return;
        }
        let sums = blocks.map(|((mean, variance), block)| {
            if has_bias {
                block.update_bias(update);
            }
            form.gradients(block, inputs, OutputGradients { mean, variance });
            block.gather_sums(shared, len)
        });
        let sums: Vec<Vec<f64>> = sums.collect();
        // Added in the order of blocks, for any number of threads.
        self.sums = add_up(len, sums.iter().map(Vec::as_slice));
    }

    /// Returns the sums of the first phase; empty for a method without one.
    pub(super) fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// Updates the weight's own shared states by the sums of the first phase. Returns the input of the second.
    pub(super) fn share(&mut self, update: &Update) -> Vec<f32> {
        let update = &update.times(self.config.setting.kl_weight);
        let own = &mut self.shared[..self.own_shared];
        self.config.setting.method.share(&self.sums, own, update)
    }

    /// Runs the second phase of a step, which updates the entries. `net` are the states of the net after the
    /// step, `of_step` is the result of the first phase.
    pub(super) fn finish(
        &mut self,
        net: &[State],
        of_step: &[f32],
        update: &Update,
        pixels: &PixelBatch,
    ) {
        self.take_net(net);
        self.sums.clear();
        let update = &update.times(self.config.setting.kl_weight);
        let (form, states) = (&self.form, &self.shared[..]);
        self.blocks.par_iter_mut().for_each(|block| {
            block.update_entries(SharedEntries { states, of_step }, update);
            form.masked(block, pixels);
        });
    }
}

/// Adds up vectors of `len` numbers in order.
pub(super) fn add_up<'a>(len: usize, parts: impl Iterator<Item = &'a [f64]>) -> Vec<f64> {
    let mut sums = vec![0.0; len];
    for part in parts {
        sums.iter_mut()
            .zip(part)
            .for_each(|(sum, part)| *sum += part);
    }
    sums
}

/// Transposes the inputs of a batch and their squares to `[samples, features]`.
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
