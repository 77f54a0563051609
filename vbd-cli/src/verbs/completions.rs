//! `vbd completions`: prints a shell completion script.

use clap::CommandFactory;

use super::VerbResult;
use crate::args::{Cli, CompletionsArgs};
use crate::render::Output;

pub(crate) fn run(args: &CompletionsArgs, out: &Output) -> anyhow::Result<VerbResult> {
    // Generated in memory, because clap panics on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vbd", &mut script);
    out.text(&String::from_utf8_lossy(&script))?;
    Ok(VerbResult::Shown)
}
