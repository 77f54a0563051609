//! `vbd sweep`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::{DataDir, DeviceArgs};

const EXAMPLES: &str = "\
Examples:
  vbd sweep my-sweep.toml --jobs 2
  vbd sweep my-sweep.toml --collect
  vbd sweep my-sweep.toml --out shared/sweep --emit commands.txt";

/// Arguments of `vbd sweep`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SweepArgs {
    /// TOML file of the sweep (docs/sweeps.md)
    #[arg(value_name = "SWEEP.toml")]
    pub(crate) sweep: PathBuf,
    /// Number of runs at a time, which share the threads
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) jobs: NonZeroUsize,
    /// Directory of the runs and the table [default: runs/SWEEP]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) dir: DataDir,
    /// Write one command per run to this file instead of running them
    #[arg(long, value_name = "FILE")]
    pub(crate) emit: Option<PathBuf>,
    /// Do only this run, numbered from 1 as the lines of --emit
    #[arg(long, value_name = "I", conflicts_with_all = ["emit", "jobs"])]
    pub(crate) index: Option<NonZeroUsize>,
    /// Run nothing: show the table of what is finished
    #[arg(long, conflicts_with_all = ["emit", "index", "jobs"])]
    pub(crate) collect: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}
