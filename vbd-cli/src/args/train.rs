//! `vbd train`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{DataDir, data_name};
use crate::assignment::Assignment;
use crate::device::DeviceName;

const EXAMPLES: &str = "\
Examples:
  vbd train quickstart --epochs 5 --out runs/try
  vbd train vbd --model my-net.toml --data idx:my-images --set method.log_alpha_threshold=2
  vbd train --resume runs/try";

/// Arguments of `vbd train`. `--resume` excludes those that define a new run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TrainArgs {
    /// Recipe name (see `vbd recipes`) or path to a recipe's TOML file
    #[arg(required_unless_present = "resume")]
    pub(crate) recipe: Option<OsString>,
    #[command(flatten)]
    pub(crate) changes: RecipeChanges,
    /// Run directory [default: runs/RECIPE-seedN, or the next free name]
    #[arg(long, value_name = "RUN")]
    pub(crate) out: Option<PathBuf>,
    /// Start from the weights of this run, checkpoint, pruned file, or safetensors file with dense
    /// tensors of the network's names (a PyTorch state dict)
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Resume the run in this directory
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = [
            "recipe", "model", "epochs", "batch_size", "lr", "seed", "kl_weight", "assignments",
            "out", "from",
        ]
    )]
    pub(crate) resume: Option<PathBuf>,
    /// Keep every N-th epoch's checkpoint in addition to the newest; 0 keeps none [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) keep_every: Option<usize>,
    /// Compute dead weights too, for reference
    #[arg(long)]
    pub(crate) no_compaction: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// Flags that override values of a recipe.
#[derive(Debug, Args)]
pub(crate) struct RecipeChanges {
    /// Network name (see `vbd models`) or path to a network's TOML file [default: the recipe's]
    #[arg(long, value_name = "NAME|SPEC.toml")]
    pub(crate) model: Option<OsString>,
    /// Training data: digits, mnist, fashion-mnist, cifar-10, svhn, idx:FOLDER, npz:FILE or images:FOLDER [default: the recipe's]
    #[arg(long, value_parser = data_name())]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) dir: DataDir,
    /// Number of passes over the training data
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<u32>,
    /// Samples per training step
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<u32>,
    /// Learning rate
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(crate) lr: Option<f64>,
    /// Random seed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) seed: Option<i64>,
    /// Weight of the KL term; values other than 1 give a tempered posterior
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(crate) kl_weight: Option<f64>,
    /// Set any key of the recipe, such as `method.log_alpha_threshold=2`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) assignments: Vec<Assignment>,
}

/// Device to compute on.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Device to train on: cpu, cuda, cuda:N, metal or metal:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: DeviceName,
    /// Same as --device cpu
    #[arg(long, conflicts_with = "device")]
    pub(crate) cpu: bool,
}
