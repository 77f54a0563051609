//! `vbd bench`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};

use super::RecipeChanges;

const EXAMPLES: &str = "\
Examples:
  vbd bench try.safetensors
  vbd bench runs/try --batch 1,256 --threads 1 --json
  vbd bench --recipe quickstart --steps 50";

const DATA: &str = "digits, mnist, fashion-mnist, cifar-10, svhn, idx:FOLDER, npz:FILE or images:FOLDER \
                    [default: what the file was trained on if found, or the recipe's]";

/// Arguments of `vbd bench`.
#[derive(Debug, Args)]
#[command(
    override_usage = "vbd bench [OPTIONS] <FILE>\n       vbd bench [OPTIONS] --recipe <RECIPE>",
    after_help = EXAMPLES,
    group = ArgGroup::new("timed").required(true).args(["file", "recipe"]),
    mut_arg("data", |data| data.help(DATA))
)]
pub(crate) struct BenchArgs {
    /// Time inference on this run directory, checkpoint or pruned file: sparse kernels against the
    /// gemm crate and Candle
    #[arg(conflicts_with_all = [
        "epochs", "batch_size", "lr", "seed", "kl_weight", "assignments", "steps",
    ])]
    pub(crate) file: Option<PathBuf>,
    /// Batch sizes for inference [default: 1,64,1024, as far as the dense net fits in memory]
    #[arg(
        long,
        value_name = "N,M",
        value_delimiter = ',',
        value_parser = batch_size,
        conflicts_with = "recipe"
    )]
    pub(crate) batch: Vec<usize>,
    /// Seconds to spend on each engine and batch size, for inference
    #[arg(
        long,
        value_name = "X",
        default_value = "1",
        value_parser = seconds,
        conflicts_with = "recipe"
    )]
    pub(crate) seconds: Duration,
    /// Time this recipe's dense training step on the CPU
    #[arg(long)]
    pub(crate) recipe: Option<OsString>,
    #[command(flatten)]
    pub(crate) changes: RecipeChanges,
    /// Number of training steps to time
    #[arg(long, value_name = "N", default_value = "300")]
    pub(crate) steps: NonZeroUsize,
}

fn batch_size(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=65_536).contains(number));
    number.ok_or_else(|| "expected 1 to 65536 samples".to_owned())
}

/// Parses a duration. Bounded, because the time of every call is stored.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok();
    let number = number.filter(|number: &f64| (0.001..=60.0).contains(number));
    let seconds = number.ok_or_else(|| "expected 0.001 to 60 seconds".to_owned())?;
    Ok(Duration::from_secs_f64(seconds))
}
