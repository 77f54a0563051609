//! Opens the FILE and DATA arguments.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use vbd_net::PrunedNet;
use vbd_net::data::Dataset;
use vbd_net::spec::NetSpec;
use vbd_prune::{ModelFile, SparseNet};

use crate::args::{DataDir, Split};
use crate::error::Problem;
use crate::render::spinner;

/// Environment variable with the default of `--data-dir`.
const DATA_DIR: &str = "VBD_DATA_DIR";

/// Opens a checkpoint, a pruned file, or a run directory.
pub(crate) fn open(file: &Path) -> anyhow::Result<ModelFile> {
    if file.to_str().is_some_and(|text| text.starts_with("hf://")) {
        let problem = Problem::new(format!("{}: hf:// is not supported yet", file.display()));
        return Err(problem.hint("download the file and give its path").into());
    }
    Ok(vbd_prune::open(file)?)
}

/// Returns the net of a file. A file with weights only needs the name or path of a network.
pub(crate) fn net_of(file: &Path, model: Option<&str>) -> anyhow::Result<PrunedNet> {
    let opened = open(file)?;
    match (&opened, model) {
        (ModelFile::Weights { .. }, Some(model)) => {
            let spec = vbd_models::nets::net(model)?;
            let net = opened.net_in(&spec);
            net.with_context(|| format!("{} in network `{}`", file.display(), spec.name))
        }
        (ModelFile::Weights { path, .. }, None) => {
            let text = format!("{}: file has weights but no network", path.display());
            Err(Problem::usage(text)
                .hint("choose one with --model NAME (see `vbd models`) or --model SPEC.toml")
                .into())
        }
        (_, Some(_)) => {
            let text = format!("--model: {} has its own network", file.display());
            Err(Problem::usage(text).hint("omit --model").into())
        }
        (_, None) => Ok(opened.net()?),
    }
}

/// Opens a file and prepares its network for inference.
pub(crate) fn open_net(file: &Path, model: Option<&str>) -> anyhow::Result<(PrunedNet, SparseNet)> {
    let net = net_of(file, model)?;
    let runnable = SparseNet::new(&net)?;
    Ok((net, runnable))
}

/// Loads a data set.
pub(crate) fn load_data(name: &str, dir: &DataDir) -> anyhow::Result<Dataset> {
    let from_environment = || std::env::var_os(DATA_DIR).filter(|dir| !dir.is_empty());
    let folder = dir
        .data_dir
        .clone()
        .or_else(|| from_environment().map(PathBuf::from));
    let _waiting = spinner(&format!("loading {name}"));
    Ok(vbd_models::data::load(name, folder.as_deref())?)
}

/// Loads the data set `asked` for, or else the one that the net of `file` was trained on.
///
/// # Errors
/// If neither is known, or the data do not fit the net.
pub(crate) fn load_data_for(
    net: &PrunedNet,
    file: &Path,
    asked: Option<&str>,
    dir: &DataDir,
) -> anyhow::Result<Dataset> {
    let Some(name) = asked.or(net.provenance().data.as_deref()) else {
        let text = format!("{}: training data not recorded", file.display());
        return Err(Problem::usage(text).hint("choose data with --data").into());
    };
    let data = load_data(name, dir)?;
    check_fit(&data, net.spec())?;
    Ok(data)
}

/// Returns the samples of a split.
pub(crate) fn split_of(data: &Dataset, split: Split) -> &vbd_net::data::Samples {
    match split {
        Split::Test => &data.test,
        Split::Train => &data.train,
    }
}

fn check_fit(data: &Dataset, spec: &NetSpec) -> Result<(), Problem> {
    if data.shape.iter().product::<usize>() == spec.input_len() {
        return Ok(());
    }
    let text = format!(
        "data set `{}` has images of shape {:?}: network `{}` expects {:?}",
        data.name, data.shape, spec.name, spec.input
    );
    Err(Problem::new(text).hint("choose other data with --data"))
}
