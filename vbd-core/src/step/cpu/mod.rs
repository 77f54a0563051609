//! The CPU engine: hand-written forward, backward, KL and update of the compiled network, with its
//! own thread pool and buffers that are kept between steps.

mod block;
mod compile;
mod entries;
mod form;
mod gate;
mod gather;
mod geometry;
mod gradients;
mod layer;
mod pixel_batch;
mod targets;

use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

pub(super) use self::compile::cannot_train;
use self::compile::{Flow, Program, compile};
use self::form::{Compaction, Inputs, TransposedInput};
use self::gate::CpuGate;
use self::gather::gather;
use self::gradients::{Gradients, LayerInput};
use self::layer::{CpuLayer, CpuWeight, add_up};
use self::pixel_batch::PixelBatch;
use self::targets::BatchTargets;
use super::{At, Batch, CHUNK, Evaluation, Objective, Step};
use crate::error::{Error, Result};
use crate::gate::after_activation;
use crate::kernels::LANES;
use crate::kernels::buffer::Buffer;
use crate::kernels::reparameterise::add;
use crate::loss::Score;
use crate::method::Update;
use crate::noise::Stream;
use crate::ops::Backward;
use crate::ops::batch_norm::{BatchSize, CpuNorm};
use crate::weight::{Parameters, State};
use vbd_net::data::Samples;
use vbd_net::graph::{Graph, NodeId};
use vbd_net::spec::{NetSpec, Normalizer};

/// Batch size of evaluation, independent of the training.
const EVALUATION_BATCH: usize = 128;

/// Settings of the CPU engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuConfig {
    /// Maximum batch size.
    pub batch_size: usize,
    /// Number of threads; 0 for one per core.
    pub threads: usize,
    /// Whether to skip dead weights where that is faster.
    pub compaction: bool,
}

/// Engine that trains a network on the CPU.
pub struct CpuStep {
    pool: Arc<ThreadPool>,
    spec: NetSpec,
    graph: Graph,
    objective: Objective,
    normalizer: Normalizer,
    layers: Vec<CpuLayer>,
    /// Input values of each layer; layer `i` computes value `i + 1`, and value 0 is the input.
    reads: Vec<Vec<LayerInput>>,
    /// States shared by all weights of a method.
    net: Vec<State>,
    /// Whether weights and units are masked for a step with `kl_scale > 0`; `None` if unknown.
    masked: Option<bool>,
    pixels: PixelBatch,
    /// Input values that are read.
    inputs: Vec<u32>,
    /// Numbers per sample in each value; the last are the outputs.
    units: Vec<usize>,
    /// Number of samples of the last [`Step::outputs`], if the values are still its.
    drawn: usize,
    /// Live values of each node of the graph, after its gate.
    nodes: Vec<Flow>,
    /// Values, `[units, lanes]` each, followed by a row of zeros for taps outside an image.
    values: Vec<Buffer>,
    gradients: Gradients,
    targets: BatchTargets,
    config: CpuConfig,
}

impl CpuStep {
    /// Creates the engine.
    ///
    /// # Errors
    /// [`vbd_net::Error::InstructionSet`]; [`Error::Shape`] if the parameters do not match the
    /// network; [`Error::Threads`]; [`vbd_net::Error::Spec`] if a layer cannot be trained.
    pub fn new(
        spec: &NetSpec,
        objective: Objective,
        normalizer: Normalizer,
        parameters: &Parameters,
        config: CpuConfig,
    ) -> Result<Self> {
        vbd_net::simd::instruction_set().map_err(vbd_net::Error::from)?;
        let threads = config.threads;
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("vbd-{index}"))
            .build()
            .map_err(|source| Error::Threads { threads, source })?;
        let mut engine = Self {
            pool: Arc::new(pool),
            spec: spec.clone(),
            graph: spec.resolve()?,
            objective,
            pixels: PixelBatch::new(&normalizer),
            normalizer,
            layers: Vec::new(),
            reads: Vec::new(),
            net: Vec::new(),
            masked: None,
            inputs: Vec::new(),
            units: Vec::new(),
            nodes: Vec::new(),
            drawn: 0,
            values: Vec::new(),
            gradients: Gradients::default(),
            targets: BatchTargets::new(spec),
            config,
        };
        engine.load(parameters)?;
        Ok(engine)
    }

    /// Returns the number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Makes a layer compact at any density, for benchmarks.
    #[cfg(feature = "bench-internals")]
    #[doc(hidden)]
    pub fn compact_only(&mut self, name: &str) -> Result<()> {
        let parameters = self.parameters()?;
        for layer in self.weights_mut().filter(|layer| layer.name() == name) {
            layer.config.compaction = Compaction::Always;
            layer.load(&parameters.layers[layer.config.number], &parameters.net)?;
        }
        self.masked = None;
        Ok(())
    }

    /// Checks that a batch fits the engine and the network.
    fn check(&self, batch: &Batch) -> Result<()> {
        batch.check(&self.spec)?;
        if batch.len() <= self.config.batch_size {
            return Ok(());
        }
        Err(Error::Shape {
            name: "batch".to_owned(),
            found: vec![batch.len()],
            expected: vec![self.config.batch_size],
        })
    }

    /// Runs `f` on the engine's own threads.
    fn in_pool<R: Send>(&mut self, f: impl FnOnce(&mut Self) -> R + Send) -> R {
        let pool = Arc::clone(&self.pool);
        pool.install(|| f(self))
    }

    fn weights(&self) -> impl Iterator<Item = &CpuWeight> {
        self.layers.iter().filter_map(|layer| match layer {
            CpuLayer::Weight(weight) => Some(&**weight),
            _ => None,
        })
    }

    fn weights_mut(&mut self) -> impl Iterator<Item = &mut CpuWeight> {
        self.layers.iter_mut().filter_map(|layer| match layer {
            CpuLayer::Weight(weight) => Some(&mut **weight),
            _ => None,
        })
    }

    fn gates(&self) -> impl Iterator<Item = &CpuGate> {
        self.layers.iter().filter_map(|layer| match layer {
            CpuLayer::Gate(gate) => Some(&**gate),
            _ => None,
        })
    }

    fn norms(&self) -> impl Iterator<Item = &CpuNorm> {
        self.layers.iter().filter_map(|layer| match layer {
            CpuLayer::Norm(norm) => Some(&**norm),
            _ => None,
        })
    }

    fn ensure_masked(&mut self, active: bool) {
        if self.masked != Some(active) {
            for layer in &mut self.layers {
                match layer {
                    CpuLayer::Weight(weight) => weight.mask(active, &self.pixels),
                    CpuLayer::Gate(gate) => gate.mask(active),
                    CpuLayer::Norm(_) | CpuLayer::Plain(_) => {}
                }
            }
            self.masked = Some(active);
        }
    }

    /// Loads inputs and targets of a batch. Returns its size in lanes.
    fn take(&mut self, batch: &Batch) -> usize {
        let lanes = batch.len().next_multiple_of(LANES);
        self.targets.take(batch, &self.normalizer, lanes);
        if self.weights().any(CpuWeight::reads_pixels) {
            self.pixels.fill(batch);
            return lanes;
        }
        let inputs = &self.inputs;
        let (out, zeros) = self.values[0].split_at_mut(inputs.len() * lanes);
        zeros[..lanes].fill(0.0);
        gather(out, inputs, batch, &self.normalizer, lanes);
        lanes
    }

    /// Computes the outputs of every layer, with noise if `at` is given.
    fn forward(&mut self, lanes: usize, at: Option<&At>) {
        self.forward_from(0, lanes, at);
    }

    /// Computes the outputs of the layers from `first` on.
    fn forward_from(&mut self, first: usize, lanes: usize, at: Option<&At>) {
        for (index, layer) in self.layers.iter_mut().enumerate().skip(first) {
            let (before, after) = self.values.split_at_mut(index + 1);
            let (y, zeros) = after[0].split_at_mut(self.units[index + 1] * lanes);
            let (reads, units) = (&self.reads[index], &self.units);
            let first = reads[0].value;
            match layer {
                CpuLayer::Weight(weight) => {
                    let inputs = Inputs {
                        x: &before[first][..(units[first] + 1) * lanes],
                        x_square: &[],
                        turned: TransposedInput::default(),
                        pixels: &self.pixels,
                        samples: self.targets.samples,
                        lanes,
                        gradients: None,
                    };
                    let key = at.map(|at| at.key(Stream::layer(weight.config.number)));
                    weight.forward(inputs, y, key);
                }
                CpuLayer::Gate(gate) => {
                    let x = &before[first][..units[first] * lanes];
                    let key = at.map(|at| at.key(Stream::gate(gate.number)));
                    gate.forward(x, y, key, lanes);
                }
                CpuLayer::Norm(norm) => {
                    let x = &before[first][..units[first] * lanes];
                    let samples = self.targets.samples;
                    norm.forward(x, y, BatchSize { samples, lanes }, at.is_some());
                }
                CpuLayer::Plain(plain) => {
                    let values = reads.iter().map(|read| read.value);
                    let inputs = values.map(|value| &before[value][..units[value] * lanes]);
                    plain.forward(&inputs.collect::<Vec<_>>(), y, lanes);
                }
            }
            zeros[..lanes].fill(0.0);
        }
    }

    /// Computes gradients and updates of every layer from the gradient of the outputs.
    fn backward(&mut self, lanes: usize, update: &Update) {
        for (index, layer) in self.layers.iter_mut().enumerate().rev() {
            let (values, units) = (&self.values, &self.units);
            let len = units[index + 1] * lanes;
            let y = &values[index + 1][..len];
            let mut g = self.gradients.take(index + 1);
            for (number, &LayerInput { value, adds }) in self.reads[index].iter().enumerate() {
                let x_len = units[value] * lanes;
                let mut g_x = match (value, adds) {
                    (0, _) => Buffer::default(),
                    (_, true) => std::mem::take(&mut self.gradients.scratch),
                    (_, false) => self.gradients.take(value),
                };
                let wanted = (value > 0).then(|| &mut g_x[..x_len]);
                match layer {
                    CpuLayer::Weight(weight) => {
                        let inputs = Inputs {
                            x: &values[value][..x_len + lanes],
                            x_square: &[],
                            turned: TransposedInput::default(),
                            pixels: &self.pixels,
                            samples: self.targets.samples,
                            lanes,
                            gradients: None,
                        };
                        weight.backward(inputs, wanted, y, &mut g[..len], update);
                    }
                    CpuLayer::Gate(gate) => {
                        let x = &values[value][..x_len];
                        gate.backward(x, wanted, &g[..len], update, lanes);
                    }
                    CpuLayer::Norm(norm) => {
                        let x = &values[value][..x_len];
                        let samples = self.targets.samples;
                        let size = BatchSize { samples, lanes };
                        norm.backward(wanted, x, &mut g[..len], size, update);
                    }
                    CpuLayer::Plain(plain) => {
                        if let Some(g_x) = wanted {
                            let (x, g) = (&values[value][..x_len], &g[..len]);
                            plain.backward(number, Backward { x, y, g }, g_x, lanes);
                        }
                    }
                }
                match (value, adds) {
                    (0, _) => {}
                    (_, true) => {
                        let mut sum = self.gradients.take(value);
                        add_all(&mut sum[..x_len], &g_x[..x_len]);
                        self.gradients.put(value, sum);
                        self.gradients.scratch = g_x;
                    }
                    (_, false) => self.gradients.put(value, g_x),
                }
            }
            self.gradients.put(index + 1, g);
        }
    }

    /// Runs the second phase of methods with two phases, starting with weights that share no states
    /// of the net.
    fn finish(&mut self, update: &Update) {
        let mut layers = std::mem::take(&mut self.layers);
        let mut two_phased: Vec<&mut CpuWeight> = layers
            .iter_mut()
            .filter_map(|layer| match layer {
                CpuLayer::Weight(weight) if !weight.sums().is_empty() => Some(&mut **weight),
                _ => None,
            })
            .collect();
        for weight in &mut two_phased {
            if weight.config.setting.method.net_states().is_empty() {
                let of_step = weight.share(update);
                weight.finish(&[], &of_step, update, &self.pixels);
            }
        }
        two_phased.retain(|weight| !weight.sums().is_empty());
        while let Some(first) = two_phased.first() {
            let method = Arc::clone(&first.config.setting.method);
            let names = method.net_states();
            let names: Vec<&str> = names.iter().map(|state| state.name).collect();
            let (of_method, others): (Vec<_>, Vec<_>) = two_phased.into_iter().partition(|other| {
                let states = other.config.setting.method.net_states();
                states.iter().any(|state| names.contains(&state.name))
            });
            let sums = of_method.iter().map(|weight| weight.sums());
            let sums = add_up(of_method[0].sums().len(), sums);
            let shared = self.net.iter_mut();
            let shared = shared.filter(|state| names.contains(&state.name));
            let mut shared: Vec<&mut State> = shared.collect();
            let mut states: Vec<State> = shared.iter().map(|state| (**state).clone()).collect();
            let of_net = update.times(of_method[0].config.setting.kl_weight);
            let of_step = method.share(&sums, &mut states, &of_net);
            for (shared, state) in shared.iter_mut().zip(states) {
                **shared = state;
            }
            for weight in of_method {
                weight.finish(&self.net, &of_step, update, &self.pixels);
            }
            two_phased = others;
        }
        self.layers = layers;
    }

    /// Returns the outputs of the last forward pass, `[batch, outputs]`.
    fn last_outputs(&self, lanes: usize) -> Vec<f32> {
        let last = self.layers.len();
        let (outputs, y) = (self.units[last], &self.values[last]);
        let samples = 0..self.targets.samples;
        let of = |sample: usize| (0..outputs).map(move |output| y[output * lanes + sample]);
        samples.flat_map(of).collect()
    }

    fn step_in_pool(&mut self, batch: &Batch, at: &At) -> f64 {
        let active = at.kl_scale > 0.0;
        self.ensure_masked(active);
        let lanes = self.take(batch);
        self.forward(lanes, Some(at));
        let last = self.layers.len();
        let outputs = self.units[last] * lanes;
        let mut g = self.gradients.take(last);
        g[..outputs].copy_from_slice(&self.values[last][..outputs]);
        let targets = self.targets.of(self.spec.loss, lanes);
        let nll_sum = targets.gradient(&mut g[..outputs], lanes);
        self.gradients.put(last, g);
        let update = self.objective.update(at);
        self.backward(lanes, &update);
        self.finish(&update);
        nll_sum
    }

    fn evaluate_in_pool(&mut self, samples: &Samples) -> Result<Evaluation> {
        self.ensure_masked(true);
        let mut score = Score::new(self.spec.loss);
        let mut batch = Batch::default();
        for start in (0..samples.len()).step_by(EVALUATION_BATCH) {
            let end = samples.len().min(start + EVALUATION_BATCH);
            batch.take_range(samples, start..end);
            batch.check(&self.spec)?;
            let lanes = self.take(&batch);
            self.forward(lanes, None);
            let last = self.layers.len();
            let outputs = &self.values[last][..self.units[last] * lanes];
            score.add(outputs, self.targets.of(self.spec.loss, lanes), lanes);
        }
        Ok(score.finish())
    }
}

/// Computes `sum += x`.
fn add_all(sum: &mut [f32], x: &[f32]) {
    let chunks = sum.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
    chunks.for_each(|(sum, x)| add(sum, x, false));
}

impl Step for CpuStep {
    fn step(&mut self, batch: &Batch, at: &At) -> Result<f64> {
        self.check(batch)?;
        self.drawn = 0;
        Ok(self.in_pool(|this| this.step_in_pool(batch, at)))
    }

    fn outputs(&mut self, batch: &Batch, at: &At) -> Result<Vec<f32>> {
        self.check(batch)?;
        self.drawn = batch.len();
        Ok(self.in_pool(|this| {
            this.ensure_masked(at.kl_scale > 0.0);
            let lanes = this.take(batch);
            this.forward(lanes, Some(at));
            this.last_outputs(lanes)
        }))
    }

    fn outputs_from(&mut self, node: NodeId, values: &[f32], at: &At) -> Result<Vec<f32>> {
        if node == NodeId::INPUT {
            return Err(Error::RunFromInput);
        }
        let node = after_activation(&self.graph, node);
        let samples = self.drawn;
        let len = self.graph.node(node).shape.len();
        if samples == 0 || values.len() != samples * len {
            return Err(Error::Shape {
                name: format!("values after `{}`", self.graph.node(node).label),
                found: vec![values.len()],
                expected: vec![samples, len],
            });
        }
        Ok(self.in_pool(|this| {
            this.ensure_masked(at.kl_scale > 0.0);
            let lanes = samples.next_multiple_of(LANES);
            let flow = &this.nodes[node.index()];
            let first = flow.value;
            let rows = this.values[first].chunks_exact_mut(lanes);
            for (row, place) in rows.zip(flow.places()) {
                for (sample, value) in row[..samples].iter_mut().enumerate() {
                    *value = values[sample * len + place as usize];
                }
            }
            this.forward_from(first, lanes, Some(at));
            this.last_outputs(lanes)
        }))
    }

    fn kl(&self) -> Result<f64> {
        let blocks = self.weights().flat_map(|weight| {
            let blocks = weight.blocks().iter();
            blocks.map(move |block| (weight, block))
        });
        let blocks: Vec<_> = blocks.collect();
        let of_entries: Vec<f64> = self.pool.install(|| {
            let blocks = blocks.par_iter();
            blocks
                .map(|(weight, block)| weight.penalty(block))
                .collect()
        });
        let of_weights = self.weights().map(CpuWeight::shared_penalty);
        let of_net = self.objective.net_methods();
        let of_net = of_net.map(|setting| {
            setting.kl_weight
                * setting
                    .method
                    .shared_penalty(&setting.net_states(&self.net))
        });
        let gates = self.gates().map(CpuGate::kl);
        let all = of_entries.into_iter().chain(of_weights);
        Ok(all.chain(of_net).chain(gates).sum())
    }

    fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation> {
        self.drawn = 0;
        self.in_pool(|this| this.evaluate_in_pool(samples))
    }

    fn parameters(&self) -> Result<Parameters> {
        Ok(Parameters {
            layers: self
                .weights()
                .map(CpuWeight::parameters)
                .collect::<Result<_>>()?,
            norms: self.norms().map(|norm| norm.parameters().clone()).collect(),
            gates: self.gates().map(CpuGate::parameters).collect(),
            net: self.net.clone(),
        })
    }

    fn load(&mut self, parameters: &Parameters) -> Result<()> {
        let weights = self.graph.weights().len();
        parameters.check(&self.graph, &self.objective.gates)?;
        self.objective.check(weights)?;
        self.net.clone_from(&parameters.net);
        let compaction = if self.config.compaction {
            Compaction::WhereFaster
        } else {
            Compaction::Never
        };
        let Program {
            layers,
            mut reads,
            units,
            inputs,
            nodes,
        } = compile(
            &self.spec,
            &self.graph,
            &self.objective,
            parameters,
            compaction,
        )?;
        let samples = self.config.batch_size.max(EVALUATION_BATCH);
        let lanes = samples.next_multiple_of(LANES);
        let lens: Vec<usize> = units.iter().map(|units| units * lanes).collect();
        self.gradients = Gradients::plan(&mut reads, &lens);
        let values = units.iter().map(|units| Buffer::zeros((units + 1) * lanes));
        self.values = values.collect();
        (self.layers, self.reads, self.units, self.inputs) = (layers, reads, units, inputs);
        self.nodes = nodes;
        self.drawn = 0;
        for layer in self.weights_mut() {
            layer.load(&parameters.layers[layer.config.number], &parameters.net)?;
        }
        self.masked = None;
        Ok(())
    }
}
