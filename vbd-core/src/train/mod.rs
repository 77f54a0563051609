//! Training: the loop over epochs, its metrics, and its files.

mod bench;
mod checkpoint;
mod collapse;
mod compute;
mod init;
mod metrics;
mod run_data;
mod run_folder;
mod sampled;
mod start;
mod trainer;

pub use bench::{StepBench, StepTime};
pub use checkpoint::{Best, Checkpoint, DataInfo, KIND, Progress, VERSION, is_checkpoint};
pub use compute::Compute;
pub use metrics::{EpochReport, GateCount, LayerCount, compression_ratio};
pub use run_folder::{LastCheckpoint, LockedRun, RunFolder};
pub use sampled::SampledEvaluation;
pub use start::Start;
pub use trainer::{Event, KEEP_EVERY, Outcome, Trainer};
