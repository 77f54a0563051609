//! `vbd bench`.

use std::num::NonZeroUsize;

use clap::Args;

use super::RecipeChanges;

const EXAMPLES: &str = "\
Examples:
  vbd bench --recipe quickstart
  vbd bench --recipe lenet-5-caffe-vbd --data digits --steps 50 --json";

/// What is timed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// Time the dense training step of this recipe, on the CPU
    #[arg(long)]
    pub(crate) recipe: String,
    #[command(flatten)]
    pub(crate) changes: RecipeChanges,
    /// Training steps that are timed
    #[arg(long, value_name = "N", default_value = "300")]
    pub(crate) steps: NonZeroUsize,
}
