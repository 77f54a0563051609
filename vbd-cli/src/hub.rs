//! What comes from the hub: files by their address, and named data sets without files.

use std::path::{Path, PathBuf};

use vbd_net::data::Dataset;

#[cfg(feature = "hub")]
use crate::render::transfer_bar;

#[cfg(feature = "hub")]
pub(crate) use vbd_models::hub::PREFIX;
/// Start of an address on the hub.
#[cfg(not(feature = "hub"))]
pub(crate) const PREFIX: &str = "hf://";

/// Fetches a file by its address. Returns its path in the cache.
#[cfg(feature = "hub")]
pub(crate) fn fetch(address: &str) -> anyhow::Result<PathBuf> {
    let file: vbd_models::hub::HubFile = address.parse()?;
    Ok(client()?.fetch(&file)?)
}

/// Refuses an address: this program cannot fetch.
#[cfg(not(feature = "hub"))]
pub(crate) fn fetch(address: &str) -> anyhow::Result<PathBuf> {
    Err(without_hub(address).into())
}

/// Loads a data set; a named one without files comes from the hub.
#[cfg(feature = "hub")]
pub(crate) fn load_data(name: &str, data_dir: Option<&Path>) -> anyhow::Result<Dataset> {
    Ok(vbd_models::data::load_or_fetch(name, data_dir, watcher())?)
}

/// Loads a data set from files.
#[cfg(not(feature = "hub"))]
pub(crate) fn load_data(name: &str, data_dir: Option<&Path>) -> anyhow::Result<Dataset> {
    Ok(vbd_models::data::load(name, data_dir)?)
}

#[cfg(feature = "hub")]
pub(crate) use vbd_models::hub::Upload;

/// A file to upload.
#[cfg(not(feature = "hub"))]
#[derive(Debug)]
pub(crate) struct Upload {
    /// Path in the repository.
    pub(crate) path: String,
    /// Content.
    pub(crate) bytes: Vec<u8>,
}

/// Returns `owner/repo` of an address.
#[cfg(feature = "hub")]
pub(crate) fn repo_id(address: &str) -> anyhow::Result<String> {
    Ok(address.parse::<vbd_models::hub::HubRepo>()?.id())
}

/// Returns `owner/repo` of an address.
#[cfg(not(feature = "hub"))]
pub(crate) fn repo_id(address: &str) -> anyhow::Result<String> {
    let id = address.strip_prefix(PREFIX).filter(|id| {
        let parts: Vec<_> = id.split('/').collect();
        parts.len() == 2 && parts.iter().all(|part| !part.is_empty())
    });
    let text = || format!("{address}: not an address on the hub: expected hf://owner/repo");
    Ok(id
        .ok_or_else(|| crate::error::Problem::new(text()))?
        .to_owned())
}

/// Uploads files to a repository in one commit. Returns its URL.
#[cfg(feature = "hub")]
pub(crate) fn push(address: &str, uploads: &[Upload]) -> anyhow::Result<String> {
    let repo = address.parse()?;
    let name = uploads.first().map_or("", |upload| &upload.path);
    let message = format!("Upload {name} with vbd");
    Ok(client()?.push(&repo, uploads.to_vec(), &message)?)
}

/// Refuses to upload: this program cannot.
#[cfg(not(feature = "hub"))]
pub(crate) fn push(address: &str, _uploads: &[Upload]) -> anyhow::Result<String> {
    Err(without_hub(address).into())
}

/// Creates a client that shows its transfers.
#[cfg(feature = "hub")]
fn client() -> anyhow::Result<vbd_models::hub::Hub> {
    Ok(vbd_models::hub::Hub::from_env()?.watched_by(watcher()))
}

/// Shows the progress of each file as a bar.
#[cfg(feature = "hub")]
fn watcher() -> impl Fn(&str, vbd_models::hub::Progress) {
    let bar = transfer_bar();
    move |name, progress| bar.show(name, progress.done, progress.total)
}

/// Returns the error of a program without the hub.
#[cfg(not(feature = "hub"))]
pub(crate) fn without_hub(address: &str) -> crate::error::Problem {
    crate::error::Problem::new(format!("{address}: this program was built without the feature `hub`"))
        .hint("build it with the feature (cargo install vbd-cli --features hub), or download the file and give its path")
}
