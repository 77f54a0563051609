//! Training: the loop over epochs, what it reports, and what it leaves on disk.

mod checkpoint;

pub use checkpoint::{Best, Checkpoint, DataInfo, KIND, Progress, VERSION};
