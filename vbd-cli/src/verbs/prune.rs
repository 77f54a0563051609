//! `vbd prune`: writes the kept weights as a file.

use std::path::Path;

use anyhow::Context as _;
use vbd_net::PrunedFile;
use vbd_net::format::WeightsFile;
use vbd_prune::report::WeightsReport;
use vbd_prune::{ModelFile, PruneOptions, Report};

use super::VerbResult;
use crate::args::PruneArgs;
use crate::error::Problem;
use crate::files;
use crate::render::{Output, show_report, show_weights};

pub(crate) fn run(args: &PruneArgs, out: &Output) -> anyhow::Result<VerbResult> {
    files::check_out(&args.destination)?;
    let from = files::open(&args.file)?;
    if let ModelFile::Weights { file, .. } = &from {
        return store_again(file, args, out);
    }
    let options = PruneOptions {
        threshold: args.threshold,
        structured: args.structured,
        layout: args.layout.0,
        values: args.values,
    };
    let pruned = vbd_prune::prune(&from, &options)
        .with_context(|| format!("pruning {}", args.file.display()))?;
    write(&pruned, &args.destination.out, out)
}

/// Writes a pruned file and reports what a reader finds. A file that cannot be read back is not written.
pub(super) fn write(pruned: &PrunedFile, path: &Path, out: &Output) -> anyhow::Result<VerbResult> {
    let bytes = pruned.to_bytes()?;
    let report = Report::of_file(&PrunedFile::from_bytes(&bytes, path)?)?;
    vbd_net::file::write_atomic(path, &bytes)?;
    show_report(out, &report)?;
    Ok(VerbResult::Reported(Box::new(report)))
}

/// Re-encodes a weights file in another layout or type.
fn store_again(file: &WeightsFile, args: &PruneArgs, out: &Output) -> anyhow::Result<VerbResult> {
    let refused = |what: &str, hint: &str| {
        let text = format!("{what}: {} has weights only", args.file.display());
        Err(Problem::usage(text).hint(hint).into())
    };
    if args.threshold.is_some() {
        return refused(
            "--threshold",
            "omit it: the zeros of the file are its pruned weights",
        );
    }
    if args.structured {
        return refused(
            "--structured",
            "removing units needs a network: train with `vbd train`",
        );
    }
    let values = args.values.unwrap_or(file.values());
    let stored = file.restored(args.layout.0, values);
    let stored = stored.with_context(|| format!("storing {}", args.file.display()))?;
    stored.write(&args.destination.out)?;
    show_weights(out, &WeightsReport::new(&stored))?;
    Ok(VerbResult::Shown)
}
