//! The `vbd` command: train, prune, evaluate and inspect sparse networks.
//!
//! [`args`] parses the arguments, [`verbs`] runs the command, and [`render`] prints the result. All
//! mathematics is in `vbd-core` and `vbd-prune`.

mod args;
mod assignment;
mod device;
mod error;
mod files;
mod hub;
mod interrupt;
mod logging;
mod recipe;
mod render;
mod show;
mod threads;
mod verbs;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use vbd_net::simd;

use self::args::Cli;
use self::error::Usage;
use self::render::Output;
use self::verbs::Context;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing help to a closed pipe is not an error.
            let _ = error.print();
            return if error.use_stderr() {
                error::USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    // Must run before any thread is started.
    let threads = threads::set(cli.global.threads);
    let out = Output::new(&cli.global);
    let run = || {
        logging::init(cli.global.verbose, &out);
        let set =
            simd::instruction_set().context(Usage::new("cannot choose an instruction set"))?;
        tracing::info!(instruction_set = %set, threads, "kernels");
        interrupt::install()?;
        verbs::run(
            &cli.command,
            &Context {
                out: out.clone(),
                threads,
            },
        )
    };
    match run() {
        Ok(finished) => finished.exit_code(),
        Err(error) => error::report(&error, &out),
    }
}
