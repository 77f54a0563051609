//! Where a run computes, and the engine for it.

use candle_core::Device;

use super::checkpoint::Checkpoint;
use crate::error::Result;
use crate::step::{CandleStep, CpuConfig, CpuStep, Objective, Step};

/// Where a run computes.
#[derive(Debug, Clone)]
pub struct Compute {
    /// On a CPU the kernels of [`CpuStep`], elsewhere [`CandleStep`].
    pub device: Device,
    /// Threads of the CPU engine; 0 for as many as there are cores.
    pub threads: usize,
    /// Whether dead weights leave the CPU engine's computation where that makes it faster.
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
    /// The engine that goes on from a checkpoint.
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
