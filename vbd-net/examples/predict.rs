//! What an application does with a pruned file: open it, run it, read the classes.
//!
//! ```text
//! cargo run --release -p vbd-net --example predict -- FILE [PIXELS]
//! ```
//!
//! `PIXELS` has the raw pixels of one sample, 0 to 255, row-major, channels first: a byte each, or an f32
//! each, little-endian. Without it the sample is blank.

#![allow(
    clippy::print_stderr,
    clippy::format_push_string,
    reason = "a program, and a short one"
)]

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vbd_net::output::softmax;
use vbd_net::{Plan, file};

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
    let plan = Plan::load(model)?;
    let mut session = plan.session();
    let len = plan.input_len();
    let logits = match pixels {
        None => session.run(&vec![0_u8; len])?,
        Some(path) => {
            let bytes = file::read(path)?;
            if bytes.len() == len {
                session.run(&bytes)?
            } else if bytes.len() == len * size_of::<f32>() {
                session.run(&floats(&bytes))?
            } else {
                let (path, found) = (path.display(), bytes.len());
                return Err(format!(
                    "{path} has {found} bytes: expected {len} pixels, a byte or an f32 each"
                )
                .into());
            }
        }
    };
    let probabilities = softmax(logits);
    let classes = 0..probabilities.len();
    let best = classes.max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let mut shown = format!("class {}\n", best.unwrap_or_default());
    for (class, probability) in probabilities.iter().enumerate() {
        shown += &format!("{class} {probability:.6}\n");
    }
    match std::io::stdout().write_all(shown.as_bytes()) {
        // Who reads it may have read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let values = bytes.chunks_exact(size_of::<f32>());
    values
        .map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]]))
        .collect()
}
