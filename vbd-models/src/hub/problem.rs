//! Why a file could not be had from the hub.

use std::error::Error;
use std::time::Duration;

use hf_hub::HFError;

/// Why a transfer failed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum HubProblem {
    /// The address is invalid.
    #[error("not an address on the hub: expected {0}")]
    Address(&'static str),
    /// Requests are forbidden, and the cache lacks the file.
    #[error("not in the cache, and HF_HUB_OFFLINE forbids requests")]
    Offline,
    /// The cache lacks the file.
    #[error("not in the cache")]
    NotCached,
    /// There is no connection.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// The hub was silent for this time.
    #[error("no answer for {} s", .0.as_secs())]
    Silent(Duration),
    /// There is no such repository, revision or file.
    #[error("not found: no such repository, revision or file")]
    Missing,
    /// The hub refuses access.
    #[error("access refused: a wrong name, or a private repository that HF_TOKEN does not open")]
    Refused,
    /// The connection was cut in the middle.
    #[error("connection cut: {0}")]
    Cut(String),
    /// The file is not what the hub said that it is.
    #[error("damaged download: {field} is {found}: expected {expected}")]
    Damaged {
        /// What was compared.
        field: &'static str,
        /// Value of the downloaded file.
        found: String,
        /// Value given by the hub.
        expected: String,
    },
    /// Another process downloads the same file.
    #[error("another process is downloading it")]
    Busy,
    /// Another problem.
    #[error("{0}")]
    Other(String),
}

impl HubProblem {
    /// Returns whether the hub was not reached, so that a cached file may do.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::NoConnection(_) | Self::Silent(_))
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Offline => Some(
                "unset HF_HUB_OFFLINE, or copy the cache (HF_HOME) of a machine that has the file",
            ),
            Self::NotCached | Self::NoConnection(_) | Self::Silent(_) => Some(
                "check the network, HF_ENDPOINT and the proxy (HTTPS_PROXY), or copy the cache (HF_HOME) of a \
                 machine that has the file",
            ),
            Self::Missing => Some("compare the names with the hub's page of the repository"),
            Self::Refused => Some("set HF_TOKEN to a token that may do this"),
            Self::Cut(_) | Self::Damaged { .. } | Self::Busy => Some("try again"),
            Self::Address(_) | Self::Other(_) => None,
        }
    }
}

impl From<HFError> for HubProblem {
    fn from(error: HFError) -> Self {
        match error {
            HFError::LocalEntryNotFound { .. } => Self::NotCached,
            HFError::RepoNotFound { .. }
            | HFError::RevisionNotFound { .. }
            | HFError::EntryNotFound { .. } => Self::Missing,
            HFError::AuthRequired { .. } | HFError::Forbidden { .. } => Self::Refused,
            HFError::CacheLockTimeout { .. } => Self::Busy,
            HFError::Request { ref source, .. } => {
                let mut cause: &dyn Error = source;
                while let Some(deeper) = cause.source() {
                    cause = deeper;
                }
                let text = cause.to_string();
                if source.is_connect() || source.is_timeout() {
                    Self::NoConnection(text)
                } else {
                    Self::Cut(text)
                }
            }
            error => Self::Other(error.to_string()),
        }
    }
}
