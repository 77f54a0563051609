//! Arguments of the verbs that exchange networks with other programs: `export`, `import`, `push`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use vbd_prune::Rename;
use vbd_prune::export::Target;

use super::Destination;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vbd export try.safetensors --to torch -o try-torch.safetensors\n  vbd export runs/try --to torch-csr -o try-csr.safetensors"
)]
pub(crate) struct ExportArgs {
    /// Run directory, checkpoint or pruned file
    pub(crate) file: PathBuf,
    /// What to write: torch (dense tensors for `load_state_dict`), torch-csr (compressed rows for
    /// `torch.sparse_csr_tensor`) or bitmask (for compressed-tensors up to 0.14)
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: Target,
    #[command(flatten)]
    pub(crate) destination: Destination,
    /// Network for a file that has weights only: a name, or a path to a TOML file
    #[arg(long, value_name = "NAME|SPEC.toml")]
    pub(crate) model: Option<OsString>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vbd import lenet.safetensors --spec lenet-5-caffe -o dense.safetensors\n  vbd import theirs.safetensors --spec my-net.toml --rename features.0=conv1 -o dense.safetensors"
)]
pub(crate) struct ImportArgs {
    /// Safetensors file with dense tensors, such as a PyTorch state dict
    pub(crate) file: PathBuf,
    /// Network of the tensors: a name, or a path to a TOML file
    #[arg(long, value_name = "NAME|SPEC.toml")]
    pub(crate) spec: OsString,
    /// Rename a tensor, or all whose names begin with OLD and a dot; repeat for more
    #[arg(long, value_name = "OLD=NEW")]
    pub(crate) rename: Vec<Rename>,
    #[command(flatten)]
    pub(crate) destination: Destination,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vbd push small.safetensors hf://me/small --dry-run card\n  vbd push small.safetensors hf://me/small"
)]
pub(crate) struct PushArgs {
    /// Pruned file
    pub(crate) file: PathBuf,
    /// Repository of models, created if there is none: `hf://owner/repo`; needs `HF_TOKEN`
    pub(crate) repo: String,
    /// Write what would be pushed into this directory instead
    #[arg(long, value_name = "DIR")]
    pub(crate) dry_run: Option<PathBuf>,
}
