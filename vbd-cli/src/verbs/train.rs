//! `vbd train`: starts or resumes a run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use vbd_core::train::{Compute, EpochReport, Outcome, RunFolder, Trainer};

use super::{Context, VerbResult};
use crate::args::TrainArgs;
use crate::error::Problem;
use crate::render::{EpochView, Output, loss, percent, printable, ratio, say};
use crate::{device, files, interrupt, recipe};

/// Default directory of runs.
const RUNS: &str = "runs";

pub(crate) fn run(args: &TrainArgs, context: &Context) -> anyhow::Result<VerbResult> {
    let device = device::open(&args.device)?;
    let compute = Compute {
        device,
        threads: context.threads,
        compaction: !args.no_compaction,
    };
    let mut trainer = match (&args.resume, &args.recipe) {
        (Some(folder), _) => resumed(folder, args, &compute)?,
        (None, Some(name)) => started(name, args, &compute)?,
        (None, None) => return Err(Problem::usage("missing RECIPE or --resume RUN").into()),
    };
    if let Some(epochs) = args.keep_every {
        trainer.set_keep_every(epochs);
    }
    train(&mut trainer, &context.out)
}

/// Starts a new run.
fn started(name: &OsStr, args: &TrainArgs, compute: &Compute) -> anyhow::Result<Trainer> {
    let from = args.from.as_deref().map(files::open_start).transpose()?;
    let chosen = recipe::choose(name, &args.changes, from.as_ref())?;
    let folder = match &args.out {
        Some(folder) => {
            RunFolder::at(folder).check_free()?;
            folder.clone()
        }
        None => free_folder(&format!(
            "{}-seed{}",
            chosen.label, chosen.recipe.train.seed
        )),
    };
    let start = from.map(|file| file.into_start(&chosen.net)).transpose()?;
    let method = &chosen.recipe.method;
    let others = method.tempered();
    if !others.is_empty() {
        let weights: Vec<String> = others.iter().map(f64::to_string).collect();
        say(&format!(
            "training a tempered posterior: KL weights {} differ from 1",
            weights.join(", ")
        ));
    }
    let data = files::load_data(&chosen.data, &args.changes.dir)?;
    files::warn_of_range(&data, &chosen.net);
    if let Some(start) = &start {
        let own = if chosen.is_files_own {
            format!(", training its network `{}`", chosen.net.name)
        } else {
            String::new()
        };
        say(&format!("starting from {}{own}", start.origin));
    }
    Ok(Trainer::new(
        &chosen.net,
        &chosen.recipe,
        data,
        compute,
        &folder,
        start.as_ref(),
    )?)
}

/// Resumes a run.
fn resumed(folder: &Path, args: &TrainArgs, compute: &Compute) -> anyhow::Result<Trainer> {
    if let Some((recipe, net)) = RunFolder::at(folder).never_started()? {
        say(&format!(
            "{}: no checkpoint yet: starting the run anew",
            folder.display()
        ));
        let name = args.changes.data.as_deref().or(recipe.data.as_deref());
        let data = files::load_data(name.unwrap_or_default(), &args.changes.dir)?;
        return Ok(Trainer::new(&net, &recipe, data, compute, folder, None)?);
    }
    let run = RunFolder::open(folder)?.lock()?;
    let last = run.last_checkpoint()?;
    let checkpoint = &last.checkpoint;
    let name = args
        .changes
        .data
        .as_deref()
        .unwrap_or(&checkpoint.data.name);
    let data = files::load_data(name, &args.changes.dir)?;
    let (done, all) = (checkpoint.progress.epoch, checkpoint.recipe.train.epochs);
    let path = last.path.clone();
    let trainer = Trainer::resume(run, last, data, compute)?;
    say(&format!(
        "resuming from {}: {done} of {all} epochs done",
        path.display()
    ));
    Ok(trainer)
}

/// Trains to the last epoch or until a signal.
fn train(trainer: &mut Trainer, out: &Output) -> anyhow::Result<VerbResult> {
    let folder = trainer.folder().path().to_path_buf();
    let mut view = EpochView::new(out, trainer.recipe().train.epochs);
    if !out.is_json() {
        say(&format!(
            "training {} in {}",
            trainer.spec().name,
            folder.display()
        ));
    }
    let in_training = interrupt::InTraining::begin();
    let outcome = trainer.run(interrupt::stop_flag(), &mut |event| view.show(&event));
    drop(in_training);
    let last = view.finish();
    let outcome = outcome.with_context(|| format!("run in {} stopped", folder.display()))?;
    let last = last?;
    show_outcome(out, &outcome, last.as_ref())?;
    if outcome.interrupted {
        say(&format!(
            "interrupted: resume with `vbd train --resume {}`",
            folder.display()
        ));
        return Ok(VerbResult::Interrupted);
    }
    Ok(VerbResult::Shown)
}

#[derive(Serialize)]
struct RunPaths<'a> {
    run: &'a Path,
    checkpoint: &'a Path,
    best: Option<&'a Path>,
}

fn show_outcome(out: &Output, outcome: &Outcome, last: Option<&EpochReport>) -> anyhow::Result<()> {
    let Outcome {
        run,
        checkpoint,
        best,
        ..
    } = outcome;
    let shown = if out.is_json() {
        out.object(&RunPaths {
            run,
            checkpoint,
            best: best.as_deref(),
        })
    } else {
        let mut lines = vec![format!("checkpoint  {}", checkpoint.display())];
        lines.extend(
            best.as_ref()
                .map(|best| format!("best        {}", best.display())),
        );
        lines.extend(last.map(|last| {
            let ratio = ratio(last.compression_ratio);
            let error = last
                .test_error
                .map(|error| format!("{} % test error", percent(error)));
            let test_loss = last
                .test_loss
                .map(|value| format!("test loss {}", loss(value)));
            let quality = error.or(test_loss).unwrap_or_default();
            format!("result      {ratio} x fewer weights at {quality}")
        }));
        let lines: Vec<_> = lines.iter().map(|line| printable(line)).collect();
        out.text(&lines.join("\n"))
    };
    match shown {
        // The run is complete and on disk.
        Err(error) if error.is::<crate::render::ClosedPipe>() => Ok(()),
        shown => shown,
    }
}

/// Returns the first of `runs/NAME`, `runs/NAME-2`, ... that does not exist.
fn free_folder(name: &str) -> PathBuf {
    free_name(&Path::new(RUNS).join(name))
}

/// Returns the first of `PATH`, `PATH-2`, `PATH-3`, ... that does not exist.
pub(super) fn free_name(path: &Path) -> PathBuf {
    let numbered = |number: u64| PathBuf::from(format!("{}-{number}", path.display()));
    let names = std::iter::once(path.to_path_buf()).chain((2..).map(numbered));
    let mut free = names.filter(|path| !path.exists());
    free.next().unwrap_or_else(|| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        for expected in ["run", "run-2", "run-3"] {
            let free = free_name(&path);
            assert_eq!(free, folder.path().join(expected));
            std::fs::create_dir(free).unwrap();
        }
    }
}
