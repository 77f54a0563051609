//! Conversion to candle-datasets' type (feature `hub`).

use candle_core::{DType, Device, Tensor};
use candle_datasets::vision;
use vbd_net::data::{Dataset, Samples, Values};

use crate::error::Result;

/// Converts a data set to CPU tensors, in the form of candle-datasets' own loaders.
///
/// # Shapes
/// - images: bytes as f32 in 0 to 1, f32 unchanged; `[samples, rows * columns]` for one channel,
///   like candle-datasets' `mnist`, else `[samples, channels, rows, columns]`, like its `cifar`
/// - labels: u8, `[samples]`
///
/// ```
/// use vbd_models::data::{digits, to_candle};
///
/// let set = to_candle(&digits(0, 30, 10)?)?;
/// assert_eq!(set.train_images.dims(), [30, 784]);
/// assert_eq!(set.labels, 10);
/// # Ok::<(), vbd_models::Error>(())
/// ```
///
/// # Errors
/// [`vbd_net::Error::Data`] if there are no labels; [`vbd_core::Error::Candle`] if creating a
/// tensor fails.
pub fn to_candle(set: &Dataset) -> Result<vision::Dataset> {
    let (train_images, train_labels) = tensors(set, &set.train)?;
    let (test_images, test_labels) = tensors(set, &set.test)?;
    let labels = set.classes;
    Ok(vision::Dataset {
        train_images,
        train_labels,
        test_images,
        test_labels,
        labels,
    })
}

fn tensors(set: &Dataset, samples: &Samples) -> Result<(Tensor, Tensor)> {
    let Some(labels) = samples.labels() else {
        return Err(vbd_net::Error::Data {
            name: set.name.clone(),
            field: "label set",
            found: "missing".to_owned(),
            expected: "one per sample".to_owned(),
        }
        .into());
    };
    let make = || {
        let dims = match set.shape {
            [1, rows, columns] => vec![samples.len(), rows * columns],
            [channels, rows, columns] => vec![samples.len(), channels, rows, columns],
        };
        let images = match samples.inputs() {
            Values::U8(pixels) => {
                let pixels = Tensor::from_slice(pixels, dims, &Device::Cpu)?;
                (pixels.to_dtype(DType::F32)? / 255.0)?
            }
            Values::F32(values) => Tensor::from_slice(values, dims, &Device::Cpu)?,
        };
        Ok((
            images,
            Tensor::from_slice(labels, samples.len(), &Device::Cpu)?,
        ))
    };
    make().map_err(|error| vbd_core::Error::Candle(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{digits, idx};

    #[test]
    fn tensors_equal_those_of_candles_own_loader() {
        let set = digits(2, 60, 20).unwrap();
        let folder = tempfile::tempdir().unwrap();
        idx::write_folder(&set, folder.path()).unwrap();
        let theirs = vision::mnist::load_dir(folder.path()).unwrap();
        let ours = to_candle(&set).unwrap();
        for (ours, theirs) in [
            (&ours.train_images, &theirs.train_images),
            (&ours.test_images, &theirs.test_images),
        ] {
            assert_eq!(
                ours.to_vec2::<f32>().unwrap(),
                theirs.to_vec2::<f32>().unwrap()
            );
        }
        for (ours, theirs) in [
            (&ours.train_labels, &theirs.train_labels),
            (&ours.test_labels, &theirs.test_labels),
        ] {
            assert_eq!(
                ours.to_vec1::<u8>().unwrap(),
                theirs.to_vec1::<u8>().unwrap()
            );
        }
        assert_eq!(ours.labels, theirs.labels);
    }

    #[test]
    fn channels_keep_their_dimension() {
        let samples = || Samples::new((0..24).collect::<Vec<u8>>(), vec![0, 1], 12).unwrap();
        let set = Dataset::new("rgb", [3, 2, 2], 2, samples(), samples()).unwrap();
        let set = to_candle(&set).unwrap();
        assert_eq!(set.test_images.dims(), [2, 3, 2, 2]);
        let pixel = set
            .test_images
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()[13];
        assert!((pixel * 255.0 - 13.0).abs() < 1e-5, "{pixel}");
    }
}
