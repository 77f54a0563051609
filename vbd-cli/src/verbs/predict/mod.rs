//! `vbd predict`: classifies images, arrays or samples of a data set, or runs an autoencoder on them.

mod answer;
mod image;

use std::path::Path;

use anyhow::Context as _;
use vbd_models::data::read_array;
use vbd_models::picture::{Channels, Size, is_stdin};
use vbd_net::PrunedNet;
use vbd_net::data::{Samples, Values};
use vbd_prune::SparseNet;

use self::answer::{Answer, FailedInput, PredictResult, table};
use self::image::ImageReader;
use super::VerbResult;
use crate::args::PredictArgs;
use crate::error::{Problem, message, report_inputs};
use crate::files;
use crate::render::Output;
use crate::show::{Style, View};

/// Width of the text beside a picture.
const TEXT: usize = 24;
/// Width of a picture where nothing limits it.
const USUAL_WIDTH: usize = 80;

pub(crate) fn run(args: &PredictArgs, out: &Output) -> anyhow::Result<VerbResult> {
    if args.show && out.is_json() {
        let problem = Problem::usage("--show cannot be combined with --json");
        return Err(problem.hint("omit one of them").into());
    }
    let stdin = args.inputs.iter().filter(|path| is_stdin(path));
    if stdin.count() > 1 {
        return Err(Problem::usage("`-` is given twice: standard input is one image").into());
    }
    let (net, runnable) = files::open_net(&args.file, args.model.as_deref())?;
    let mut results = Results {
        out,
        show: args.show,
        predictions: Vec::new(),
        errors: Vec::new(),
    };
    if args.index.is_empty() {
        predict_files(args, &net, &runnable, &mut results)?;
    } else {
        predict_samples(args, &net, &runnable, &mut results)?;
    }
    results.finish()
}

/// Predicts each image that can be read, and each sample of arrays.
fn predict_files(
    args: &PredictArgs,
    net: &PrunedNet,
    runnable: &SparseNet,
    results: &mut Results,
) -> anyhow::Result<()> {
    let blank = net.blank();
    let arrays = args.inputs.iter().filter(|path| is_array(path)).count();
    if arrays > 0 && (args.invert || args.background.is_some()) {
        let problem = Problem::usage("--invert and --background are for images, not for arrays");
        return Err(problem
            .hint("omit them, or predict the arrays alone")
            .into());
    }
    let reader = (arrays < args.inputs.len()).then(|| {
        ImageReader::new(
            runnable.spec(),
            args.background,
            blank.as_deref(),
            args.invert,
        )
    });
    let reader = reader.transpose()?;
    for path in &args.inputs {
        let input = path.display().to_string();
        let read = match &reader {
            Some(reader) if !is_array(path) => reader.read(path, &input).map(InputFile::Image),
            _ => read_array(path, &runnable.spec().input)
                .map(InputFile::Array)
                .map_err(Into::into),
        };
        match read {
            Ok(InputFile::Image(view)) => {
                let prediction = predict(runnable, input, view.planes[..].into(), None)?;
                results.add(prediction, Some(&view))?;
            }
            Ok(InputFile::Array(samples)) => predict_array(&input, &samples, runnable, results)?,
            Err(error) => results.fail(&input, error)?,
        }
    }
    Ok(())
}

/// Content of a file.
enum InputFile {
    Image(View),
    Array(Samples),
}

/// Returns whether a file is a numpy array, by its name.
fn is_array(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}

/// Predicts the samples of an array: `FILE`, or `FILE[0]`, `FILE[1]`, ... if there are several.
fn predict_array(
    input: &str,
    samples: &Samples,
    runnable: &SparseNet,
    results: &mut Results,
) -> anyhow::Result<()> {
    let shape = &runnable.spec().input;
    for index in 0..samples.len() {
        let name = match samples.len() {
            1 => input.to_owned(),
            _ => format!("{input}[{index}]"),
        };
        let values = samples.input(index);
        let view = results.show.then(|| view_of(shape, values)).transpose()?;
        results.add(predict(runnable, name, values, None)?, view.as_ref())?;
    }
    Ok(())
}

/// Predicts samples of a data set.
fn predict_samples(
    args: &PredictArgs,
    net: &PrunedNet,
    runnable: &SparseNet,
    results: &mut Results,
) -> anyhow::Result<()> {
    let data = files::load_data_for(net, &args.file, args.data.as_deref(), &args.dir)?;
    let (split, samples) = (args.split.as_str(), files::split_of(&data, args.split));
    // Checks all indices before printing anything.
    if let Some(index) = args.index.iter().find(|&&index| index >= samples.len()) {
        let last = samples.len().saturating_sub(1);
        let text = format!(
            "--index {index} out of range: {} has {split} samples 0 to {last}",
            data.name
        );
        return Err(Problem::new(text).into());
    }
    for &index in &args.index {
        let input = format!("{}/{split}/{index}", data.name);
        let label = samples.labels().map(|labels| labels[index]);
        let values = samples.input(index);
        let view = args.show.then(|| view_of(&data.shape, values)).transpose();
        let view = view.with_context(|| data.name.clone())?;
        results.add(predict(runnable, input, values, label)?, view.as_ref())?;
    }
    Ok(())
}

/// Answers so far.
struct Results<'a> {
    out: &'a Output,
    show: bool,
    /// Answers of the table.
    predictions: Vec<PredictResult>,
    errors: Vec<anyhow::Error>,
}

impl Results<'_> {
    /// Prints an answer, or keeps it for the table.
    fn add(&mut self, prediction: PredictResult, view: Option<&View>) -> anyhow::Result<()> {
        if self.out.is_json() {
            return self.out.object(&prediction);
        }
        if let Some(view) = view.filter(|_| self.show) {
            return self.out.text(&self.beside(view, &prediction));
        }
        self.predictions.push(prediction);
        Ok(())
    }

    /// Keeps the error of an input. In JSON, prints it as well.
    fn fail(&mut self, input: &str, error: anyhow::Error) -> anyhow::Result<()> {
        if self.out.is_json() {
            let error = &message(&error);
            self.out.object(&FailedInput { input, error })?;
        }
        self.errors.push(error);
        Ok(())
    }

    /// Prints the table, then the errors.
    fn finish(self) -> anyhow::Result<VerbResult> {
        if !self.predictions.is_empty() {
            self.out.text(&table(self.out, &self.predictions))?;
        }
        if self.errors.is_empty() {
            return Ok(VerbResult::Shown);
        }
        report_inputs(&self.errors, self.out);
        Ok(VerbResult::SomeFailed)
    }

    /// Sets the answer beside the picture.
    fn beside(&self, view: &View, prediction: &PredictResult) -> String {
        let columns = self.out.width().unwrap_or(USUAL_WIDTH);
        let columns = columns.saturating_sub(TEXT).max(8);
        let picture = view.lines(Style::choose(self.out.colours()), columns);
        let width = view.width(columns);
        let mut texts = prediction.lines().into_iter();
        let mut lines: Vec<String> = picture
            .into_iter()
            .map(|line| match texts.next() {
                Some(text) => format!("{line}  {text}"),
                None => line.trim_end().to_owned(),
            })
            .collect();
        lines.extend(texts.map(|text| format!("{:width$}  {text}", "")));
        lines.push(String::new());
        lines.join("\n")
    }
}

fn predict(
    net: &SparseNet,
    input: String,
    pixels: Values<'_>,
    label: Option<u8>,
) -> anyhow::Result<PredictResult> {
    let prediction = net.predict(pixels).with_context(|| input.clone())?;
    Ok(PredictResult {
        input,
        label,
        answer: Answer::of(prediction),
    })
}

/// Returns a sample as pixels. Numbers that are no bytes are scaled to their range.
///
/// # Errors
/// If samples of this shape are no images.
fn view_of(shape: &[usize], values: Values<'_>) -> Result<View, Problem> {
    let (channels, size) = match *shape {
        [1, height, width] => (Channels::Grey, Size { width, height }),
        [3, height, width] => (Channels::Rgb, Size { width, height }),
        _ => {
            let text = format!("samples of shape {shape:?} are no images: cannot show them");
            return Err(Problem::new(text).hint("omit --show"));
        }
    };
    let planes = match values {
        Values::U8(pixels) => pixels.to_vec(),
        Values::F32(values) => to_bytes(values),
    };
    Ok(View {
        size,
        channels,
        planes,
    })
}

/// Scales numbers from their least to their greatest to bytes.
#[expect(clippy::cast_possible_truncation, reason = "the values are 0 to 255")]
#[expect(clippy::cast_sign_loss, reason = "the values are 0 to 255")]
fn to_bytes(values: &[f32]) -> Vec<u8> {
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let greatest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = (greatest - least).max(f32::MIN_POSITIVE);
    let bytes = values
        .iter()
        .map(|value| ((value - least) / range * 255.0).round() as u8);
    bytes.collect()
}
