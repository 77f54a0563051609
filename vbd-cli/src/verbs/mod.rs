//! The verbs, one file each.

mod bench;
mod completions;
mod data;
mod eval;
mod export;
mod import;
mod inspect;
mod lists;
mod predict;
mod prune;
mod push;
mod quickstart;
mod sweep;
mod train;

use std::process::ExitCode;

use vbd_prune::Report;

use self::eval::EvalResult;
pub(crate) use self::inspect::SensitivityReport;
use crate::args::Command;
use crate::error::INTERRUPTED;
use crate::render::Output;

/// Settings that every verb receives besides its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Destination of results.
    pub(crate) out: Output,
    /// Number of CPU threads.
    pub(crate) threads: usize,
}

/// Result of a verb, for `quickstart` and the exit code.
#[derive(Debug)]
pub(crate) enum VerbResult {
    /// Printed its result.
    Shown,
    /// Printed its result; some inputs failed and were reported.
    SomeFailed,
    /// Stopped a run before its last epoch.
    Interrupted,
    /// Wrote or inspected a file.
    Reported(Box<Report>),
    /// Evaluated a file.
    Evaluated(EvalResult),
}

impl VerbResult {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Interrupted => INTERRUPTED.into(),
            Self::SomeFailed => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    }
}

/// Runs a command.
pub(crate) fn run(command: &Command, context: &Context) -> anyhow::Result<VerbResult> {
    let out = &context.out;
    match command {
        Command::Train(args) => train::run(args, context),
        Command::Sweep(args) => sweep::run(args, context),
        Command::Prune(args) => prune::run(args, out),
        Command::Export(args) => export::run(args, out),
        Command::Import(args) => import::run(args, out),
        Command::Push(args) => push::run(args, out),
        Command::Eval(args) => eval::run(args, context),
        Command::Inspect(args) => inspect::run(args, out),
        Command::Predict(args) => predict::run(args, out),
        Command::Bench(args) => bench::run(args, context),
        Command::Recipes(args) => lists::recipes(args, out),
        Command::Models(args) => lists::models(args, out),
        Command::Data(args) => data::run(args, out),
        Command::Quickstart(args) => quickstart::run(args, context),
        Command::Completions(args) => completions::run(args, out),
    }
}
