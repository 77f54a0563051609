//! Opens the FILE and DATA arguments.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use vbd_core::train::{RunFolder, is_checkpoint};
use vbd_models::data::DataSource;
use vbd_net::PrunedNet;
use vbd_net::data::Dataset;
use vbd_net::format::Provenance;
use vbd_net::spec::NetSpec;
use vbd_prune::{ModelFile, SparseNet, StartFile};

use crate::args::{DataDir, Destination, Split};
use crate::error::Problem;
use crate::hub;
use crate::render::spinner;

/// Environment variable with the default of `--data-dir`.
const DATA_DIR: &str = "VBD_DATA_DIR";

/// Opens a checkpoint, a pruned file, or a run directory.
pub(crate) fn open(file: &Path) -> anyhow::Result<ModelFile> {
    Ok(vbd_prune::open(local(file)?)?)
}

/// Opens a file that a training can start from.
pub(crate) fn open_start(file: &Path) -> anyhow::Result<StartFile> {
    let path = local(file)?;
    let start = StartFile::open(&path)?;
    // What is recorded is where it came from, not the place in the cache.
    Ok(if path == file {
        start
    } else {
        start.named(file)
    })
}

/// Returns the path of a file, which is fetched if it is on the hub.
pub(crate) fn local(file: &Path) -> anyhow::Result<Cow<'_, Path>> {
    match file.to_str().filter(|text| text.starts_with(hub::PREFIX)) {
        Some(address) => Ok(Cow::Owned(hub::fetch(address)?)),
        None => Ok(Cow::Borrowed(file)),
    }
}

/// Returns the net of a file. A file with weights only needs the name or path of a network.
pub(crate) fn net_of(file: &Path, model: Option<&OsStr>) -> anyhow::Result<PrunedNet> {
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
pub(crate) fn open_net(
    file: &Path,
    model: Option<&OsStr>,
) -> anyhow::Result<(PrunedNet, SparseNet)> {
    let net = net_of(file, model)?;
    let runnable = SparseNet::new(&net)?;
    if runnable.plan().live_inputs() == 0 {
        warn_constant(net.spec());
    }
    Ok((net, runnable))
}

/// Warns that a network has collapsed.
pub(crate) fn warn_constant(spec: &NetSpec) {
    tracing::warn!(
        "the output of network `{}` is constant: every sample gets the same answer",
        spec.name
    );
}

/// Loads a data set.
pub(crate) fn load_data(name: &str, dir: &DataDir) -> anyhow::Result<Dataset> {
    let from_environment = || std::env::var_os(DATA_DIR).filter(|dir| !dir.is_empty());
    let folder = dir
        .data_dir
        .clone()
        .or_else(|| from_environment().map(PathBuf::from));
    let set = {
        let _waiting = spinner(&format!("loading {name}"));
        hub::load_data(name, folder.as_deref())?
    };
    for warning in vbd_models::data::warnings(&set)? {
        tracing::warn!("{warning}");
    }
    Ok(set)
}

/// Loads the data set `asked` for, or else the one that the net of `file` was trained on.
///
/// # Errors
/// If neither is known, the images do not have the shape that the net expects, or the data that
/// nobody asked for are not those of the training.
pub(crate) fn load_data_for(
    net: &PrunedNet,
    file: &Path,
    asked: Option<&str>,
    dir: &DataDir,
) -> anyhow::Result<Dataset> {
    let recorded = net.provenance();
    let Some(name) = asked.or(recorded.data.as_deref()) else {
        let text = format!("{}: training data not recorded", file.display());
        return Err(Problem::usage(text).hint("choose data with --data").into());
    };
    let data = load_data(name, dir)?;
    data.check_shape(net.spec())?;
    warn_of_range(&data, net.spec());
    check_recorded(&data, recorded, asked.is_some(), file)?;
    Ok(data)
}

/// Checks that data named like those of a file's training are the same. Other data of that name are
/// an error, or a warning if they were asked for.
fn check_recorded(
    data: &Dataset,
    recorded: &Provenance,
    is_asked: bool,
    file: &Path,
) -> Result<(), Problem> {
    if recorded.data.as_deref() != Some(&data.name) {
        return Ok(());
    }
    let Some(expected) = recorded.data_crc32 else {
        let source = DataSource::parse(&data.name);
        let is_own = matches!(
            source,
            Ok(DataSource::Idx(_) | DataSource::Npz(_) | DataSource::Images(_))
        );
        if !is_asked && is_own {
            tracing::warn!(
                "{}: no checksum of its data recorded: cannot tell whether `{}`, read from the \
                 current directory, is the data set that it was trained on",
                file.display(),
                data.name
            );
        }
        return Ok(());
    };
    let found = data.crc32();
    if found == expected {
        return Ok(());
    }
    let text = format!(
        "data set `{}` is not the one that {} was trained on: checksum is {found:08x}: expected \
         {expected:08x}",
        data.name,
        file.display()
    );
    if is_asked {
        tracing::warn!("{text}");
        return Ok(());
    }
    Err(Problem::new(text).hint("choose the data with --data"))
}

/// Warns of inputs that are far smaller than the network's normalisation expects.
pub(crate) fn warn_of_range(data: &Dataset, spec: &NetSpec) {
    if let Some(largest) = data.too_small_for(spec) {
        tracing::warn!(
            "data set `{}`: the largest input is {largest:.4} after `normalize.scale` = {} of network \
             `{}`, which expects larger values, such as 0 to 255",
            data.name,
            spec.normalize.scale,
            spec.name
        );
    }
}

/// Checks that a file may be written over: it does not exist, is empty, or was written by vbd.
///
/// # Errors
/// If it is a checkpoint, or has any other content, unless `force`.
pub(crate) fn check_out(Destination { out: path, force }: &Destination) -> Result<(), Problem> {
    // A mistyped path must not destroy a run.
    if is_checkpoint(path) {
        let text = format!("{}: refusing to overwrite a checkpoint", path.display());
        return Err(Problem::usage(text).hint("choose another path with -o"));
    }
    if RunFolder::owns(path) {
        let text = format!("{}: refusing to overwrite a file of a run", path.display());
        return Err(Problem::usage(text).hint("choose another path with -o"));
    }
    let has_content = path
        .metadata()
        .is_ok_and(|found| found.is_file() && found.len() > 0);
    // What cannot be read can hardly be written, which is then said. A pipe without a writer would
    // not open.
    let is_unreadable = || std::fs::File::open(path).is_err();
    if *force || !has_content || is_unreadable() || vbd_net::format::is_written_by_vbd(path) {
        return Ok(());
    }
    let text = format!(
        "{}: not written by vbd: refusing to overwrite it",
        path.display()
    );
    Err(Problem::usage(text).hint("choose another path with -o, or write over it with --force"))
}

/// Returns the samples of a split.
pub(crate) fn split_of(data: &Dataset, split: Split) -> &vbd_net::data::Samples {
    match split {
        Split::Test => &data.test,
        Split::Train => &data.train,
    }
}
