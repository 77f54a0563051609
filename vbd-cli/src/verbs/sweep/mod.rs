//! `vbd sweep`: many runs from one file, several at a time, and the table of their results.
//!
//! Each run is a process of its own, `vbd train`. What is finished is kept: a sweep that was stopped or killed goes on
//! with the rest.

mod run;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError, mpsc};

use anyhow::Context as _;
use serde::Serialize;
use vbd_models::sweep::Sweep;

use self::run::{Run, State};
use super::{Context, VerbResult};
use crate::args::SweepArgs;
use crate::device::DeviceName;
use crate::error::Problem;
use crate::interrupt;
use crate::render::{Output, say};

/// Default directory of sweeps.
const RUNS: &str = "runs";

/// A line per run, as JSON.
#[derive(Serialize)]
struct RunLine<'a> {
    run: &'a str,
    seed: u64,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(crate) fn run(args: &SweepArgs, context: &Context) -> anyhow::Result<VerbResult> {
    let sweep = Sweep::read(&args.sweep)?;
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| default_folder(&args.sweep));
    // Every recipe is read before anything is run.
    let runs = sweep.runs()?.into_iter();
    let runs = runs.map(|planned| Run::new(planned, args, &folder));
    let runs = runs.collect::<anyhow::Result<Vec<Run>>>()?;
    if let Some(file) = &args.emit {
        return emit(file, args, &folder, &runs);
    }
    if let Some(number) = args.index {
        let run = runs.get(number.get() - 1).ok_or_else(|| {
            let all = runs.len();
            Problem::usage(format!(
                "--index {number}: expected 1 to {all}, the runs of the sweep"
            ))
        })?;
        return Ok(match one(run, context)? {
            State::Interrupted => VerbResult::Interrupted,
            State::Failed => VerbResult::SomeFailed,
            _ => VerbResult::Shown,
        });
    }
    let state = if args.collect {
        State::Kept
    } else {
        all(&runs, args.jobs.get(), context)?
    };
    table::show(&sweep, &runs, &folder, &context.out)?;
    Ok(match state {
        State::Interrupted => {
            say("interrupted: the same command goes on");
            VerbResult::Interrupted
        }
        State::Failed => VerbResult::SomeFailed,
        _ => VerbResult::Shown,
    })
}

/// Returns `runs/NAME` for `NAME.toml`.
fn default_folder(sweep: &Path) -> PathBuf {
    let stem = sweep.file_stem().unwrap_or(sweep.as_os_str());
    Path::new(RUNS).join(stem)
}

/// Does one run, and shows its line.
fn one(run: &Run, context: &Context) -> anyhow::Result<State> {
    let guard = interrupt::InTraining::begin();
    let done = run.finish(context.threads, interrupt::stop_flag());
    drop(guard);
    show(run, &done, &context.out)?;
    Ok(state(&done))
}

fn state(done: &anyhow::Result<State>) -> State {
    *done.as_ref().unwrap_or(&State::Failed)
}

/// Shows what became of a run.
fn show(run: &Run, done: &anyhow::Result<State>, out: &Output) -> anyhow::Result<()> {
    let error = done.as_ref().err().map(|error| format!("{error:#}"));
    let state = state(done);
    if out.is_json() {
        return out.object(&RunLine {
            run: &run.planned.row,
            seed: run.planned.seed,
            state,
            error: error.as_deref(),
        });
    }
    let (name, seed) = (&run.planned.row, run.planned.seed);
    match error {
        Some(error) => say(&format!("{name}, seed {seed}: failed: {error}")),
        None => say(&format!("{name}, seed {seed}: {}", state.word())),
    }
    Ok(())
}

/// Does all runs, `jobs` at a time. Returns the worst state.
fn all(runs: &[Run], jobs: usize, context: &Context) -> anyhow::Result<State> {
    let jobs = jobs.min(runs.len());
    let threads = (context.threads / jobs).max(1);
    let (next, stop) = (Mutex::new(runs.iter()), interrupt::stop_flag());
    let (sender, receiver) = mpsc::channel();
    let guard = interrupt::InTraining::begin();
    let worst = std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let run = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(run) = run else { break };
                    let done = run.finish(threads, stop);
                    if sender.send((run, done)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut worst = State::Kept;
        for (run, done) in receiver {
            worst = worst.max(state(&done));
            show(run, &done, &context.out)?;
        }
        anyhow::Ok(worst)
    })?;
    drop(guard);
    Ok(if stop.load(Ordering::Relaxed) {
        State::Interrupted
    } else {
        worst
    })
}

/// Writes one command per run, for a shell on any machine with the same files.
fn emit(file: &Path, args: &SweepArgs, folder: &Path, runs: &[Run]) -> anyhow::Result<VerbResult> {
    let here = std::env::current_dir().context("cannot find the current directory")?;
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let quoted = |path: &Path| {
        let text = path.to_str().ok_or_else(|| {
            let path = path.display();
            Problem::new(format!("{path}: a command needs a path in UTF-8"))
        });
        anyhow::Ok(super::quickstart::quoted(text?))
    };
    let mut command = format!(
        "cd {} && {} sweep {} --out {}",
        quoted(&here)?,
        quoted(&program)?,
        quoted(&args.sweep)?,
        quoted(folder)?
    );
    let words = shared_words(args);
    for word in &words {
        command += " ";
        command += &quoted(Path::new(word))?;
    }
    let lines = (1..=runs.len()).map(|number| format!("{command} --index {number}\n"));
    let lines: String = lines.collect();
    vbd_net::file::write_atomic(file, lines.as_bytes())?;
    say(&format!("{}: {} commands", file.display(), runs.len()));
    Ok(VerbResult::Shown)
}

/// Returns the flags that a run takes from its sweep.
fn shared_words(args: &SweepArgs) -> Vec<OsString> {
    let mut words = Vec::new();
    if let Some(data) = &args.dir.data_dir {
        words.extend(["--data-dir".into(), data.clone().into_os_string()]);
    }
    if !args.device.cpu && args.device.device != DeviceName::Cpu {
        words.extend(["--device".into(), args.device.device.to_string().into()]);
    }
    words
}

/// Describes how a process ended.
fn ending(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => "killed by a signal".to_owned(),
    }
}
