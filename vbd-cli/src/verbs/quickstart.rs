//! `vbd quickstart`: runs the whole pipeline on built-in digits and prints each command.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use serde::Serialize;

use super::eval::EvaluationResult;
use super::train::free_name;
use super::{Context, VerbResult};
use crate::args::{Cli, QuickstartArgs};
use crate::render::{Output, Paint, bytes, percent, printable, ratio, say, times};

/// Default directory.
const FOLDER: &str = "runs/quickstart";

/// Summary of the pipeline, as JSON.
#[derive(Debug, Default, Serialize)]
struct Road {
    steps: Vec<TimedCommand>,
    seconds: f64,
    compression_ratio: Option<f64>,
    test_error: Option<f64>,
    bytes: Option<u64>,
    dense_bytes: Option<u64>,
    size_ratio: Option<f64>,
}

/// One command of the pipeline.
#[derive(Debug, Serialize)]
struct TimedCommand {
    command: String,
    seconds: f64,
}

pub(crate) fn run(args: &QuickstartArgs, context: &Context) -> anyhow::Result<VerbResult> {
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| free_name(Path::new(FOLDER)));
    let (run, file) = (folder.join("run"), folder.join("pruned.safetensors"));
    let [run, file] = [run, file].map(|path: PathBuf| path.to_string_lossy().into_owned());
    let commands: [&[&str]; 5] = [
        &["train", "quickstart", "--out", &run],
        &["prune", &run, "-o", &file],
        &["eval", &file],
        &["inspect", &run],
        &["predict", &file, "--data", "digits", "--index", "0,1,2,3,4"],
    ];
    // With --json, stdout holds one object; the output of the steps goes to stderr.
    let out = &context.out;
    let steps_out = if out.is_json() {
        out.for_people_on_stderr()
    } else {
        out.clone()
    };
    let inner = Context {
        out: steps_out,
        ..context.clone()
    };
    let mut road = Road::default();
    for words in commands {
        if let VerbResult::Interrupted = road.go(words, &inner)? {
            return Ok(VerbResult::Interrupted);
        }
    }
    show(out, &road)?;
    Ok(VerbResult::Shown)
}

impl Road {
    /// Prints a command and runs it.
    fn go(&mut self, words: &[&str], context: &Context) -> anyhow::Result<VerbResult> {
        let mut command = "vbd".to_owned();
        for word in words {
            command.push(' ');
            command += &quoted(word);
        }
        let out = &context.out;
        out.text(&format!(
            "\n{}",
            Paint::Bold.apply(&printable(&format!("$ {command}")), out.colours())
        ))?;
        let cli = Cli::try_parse_from(std::iter::once(&"vbd").chain(words))?;
        let begin = Instant::now();
        let finished = super::run(&cli.command, context)?;
        let seconds = begin.elapsed().as_secs_f64();
        self.steps.push(TimedCommand { command, seconds });
        self.seconds += seconds;
        self.note(&finished);
        Ok(finished)
    }

    /// Records the values of the summary.
    fn note(&mut self, finished: &VerbResult) {
        match finished {
            VerbResult::Reported(report) if report.values.is_some() => {
                self.compression_ratio = report.compression_ratio;
                self.bytes = Some(report.bytes);
                self.dense_bytes = Some(report.dense_bytes);
                self.size_ratio = Some(report.size_ratio);
            }
            VerbResult::Evaluated(evaluated) => {
                if let EvaluationResult::Classes { test_error, .. } = evaluated.result {
                    self.test_error = Some(test_error);
                }
            }
            _ => {}
        }
    }
}

fn show(out: &Output, road: &Road) -> anyhow::Result<()> {
    if out.is_json() {
        return out.object(road);
    }
    out.text(&format!(
        "\n{}: {} x fewer weights at {} % test error; {} instead of {} ({} x smaller); {:.0} s",
        Paint::Bold.apply("quickstart", out.colours()),
        ratio(road.compression_ratio),
        road.test_error.map_or_else(String::new, percent),
        road.bytes.map_or_else(String::new, bytes),
        road.dense_bytes.map_or_else(String::new, bytes),
        road.size_ratio.map_or_else(String::new, times),
        road.seconds,
    ))?;
    say("next: see `vbd recipes`, `vbd models` and `vbd train --help`");
    Ok(())
}

/// Quotes a word for a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("runs/a-1.b"), "runs/a-1.b");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
