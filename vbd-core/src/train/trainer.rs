//! The loop over epochs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::checkpoint::{Best, Checkpoint, Progress};
use super::collapse::Collapse;
use super::compute::Compute;
use super::metrics::{EpochReport, GateCount, LayerCount, compression_ratio};
use super::run_data::RunData;
use super::run_folder::{LastCheckpoint, LockedRun, RunFolder};
use super::start::Start;
use crate::error::{Error, Result};
use crate::noise::{NoiseKey, Stream};
use crate::recipe::Recipe;
use crate::step::{At, Objective, Step};
use crate::weight::Parameters;
use vbd_net::data::Dataset;
use vbd_net::output::{Evaluation, Quality};
use vbd_net::spec::{NetSpec, Normalizer};

/// Default interval of epochs whose checkpoints are kept.
pub const KEEP_EVERY: usize = 5;

/// Event of a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step has completed.
    Step {
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// Number of steps per epoch.
        steps: usize,
        /// Mean negative log-likelihood per sample of the epoch so far, in nats.
        nll: f64,
    },
    /// An epoch has completed; its metrics and checkpoint are on disk.
    Epoch(&'a EpochReport),
}

/// Outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Run directory.
    pub run: PathBuf,
    /// Last checkpoint.
    pub checkpoint: PathBuf,
    /// Checkpoint of the best epoch, if there is a validation split.
    pub best: Option<PathBuf>,
    /// Whether the run was stopped before its last epoch.
    pub interrupted: bool,
}

/// A training run of a network with a recipe and data.
pub struct Trainer {
    spec: NetSpec,
    recipe: Recipe,
    objective: Objective,
    engine: Box<dyn Step>,
    data: RunData,
    normalizer: Normalizer,
    progress: Progress,
    folder: LockedRun,
    keep_every: usize,
    start: Option<String>,
    checkpoint_path: PathBuf,
    collapse: Collapse,
}

impl Trainer {
    /// Starts a run in a new directory, with the parameters of `start` or else those of the recipe.
    ///
    /// # Errors
    /// If recipe, network and data do not match, or the directory contains a run or is in use.
    pub fn new(
        spec: &NetSpec,
        recipe: &Recipe,
        dataset: Dataset,
        compute: &Compute,
        folder: &Path,
        start: Option<&Start>,
    ) -> Result<Self> {
        recipe.check("recipe")?;
        let data = RunData::new(spec, recipe, dataset)?;
        let normalizer = Normalizer::measure(spec, &data.train);
        let parameters = match start {
            Some(trained) => Parameters::start_from(spec, recipe, trained, &normalizer)?,
            None => Parameters::init(spec, recipe)?,
        };
        let checkpoint = Checkpoint {
            spec: spec.clone(),
            recipe: recipe.clone(),
            progress: Progress::default(),
            data: data.info.clone(),
            normalizer,
            parameters,
            keep_every: KEEP_EVERY,
            start: start.map(|start| start.origin.clone()),
        };
        let objective = Objective::new(spec, recipe, data.train.len())?;
        let engine = compute.engine(&checkpoint, objective.clone())?;
        let folder = RunFolder::create(folder)?;
        // A run that is killed before its first checkpoint starts anew from its recipe, which does
        // not say what it started from.
        if start.is_none() {
            folder.describe(&checkpoint)?;
        }
        // Written before the first step, so that a run that ends in its first epoch can be resumed.
        let path = folder.write_checkpoint(&checkpoint)?;
        if start.is_some() {
            folder.describe(&checkpoint)?;
        }
        Ok(Self::assemble(
            path, checkpoint, objective, engine, data, folder,
        ))
    }

    /// Resumes a run from a checkpoint; see [`RunFolder::last_checkpoint`]. The result is the same
    /// as without the interruption.
    ///
    /// # Errors
    /// If the data are not those of the run, or the directory cannot be written.
    pub fn resume(
        folder: LockedRun,
        last: LastCheckpoint,
        dataset: Dataset,
        compute: &Compute,
    ) -> Result<Self> {
        let checkpoint = &last.checkpoint;
        let mut data = RunData::new(&checkpoint.spec, &checkpoint.recipe, dataset)?;
        data.check_same(&checkpoint.data)?;
        data.info = checkpoint.data.clone();
        let objective = Objective::new(&checkpoint.spec, &checkpoint.recipe, data.train.len())?;
        let engine = compute.engine(checkpoint, objective.clone())?;
        folder.sweep()?;
        last.set_damaged_aside()?;
        folder.cut_metrics(checkpoint.progress.epoch)?;
        let (path, checkpoint) = (last.path, last.checkpoint);
        Ok(Self::assemble(
            path, checkpoint, objective, engine, data, folder,
        ))
    }

    fn assemble(
        path: PathBuf,
        checkpoint: Checkpoint,
        objective: Objective,
        engine: Box<dyn Step>,
        data: RunData,
        folder: LockedRun,
    ) -> Self {
        Self {
            spec: checkpoint.spec,
            recipe: checkpoint.recipe,
            objective,
            engine,
            data,
            normalizer: checkpoint.normalizer,
            progress: checkpoint.progress,
            folder,
            keep_every: checkpoint.keep_every,
            start: checkpoint.start,
            checkpoint_path: path,
            collapse: Collapse::default(),
        }
    }

    /// Keeps the checkpoint of every `epochs`-th epoch; 0 keeps only the newest.
    pub fn set_keep_every(&mut self, epochs: usize) {
        self.keep_every = epochs;
    }

    /// Returns the recipe of the run.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Returns the network of the run.
    pub fn spec(&self) -> &NetSpec {
        &self.spec
    }

    /// Run directory.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    fn steps_per_epoch(&self) -> usize {
        self.data.train.len().div_ceil(self.recipe.train.batch_size)
    }

    /// Returns the position, rates and scales of a step of the run, from 0.
    fn at(&self, step: usize) -> At {
        let all = self.recipe.train.epochs * self.steps_per_epoch();
        let t = (step as f64 + 0.5) / all as f64;
        let step = u32::try_from(step).expect("checked with the data: under 2^32 steps");
        At {
            seed: self.recipe.train.seed,
            step,
            lr: self.recipe.train.lr_at(t, step),
            kl_scale: self.recipe.train.kl_scale_at(t),
        }
    }

    /// Trains to the last epoch, or until `stop` is set: then finishes the current step and writes
    /// a checkpoint.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss or a parameter is NaN or infinite; the last checkpoint
    /// predates it. [`Error::Collapsed`] if the output is constant after an epoch and the recipe has
    /// `stop_on_collapse`; the last checkpoint is that epoch's. [`vbd_net::Error::Io`] if a file cannot be written.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Outcome> {
        while self.progress.epoch < self.recipe.train.epochs {
            if self.run_epoch(stop, on_event)? {
                return self.interrupted();
            }
            if self.collapse.is_constant() && self.recipe.train.stop_on_collapse {
                return Err(Error::Collapsed {
                    epoch: self.progress.epoch,
                    net: self.spec.name.clone(),
                });
            }
        }
        Ok(self.outcome(false))
    }

    fn interrupted(&mut self) -> Result<Outcome> {
        let parameters = self.checked_parameters()?;
        let checkpoint = self.checkpoint(parameters);
        self.checkpoint_path = self.folder.write_checkpoint(&checkpoint)?;
        Ok(self.outcome(true))
    }

    fn outcome(&self, interrupted: bool) -> Outcome {
        let best = self.progress.best.map(|_| self.folder.best_path());
        Outcome {
            run: self.folder.path().to_path_buf(),
            checkpoint: self.checkpoint_path.clone(),
            best: best.filter(|path| path.is_file()),
            interrupted,
        }
    }

    /// Runs the remaining steps of the current epoch. Returns `true` if `stop` was set.
    fn run_epoch(
        &mut self,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool> {
        let seconds_before = self.progress.seconds;
        let begin = Instant::now();
        let epoch = self.progress.epoch;
        let (steps, batch_size) = (self.steps_per_epoch(), self.recipe.train.batch_size);
        let key = NoiseKey {
            seed: self.recipe.train.seed,
            step: u32::try_from(epoch).expect("a recipe has at most 10^6 epochs"),
            stream: Stream::Shuffle,
        };
        let order = key.permutation(self.data.train.len());
        let batches: Vec<&[u32]> = order.chunks(batch_size).collect();
        let from = self.progress.step_in_epoch;
        for (step, indices) in batches.into_iter().enumerate().skip(from) {
            if stop.load(Ordering::Relaxed) {
                self.progress.seconds = seconds_before + begin.elapsed().as_secs_f64();
                return Ok(true);
            }
            let at = self.at(epoch * steps + step);
            let clock = Instant::now();
            let batch = self.data.batch(key.step, indices);
            let nll_sum = self.engine.step(batch, &at)?;
            self.progress.train_seconds += clock.elapsed().as_secs_f64();
            if !nll_sum.is_finite() {
                let what = "loss".to_owned();
                return Err(Error::Diverged {
                    epoch: epoch + 1,
                    step: step + 1,
                    what,
                });
            }
            self.progress.nll_sum += nll_sum;
            self.progress.step_in_epoch = step + 1;
            let seen = (step + 1) * batch_size;
            let nll = self.progress.nll_sum / seen.min(self.data.train.len()) as f64;
            on_event(Event::Step {
                epoch: epoch + 1,
                step: step + 1,
                steps,
                nll,
            });
        }
        let at = self.at((epoch + 1) * steps - 1);
        if at.kl_scale >= 1.0 {
            // Before anything is over the threshold for being no number.
            let mut parameters = self.checked_parameters()?;
            parameters.kill(&self.objective.weights, &self.objective.gates);
            self.engine.load(&parameters)?;
        }
        let report = self.end_epoch(at, &mut || seconds_before + begin.elapsed().as_secs_f64())?;
        on_event(Event::Epoch(&report));
        Ok(false)
    }

    fn end_epoch(&mut self, at: At, seconds: &mut dyn FnMut() -> f64) -> Result<EpochReport> {
        let mut evaluate = |samples| self.engine.evaluate(samples);
        let test = self.recipe.train.test.then_some(&self.data.test);
        let test = test.map(&mut evaluate).transpose()?;
        let validation = self.data.validation.as_ref();
        let validation = validation.map(&mut evaluate).transpose()?;
        let is_constant = test.as_ref().or(validation.as_ref());
        let is_constant = is_constant.is_some_and(Evaluation::is_constant);
        let validation = validation.map(|validation| validation.quality());
        let kl = self.engine.kl()?;
        let parameters = self.checked_parameters()?;
        let pruned = self.pruned(parameters.clone());
        let layers = LayerCount::of(&pruned);
        let (numel, nnz) = layers
            .iter()
            .fold((0, 0), |sum, l| (sum.0 + l.numel, sum.1 + l.nnz));
        let nll = self.progress.nll_sum / self.data.train.len() as f64;
        let seconds = seconds();
        let done = self.progress.epoch + 1;
        let before = self.progress.seconds_before + seconds;
        let report = EpochReport {
            epoch: done,
            loss: self.objective.loss(nll, kl, at.kl_scale),
            nll,
            kl,
            kl_scale: at.kl_scale,
            lr: at.lr,
            test_error: test.as_ref().and_then(Evaluation::test_error),
            test_nll: test.as_ref().and_then(Evaluation::nll),
            test_loss: test.as_ref().and_then(Evaluation::test_loss),
            validation_error: validation.and_then(Quality::error),
            validation_loss: validation.and_then(Quality::loss),
            constant_output: is_constant,
            numel,
            nnz,
            compression_ratio: compression_ratio(numel, nnz),
            layers,
            gates: GateCount::of(&pruned, &self.objective.gates),
            train_seconds: self.progress.train_seconds,
            seconds,
            eta_seconds: before / done as f64 * (self.recipe.train.epochs - done) as f64,
        };
        let best = validation.filter(|&quality| self.is_best(quality, &report));
        let is_best = best.is_some();
        let best = best.map(|quality| Best::new(done, quality));
        self.progress = Progress {
            epoch: done,
            seconds_before: before,
            test_error: report.test_error,
            test_loss: report.test_loss,
            best: best.or(self.progress.best),
            ..Progress::default()
        };
        self.collapse.warn(&report);
        self.folder.append_metrics(&report)?;
        let checkpoint = self.checkpoint(parameters);
        if is_best {
            // Before the epoch's own, which says that there is a best: a crash between the two then
            // leaves a file for an epoch that is done again.
            checkpoint.write(&self.folder.best_path())?;
        }
        self.checkpoint_path = self.folder.write_checkpoint(&checkpoint)?;
        Ok(report)
    }

    /// Returns whether an epoch is the best so far: pruned enough, and no worse in validation.
    fn is_best(&self, validation: Quality, report: &EpochReport) -> bool {
        let pruned = report
            .compression_ratio
            .is_none_or(|r| r >= self.recipe.train.select_ratio);
        let best = self.progress.best.and_then(|best| best.value());
        pruned && best.is_none_or(|best| validation.value() <= best)
    }

    /// Returns the parameters with everything that is not kept set to 0.
    fn pruned(&self, mut parameters: Parameters) -> Parameters {
        let objective = &self.objective;
        parameters.prune(&objective.weights, &objective.gates);
        parameters
    }

    fn checked_parameters(&self) -> Result<Parameters> {
        let parameters = self.engine.parameters()?;
        match parameters.not_finite() {
            Some(what) => Err(Error::Diverged {
                epoch: self.progress.epoch + 1,
                step: self.progress.step_in_epoch,
                what: format!("`{what}`"),
            }),
            None => Ok(parameters),
        }
    }

    fn checkpoint(&self, parameters: Parameters) -> Checkpoint {
        Checkpoint {
            spec: self.spec.clone(),
            recipe: self.recipe.clone(),
            progress: self.progress.clone(),
            data: self.data.info.clone(),
            normalizer: self.normalizer.clone(),
            parameters,
            keep_every: self.keep_every,
            start: self.start.clone(),
        }
    }
}
