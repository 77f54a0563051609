//! Addresses on the hub: `hf://owner/repo/path[@revision]`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hf_hub::progress::Progress;
use hf_hub::{HFClientSync, HFError};

use super::HubProblem;
use crate::error::Error;

/// Start of an address.
pub const PREFIX: &str = "hf://";
const EXPECTED: &str = "hf://owner/repo/path or hf://owner/repo/path@revision";
const EXPECTED_REPO: &str = "hf://owner/repo";

/// Kind of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RepoKind {
    /// A model.
    Model,
    /// A data set.
    Dataset,
}

/// A repository of models: `hf://owner/repo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubRepo {
    pub(super) owner: String,
    pub(super) name: String,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    kind: RepoKind,
    repo: HubRepo,
    path: String,
    revision: Option<String>,
}

impl HubRepo {
    /// Returns `owner/name`.
    pub fn id(&self) -> String {
        if self.owner.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.owner, self.name)
        }
    }
}

impl fmt::Display for HubRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.id())
    }
}

impl FromStr for HubRepo {
    type Err = Error;

    /// # Errors
    /// [`Error::Hub`] if the text is not `hf://owner/repo`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::hub(&text, HubProblem::Address(EXPECTED_REPO));
        let rest = text.strip_prefix(PREFIX).ok_or_else(wrong)?;
        let (owner, name) = rest.split_once('/').ok_or_else(wrong)?;
        if !is_name(owner) || !is_name(name) {
            return Err(wrong());
        }
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl HubFile {
    /// Returns a file of a data set's repository, `owner/name`.
    pub(crate) fn of_dataset(id: &str, path: &str, revision: &str) -> Self {
        let (owner, name) = id.split_once('/').unwrap_or(("", id));
        Self {
            kind: RepoKind::Dataset,
            repo: HubRepo {
                owner: owner.to_owned(),
                name: name.to_owned(),
            },
            path: path.to_owned(),
            revision: Some(revision.to_owned()),
        }
    }

    /// Returns the last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Asks for the file: the cache alone without `progress`.
    pub(super) fn request(
        &self,
        client: &HFClientSync,
        progress: Option<Progress>,
    ) -> Result<PathBuf, HFError> {
        let HubRepo { owner, name } = &self.repo;
        // Each kind of repository is a type of its own.
        macro_rules! request {
            ($repo:expr) => {
                $repo
                    .download_file()
                    .filename(&self.path)
                    .maybe_revision(self.revision.as_deref())
                    .local_files_only(progress.is_none())
                    .maybe_progress(progress)
                    .send()
            };
        }
        match self.kind {
            RepoKind::Model => request!(client.model(owner, name)),
            RepoKind::Dataset => request!(client.dataset(owner, name)),
        }
    }
}

impl fmt::Display for HubFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            RepoKind::Model => "",
            RepoKind::Dataset => "datasets/",
        };
        write!(f, "{PREFIX}{kind}{}/{}", self.repo.id(), self.path)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

impl FromStr for HubFile {
    type Err = Error;

    /// Reads `hf://owner/repo/path[@revision]`.
    ///
    /// # Errors
    /// [`Error::Hub`] if the text is something else, or the path leaves the repository.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::hub(&text, HubProblem::Address(EXPECTED));
        let rest = text.strip_prefix(PREFIX).ok_or_else(wrong)?;
        let (rest, revision) = match rest.rsplit_once('@') {
            Some((rest, revision)) => (rest, Some(revision.to_owned())),
            None => (rest, None),
        };
        let mut parts = rest.splitn(3, '/');
        let (Some(owner), Some(name), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let is_inside = path.split('/').all(is_name);
        let has_revision = revision
            .as_ref()
            .is_none_or(|revision| revision.split('/').all(is_name));
        if !(is_name(owner) && is_name(name) && is_inside && has_revision) {
            return Err(wrong());
        }
        Ok(Self {
            kind: RepoKind::Model,
            repo: HubRepo {
                owner: owner.to_owned(),
                name: name.to_owned(),
            },
            path: path.to_owned(),
            revision,
        })
    }
}

/// Returns whether a part of an address can be a directory of the cache: neither empty nor dots alone.
fn is_name(part: &str) -> bool {
    let is_dots = part.chars().all(|c| c == '.');
    let is_odd = |c: char| c.is_control() || "\\:?*\"<>|@".contains(c);
    !is_dots && !part.contains('/') && !part.chars().any(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_as_written() {
        for text in [
            "hf://me/net/model.safetensors",
            "hf://me/net/a/b/model.safetensors@main",
            "hf://me/net/model.safetensors@refs/pr/3",
        ] {
            let file: HubFile = text.parse().unwrap();
            assert_eq!(file.to_string(), text);
            assert_eq!(file.name(), "model.safetensors");
        }
        let repo: HubRepo = "hf://me/net".parse().unwrap();
        assert_eq!(
            (repo.id().as_str(), repo.to_string().as_str()),
            ("me/net", "hf://me/net")
        );
    }

    #[test]
    fn what_is_no_address_or_leaves_the_cache_is_refused() {
        for text in [
            "hf://",
            "hf://me",
            "hf://me/net",
            "hf://me/net/",
            "hf:///net/x",
            "hf://me//x",
            "hf://me/net/../x",
            "hf://../net/x",
            "hf://me/net/a//x",
            "hf://me/net/a\\..\\x",
            "hf://me/net/x@",
            "hf://me/net/x@../../y",
            "hf://me/net/x\n",
            "https://huggingface.co/me/net/x",
        ] {
            let message = text.parse::<HubFile>().unwrap_err().to_string();
            assert!(
                message.contains("hf://owner/repo/path"),
                "{text}: {message}"
            );
        }
        for text in ["hf://me", "hf://me/net/x", "me/net", "hf://me/"] {
            let message = text.parse::<HubRepo>().unwrap_err().to_string();
            assert!(
                message.contains("expected hf://owner/repo"),
                "{text}: {message}"
            );
        }
    }
}
