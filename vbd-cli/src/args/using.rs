//! Arguments of the verbs that read a file: `prune`, `eval`, `inspect`, `predict`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use vbd_models::picture::Colour;
use vbd_net::{Layout, ValueType};

use super::{DataDir, Destination, data_name};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vbd prune runs/try -o try.safetensors --threshold 2 --layout csr\n  vbd prune runs/neurons -o small.safetensors --structured\n  vbd prune try.safetensors -o half.safetensors --values f16"
)]
pub(crate) struct PruneArgs {
    /// Run directory, checkpoint, or pruned file to re-encode
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) destination: Destination,
    /// Keep weights and units with `log_alpha` below T [default: the training threshold]
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = finite)]
    pub(crate) threshold: Option<f32>,
    /// Remove dead units with their rows and columns, which shrinks the network
    #[arg(long)]
    pub(crate) structured: bool,
    /// Storage layout of the weights: auto (the smallest), dense, csr, bitmask or delta
    #[arg(long, default_value = "auto")]
    pub(crate) layout: LayoutChoice,
    /// Type of stored values: f32, f16 or bf16 [default: f32, or that of a pruned FILE]
    #[arg(long, value_name = "TYPE")]
    pub(crate) values: Option<ValueType>,
}

fn finite(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number: &f32| number.is_finite());
    number.ok_or_else(|| "expected a finite number".to_owned())
}

/// One layout for all weights, or `None` for `auto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayoutChoice(pub(crate) Option<Layout>);

impl std::str::FromStr for LayoutChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(None)),
            _ => Ok(Self(Some(text.parse()?))),
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vbd inspect runs/try\n  vbd inspect try.safetensors --json\n  vbd inspect runs/try --sensitivity --data mnist --data-dir data"
)]
pub(crate) struct InspectArgs {
    /// Run directory, checkpoint or pruned file
    pub(crate) file: PathBuf,
    /// Measure the error as each layer alone is cut at lower thresholds; of a run or checkpoint
    #[arg(long)]
    pub(crate) sensitivity: bool,
    /// Data for --sensitivity: digits, mnist, fashion-mnist, cifar-10, svhn, idx:FOLDER, npz:FILE or images:FOLDER [default: what the file was trained on]
    #[arg(long, requires = "sensitivity", value_parser = data_name())]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) dir: DataDir,
    /// Split for --sensitivity [default: the samples that the run held out, or else test]
    #[arg(long, requires = "sensitivity")]
    pub(crate) split: Option<Split>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vbd eval try.safetensors\n  vbd eval runs/try --data mnist --data-dir data --split train"
)]
pub(crate) struct EvalArgs {
    /// Run directory, checkpoint or pruned file
    pub(crate) file: PathBuf,
    /// Network for a file that has weights only: a name, or a path to a TOML file
    #[arg(long, value_name = "NAME|SPEC.toml")]
    pub(crate) model: Option<OsString>,
    /// Data to evaluate on: digits, mnist, fashion-mnist, cifar-10, svhn, idx:FOLDER, npz:FILE or images:FOLDER [default: what the file was trained on]
    #[arg(long, value_parser = data_name())]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) dir: DataDir,
    /// Split to evaluate on
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    /// Average the probabilities over N draws of a run's weights and units, and measure their calibration
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) mc_samples: Option<u32>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vbd predict try.safetensors seven.png --invert --show\n  vbd predict try.safetensors --data digits --index 0,1,2 --json\n  vbd predict autoencoder.safetensors features.npy"
)]
pub(crate) struct PredictArgs {
    /// Run directory, checkpoint or pruned file
    pub(crate) file: PathBuf,
    /// Network for a file that has weights only: a name, or a path to a TOML file
    #[arg(long, value_name = "NAME|SPEC.toml")]
    pub(crate) model: Option<OsString>,
    /// PNG or JPEG images of the network's input size (`-` is standard input), or numpy arrays (.npy)
    /// in uint8 or float32: one sample, or several as [n, features] or [n, channels, rows, columns]
    #[arg(value_name = "IMAGE|ARRAY.npy", required_unless_present = "index")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Invert the pixels, for dark ink on light paper; applied after --background
    #[arg(long, conflicts_with = "index")]
    pub(crate) invert: bool,
    /// Color behind transparent pixels: black, white, grey, #rgb or #rrggbb [default: the border
    /// of the mean training image where FILE has it, else white]
    #[arg(long, value_name = "COLOR", conflicts_with = "index")]
    pub(crate) background: Option<Colour>,
    /// Show what the network sees
    #[arg(long)]
    pub(crate) show: bool,
    /// Data set that --index selects from [default: what the file was trained on]
    #[arg(long, requires = "index", conflicts_with = "inputs", value_parser = data_name())]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) dir: DataDir,
    /// Split that --index selects from
    #[arg(long, default_value_t = Split::Test, requires = "index")]
    pub(crate) split: Split,
    /// Indices of samples in the data set, from 0
    #[arg(
        long,
        value_name = "I,J",
        value_delimiter = ',',
        conflicts_with = "inputs"
    )]
    pub(crate) index: Vec<usize>,
}

/// Split of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Split {
    /// Samples held out for testing
    Test,
    /// Samples used for training
    Train,
}

impl Split {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Train => "train",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
