//! The CPU engine: hand-written forward, backward, KL and Adam over the compiled network, with its
//! own thread pool and every buffer kept between steps.

mod block;
mod entries;
mod form;
mod geometry;
mod layer;
mod pixel_batch;

use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use self::entries::Update;
use self::form::{Compaction, Inputs};
use self::geometry::Geometry;
use self::layer::{Layer, Pool, Weighted};
use self::pixel_batch::PixelBatch;
use super::{At, Batch, Evaluation, Objective, Step};
use crate::data::Samples;
use crate::error::{Error, Result};
use crate::kernels::pool::Window;
use crate::kernels::update::{Adam, Masking};
use crate::kernels::{LANES, loss};
use crate::noise::{NoiseKey, Stream};
use crate::spec::{LayerSpec, NetSpec, Normalizer, Shape};
use crate::weight::Parameters;

/// Input features that one thread gathers at a time.
const GATHER_CHUNK: usize = 64;

/// How the CPU engine works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuConfig {
    /// Samples of the largest batch.
    pub batch_size: usize,
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
    /// Whether dead weights leave the computation where that makes it faster.
    pub compaction: bool,
}

/// A network that trains on the CPU.
pub struct CpuStep {
    pool: Arc<ThreadPool>,
    objective: Objective,
    normalizer: Normalizer,
    layers: Vec<Layer>,
    /// Whether the weights are masked as a step with `kl_scale > 0` wants them; `None` if unknown.
    masked: Option<bool>,
    pixels: PixelBatch,
    /// `units[i]` values of a sample go into layer `i`; the last are the logits.
    units: Vec<usize>,
    /// `[units, lanes]` each, and a row of zeros for taps outside an image.
    values: Vec<Vec<f32>>,
    /// Gradients of `values`, in turns.
    gradients: [Vec<f32>; 2],
    labels: Vec<u8>,
    config: CpuConfig,
}

impl CpuStep {
    /// Builds the engine.
    ///
    /// # Errors
    /// [`Error::Shape`] if the parameters are not the network's; [`Error::Threads`].
    pub fn new(
        spec: &NetSpec,
        objective: Objective,
        normalizer: Normalizer,
        parameters: &Parameters,
        config: CpuConfig,
    ) -> Result<Self> {
        let threads = config.threads;
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("vbd-{index}"))
            .build()
            .map_err(|source| Error::Threads { threads, source })?;
        let compaction = if config.compaction {
            Compaction::WhereFaster
        } else {
            Compaction::Never
        };
        let (layers, units) = compile(spec, compaction)?;
        let lanes = config.batch_size.next_multiple_of(LANES);
        let widest = units.iter().copied().max().unwrap_or(0) * lanes;
        let mut engine = Self {
            pool: Arc::new(pool),
            objective,
            pixels: PixelBatch::new(&normalizer),
            normalizer,
            layers,
            masked: None,
            values: units
                .iter()
                .map(|units| vec![0.0; (units + 1) * lanes])
                .collect(),
            units,
            gradients: [vec![0.0; widest], vec![0.0; widest]],
            labels: Vec::new(),
            config,
        };
        engine.load(parameters)?;
        Ok(engine)
    }

    /// Threads that the engine works with.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Makes a layer compact, whatever lives of it.
    #[cfg(feature = "bench-internals")]
    #[doc(hidden)]
    pub fn compact_only(&mut self, name: &str) -> Result<()> {
        let parameters = self.parameters()?;
        for layer in self.weighted_mut().filter(|layer| layer.name() == name) {
            layer.compaction = Compaction::Always;
        }
        self.load(&parameters)
    }

    /// Runs `f` on the engine's own threads.
    fn in_pool<R: Send>(&mut self, f: impl FnOnce(&mut Self) -> R + Send) -> R {
        let pool = Arc::clone(&self.pool);
        pool.install(|| f(self))
    }

    fn weighted_mut(&mut self) -> impl Iterator<Item = &mut Weighted> {
        self.layers.iter_mut().filter_map(Layer::weighted_mut)
    }

    fn ensure_masked(&mut self, active: bool) {
        if self.masked != Some(active) {
            let threshold = self.objective.log_alpha_threshold;
            let masking = Masking {
                log_alpha_threshold: threshold,
                active,
            };
            for layer in self.layers.iter_mut().filter_map(Layer::weighted_mut) {
                layer.mask(masking, &self.pixels);
            }
            self.masked = Some(active);
        }
    }

    /// Takes the inputs of a batch and its labels; returns its size in lanes.
    fn gather(&mut self, samples: &Samples, indices: &[u32]) -> usize {
        let lanes = indices.len().next_multiple_of(LANES);
        self.labels.clear();
        self.labels.extend(
            indices
                .iter()
                .map(|&index| samples.labels()[index as usize]),
        );
        if self.layers[0]
            .weighted()
            .is_some_and(Weighted::reads_pixels)
        {
            self.pixels.fill(samples, indices);
            return lanes;
        }
        let Normalizer { scale, mean, std } = &self.normalizer;
        let (out, zeros) = self.values[0].split_at_mut(mean.len() * lanes);
        zeros[..lanes].fill(0.0);
        out.par_chunks_mut(GATHER_CHUNK * lanes)
            .enumerate()
            .for_each(|(chunk, out)| {
                let first = chunk * GATHER_CHUNK;
                let features = out.len() / lanes;
                let (mean, std) = (&mean[first..][..features], &std[first..][..features]);
                out.chunks_exact_mut(lanes)
                    .for_each(|row| row[indices.len()..].fill(0.0));
                for (sample, &index) in indices.iter().enumerate() {
                    let pixels = &samples.image(index as usize)[first..][..features];
                    for (feature, &pixel) in pixels.iter().enumerate() {
                        let x = (f32::from(pixel) * scale - mean[feature]) / std[feature];
                        out[feature * lanes + sample] = x;
                    }
                }
            });
        lanes
    }

    /// The outputs of every layer, with noise if `at` is given.
    fn forward(&mut self, lanes: usize, at: Option<&At>) {
        let mut weights = 0;
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let (before, after) = self.values.split_at_mut(index + 1);
            let x = &before[index][..(self.units[index] + 1) * lanes];
            let (y, zeros) = after[0].split_at_mut(self.units[index + 1] * lanes);
            let key = at.map(|at| NoiseKey {
                seed: at.seed,
                step: at.step,
                stream: stream(weights),
            });
            weights += usize::from(layer.weighted().is_some());
            layer.forward(
                Inputs {
                    x,
                    x_square: &[],
                    pixels: &self.pixels,
                    lanes,
                },
                y,
                key,
            );
            zeros[..lanes].fill(0.0);
        }
    }

    fn step_in_pool(&mut self, batch: Batch<'_>, at: &At) -> f64 {
        let active = at.kl_scale > 0.0;
        self.ensure_masked(active);
        let lanes = self.gather(batch.samples, batch.indices);
        self.forward(lanes, Some(at));
        let last = self.layers.len();
        let [g, g_next] = &mut self.gradients;
        let (mut g, mut g_next) = (g, g_next);
        let logits = self.units[last] * lanes;
        g[..logits].copy_from_slice(&self.values[last][..logits]);
        let nll_sum = loss::cross_entropy(&mut g[..logits], &self.labels, lanes);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "computed in f64, used in f32"
        )]
        let update = Update {
            prior: self.objective.prior,
            kl_factor: self.objective.kl_factor(at.kl_scale) as f32,
            adam: Adam::at(at.lr, at.step),
            masking: Masking {
                log_alpha_threshold: self.objective.log_alpha_threshold,
                active,
            },
        };
        for (index, layer) in self.layers.iter_mut().enumerate().rev() {
            let x = &self.values[index][..(self.units[index] + 1) * lanes];
            let inputs = Inputs {
                x,
                x_square: &[],
                pixels: &self.pixels,
                lanes,
            };
            let g_x = (index > 0).then(|| &mut g_next[..self.units[index] * lanes]);
            let out = self.units[index + 1] * lanes;
            layer.backward(
                (inputs, g_x),
                (&self.values[index + 1][..out], &mut g[..out]),
                update,
            );
            std::mem::swap(&mut g, &mut g_next);
        }
        nll_sum
    }

    fn evaluate_in_pool(&mut self, samples: &Samples) -> Evaluation {
        self.ensure_masked(true);
        let (mut nll_sum, mut wrong) = (0.0, 0);
        let count = u32::try_from(samples.len()).expect("samples are counted in 32 bits");
        let indices: Vec<u32> = (0..count).collect();
        for indices in indices.chunks(self.config.batch_size) {
            let lanes = self.gather(samples, indices);
            self.forward(lanes, None);
            let last = self.layers.len();
            let logits = &self.values[last][..self.units[last] * lanes];
            let (nll, errors) = loss::score(logits, &self.labels, lanes);
            nll_sum += nll;
            wrong += errors;
        }
        let nll = nll_sum / samples.len().max(1) as f64;
        Evaluation {
            samples: samples.len(),
            wrong,
            nll,
        }
    }
}

/// The stream that the noise of the layer with this index comes from.
pub(super) fn stream(index: usize) -> Stream {
    Stream::Layer(u16::try_from(index).unwrap_or(u16::MAX))
}

/// The layers that compute, each weight with the ReLU behind it, and the values between them.
fn compile(spec: &NetSpec, compaction: Compaction) -> Result<(Vec<Layer>, Vec<usize>)> {
    let shapes = spec.shapes()?;
    let mut weights = spec.weights()?.into_iter().zip(Geometry::of(spec)?);
    let (mut layers, mut units) = (Vec::new(), vec![spec.input_len()]);
    let mut specs = spec.layers.iter().zip(shapes.windows(2)).peekable();
    while let Some((layer, io)) = specs.next() {
        layers.push(match layer {
            LayerSpec::Flatten {} => continue,
            LayerSpec::Linear { .. } | LayerSpec::Conv2d { .. } => {
                let (weight, geometry) = weights.next().expect("every such layer has a weight");
                let relu = specs
                    .next_if(|(next, _)| matches!(next, LayerSpec::Relu {}))
                    .is_some();
                let reads_pixels = layers.is_empty() && matches!(layer, LayerSpec::Linear { .. });
                let flags = (relu, reads_pixels, compaction);
                Layer::Weighted(Weighted::new(
                    (&weight.layer, &weight.shape),
                    geometry,
                    flags,
                ))
            }
            LayerSpec::MaxPool2d { kernel } => {
                let Shape::Image { height, width, .. } = io[0] else {
                    unreachable!("shape inference lets only images into a pool");
                };
                Layer::Pool(Pool::new(Window {
                    kernel: *kernel,
                    height,
                    width,
                }))
            }
            LayerSpec::Relu {} => Layer::Relu,
        });
        units.push(io[1].len());
    }
    Ok((layers, units))
}

impl Step for CpuStep {
    fn step(&mut self, batch: Batch<'_>, at: &At) -> Result<f64> {
        if batch.indices.len() > self.config.batch_size {
            let (found, expected) = (vec![batch.indices.len()], vec![self.config.batch_size]);
            return Err(Error::Shape {
                name: "batch".to_owned(),
                found,
                expected,
            });
        }
        Ok(self.in_pool(|this| this.step_in_pool(batch, at)))
    }

    fn kill(&mut self) -> Result<()> {
        let threshold = self.objective.log_alpha_threshold;
        self.masked = None;
        self.in_pool(|this| {
            this.weighted_mut()
                .try_for_each(|layer| layer.kill(threshold))
        })
    }

    fn kl(&self) -> Result<f64> {
        let Some(prior) = self.objective.prior else {
            return Ok(0.0);
        };
        let weighted = self.layers.iter().filter_map(Layer::weighted);
        let blocks: Vec<_> = weighted.flat_map(Weighted::blocks).collect();
        let kls: Vec<f64> = self.pool.install(|| {
            blocks
                .par_iter()
                .map(|block| block.entries.kl(prior))
                .collect()
        });
        Ok(kls.iter().sum())
    }

    fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation> {
        Ok(self.in_pool(|this| this.evaluate_in_pool(samples)))
    }

    fn parameters(&self) -> Result<Parameters> {
        let weighted = self.layers.iter().filter_map(Layer::weighted);
        Ok(Parameters {
            layers: weighted.map(Weighted::parameters).collect(),
        })
    }

    fn load(&mut self, parameters: &Parameters) -> Result<()> {
        parameters.check_count(self.weighted_mut().count())?;
        for (layer, parameters) in self.weighted_mut().zip(&parameters.layers) {
            layer.load(parameters)?;
        }
        self.masked = None;
        Ok(())
    }
}
