//! Command-line arguments, as clap parses them. The verbs interpret them.

mod bench;
mod exchange;
mod sweep;
mod train;
mod using;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand};

pub(crate) use self::bench::BenchArgs;
pub(crate) use self::exchange::{ExportArgs, ImportArgs, PushArgs};
pub(crate) use self::sweep::SweepArgs;
pub(crate) use self::train::{DeviceArgs, RecipeChanges, TrainArgs};
pub(crate) use self::using::{EvalArgs, InspectArgs, PredictArgs, PruneArgs, Split};

/// Train, prune and run sparse networks by variational Bayesian dropout.
#[derive(Debug, Parser)]
#[command(name = "vbd", bin_name = "vbd", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  vbd quickstart                                  the whole pipeline on built-in digits
  vbd train lenet-300-100-vbd --data-dir data     a published configuration on MNIST
  vbd prune runs/lenet-300-100-vbd-seed0 -o lenet.safetensors

Environment:
  VBD_DATA_DIR  directory with the files of the named data sets
  VBD_SIMD      instruction set of the CPU kernels: scalar, avx2, avx512 or neon [default: best]";

/// Flags that every verb takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print results as JSON: one object, or one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Increase verbosity; repeat for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colors
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,
    /// Number of CPU threads [default: one per core]
    #[arg(long, global = true, value_name = "N", value_parser = thread_count)]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// Parses a thread count, up to [`MOST`](crate::threads::MOST).
fn thread_count(text: &str) -> Result<NonZeroUsize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &NonZeroUsize| number.get() <= crate::threads::MOST);
    number.ok_or_else(|| format!("expected 1 to {} threads", crate::threads::MOST))
}

/// Parses the name of a data set, whose folder may have a path that is not UTF-8.
fn data_name() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().map(|name| vbd_models::data::text_of(&name))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network from a recipe, or resume a run
    Train(Box<TrainArgs>),
    /// Train many networks from one file, and show a table of their results
    Sweep(SweepArgs),
    /// Prune a trained network and write it as a compressed safetensors file
    Prune(PruneArgs),
    /// Write a network as a file for another program
    Export(ExportArgs),
    /// Read a dense network that another program trained
    Import(ImportArgs),
    /// Put a pruned file on the Hugging Face hub, with a model card
    Push(PushArgs),
    /// Measure a file's error on a data set
    Eval(EvalArgs),
    /// Show a file's sparsity layer by layer
    Inspect(InspectArgs),
    /// Classify images or samples of a data set
    Predict(PredictArgs),
    /// Time a file's inference or a recipe's training step
    Bench(Box<BenchArgs>),
    /// List the recipes or print one
    #[command(after_help = "Examples:\n  vbd recipes\n  vbd recipes vbd > my-recipe.toml")]
    Recipes(NameArgs),
    /// List the networks or print one
    #[command(after_help = "Examples:\n  vbd models\n  vbd models lenet-300-100 > my-net.toml")]
    Models(NameArgs),
    /// List the data sets or show one's counts and checksums
    Data(DataArgs),
    /// Train, prune, evaluate, inspect and predict on built-in digits, printing each command
    Quickstart(QuickstartArgs),
    /// Print a shell completion script
    #[command(
        after_help = "Examples:\n  vbd completions bash > ~/.local/share/bash-completion/completions/vbd\n  vbd completions fish | source"
    )]
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Print the TOML of this entry
    pub(crate) name: Option<String>,
}

/// File to write.
#[derive(Debug, Args)]
pub(crate) struct Destination {
    /// File to write
    #[arg(short, long)]
    pub(crate) out: PathBuf,
    /// Write over a file that vbd did not write
    #[arg(long)]
    pub(crate) force: bool,
}

/// Directory of the named data sets.
#[derive(Debug, Args)]
pub(crate) struct DataDir {
    /// Directory with the files of the named data sets, DIR/mnist/... or DIR/... [default: `VBD_DATA_DIR`]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vbd data\n  vbd data images:photos\n  vbd data cifar-10 --data-dir data --out cifar-idx"
)]
pub(crate) struct DataArgs {
    /// digits, mnist, fashion-mnist, cifar-10, svhn, a directory with IDX files of grey or RGB images
    /// (idx:FOLDER), a file of numpy arrays (npz:FILE), or PNG and JPEG files in train/CLASS/ and
    /// test/CLASS/ (images:FOLDER)
    #[arg(value_parser = data_name())]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) dir: DataDir,
    /// Write the data set to this directory as IDX files
    #[arg(long, value_name = "FOLDER", requires = "data")]
    pub(crate) out: Option<PathBuf>,
    /// Write over files with another content
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vbd quickstart\n  vbd quickstart --out first-try --json")]
pub(crate) struct QuickstartArgs {
    /// Directory for the run and the pruned file [default: runs/quickstart, or the next free name]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_two_or_three_examples_that_parse() {
        for verb in Cli::command().get_subcommands() {
            let help = verb
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let examples: Vec<&str> = help
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with("vbd "))
                .collect();
            assert!(
                (2..=3).contains(&examples.len()),
                "{}: {examples:?}",
                verb.get_name()
            );
            for example in examples {
                let command = example.split(['>', '|']).next().unwrap();
                let parsed = Cli::try_parse_from(command.split_whitespace());
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
    }
}
