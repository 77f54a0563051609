//! The verbs, one file each: what a command line does, by way of the libraries.

mod bench;
mod completions;
mod data;
mod eval;
mod inspect;
mod lists;
mod predict;
mod prune;
mod quickstart;
mod train;

use std::process::ExitCode;

use vbd_prune::Report;

use self::eval::Evaluated;
use crate::args::Command;
use crate::error::INTERRUPTED;
use crate::render::Output;

/// What every verb is given beside its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Where results go.
    pub(crate) out: Output,
    /// CPU threads.
    pub(crate) threads: usize,
}

/// What a verb has done, for a verb that goes on with it.
#[derive(Debug)]
pub(crate) enum Finished {
    /// Shown, and nothing more.
    Shown,
    /// A run was stopped before its last epoch.
    Interrupted,
    /// A file was written or looked at.
    Reported(Box<Report>),
    /// A file was measured.
    Evaluated(Evaluated),
}

impl Finished {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Interrupted => INTERRUPTED.into(),
            _ => ExitCode::SUCCESS,
        }
    }
}

/// Does what the command says.
pub(crate) fn run(command: &Command, context: &Context) -> anyhow::Result<Finished> {
    let out = &context.out;
    match command {
        Command::Train(args) => train::run(args, context),
        Command::Prune(args) => prune::run(args, out),
        Command::Eval(args) => eval::run(args, out),
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
