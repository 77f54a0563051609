//! The Hugging Face hub (feature `hub`): files of its repositories, through hf-hub's cache.
//!
//! `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT` and `HF_TOKEN` are honoured as everywhere, and
//! `HF_HUB_OFFLINE`, which hf-hub does not read. hf-hub sets no time limit: here, a transfer without
//! progress for [`PATIENCE`] is given up. Every file is compared with the length and the checksum that
//! the hub gave for it before its path is returned.
//!
//! ```no_run
//! use vbd_models::hub::Hub;
//!
//! let hub = Hub::from_env()?;
//! let path = hub.fetch(&"hf://owner/repo/net.safetensors@main".parse()?)?;
//! # Ok::<(), vbd_models::Error>(())
//! ```

mod address;
mod problem;
mod push;
mod transfer;
mod verify;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hf_hub::{HFClient, HFClientSync, HFError};

pub use self::address::{HubFile, HubRepo, PREFIX};
pub use self::problem::HubProblem;
pub use self::push::Upload;
use self::transfer::Watched;
use crate::error::{Error, Result};

/// Time without progress after which a transfer is given up. Under 20 s with what comes before it.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// Repeated requests after a connection failed or a server was busy.
const RETRIES: usize = 1;
/// Environment variable that forbids requests.
const OFFLINE: &str = "HF_HUB_OFFLINE";

/// Progress of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all; 0 if unknown.
    pub total: u64,
}

/// Called with the name of a file and its progress.
type Watcher = Arc<dyn Fn(&str, Progress)>;

/// A client of the hub.
#[derive(Clone)]
pub struct Hub {
    client: HFClientSync,
    is_offline: bool,
    watcher: Watcher,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("client", &self.client)
            .field("is_offline", &self.is_offline)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// Creates a client by the environment.
    ///
    /// # Errors
    /// [`Error::Hub`] if `HF_ENDPOINT` is no URL, or HTTPS cannot be set up.
    pub fn from_env() -> Result<Self> {
        let client = HFClient::builder()
            .retry_max_attempts(RETRIES)
            .build_sync()
            .map_err(|error| {
                let endpoint = std::env::var("HF_ENDPOINT").unwrap_or_default();
                let problem = HubProblem::Other(format!("HF_ENDPOINT=`{endpoint}`: {error}"));
                Error::hub(&"the hub", problem)
            })?;
        Ok(Self {
            client,
            is_offline: std::env::var(OFFLINE).is_ok_and(|value| is_true(&value)),
            watcher: Arc::new(|_, _| {}),
        })
    }

    /// Calls `watcher` with the name of a file and its progress during each transfer.
    #[must_use]
    pub fn watched_by(self, watcher: impl Fn(&str, Progress) + 'static) -> Self {
        Self {
            watcher: Arc::new(watcher),
            ..self
        }
    }

    /// Returns the local path of a file, which is downloaded unless the cache has its latest version. A
    /// cached version is also used if the hub does not answer.
    ///
    /// # Errors
    /// [`Error::Hub`] naming the file and why it could not be had.
    pub fn fetch(&self, file: &HubFile) -> Result<PathBuf> {
        if self.is_offline {
            return self.cached(file);
        }
        match self.download(file) {
            Err(Error::Hub { problem, .. }) if problem.is_silence() => {
                self.cached(file).map_err(|_| Error::hub(file, *problem))
            }
            fetched => fetched,
        }
    }

    /// Returns the local path of a file whose content never changes: a cached one is used without a
    /// request.
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn fetch_once(&self, file: &HubFile) -> Result<PathBuf> {
        match self.cached(file) {
            Err(_) if !self.is_offline => self.download(file),
            cached => cached,
        }
    }

    fn cached(&self, file: &HubFile) -> Result<PathBuf> {
        let found = file.request(&self.client, None);
        let path = found.map_err(|error| {
            let problem = match error {
                HFError::LocalEntryNotFound { .. } if self.is_offline => HubProblem::Offline,
                error => HubProblem::from(error),
            };
            Error::hub(file, problem)
        })?;
        verify::check(&path, None).map_err(|problem| Error::hub(file, problem))?;
        Ok(path)
    }

    fn download(&self, file: &HubFile) -> Result<PathBuf> {
        let (client, wanted) = (self.client.clone(), file.clone());
        let name = file.name();
        let watched = Watched::run(PATIENCE, &mut |progress| (self.watcher)(name, progress), {
            move |progress| wanted.request(&client, Some(progress))
        });
        let downloaded = watched.and_then(|(path, total)| {
            verify::check(&path, total)?;
            Ok(path)
        });
        downloaded.map_err(|problem| Error::hub(file, problem))
    }
}

/// Returns whether a variable of the environment says yes, as `huggingface_hub` reads it.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
}
