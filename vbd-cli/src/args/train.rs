//! `vbd train`.

use std::path::PathBuf;

use clap::Args;

use super::DataDir;
use crate::assignment::Assignment;
use crate::device::DeviceName;

const EXAMPLES: &str = "\
Examples:
  vbd train quickstart --epochs 5 --out runs/try
  vbd train vbd --model my-net.toml --data idx:my-images --set method.log_alpha_threshold=2
  vbd train --resume runs/try";

/// What a run is made of; with `--resume` it is made already.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TrainArgs {
    /// A recipe's name (see `vbd recipes`), or the path of its TOML file
    #[arg(required_unless_present = "resume")]
    pub(crate) recipe: Option<String>,
    #[command(flatten)]
    pub(crate) changes: RecipeChanges,
    /// The run's folder [default: runs/RECIPE-seedN, or the next free name]
    #[arg(long, value_name = "RUN")]
    pub(crate) out: Option<PathBuf>,
    /// Start from the weights of this checkpoint or run
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Go on with the run of this folder as if it had never stopped
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = [
            "recipe", "model", "epochs", "batch_size", "lr", "seed", "kl_weight", "assignments",
            "out", "from",
        ]
    )]
    pub(crate) resume: Option<PathBuf>,
    /// Keep the checkpoint of every N-th epoch, beside the newest; 0 for none [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) keep_every: Option<usize>,
    /// Compute with dead weights too, as a reference
    #[arg(long)]
    pub(crate) no_compaction: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// What the command line changes of a recipe.
#[derive(Debug, Args)]
pub(crate) struct RecipeChanges {
    /// The network: a name (see `vbd models`), or the path of its TOML file [default: the recipe's]
    #[arg(long, value_name = "NAME|SPEC.toml")]
    pub(crate) model: Option<String>,
    /// digits, mnist, fashion-mnist or idx:FOLDER [default: the recipe's]
    #[arg(long)]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) dir: DataDir,
    /// Passes over the training images
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<u32>,
    /// Images a step
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<u32>,
    /// Adam's step size
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(crate) lr: Option<f64>,
    /// Seed of every draw
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) seed: Option<i64>,
    /// Factor on the KL; other than 1 it is a tempered posterior
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(crate) kl_weight: Option<f64>,
    /// Set any key of the recipe, as `method.log_alpha_threshold=2`; may come again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) assignments: Vec<Assignment>,
}

/// Where to compute.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// cpu, cuda, cuda:N, metal or metal:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: DeviceName,
    /// The same as --device cpu
    #[arg(long, conflicts_with = "device")]
    pub(crate) cpu: bool,
}
