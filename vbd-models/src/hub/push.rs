//! Files onto the hub, in one commit.

use hf_hub::RepoTypeModel;
use hf_hub::repository::CommitOperation;

use super::transfer::Watched;
use super::{Hub, HubProblem, HubRepo, PATIENCE};
use crate::error::{Error, Result};

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Path in the repository.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

impl Hub {
    /// Uploads files to a repository of models in one commit; creates the repository if there is none.
    /// Returns the URL of the commit, or of the repository.
    ///
    /// # Errors
    /// [`Error::Hub`] naming the repository: requests are forbidden, there is no answer, or the hub refuses.
    pub fn push(&self, repo: &HubRepo, files: Vec<Upload>, message: &str) -> Result<String> {
        if self.is_offline {
            let problem = HubProblem::Other("HF_HUB_OFFLINE forbids requests".to_owned());
            return Err(Error::hub(repo, problem));
        }
        let (client, to, message) = (self.client.clone(), repo.clone(), message.to_owned());
        let pushed = Watched::run(
            PATIENCE,
            &mut |progress| (self.watcher)(&repo.name, progress),
            move |progress| {
                let created = client
                    .create_repository()
                    .repo_id(&to.id())
                    .repo_type(RepoTypeModel)
                    .exist_ok(true)
                    .send()?;
                let operations = files.into_iter();
                let operations =
                    operations.map(|file| CommitOperation::add_bytes(file.path, file.bytes));
                let commit = client
                    .model(&to.owner, &to.name)
                    .create_commit()
                    .operations(operations.collect())
                    .commit_message(message)
                    .progress(progress)
                    .send()?;
                Ok(commit.commit_url.unwrap_or(created.url))
            },
        );
        let (url, _) = pushed.map_err(|problem| Error::hub(repo, problem))?;
        Ok(url)
    }
}
