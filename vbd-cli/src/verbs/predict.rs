//! `vbd predict`: classes of images, or of a data set's samples.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use vbd_net::spec::NetSpec;
use vbd_prune::SparseNet;

use super::Finished;
use crate::args::PredictArgs;
use crate::error::Problem;
use crate::files;
use crate::render::{Column, Output, Table, bar, percent};

/// Width of a probability's bar.
const BAR: usize = 20;

#[derive(Debug, Serialize)]
struct Prediction {
    input: String,
    class: usize,
    /// What the data set says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<u8>,
    probabilities: Vec<f32>,
}

pub(crate) fn run(args: &PredictArgs, out: &Output) -> anyhow::Result<Finished> {
    let (net, runnable) = files::open_net(&args.file)?;
    let mut predictions = Vec::new();
    if args.index.is_empty() {
        for path in &args.images {
            let pixels = read_image(path, runnable.spec(), args.invert)?;
            predictions.push(predict(&runnable, path.display().to_string(), &pixels)?);
        }
    } else {
        let asked = (args.file.as_path(), args.data.as_deref());
        let data = files::load_data_for(&net, asked, &args.dir)?;
        let (split, samples) = (args.split.as_str(), files::split_of(&data, args.split));
        // All are looked at before any is told.
        if let Some(index) = args.index.iter().find(|&&index| index >= samples.len()) {
            let last = samples.len().saturating_sub(1);
            let text = format!(
                "--index {index}: {} has {split} samples 0 to {last}",
                data.name
            );
            return Err(Problem::new(text).into());
        }
        for &index in &args.index {
            let input = format!("{}/{split}/{index}", data.name);
            let prediction = predict(&runnable, input, samples.image(index))?;
            predictions.push(Prediction {
                label: Some(samples.labels()[index]),
                ..prediction
            });
        }
    }
    show(out, &predictions)?;
    Ok(Finished::Shown)
}

fn predict(net: &SparseNet, input: String, pixels: &[u8]) -> anyhow::Result<Prediction> {
    let probabilities = net.predict(pixels).with_context(|| input.clone())?;
    let most = probabilities
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let class = probabilities
        .iter()
        .position(|&probability| probability >= most)
        .unwrap_or(0);
    Ok(Prediction {
        input,
        class,
        label: None,
        probabilities,
    })
}

/// The pixels of an image as the network takes them: channels first.
fn read_image(path: &Path, spec: &NetSpec, invert: bool) -> anyhow::Result<Vec<u8>> {
    let image = image::ImageReader::open(path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(vbd_core::Error::io(path))?
        .decode()
        .with_context(|| path.display().to_string())?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (channels, fits) = match spec.input[..] {
        [channels, rows, columns] => (channels, (rows, columns) == (height, width)),
        // A net of plain features takes any grey image of as many pixels.
        _ => (1, spec.input_len() == width * height),
    };
    if !fits {
        let (name, net) = (path.display(), &spec.name);
        let text = format!(
            "{name}: the image is {width} x {height}: network `{net}` takes {}",
            size_of(spec)
        );
        return Err(Problem::new(text)
            .hint("resize the image; it is not done silently")
            .into());
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
                "network `{}` takes {channels} channels, an image has 1 or 3",
                spec.name
            );
            return Err(Problem::new(text)
                .hint("give samples with --data and --index")
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

/// The size of an image that the network takes.
fn size_of(spec: &NetSpec) -> String {
    match spec.input[..] {
        [_, height, width] => format!("{width} x {height}"),
        _ => format!("{} pixels", spec.input_len()),
    }
}

fn show(out: &Output, predictions: &[Prediction]) -> anyhow::Result<()> {
    if out.is_json() {
        return predictions
            .iter()
            .try_for_each(|prediction| out.object(prediction));
    }
    let has_labels = predictions
        .iter()
        .any(|prediction| prediction.label.is_some());
    let mut columns = vec![("input", Column::Text), ("class", Column::Number)];
    columns.extend(has_labels.then_some(("label", Column::Number)));
    columns.extend([("probability %", Column::Number), ("", Column::Bar)]);
    let mut table = Table::new(out, &columns);
    for Prediction {
        input,
        class,
        label,
        probabilities,
    } in predictions
    {
        let probability = f64::from(probabilities[*class]);
        let mut row = vec![input.clone(), class.to_string()];
        row.extend(label.map(|label| label.to_string()));
        row.extend([percent(probability), bar(probability, BAR)]);
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
