//! Runs a pruned file on one sample and prints the class probabilities, or the values of an autoencoder.
//!
//! ```text
//! cargo run --release -p vbd-net --example predict -- FILE [PIXELS]
//! ```
//!
//! `PIXELS` is a file with the raw pixels of one sample, 0 to 255, row-major, channels first: one byte or
//! one little-endian f32 per pixel. Without it, a blank sample is used.

#![allow(
    clippy::print_stderr,
    clippy::format_push_string,
    reason = "a short program"
)]

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vbd_net::data::Values;
use vbd_net::output::{mse, softmax};
use vbd_net::spec::Loss;
use vbd_net::{Plan, PrunedFile, file};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(model), pixels, None) = (arguments.next(), arguments.next(), arguments.next()) else {
        eprintln!("usage: predict FILE [PIXELS]");
        return ExitCode::from(2);
    };
    match predict(&model, pixels.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn predict(model: &Path, pixels: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let file = PrunedFile::read(model)?;
    let plan = Plan::new(file.net())?;
    let mut session = plan.session();
    let len = plan.input_len();
    let bytes = match pixels {
        None => vec![0; len],
        Some(path) => file::read(path)?,
    };
    let floats;
    let input = if bytes.len() == len {
        Values::U8(&bytes)
    } else if bytes.len() == len * size_of::<f32>() {
        floats = to_floats(&bytes);
        Values::F32(&floats)
    } else {
        let found = bytes.len();
        return Err(format!(
            "{found} bytes of pixels: expected {len} pixels of one byte or one f32 each"
        )
        .into());
    };
    let outputs = match input {
        Values::U8(pixels) => session.run(pixels)?,
        Values::F32(pixels) => session.run(pixels)?,
    };
    let mut shown = match plan.loss() {
        Loss::CrossEntropy => classes(outputs),
        Loss::Mse => values(outputs, &file.net().normalize(input)),
    };
    shown.push('\n');
    match std::io::stdout().write_all(shown.as_bytes()) {
        // The reader may close the pipe early.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Formats the predicted class and the probability of each class.
fn classes(logits: &[f32]) -> String {
    let probabilities = softmax(logits);
    let classes = 0..probabilities.len();
    let best = classes.max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let mut shown = format!("class {}", best.unwrap_or_default());
    for (class, probability) in probabilities.iter().enumerate() {
        shown += &format!("\n{class} {probability:.6}");
    }
    shown
}

/// Formats the mean squared error and the values.
fn values(outputs: &[f32], targets: &[f32]) -> String {
    let loss = mse::squared_error(outputs, targets) / outputs.len() as f64;
    let mut shown = format!("loss {loss:.6}");
    for (place, value) in outputs.iter().enumerate() {
        shown += &format!("\n{place} {value:.6}");
    }
    shown
}

fn to_floats(bytes: &[u8]) -> Vec<f32> {
    let values = bytes.chunks_exact(size_of::<f32>());
    values
        .map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]]))
        .collect()
}
