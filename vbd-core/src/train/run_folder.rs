//! The run directory: `recipe.toml`, `net.toml`, `metrics.jsonl`, `checkpoints/`,
//! `best.safetensors`, `lock`.

use std::fs;
use std::io::{ErrorKind, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::checkpoint::{Checkpoint, Progress};
use super::metrics::EpochReport;
use crate::error::{Error, Result};
use crate::recipe::NetToml;
use crate::recipe::Recipe;
use vbd_net::file;
use vbd_net::spec::NetSpec;

const RECIPE: &str = "recipe.toml";
const NET: &str = "net.toml";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINTS: &str = "checkpoints";
const LOCK: &str = "lock";
/// Ending of a damaged checkpoint that was set aside.
const DAMAGED: &str = ".damaged";
const BEST: &str = "best.safetensors";
/// Number of newest checkpoints that are always kept: the last one, and the previous one in case it
/// is damaged.
const NEWEST_KEPT: usize = 2;

/// Directory of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Creates a handle to a directory without accessing it.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
        }
    }

    /// Creates the directory of a new run. What a run left there that never had a complete
    /// checkpoint is removed, except metrics, which are renamed.
    ///
    /// # Errors
    /// [`Error::RunExists`] if it contains a run, [`Error::RunInUse`] if a process is training in
    /// it; [`vbd_net::Error::Io`].
    pub fn create(path: &Path) -> Result<LockedRun> {
        let folder = Self::at(path);
        folder.check_free()?;
        fs::create_dir_all(path).map_err(Error::io(path))?;
        let folder = folder.lock()?;
        // Once more, now that no other process can make one.
        folder.check_new()?;
        let checkpoints = folder.checkpoints_path();
        fs::create_dir_all(&checkpoints).map_err(Error::io(checkpoints))?;
        folder.sweep()?;
        folder.set_metrics_aside()?;
        Ok(folder)
    }

    /// Opens a directory that contains a run.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] if there is no run.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Self::at(path);
        if !folder.checkpoints_path().is_dir() {
            return Err(Error::NoCheckpoint {
                path: path.to_path_buf(),
            });
        }
        Ok(folder)
    }

    /// Checks that the directory does not contain a run: it has no checkpoint.
    ///
    /// # Errors
    /// [`Error::RunInUse`] if another process is training in it, [`Error::RunExists`] if it
    /// contains a run; [`vbd_net::Error::Io`] if it cannot be read.
    pub fn check_free(&self) -> Result<()> {
        let taken = self.check_new();
        if taken.is_err() && self.is_in_use() {
            return Err(Error::RunInUse {
                path: self.path.clone(),
            });
        }
        taken
    }

    fn check_new(&self) -> Result<()> {
        if self.has_checkpoint()? {
            return Err(Error::RunExists {
                path: self.path.clone(),
            });
        }
        Ok(())
    }

    /// Returns whether the directory has a checkpoint, readable or not.
    fn has_checkpoint(&self) -> Result<bool> {
        let folder = self.checkpoints_path();
        if !folder.is_dir() {
            return Ok(false);
        }
        for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let name = entry.map_err(Error::io(&folder))?.file_name();
            let name = name.to_str().unwrap_or_default();
            let original = name
                .split_once(DAMAGED)
                .map_or(name, |(original, _)| original);
            if place_of(original).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns recipe and network of a run that was stopped before its first checkpoint, or `None`
    /// if the directory does not have them or has a checkpoint.
    ///
    /// # Errors
    /// [`Error::Toml`] if one cannot be parsed; [`vbd_net::Error::Io`].
    pub fn never_started(&self) -> Result<Option<(Recipe, NetSpec)>> {
        let (recipe, net) = (self.path.join(RECIPE), self.path.join(NET));
        if self.has_checkpoint()? || !recipe.is_file() || !net.is_file() {
            return Ok(None);
        }
        let text = |path: &Path| -> Result<(String, String)> {
            Ok((file::read_to_string(path)?, path.display().to_string()))
        };
        let (recipe, origin) = text(&recipe)?;
        let recipe = Recipe::from_toml(&recipe, &origin)?;
        let (net, origin) = text(&net)?;
        Ok(Some((recipe, NetSpec::from_toml(&net, &origin)?)))
    }

    /// Removes the temporary files that a killed process left. Requires the lock.
    pub(super) fn sweep(&self) -> Result<()> {
        for folder in [self.path.clone(), self.checkpoints_path()] {
            file::sweep(&folder)?;
        }
        Ok(())
    }

    /// Returns the path of the recipe for people, which a run has from its start.
    pub fn recipe_path(&self) -> PathBuf {
        self.path.join(RECIPE)
    }

    /// Renames the metrics of a run without checkpoints, so that a new run does not add to them.
    fn set_metrics_aside(&self) -> Result<()> {
        let path = self.metrics_path();
        if !path.exists() {
            return Ok(());
        }
        let aside = free_name(&path, ".old");
        fs::rename(&path, &aside).map_err(Error::io(&path))?;
        tracing::warn!(
            "{}: the run that wrote it has no checkpoint: renamed to {}",
            path.display(),
            aside.display()
        );
        Ok(())
    }

    /// Returns whether another process has locked the directory.
    pub fn is_in_use(&self) -> bool {
        let lock = fs::File::open(self.path.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Locks the directory against other training processes until the result is dropped or this
    /// process ends.
    ///
    /// # Errors
    /// [`Error::RunInUse`] if another process is training in it; [`vbd_net::Error::Io`].
    pub fn lock(self) -> Result<LockedRun> {
        let path = self.path.join(LOCK);
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::RunInUse { path: self.path }),
            Err(fs::TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                tracing::warn!(
                    "{}: file system without locks: a second training process here would not be detected",
                    path.display()
                );
            }
            Err(fs::TryLockError::Error(source)) => return Err(Error::io(path)(source)),
        }
        Ok(LockedRun {
            folder: self,
            _lock: file,
        })
    }

    /// Returns whether a path is that of a file of a run: its metrics, recipe, network, lock, best or
    /// other checkpoint.
    pub fn owns(path: &Path) -> bool {
        let Some(folder) = path.parent() else {
            return false;
        };
        let is_run = |folder: &Path| folder.join(CHECKPOINTS).is_dir();
        let is_ours = path.file_name().is_some_and(|name| {
            [METRICS, RECIPE, NET, LOCK, BEST]
                .iter()
                .any(|own| name == *own)
        });
        is_run(folder) && is_ours || folder.ends_with(CHECKPOINTS)
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the metrics: one JSON object per line and epoch.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// Checkpoint of the best epoch, if there is a validation split.
    pub fn best_path(&self) -> PathBuf {
        self.path.join(BEST)
    }

    fn checkpoints_path(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// Writes recipe and network for people to read; checkpoints have their own.
    ///
    /// # Errors
    /// [`vbd_net::Error::Io`].
    pub fn describe(&self, checkpoint: &Checkpoint) -> Result<()> {
        // The network is written next to the recipe, wherever it came from.
        let model = Some(NET.to_owned());
        let recipe = Recipe {
            model,
            ..checkpoint.recipe.clone()
        }
        .to_toml()?;
        file::write_atomic(&self.recipe_path(), recipe.as_bytes())?;
        let net = checkpoint.spec.to_toml()?;
        Ok(file::write_atomic(&self.path.join(NET), net.as_bytes())?)
    }

    /// Writes a checkpoint, then removes those that are neither among the newest nor of an epoch
    /// divisible by its `keep_every`.
    ///
    /// # Errors
    /// [`vbd_net::Error::Io`].
    pub fn write_checkpoint(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let path = self
            .checkpoints_path()
            .join(file_name(&checkpoint.progress));
        checkpoint.write(&path)?;
        // The new one is safe: an old one too many does not end the run.
        if let Err(error) = self.remove_old(checkpoint.keep_every) {
            tracing::warn!("{error}: cannot remove an old checkpoint");
        }
        Ok(path)
    }

    /// Removes all checkpoints except the newest and every `keep_every`-th.
    fn remove_old(&self, keep_every: usize) -> Result<()> {
        let mut all = self.checkpoints()?;
        all.truncate(all.len().saturating_sub(NEWEST_KEPT));
        for (place, path) in all {
            let is_whole = place.1 == 0 && place.0 > 0;
            let kept = is_whole && keep_every > 0 && place.0.is_multiple_of(keep_every);
            if !kept {
                fs::remove_file(&path).map_err(Error::io(path))?;
            }
        }
        Ok(())
    }

    /// Returns the checkpoints from oldest to newest, each with its completed epochs and further
    /// steps.
    ///
    /// # Errors
    /// [`vbd_net::Error::Io`].
    pub fn checkpoints(&self) -> Result<Vec<((usize, usize), PathBuf)>> {
        let folder = self.checkpoints_path();
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let path = entry.map_err(Error::io(&folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(place) = name.and_then(place_of) {
                found.push((place, path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns the newest readable checkpoint, and the errors of newer ones.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] if there is none, [`Error::AllDamaged`]; those of [`Checkpoint::read`]
    /// if an undamaged one cannot be used; [`vbd_net::Error::Io`] if the directory cannot be read.
    pub fn last_checkpoint(&self) -> Result<LastCheckpoint> {
        let mut damaged = Vec::new();
        for (_, path) in self.checkpoints()?.into_iter().rev() {
            match Checkpoint::read(&path) {
                Ok(checkpoint) => {
                    return Ok(LastCheckpoint {
                        path,
                        checkpoint,
                        damaged,
                    });
                }
                Err(error @ Error::DamagedCheckpoint { .. }) => damaged.push((path, error)),
                Err(error) => return Err(error),
            }
        }
        for (_, error) in &damaged {
            tracing::warn!("{error}");
        }
        if !damaged.is_empty() {
            return Err(Error::AllDamaged {
                path: self.path.clone(),
                count: damaged.len(),
            });
        }
        Err(Error::NoCheckpoint {
            path: self.path.clone(),
        })
    }

    /// Appends an epoch's line to the metrics.
    ///
    /// # Errors
    /// [`vbd_net::Error::Io`].
    pub fn append_metrics(&self, report: &EpochReport) -> Result<()> {
        let path = self.metrics_path();
        let append = || -> std::io::Result<()> {
            let mut line = serde_json::to_string(report)?;
            line.push('\n');
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)?;
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        append().map_err(Error::io(&path))
    }

    /// Removes the metrics of epochs after the first `epochs`, which will run again, and a last line
    /// that was not written completely. Other lines are kept, whatever they are.
    ///
    /// # Errors
    /// [`vbd_net::Error::Io`].
    pub fn cut_metrics(&self, epochs: usize) -> Result<()> {
        #[derive(Deserialize)]
        struct Line {
            epoch: usize,
        }
        let path = self.metrics_path();
        if !path.exists() {
            return Ok(());
        }
        let bytes = file::read(&path)?;
        let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        let kept = lines.iter().filter(|line| {
            let epoch = serde_json::from_slice::<Line>(line).map(|line| line.epoch);
            line.ends_with(b"\n") && epoch.map_or(true, |epoch| epoch <= epochs)
        });
        let kept: Vec<&[u8]> = kept.copied().collect();
        let removed = lines.len() - kept.len();
        if removed == 0 {
            return Ok(());
        }
        file::write_atomic(&path, &kept.concat())?;
        tracing::warn!(
            "{}: removed {removed} {} after epoch {epochs}, where the run resumes",
            path.display(),
            if removed == 1 { "line" } else { "lines" }
        );
        Ok(())
    }
}

/// A locked run directory.
#[derive(Debug)]
pub struct LockedRun {
    folder: RunFolder,
    /// Lock, held while the file is open.
    _lock: fs::File,
}

impl Deref for LockedRun {
    type Target = RunFolder;

    fn deref(&self) -> &RunFolder {
        &self.folder
    }
}

/// Result of [`RunFolder::last_checkpoint`].
#[derive(Debug)]
pub struct LastCheckpoint {
    /// Path of the file.
    pub path: PathBuf,
    /// Content of the file.
    pub checkpoint: Checkpoint,
    /// Newer files that could not be read, with their errors.
    pub damaged: Vec<(PathBuf, Error)>,
}

impl LastCheckpoint {
    /// Renames the damaged checkpoints to `*.damaged`, so that the run can resume from this one.
    /// Requires the lock.
    ///
    /// # Errors
    /// [`vbd_net::Error::Io`] if one cannot be renamed.
    pub(super) fn set_damaged_aside(&self) -> Result<()> {
        for (path, error) in &self.damaged {
            let aside = free_name(path, DAMAGED);
            fs::rename(path, &aside).map_err(Error::io(path))?;
            tracing::warn!(
                "{error}: renamed to {}, using the previous checkpoint",
                aside.display()
            );
        }
        Ok(())
    }
}

/// Returns the path with an ending, or the first unused name with a number.
fn free_name(path: &Path, ending: &str) -> PathBuf {
    let mut number = 0_u32;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        if number > 0 {
            name.push(format!("-{number}"));
        }
        let name = PathBuf::from(name);
        if !name.exists() {
            return name;
        }
        number += 1;
    }
}

fn file_name(progress: &Progress) -> String {
    let Progress {
        epoch,
        step_in_epoch,
        ..
    } = progress;
    match step_in_epoch {
        0 => format!("epoch-{epoch:04}.safetensors"),
        step => format!("epoch-{epoch:04}-step-{step:06}.safetensors"),
    }
}

/// Parses completed epochs and further steps from a checkpoint's file name.
fn place_of(name: &str) -> Option<(usize, usize)> {
    let place = name.strip_prefix("epoch-")?.strip_suffix(".safetensors")?;
    match place.split_once("-step-") {
        Some((epoch, step)) => Some((epoch.parse().ok()?, step.parse().ok()?)),
        None => Some((place.parse().ok()?, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_place_and_sort_by_it() {
        for (epoch, step_in_epoch) in [(0, 12), (7, 0), (12345, 600)] {
            let progress = Progress {
                epoch,
                step_in_epoch,
                ..Progress::default()
            };
            assert_eq!(
                place_of(&file_name(&progress)),
                Some((epoch, step_in_epoch))
            );
        }
        assert_eq!(place_of(".vbd-x.tmp"), None);
    }

    #[test]
    fn metrics_of_later_epochs_are_removed_and_the_others_kept() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&folder.path().join("run")).unwrap();
        let text = "{\"epoch\":1}\n{\"epoch\":2}\n{\"epoch\":3}\n{\"epo";
        file::write_atomic(&run.metrics_path(), text.as_bytes()).unwrap();
        run.cut_metrics(2).unwrap();
        assert_eq!(
            file::read(&run.metrics_path()).unwrap(),
            b"{\"epoch\":1}\n{\"epoch\":2}\n"
        );
        // What is not an epoch's line is kept where it is.
        let text = b"{\"epoch\":1}\n\n\xff\n{\"epoch\":3}\n{\"epoch\":2}\n".as_slice();
        file::write_atomic(&run.metrics_path(), text).unwrap();
        run.cut_metrics(2).unwrap();
        assert_eq!(
            file::read(&run.metrics_path()).unwrap(),
            b"{\"epoch\":1}\n\n\xff\n{\"epoch\":2}\n"
        );
        let checkpoint = run.path().join("checkpoints/epoch-0001.safetensors");
        file::write_atomic(&checkpoint, b"").unwrap();
        let path = run.path().to_path_buf();
        let again = || RunFolder::create(&path).map(|_| ());
        assert!(matches!(again(), Err(Error::RunInUse { .. })));
        drop(run);
        assert!(matches!(again(), Err(Error::RunExists { .. })));
    }
}
