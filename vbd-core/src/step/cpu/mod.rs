//! The CPU engine: hand-written forward, backward, KL and Adam over the compiled network, with its
//! own thread pool and every buffer kept between steps.

mod block;
mod linear;

use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use self::block::Update;
use self::linear::Linear;
use super::{At, Batch, Evaluation, Objective, Step};
use crate::data::Samples;
use crate::error::{Error, Result};
use crate::kernels::loss;
use crate::kernels::update::{Adam, Masking};
use crate::noise::{NoiseKey, Stream};
use crate::spec::{LayerSpec, NetSpec, Normalizer};
use crate::weight::Parameters;

/// Input features that one thread gathers at a time.
const GATHER_CHUNK: usize = 64;

/// A network that trains on the CPU.
pub struct CpuStep {
    pool: Arc<ThreadPool>,
    objective: Objective,
    normalizer: Normalizer,
    layers: Vec<Linear>,
    /// Whether the weights are masked as a step with `kl_scale > 0` wants them; `None` if unknown.
    masked: Option<bool>,
    /// `values[i]` goes into layer `i`; the last are the logits. `[features, batch]`.
    values: Vec<Vec<f32>>,
    /// Gradients of `values`, in turns.
    gradients: [Vec<f32>; 2],
    labels: Vec<u8>,
    batch_size: usize,
}

impl CpuStep {
    /// Builds the engine for batches of up to `batch_size` samples, on `threads` threads.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the network has another layer than linear, ReLU and flatten;
    /// [`Error::Shape`] if the parameters are not the network's; [`Error::Threads`].
    pub fn new(
        spec: &NetSpec,
        objective: Objective,
        normalizer: Normalizer,
        parameters: &Parameters,
        (batch_size, threads): (usize, usize),
    ) -> Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("vbd-{index}"))
            .build()
            .map_err(|source| Error::Threads { threads, source })?;
        let layers = compile(spec)?;
        let mut values = vec![vec![0.0; spec.input_len() * batch_size]];
        values.extend(layers.iter().map(|layer| vec![0.0; layer.outputs() * batch_size]));
        let widest = layers.iter().map(Linear::outputs).max().unwrap_or(0);
        let mut engine = Self {
            pool: Arc::new(pool),
            objective,
            normalizer,
            layers,
            masked: None,
            values,
            gradients: [vec![0.0; widest * batch_size], vec![0.0; widest * batch_size]],
            labels: vec![0; batch_size],
            batch_size,
        };
        engine.load(parameters)?;
        Ok(engine)
    }

    /// Runs `f` on the engine's own threads.
    fn in_pool<R: Send>(&mut self, f: impl FnOnce(&mut Self) -> R + Send) -> R {
        let pool = Arc::clone(&self.pool);
        pool.install(|| f(self))
    }

    fn masking(&self, active: bool) -> Masking {
        Masking { log_alpha_threshold: self.objective.log_alpha_threshold, active }
    }

    fn ensure_masked(&mut self, active: bool) {
        if self.masked != Some(active) {
            let masking = self.masking(active);
            self.layers.iter_mut().for_each(|layer| layer.mask(masking));
            self.masked = Some(active);
        }
    }

    /// Writes the inputs of a batch, feature-major, and its labels.
    fn gather(&mut self, samples: &Samples, indices: &[u32]) {
        let batch = indices.len();
        let Normalizer { scale, mean, std } = &self.normalizer;
        let out = &mut self.values[0][..mean.len() * batch];
        out.par_chunks_mut(GATHER_CHUNK * batch).enumerate().for_each(|(chunk, out)| {
            let first = chunk * GATHER_CHUNK;
            let features = out.len() / batch;
            let (mean, std) = (&mean[first..][..features], &std[first..][..features]);
            for (sample, &index) in indices.iter().enumerate() {
                let pixels = &samples.image(index as usize)[first..][..features];
                for (feature, &pixel) in pixels.iter().enumerate() {
                    let x = (f32::from(pixel) * scale - mean[feature]) / std[feature];
                    out[feature * batch + sample] = x;
                }
            }
        });
        for (label, &index) in self.labels.iter_mut().zip(indices) {
            *label = samples.labels()[index as usize];
        }
    }

    fn step_in_pool(&mut self, batch: Batch<'_>, at: &At) -> f64 {
        let active = at.kl_scale > 0.0;
        self.ensure_masked(active);
        self.gather(batch.samples, batch.indices);
        let size = batch.indices.len();
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let (before, after) = self.values.split_at_mut(index + 1);
            let key = NoiseKey { seed: at.seed, step: at.step, stream: stream(index) };
            layer.forward_sample(&before[index], &mut after[0], size, key);
        }
        let last = self.layers.len() - 1;
        let classes = self.layers[last].outputs();
        let [g, g_next] = &mut self.gradients;
        let (mut g, mut g_next) = (g, g_next);
        g[..classes * size].copy_from_slice(&self.values[last + 1][..classes * size]);
        let nll_sum = loss::cross_entropy(&mut g[..classes * size], &self.labels[..size]);
        #[expect(clippy::cast_possible_truncation, reason = "computed in f64, used in f32")]
        let update = Update {
            prior: self.objective.prior,
            kl_factor: self.objective.kl_factor(at.kl_scale) as f32,
            adam: Adam::at(at.lr, at.step),
            masking: Masking { log_alpha_threshold: self.objective.log_alpha_threshold, active },
        };
        for (index, layer) in self.layers.iter_mut().enumerate().rev() {
            let input = (&self.values[index][..], (index > 0).then_some(&mut g_next[..]));
            layer.backward(input, (&self.values[index + 1], g), size, update);
            std::mem::swap(&mut g, &mut g_next);
        }
        nll_sum
    }

    fn evaluate_in_pool(&mut self, samples: &Samples) -> Evaluation {
        self.ensure_masked(true);
        let (mut nll_sum, mut wrong) = (0.0, 0);
        let count = u32::try_from(samples.len()).expect("samples are counted in 32 bits");
        let indices: Vec<u32> = (0..count).collect();
        for indices in indices.chunks(self.batch_size) {
            self.gather(samples, indices);
            let size = indices.len();
            for (index, layer) in self.layers.iter().enumerate() {
                let (before, after) = self.values.split_at_mut(index + 1);
                layer.forward_mean(&before[index], &mut after[0], size);
            }
            let logits = self.values.last().expect("a network has at least one layer");
            let classes = logits.len() / self.batch_size;
            let (nll, errors) = loss::score(&logits[..classes * size], &self.labels[..size]);
            nll_sum += nll;
            wrong += errors;
        }
        let nll = nll_sum / samples.len().max(1) as f64;
        Evaluation { samples: samples.len(), wrong, nll }
    }
}

/// The stream that the noise of the layer with this index comes from.
pub(super) fn stream(index: usize) -> Stream {
    Stream::Layer(u16::try_from(index).unwrap_or(u16::MAX))
}

/// The layers with parameters, each with the ReLU behind it.
fn compile(spec: &NetSpec) -> Result<Vec<Linear>> {
    let unsupported = |layer: &str, kind| Error::Unsupported {
        layer: layer.to_owned(),
        kind,
        engine: "the CPU engine",
    };
    let mut weights = spec.weights()?.into_iter();
    let mut layers = Vec::new();
    let mut specs = spec.layers.iter().peekable();
    while let Some(layer) = specs.next() {
        match layer {
            LayerSpec::Flatten => {}
            LayerSpec::Linear { .. } => {
                let weight = weights.next().expect("every linear layer has a weight");
                let relu = specs.next_if(|next| matches!(next, LayerSpec::Relu)).is_some();
                layers.push(Linear::new(&weight, relu));
            }
            LayerSpec::Relu => return Err(unsupported("relu", "ReLU without a linear layer before")),
            LayerSpec::Conv2d { name, .. } => return Err(unsupported(name, "conv2d")),
            LayerSpec::MaxPool2d { .. } => return Err(unsupported("max_pool2d", "max_pool2d")),
        }
    }
    Ok(layers)
}

impl Step for CpuStep {
    fn step(&mut self, batch: Batch<'_>, at: &At) -> Result<f64> {
        if batch.indices.len() > self.batch_size {
            let (found, expected) = (vec![batch.indices.len()], vec![self.batch_size]);
            return Err(Error::Shape { name: "batch".to_owned(), found, expected });
        }
        Ok(self.in_pool(|this| this.step_in_pool(batch, at)))
    }

    fn kill(&mut self) -> Result<()> {
        let threshold = self.objective.log_alpha_threshold;
        self.in_pool(|this| this.layers.iter_mut().for_each(|layer| layer.kill(threshold)));
        Ok(())
    }

    fn kl(&self) -> Result<f64> {
        let Some(prior) = self.objective.prior else { return Ok(0.0) };
        let blocks: Vec<_> = self.layers.iter().flat_map(Linear::blocks).collect();
        let kls: Vec<f64> = self.pool.install(|| blocks.par_iter().map(|b| b.kl(prior)).collect());
        Ok(kls.iter().sum())
    }

    fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation> {
        Ok(self.in_pool(|this| this.evaluate_in_pool(samples)))
    }

    fn parameters(&self) -> Result<Parameters> {
        Ok(Parameters { layers: self.layers.iter().map(Linear::parameters).collect() })
    }

    fn load(&mut self, parameters: &Parameters) -> Result<()> {
        let found = parameters.layers.len();
        if found != self.layers.len() {
            let expected = vec![self.layers.len()];
            return Err(Error::Shape { name: "layers".to_owned(), found: vec![found], expected });
        }
        for (layer, parameters) in self.layers.iter_mut().zip(&parameters.layers) {
            layer.load(parameters)?;
        }
        self.masked = None;
        Ok(())
    }
}
