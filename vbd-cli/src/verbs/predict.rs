//! `vbd predict`: classifies images or samples of a data set, or runs an autoencoder on them.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use vbd_net::data::Values;
use vbd_net::spec::NetSpec;
use vbd_prune::{Prediction, SparseNet};

use super::VerbResult;
use crate::args::PredictArgs;
use crate::error::Problem;
use crate::files;
use crate::render::{Column, Output, Table, bar, loss, percent};

/// Width of a probability's or a loss's bar.
const BAR: usize = 20;

#[derive(Debug, Serialize)]
struct PredictResult {
    input: String,
    /// Label of the sample in the data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<u8>,
    #[serde(flatten)]
    answer: Answer,
}

/// Output of the network for one input.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Class {
        class: usize,
        probabilities: Vec<f32>,
    },
    /// Outputs of a network without classes and their mean squared error.
    Values { loss: f64, output: Vec<f32> },
}

impl Answer {
    fn of(prediction: Prediction) -> Self {
        match prediction {
            Prediction::Classes(probabilities) => {
                let most = probabilities
                    .iter()
                    .copied()
                    .fold(f32::NEG_INFINITY, f32::max);
                let mut places = probabilities.iter();
                Self::Class {
                    class: places
                        .position(|&probability| probability >= most)
                        .unwrap_or(0),
                    probabilities,
                }
            }
            Prediction::Values { outputs, loss } => Self::Values {
                loss,
                output: outputs,
            },
        }
    }
}

pub(crate) fn run(args: &PredictArgs, out: &Output) -> anyhow::Result<VerbResult> {
    let (net, runnable) = files::open_net(&args.file, args.model.as_deref())?;
    let mut predictions = Vec::new();
    if args.index.is_empty() {
        for path in &args.images {
            let pixels = read_image(path, runnable.spec(), args.invert)?;
            let input = path.display().to_string();
            predictions.push(predict(&runnable, input, pixels[..].into(), None)?);
        }
    } else {
        let data = files::load_data_for(&net, &args.file, args.data.as_deref(), &args.dir)?;
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
            predictions.push(predict(&runnable, input, samples.input(index), label)?);
        }
    }
    show(out, &predictions)?;
    Ok(VerbResult::Shown)
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

/// Reads the pixels of an image in the network's order, channels first.
fn read_image(path: &Path, spec: &NetSpec, invert: bool) -> anyhow::Result<Vec<u8>> {
    let image = image::ImageReader::open(path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(vbd_core::Error::io(path))?
        .decode()
        .with_context(|| path.display().to_string())?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (channels, fits) = match spec.input[..] {
        [channels, rows, columns] => (channels, (rows, columns) == (height, width)),
        // A network without image dimensions takes any gray image with as many pixels.
        _ => (1, spec.input_len() == width * height),
    };
    if !fits {
        let (name, net) = (path.display(), &spec.name);
        let text = format!(
            "{name}: image is {width} x {height}: network `{net}` expects {}",
            size_of(spec)
        );
        return Err(Problem::new(text).hint("resize the image first").into());
    }
    let mut pixels = match channels {
        1 => image.to_luma8().into_raw(),
        3 => {
            let interleaved = image.to_rgb8().into_raw();
            (0..3)
                .flat_map(|channel| interleaved.iter().skip(channel).step_by(3).copied())
                .collect()
        }
        _ => {
            let text = format!(
                "network `{}` expects {channels} channels: images have 1 or 3",
                spec.name
            );
            return Err(Problem::new(text)
                .hint("choose samples with --data and --index")
                .into());
        }
    };
    if invert {
        for pixel in &mut pixels {
            *pixel = u8::MAX - *pixel;
        }
    }
    Ok(pixels)
}

/// Describes the image size that the network expects.
fn size_of(spec: &NetSpec) -> String {
    match spec.input[..] {
        [_, height, width] => format!("{width} x {height}"),
        _ => format!("{} pixels", spec.input_len()),
    }
}

fn show(out: &Output, predictions: &[PredictResult]) -> anyhow::Result<()> {
    if out.is_json() {
        return predictions
            .iter()
            .try_for_each(|prediction| out.object(prediction));
    }
    let has_labels = predictions
        .iter()
        .any(|prediction| prediction.label.is_some());
    let has_classes = predictions
        .iter()
        .any(|prediction| matches!(prediction.answer, Answer::Class { .. }));
    let mut columns = vec![("input", Column::Text)];
    columns.extend(has_classes.then_some(("class", Column::Number)));
    columns.extend(has_labels.then_some(("label", Column::Number)));
    columns.push(if has_classes {
        ("probability %", Column::Number)
    } else {
        ("loss", Column::Number)
    });
    columns.push(("", Column::Bar));
    // Bars of losses are relative to the largest loss.
    let losses = predictions
        .iter()
        .map(|prediction| match prediction.answer {
            Answer::Values { loss, .. } => loss,
            Answer::Class { .. } => 0.0,
        });
    let largest = losses.fold(f64::MIN_POSITIVE, f64::max);
    let mut table = Table::new(out, &columns);
    for PredictResult {
        input,
        label,
        answer,
    } in predictions
    {
        let label = label.map(|label| label.to_string());
        let mut row = vec![input.clone()];
        match answer {
            Answer::Class {
                class,
                probabilities,
            } => {
                let probability = f64::from(probabilities[*class]);
                row.push(class.to_string());
                row.extend(label);
                row.extend([percent(probability), bar(probability, BAR)]);
            }
            Answer::Values { loss: value, .. } => {
                row.extend(label);
                row.extend([loss(*value), bar(value / largest, BAR)]);
            }
        }
        table.row(row);
    }
    out.text(&table.into_text())
}

#[cfg(test)]
mod tests {
    use vbd_core::recipe::NetToml;

    use super::*;

    fn spec(input: &str) -> NetSpec {
        let text = format!(
            "name = 'n'\ninput = {input}\nclasses = 2\n[[layer]]\nkind = 'linear'\nname = 'fc1'\n\
             out_features = 2"
        );
        NetSpec::from_toml(&text, "n").unwrap()
    }

    #[test]
    fn images_come_grey_or_channels_first_and_other_sizes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.png");
        let pixels = image::RgbImage::from_raw(2, 1, vec![255, 0, 0, 10, 10, 10]).unwrap();
        pixels.save(&path).unwrap();
        let grey = read_image(&path, &spec("[1, 1, 2]"), false).unwrap();
        assert_eq!((grey.len(), grey[1]), (2, 10));
        assert_eq!(read_image(&path, &spec("[2]"), false).unwrap(), grey);
        let colours = read_image(&path, &spec("[3, 1, 2]"), false).unwrap();
        assert_eq!(colours, [255, 10, 0, 10, 0, 10]);
        let inverted = read_image(&path, &spec("[3, 1, 2]"), true).unwrap();
        assert_eq!(inverted, [0, 245, 255, 245, 255, 245]);
        let error = read_image(&path, &spec("[1, 2, 2]"), false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2 x 1") && error.contains("2 x 2"),
            "{error}"
        );
    }
}
