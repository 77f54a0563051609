//! One run of a sweep: a process that trains it, and the files that tell that it is finished.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use vbd_core::recipe::Recipe;
use vbd_core::train::{EpochReport, RunFolder};
use vbd_models::is_path;
use vbd_models::sweep::PlannedRun;
use vbd_net::file;

use super::{ending, shared_words};
use crate::args::{DataDir, RecipeChanges, SweepArgs};
use crate::assignment::Assignment;
use crate::error::Problem;
use crate::{interrupt, recipe};

/// File that marks a finished run.
const DONE: &str = "done";
/// Time between looks at a running process.
const LOOK: Duration = Duration::from_millis(50);
/// Exit code of an interrupted training.
const INTERRUPTED: i32 = crate::error::INTERRUPTED as i32;

/// What became of a run, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It had been finished before.
    Kept,
    /// It has been finished now.
    Finished,
    /// It stopped with an error.
    Failed,
    /// It was stopped by a signal, and can go on.
    Interrupted,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Contents of [`DONE`].
#[derive(Serialize)]
struct Done {
    epochs: usize,
    seconds: f64,
}

/// A run with its recipe and its directory.
pub(super) struct Run {
    pub(super) planned: PlannedRun,
    pub(super) recipe: Recipe,
    folder: PathBuf,
    /// Arguments of `vbd train` for a new run, without threads.
    words: Vec<OsString>,
    /// Arguments for new and resumed runs.
    common: Vec<OsString>,
}

impl Run {
    /// Resolves a run's recipe.
    pub(super) fn new(
        planned: PlannedRun,
        args: &SweepArgs,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let beside = |name: &str| {
            let path = args.sweep.parent().unwrap_or(Path::new("")).join(name);
            let is_beside = is_path(name) && path.is_file();
            if is_beside { path } else { name.into() }
        };
        let name = beside(&planned.recipe).into_os_string();
        let mut words: Vec<OsString> = vec!["train".into(), name.clone()];
        let mut assignments = Vec::new();
        for (key, value) in &planned.set {
            let value = match value.as_str().filter(|_| key == "model") {
                Some(model) => toml::Value::String(beside(model).to_string_lossy().into_owned()),
                None => value.clone(),
            };
            words.extend(["--set".into(), format!("{key}={value}").into()]);
            assignments.push(Assignment::new(key, value));
        }
        let seed = i64::try_from(planned.seed).ok();
        words.extend(["--seed".into(), planned.seed.to_string().into()]);
        let changes = RecipeChanges {
            model: None,
            data: None,
            dir: DataDir { data_dir: None },
            epochs: None,
            batch_size: None,
            lr: None,
            seed,
            kl_weight: None,
            assignments,
        };
        let plan = recipe::choose(&name, &changes, None);
        let plan = plan.with_context(|| format!("run `{}`", planned.row))?;
        let folder = folder.join(&planned.folder);
        words.extend(["--out".into(), folder.clone().into_os_string()]);
        Ok(Self {
            planned,
            recipe: plan.recipe,
            folder,
            words,
            common: shared_words(args),
        })
    }

    /// Returns the epochs that the run has reported so far.
    pub(super) fn epochs(&self) -> anyhow::Result<Vec<EpochReport>> {
        let path = RunFolder::at(&self.folder).metrics_path();
        if !path.is_file() {
            return Ok(Vec::new());
        }
        let text = file::read_to_string(&path)?;
        let lines = text.lines().enumerate();
        let epochs = lines.map(|(index, line)| {
            let epoch = serde_json::from_str(line);
            epoch.with_context(|| format!("{}: line {}", path.display(), index + 1))
        });
        epochs.collect()
    }

    /// Returns the epochs of a finished run: one that is marked so, and was trained by this recipe.
    pub(super) fn finished(&self) -> anyhow::Result<Option<Vec<EpochReport>>> {
        if !self.folder.join(DONE).is_file() {
            return Ok(None);
        }
        self.check_recipe()?;
        let epochs = self.epochs()?;
        let (found, expected) = (epochs.len(), self.recipe.train.epochs);
        if found != expected {
            let path = RunFolder::at(&self.folder).metrics_path();
            let text = format!("{}: {found} epochs: expected {expected}", path.display());
            return Err(Problem::new(text).into());
        }
        Ok(Some(epochs))
    }

    /// Checks that the run's directory is of this recipe.
    fn check_recipe(&self) -> anyhow::Result<()> {
        let path = RunFolder::at(&self.folder).recipe_path();
        if !path.is_file() {
            return Ok(());
        }
        let found = Recipe::from_toml(&file::read_to_string(&path)?, &path.display().to_string())?;
        // The network is written beside the recipe, under a name of its own.
        let same = |recipe: &Recipe| Recipe {
            model: None,
            ..recipe.clone()
        };
        if same(&found) == same(&self.recipe) {
            return Ok(());
        }
        let text = format!("{}: of another recipe than the sweep's", path.display());
        let hint = "give the sweep another directory with --out, or remove that run";
        Err(Problem::new(text).hint(hint).into())
    }

    /// Trains the run to its end, if it is not finished.
    pub(super) fn finish(&self, threads: usize, stop: &AtomicBool) -> anyhow::Result<State> {
        if self.finished()?.is_some() {
            return Ok(State::Kept);
        }
        fs::create_dir_all(self.folder.parent().unwrap_or(Path::new(".")))
            .with_context(|| format!("cannot create the directory of {}", self.folder.display()))?;
        loop {
            // A process that a killed sweep left behind goes on to train.
            while RunFolder::at(&self.folder).is_in_use() {
                if stop.load(Ordering::Relaxed) {
                    return Ok(State::Interrupted);
                }
                std::thread::sleep(LOOK * 10);
            }
            self.check_recipe()?;
            // A torn last line is that of an unfinished run: resuming cuts it.
            let expected = self.recipe.train.epochs;
            if self.epochs().is_ok_and(|epochs| epochs.len() == expected) {
                break;
            }
            let was_started = self.is_started();
            match self.train(threads, stop) {
                Ok(State::Finished) => break,
                // Another process has been faster.
                Err(_) if RunFolder::at(&self.folder).is_in_use() => {}
                Err(_) if !was_started && self.is_started() => {}
                stopped => return stopped,
            }
        }
        let epochs = self.epochs()?;
        let done = Done {
            epochs: epochs.len(),
            seconds: epochs.iter().map(|epoch| epoch.seconds).sum(),
        };
        let done = serde_json::to_string(&done).context("cannot write the run's end")?;
        file::write_atomic(&self.folder.join(DONE), (done + "\n").as_bytes())?;
        Ok(State::Finished)
    }

    /// Returns whether a process has begun to train the run.
    fn is_started(&self) -> bool {
        RunFolder::at(&self.folder).recipe_path().is_file()
    }

    /// Runs `vbd train`. What it says goes to a file beside the run's directory.
    fn train(&self, threads: usize, stop: &AtomicBool) -> anyhow::Result<State> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let log = self
            .folder
            .with_file_name(format!("{}.log", self.planned.folder));
        let open = OpenOptions::new().create(true).append(true).open(&log);
        let stderr = open.with_context(|| format!("{}: cannot be written", log.display()))?;
        let mut command = Command::new(program);
        if self.is_started() {
            command.args(["train", "--resume"]).arg(&self.folder);
        } else {
            command.args(&self.words);
        }
        command
            .args(&self.common)
            .args(["--json", "--threads", &threads.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        interrupt::leave_group(&mut command);
        let mut child = command.spawn().context("cannot start a run")?;
        let mut told = false;
        let status = loop {
            if let Some(status) = child.try_wait().context("cannot wait for a run")? {
                break status;
            }
            if stop.load(Ordering::Relaxed) && !told {
                told = true;
                interrupt::stop_child(&mut child);
            }
            std::thread::sleep(LOOK);
        };
        if status.success() {
            return Ok(State::Finished);
        }
        if status.code() == Some(INTERRUPTED) || told {
            return Ok(State::Interrupted);
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        let error = said
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("error: "));
        let error = error.map_or_else(|| ending(status), str::to_owned);
        Err(Problem::new(error)
            .hint(format!("see {}", log.display()))
            .into())
    }
}
