//! The loop over epochs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::Device;

use super::checkpoint::{Best, Checkpoint, DataInfo, Progress};
use super::metrics::{EpochReport, LayerCount, compression_ratio};
use super::run_folder::RunFolder;
use crate::data::{Dataset, Samples};
use crate::error::{Error, Result};
use crate::noise::{NoiseKey, Stream};
use crate::recipe::Recipe;
use crate::spec::{NetSpec, Normalizer};
use crate::step::{At, Batch, CandleStep, CpuConfig, CpuStep, Objective, Step};
use crate::weight::Parameters;

/// Checkpoints of every fifth epoch are kept, unless the caller says otherwise.
pub const KEEP_EVERY: usize = 5;

/// Where a run computes.
#[derive(Debug, Clone)]
pub struct Compute {
    /// On a CPU the kernels of [`CpuStep`], elsewhere [`CandleStep`].
    pub device: Device,
    /// Threads of the CPU engine; 0 for as many as there are cores.
    pub threads: usize,
    /// Whether dead weights leave the CPU engine's computation where that makes it faster.
    pub compaction: bool,
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            threads: 0,
            compaction: true,
        }
    }
}

/// What a run tells while it goes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step is done.
    Step {
        /// The epoch, from 1.
        epoch: usize,
        /// The step of the epoch, from 1.
        step: usize,
        /// Steps of an epoch.
        steps: usize,
        /// Mean cross-entropy of the epoch so far, nats.
        nll: f64,
    },
    /// An epoch is done, its line and its checkpoint are on disk.
    Epoch(&'a EpochReport),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The run's folder.
    pub run: PathBuf,
    /// The last checkpoint.
    pub checkpoint: PathBuf,
    /// The checkpoint of the best epoch, where there is a validation split.
    pub best: Option<PathBuf>,
    /// Whether the run was stopped before its last epoch.
    pub interrupted: bool,
}

/// A run: a network, a recipe and data, between two steps.
pub struct Trainer {
    spec: NetSpec,
    recipe: Recipe,
    engine: Box<dyn Step>,
    train: Samples,
    validation: Option<Samples>,
    test: Samples,
    data: DataInfo,
    normalizer: Normalizer,
    progress: Progress,
    folder: RunFolder,
    keep_every: usize,
    checkpoint_path: Option<PathBuf>,
}

impl Trainer {
    /// A new run in a new folder; `start` are the first parameters if not the recipe's own.
    ///
    /// # Errors
    /// If recipe, network and data do not fit together, or the folder holds a run already.
    pub fn new(
        spec: &NetSpec,
        recipe: &Recipe,
        dataset: Dataset,
        compute: &Compute,
        (folder, start): (&Path, Option<&Parameters>),
    ) -> Result<Self> {
        recipe.check("recipe")?;
        check_data(spec, recipe, &dataset)?;
        let parameters = match start {
            Some(trained) => Parameters::start_from(spec, recipe, trained)?,
            None => Parameters::init(spec, recipe)?,
        };
        let crc32 = data_crc32(&dataset);
        let n_train = dataset.train.len() - recipe.train.validation;
        let train = dataset.train.split_last(recipe.train.validation).0;
        let checkpoint = Checkpoint {
            spec: spec.clone(),
            recipe: recipe.clone(),
            progress: Progress::default(),
            data: DataInfo {
                name: dataset.name.clone(),
                n_train,
                crc32,
            },
            normalizer: Normalizer::measure(spec, &train),
            parameters,
            keep_every: KEEP_EVERY,
        };
        let engine = build_engine(&checkpoint, compute)?;
        let folder = RunFolder::create(folder)?;
        folder.describe(&checkpoint)?;
        // Before the first step: what is killed or diverges in its first epoch can go on from here.
        let path = folder.write_checkpoint(&checkpoint)?;
        let mut trainer = Self::assemble(checkpoint, engine, dataset, folder);
        trainer.checkpoint_path = Some(path);
        Ok(trainer)
    }

    /// A run that goes on from its newest readable checkpoint as if it had never stopped.
    ///
    /// # Errors
    /// If no checkpoint can be read, or the data are not those of the run.
    pub fn resume(folder: RunFolder, dataset: Dataset, compute: &Compute) -> Result<Self> {
        let last = folder.last_checkpoint()?;
        let checkpoint = last.checkpoint;
        check_data(&checkpoint.spec, &checkpoint.recipe, &dataset)?;
        let crc32 = data_crc32(&dataset);
        if crc32 != checkpoint.data.crc32 {
            return Err(Error::Data {
                name: dataset.name,
                field: "the checksum of its images and labels",
                found: format!("{crc32:08x}"),
                expected: format!("{:08x}, as when the run began", checkpoint.data.crc32),
            });
        }
        let engine = build_engine(&checkpoint, compute)?;
        folder.cut_metrics(checkpoint.progress.epoch)?;
        folder.remove_after(&checkpoint.progress)?;
        let mut trainer = Self::assemble(checkpoint, engine, dataset, folder);
        trainer.checkpoint_path = Some(last.path);
        Ok(trainer)
    }

    fn assemble(
        checkpoint: Checkpoint,
        engine: Box<dyn Step>,
        dataset: Dataset,
        folder: RunFolder,
    ) -> Self {
        let held_out = checkpoint.recipe.train.validation;
        let (train, validation) = match held_out {
            0 => (dataset.train, None),
            held_out => {
                let (train, validation) = dataset.train.split_last(held_out);
                (train, Some(validation))
            }
        };
        Self {
            spec: checkpoint.spec,
            recipe: checkpoint.recipe,
            engine,
            train,
            validation,
            test: dataset.test,
            data: checkpoint.data,
            normalizer: checkpoint.normalizer,
            progress: checkpoint.progress,
            folder,
            keep_every: checkpoint.keep_every,
            checkpoint_path: None,
        }
    }

    /// Keeps the checkpoint of every `epochs`-th epoch; 0 for none but the newest.
    pub fn set_keep_every(&mut self, epochs: usize) {
        self.keep_every = epochs;
    }

    /// How far the run has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The recipe of the run.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The network of the run.
    pub fn spec(&self) -> &NetSpec {
        &self.spec
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    fn steps_per_epoch(&self) -> usize {
        self.train.len().div_ceil(self.recipe.train.batch_size)
    }

    /// The rates and scales of a step of the run, from 0.
    fn at(&self, step: usize) -> At {
        let all = self.recipe.train.epochs * self.steps_per_epoch();
        let t = (step as f64 + 0.5) / all as f64;
        At {
            seed: self.recipe.train.seed,
            step: u32::try_from(step).expect("checked with the data: under 2^32 steps"),
            lr: self.recipe.train.lr_at(t),
            kl_scale: self.recipe.train.kl_scale_at(t),
        }
    }

    /// Trains to the last epoch, or until `stop` is set: then the step under way is finished and a
    /// checkpoint is written.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss or a parameter is no longer finite; the last checkpoint on
    /// disk is from before. [`Error::Io`] if a file cannot be written.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Outcome> {
        while self.progress.epoch < self.recipe.train.epochs {
            if self.run_epoch(stop, on_event)? {
                return self.interrupted();
            }
        }
        self.outcome(false)
    }

    fn interrupted(&mut self) -> Result<Outcome> {
        let parameters = self.checked_parameters()?;
        let checkpoint = self.checkpoint(parameters);
        self.checkpoint_path = Some(self.folder.write_checkpoint(&checkpoint)?);
        self.outcome(true)
    }

    fn outcome(&self, interrupted: bool) -> Result<Outcome> {
        let checkpoint = self.checkpoint_path.clone();
        let best = self.progress.best.map(|_| self.folder.best_path());
        let best = best.filter(|path| path.is_file());
        Ok(Outcome {
            run: self.folder.path().to_path_buf(),
            checkpoint: checkpoint.ok_or_else(|| Error::NoCheckpoint {
                path: self.folder.path().to_path_buf(),
            })?,
            best,
            interrupted,
        })
    }

    /// The rest of the epoch under way; whether it was stopped.
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
        let order = key.permutation(self.train.len());
        let batches: Vec<&[u32]> = order.chunks(batch_size).collect();
        let from = self.progress.step_in_epoch;
        for (step, indices) in batches.into_iter().enumerate().skip(from) {
            if stop.load(Ordering::Relaxed) {
                self.progress.seconds = seconds_before + begin.elapsed().as_secs_f64();
                return Ok(true);
            }
            let at = self.at(epoch * steps + step);
            let clock = Instant::now();
            let batch = Batch {
                samples: &self.train,
                indices,
            };
            let nll_sum = self.engine.step(batch, &at)?;
            self.progress.train_seconds += clock.elapsed().as_secs_f64();
            if !nll_sum.is_finite() {
                let what = "the loss".to_owned();
                return Err(Error::Diverged {
                    epoch: epoch + 1,
                    step: step + 1,
                    what,
                });
            }
            self.progress.nll_sum += nll_sum;
            self.progress.step_in_epoch = step + 1;
            let seen = (step + 1) * batch_size;
            let nll = self.progress.nll_sum / seen.min(self.train.len()) as f64;
            on_event(Event::Step {
                epoch: epoch + 1,
                step: step + 1,
                steps,
                nll,
            });
        }
        let at = self.at((epoch + 1) * steps - 1);
        if at.kl_scale >= 1.0 {
            self.engine.kill()?;
        }
        let report = self.end_epoch(at, &mut || seconds_before + begin.elapsed().as_secs_f64())?;
        on_event(Event::Epoch(&report));
        Ok(false)
    }

    fn end_epoch(&mut self, at: At, seconds: &mut dyn FnMut() -> f64) -> Result<EpochReport> {
        let test = self.engine.evaluate(&self.test)?;
        let validation = self
            .validation
            .as_ref()
            .map(|samples| self.engine.evaluate(samples));
        let validation_error = validation
            .transpose()?
            .map(|evaluation| evaluation.test_error());
        let kl = self.engine.kl()?;
        let parameters = self.checked_parameters()?;
        let layers = LayerCount::of(&parameters, self.recipe.method.log_alpha_threshold);
        let (numel, nnz) = layers
            .iter()
            .fold((0, 0), |sum, l| (sum.0 + l.numel, sum.1 + l.nnz));
        let nll = self.progress.nll_sum / self.train.len() as f64;
        let objective = Objective::of(&self.recipe, self.train.len());
        let seconds = seconds();
        let done = self.progress.epoch + 1;
        let before = self.progress.seconds_before + seconds;
        let report = EpochReport {
            epoch: done,
            loss: nll + objective.kl_factor(at.kl_scale) * kl,
            nll,
            kl,
            kl_scale: at.kl_scale,
            lr: at.lr,
            test_error: test.test_error(),
            test_nll: test.nll,
            validation_error,
            numel,
            nnz,
            compression_ratio: compression_ratio(numel, nnz),
            layers,
            train_seconds: self.progress.train_seconds,
            seconds,
            eta_seconds: before / done as f64 * (self.recipe.train.epochs - done) as f64,
        };
        let is_best = self.is_best(&report);
        let best = if is_best {
            validation_error.map(|validation_error| Best {
                epoch: done,
                validation_error,
            })
        } else {
            self.progress.best
        };
        self.progress = Progress {
            epoch: done,
            seconds_before: before,
            test_error: Some(report.test_error),
            best,
            ..Progress::default()
        };
        self.folder.append_metrics(&report)?;
        let checkpoint = self.checkpoint(parameters);
        if is_best {
            // Before the epoch's own, which says that there is a best: a crash between the two then
            // leaves a file for an epoch that is done again.
            checkpoint.write(&self.folder.best_path())?;
        }
        self.checkpoint_path = Some(self.folder.write_checkpoint(&checkpoint)?);
        Ok(report)
    }

    /// Whether an epoch beats the best so far: pruned enough, and no worse on what was held out.
    fn is_best(&self, report: &EpochReport) -> bool {
        let Some(error) = report.validation_error else {
            return false;
        };
        let pruned = report
            .compression_ratio
            .is_none_or(|r| r >= self.recipe.train.select_ratio);
        pruned
            && self
                .progress
                .best
                .is_none_or(|best| error <= best.validation_error)
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
            data: self.data.clone(),
            normalizer: self.normalizer.clone(),
            parameters,
            keep_every: self.keep_every,
        }
    }
}

fn build_engine(checkpoint: &Checkpoint, compute: &Compute) -> Result<Box<dyn Step>> {
    let Checkpoint {
        spec,
        recipe,
        normalizer,
        parameters,
        ..
    } = checkpoint;
    let objective = Objective::of(recipe, checkpoint.data.n_train);
    if compute.device.is_cpu() {
        let config = CpuConfig {
            batch_size: recipe.train.batch_size,
            threads: compute.threads,
            compaction: compute.compaction,
        };
        return Ok(Box::new(CpuStep::new(
            spec,
            objective,
            normalizer.clone(),
            parameters,
            config,
        )?));
    }
    Ok(Box::new(CandleStep::new(
        spec,
        objective,
        normalizer,
        parameters,
        &compute.device,
    )?))
}

pub(super) fn check_data(spec: &NetSpec, recipe: &Recipe, dataset: &Dataset) -> Result<()> {
    let problem = |field, found: String, expected: String| {
        Err(Error::Data {
            name: dataset.name.clone(),
            field,
            found,
            expected,
        })
    };
    let len = dataset.shape.iter().product::<usize>();
    if spec.input != dataset.shape && spec.input != [len] {
        let expected = format!("{:?}, the input of network `{}`", spec.input, spec.name);
        return problem(
            "the shape of an image",
            format!("{:?}", dataset.shape),
            expected,
        );
    }
    if dataset.classes > spec.classes {
        let expected = format!("at most {}, those of network `{}`", spec.classes, spec.name);
        return problem(
            "the number of classes",
            dataset.classes.to_string(),
            expected,
        );
    }
    let (samples, held_out) = (dataset.train.len(), recipe.train.validation);
    if samples <= held_out {
        let expected = format!("more than the {held_out} of `train.validation`");
        return problem(
            "the number of training samples",
            samples.to_string(),
            expected,
        );
    }
    if dataset.test.is_empty() {
        return problem(
            "the number of test samples",
            "0".to_owned(),
            "at least 1".to_owned(),
        );
    }
    let steps = (samples - held_out).div_ceil(recipe.train.batch_size) as u64;
    if steps * recipe.train.epochs as u64 >= u64::from(u32::MAX) {
        let found = (steps * recipe.train.epochs as u64).to_string();
        return problem(
            "the number of steps of the run",
            found,
            "less than 2^32".to_owned(),
        );
    }
    Ok(())
}

fn data_crc32(dataset: &Dataset) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for samples in [&dataset.train, &dataset.test] {
        hasher.update(samples.images());
        hasher.update(samples.labels());
    }
    hasher.finalize()
}
