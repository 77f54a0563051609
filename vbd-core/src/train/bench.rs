//! Benchmark of training steps.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::run_data::check_data;
use crate::data::Batches;
use crate::error::Result;
use crate::noise::{NoiseKey, Stream};
use crate::recipe::Recipe;
use crate::step::{At, CpuConfig, CpuStep, Objective, Step};
use crate::weight::Parameters;
use vbd_net::data::Dataset;
use vbd_net::spec::{NetSpec, Normalizer};

/// Warm-up steps.
const WARM_UP: usize = 20;
/// `kl_scale` of timed steps: the KL acts and weights are masked, but none are dead yet.
const KL_SCALE: f64 = 0.5;

/// Options of a benchmark of training steps on the CPU.
///
/// Name | Default | Meaning
/// -|-|-
/// `threads` | 0 | number of threads; 0 for one per core
/// `steps` | 300 | number of timed steps
/// `compaction` | true | whether to skip dead weights where that is faster
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepBench {
    /// Number of threads; 0 for one per core.
    pub threads: usize,
    /// Number of timed steps, at least 1.
    pub steps: usize,
    /// Whether to skip dead weights where that is faster.
    pub compaction: bool,
}

impl Default for StepBench {
    fn default() -> Self {
        Self {
            threads: 0,
            steps: 300,
            compaction: true,
        }
    }
}

/// Time of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepTime {
    /// `train-step`.
    pub what: &'static str,
    /// Batch size.
    pub batch: usize,
    /// Number of threads.
    pub threads: usize,
    /// Median in microseconds.
    pub median_us: f64,
    /// 99th percentile in microseconds.
    pub p99_us: f64,
}

impl StepBench {
    /// Times steps of a recipe on the training samples of a data set, at half the KL warm-up.
    ///
    /// Without `start`, times the dense steps at the beginning of a run. With the parameters of a
    /// checkpoint, dead weights take no part.
    ///
    /// # Errors
    /// If recipe, network, data and parameters do not match, or threads cannot be started.
    pub fn run(
        &self,
        spec: &NetSpec,
        recipe: &Recipe,
        dataset: &Dataset,
        start: Option<&Parameters>,
    ) -> Result<StepTime> {
        recipe.check("recipe")?;
        check_data(spec, recipe, dataset)?;
        let train = dataset.train.split_last(recipe.train.validation).0;
        let batch_size = recipe.train.batch_size.min(train.len());
        let fresh;
        let parameters = if let Some(parameters) = start {
            parameters
        } else {
            fresh = Parameters::init(spec, recipe)?;
            &fresh
        };
        let config = CpuConfig {
            batch_size,
            threads: self.threads,
            compaction: self.compaction,
        };
        let mut engine = CpuStep::new(
            spec,
            Objective::new(spec, recipe, train.len())?,
            Normalizer::measure(spec, &train),
            parameters,
            config,
        )?;
        let order = NoiseKey {
            seed: recipe.train.seed,
            step: 0,
            stream: Stream::Shuffle,
        }
        .permutation(train.len());
        let mut batches = Batches::of_recipe(recipe, spec)?;
        let orders = order.chunks_exact(batch_size).cycle();
        let mut times = Vec::with_capacity(self.steps);
        for (step, indices) in (0..WARM_UP + self.steps.max(1)).zip(orders) {
            let at = At {
                seed: recipe.train.seed,
                step: u32::try_from(step).unwrap_or(u32::MAX),
                lr: recipe.train.lr,
                kl_scale: KL_SCALE,
            };
            let clock = Instant::now();
            engine.step(batches.prepare(&train, 0, indices), &at)?;
            if step >= WARM_UP {
                times.push(clock.elapsed());
            }
        }
        times.sort_unstable();
        Ok(StepTime {
            what: "train-step",
            batch: batch_size,
            threads: engine.threads(),
            median_us: quantile(&times, 50),
            p99_us: quantile(&times, 99),
        })
    }
}

/// Returns a percentile of sorted times in microseconds.
fn quantile(times: &[Duration], percent: usize) -> f64 {
    times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6
}
