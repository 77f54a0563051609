//! Device of a run, and its engine.

use candle_core::Device;

use super::checkpoint::Checkpoint;
use crate::error::Result;
use crate::step::{CandleStep, CpuConfig, CpuStep, Objective, Step};

/// Device and threads of a run.
#[derive(Debug, Clone)]
pub struct Compute {
    /// Device: the CPU uses [`CpuStep`], others [`CandleStep`].
    pub device: Device,
    /// Threads of the CPU engine; 0 for one per core.
    pub threads: usize,
    /// Whether the CPU engine skips dead weights where that is faster.
    pub compaction: bool,
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            threads: 0,
            compaction: true,
        }
    }
}

impl Compute {
    /// Creates the engine of a checkpoint.
    pub(super) fn engine(
        &self,
        checkpoint: &Checkpoint,
        objective: Objective,
    ) -> Result<Box<dyn Step>> {
        let Checkpoint {
            spec,
            recipe,
            normalizer,
            parameters,
            ..
        } = checkpoint;
        if self.device.is_cpu() {
            let config = CpuConfig {
                batch_size: recipe.train.batch_size.min(checkpoint.data.n_train),
                threads: self.threads,
                compaction: self.compaction,
            };
            return Ok(Box::new(CpuStep::new(
                spec,
                objective,
                normalizer.clone(),
                parameters,
                config,
            )?));
        }
        Ok(Box::new(CandleStep::new(
            spec,
            objective,
            normalizer,
            parameters,
            &self.device,
        )?))
    }
}
