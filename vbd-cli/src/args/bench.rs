//! `vbd bench`.

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

const DATA: &str = "digits, mnist, fashion-mnist or idx:FOLDER [default: what the file was trained \
                    on, if it is found, or the recipe's]";

/// What is timed.
#[derive(Debug, Args)]
#[command(
    override_usage = "vbd bench [OPTIONS] <FILE>\n       vbd bench [OPTIONS] --recipe <RECIPE>",
    after_help = EXAMPLES,
    group = ArgGroup::new("timed").required(true).args(["file", "recipe"]),
    mut_arg("data", |data| data.help(DATA))
)]
pub(crate) struct BenchArgs {
    /// Time the inference of this run's folder, checkpoint or pruned file: sparse, and dense by the
    /// gemm crate and by Candle
    #[arg(conflicts_with_all = [
        "epochs", "batch_size", "lr", "seed", "kl_weight", "assignments", "steps",
    ])]
    pub(crate) file: Option<PathBuf>,
    /// Samples a call, of inference
    #[arg(
        long,
        value_name = "N,M",
        value_delimiter = ',',
        default_value = "1,64,1024",
        value_parser = batch_size,
        conflicts_with = "recipe"
    )]
    pub(crate) batch: Vec<usize>,
    /// Seconds for each contender at each batch size, of inference
    #[arg(
        long,
        value_name = "X",
        default_value = "1",
        value_parser = seconds,
        conflicts_with = "recipe"
    )]
    pub(crate) seconds: Duration,
    /// Time the dense training step of this recipe, on the CPU
    #[arg(long)]
    pub(crate) recipe: Option<String>,
    #[command(flatten)]
    pub(crate) changes: RecipeChanges,
    /// Training steps that are timed
    #[arg(long, value_name = "N", default_value = "300")]
    pub(crate) steps: NonZeroUsize,
}

fn batch_size(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=65_536).contains(number));
    number.ok_or_else(|| "1 to 65536 samples".to_owned())
}

/// Each call's time is kept, so that there is a longest time.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok();
    let number = number.filter(|number: &f64| (0.001..=60.0).contains(number));
    let seconds = number.ok_or_else(|| "0.001 to 60 seconds".to_owned())?;
    Ok(Duration::from_secs_f64(seconds))
}
