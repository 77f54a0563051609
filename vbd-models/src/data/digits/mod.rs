//! `digits`: a built-in data set of handwriting-like digits without files or network access.
//!
//! Each digit is drawn from a skeleton of pen strokes (`skeletons`), distorted by a random hand
//! (`hand`: displaced points, a smooth cubic displacement, slant, rotation, proportions), fitted to
//! a 20 x 20 box and centred by its mass as in MNIST (`pen`), and rendered with a random pen
//! (`ink`: thickness, blur, pressure, darkness). Most hands are neat, some are messy.
//!
//! A sample only depends on seed, split and index: a smaller set is a prefix of a larger one, on
//! any number of threads and any machine, bit for bit.

mod draws;
mod hand;
mod ink;
mod pen;
mod skeletons;

use rayon::prelude::*;
use vbd_core::noise::{NoiseKey, Stream};
use vbd_net::data::{Dataset, Samples};

use self::draws::Draws;
use self::skeletons::{SHAPES, Shape};
use crate::error::{Error, Result};

/// Name of the set.
pub(super) const NAME: &str = "digits";
/// Seed of the set called `digits`.
pub const DEFAULT_SEED: u64 = 0;
/// Training samples of the set called `digits`.
pub const DEFAULT_TRAIN: usize = 60_000;
/// Test samples of the set called `digits`.
pub const DEFAULT_TEST: usize = 10_000;

/// Maximum number of samples per split: 3.3 GB.
pub const MAX_SAMPLES: usize = 1 << 22;

/// Side of an image.
const SIDE: usize = 28;
/// Pixels of an image.
const PIXELS: usize = SIDE * SIDE;
const CLASSES: usize = SHAPES.len();
/// Stream that orders the ten digits of every ten samples.
const ORDER: Stream = Stream::Other(0xD160);

/// Generates a data set of digits: white on black, `[1, 28, 28]`, with every class in every ten
/// samples.
///
/// ```
/// let digits = vbd_models::data::digits(0, 100, 20)?;
/// assert_eq!(digits.shape, [1, 28, 28]);
/// assert_eq!(digits.train.len(), 100);
/// // a smaller set is the beginning of a larger one
/// let larger = vbd_models::data::digits(0, 200, 20)?;
/// assert_eq!(digits.train.input(99), larger.train.input(99));
/// # Ok::<(), vbd_models::Error>(())
/// ```
///
/// # Errors
/// [`vbd_net::Error::Data`] if a split has more than [`MAX_SAMPLES`] samples.
pub fn digits(seed: u64, train: usize, test: usize) -> Result<Dataset> {
    let (train, test) = (samples(seed, 0, train)?, samples(seed, 1, test)?);
    Ok(Dataset::new(NAME, [1, SIDE, SIDE], CLASSES, train, test)?)
}

/// Generates the first `len` samples of a split.
fn samples(seed: u64, split: u32, len: usize) -> Result<Samples> {
    if len > MAX_SAMPLES {
        return Err(Error::Net(vbd_net::Error::Data {
            name: NAME.to_owned(),
            field: "the number of samples",
            found: len.to_string(),
            expected: format!("at most {MAX_SAMPLES}"),
        }));
    }
    let mut images = vec![0; len * PIXELS];
    let mut labels = vec![0; len];
    let tens = images
        .par_chunks_mut(CLASSES * PIXELS)
        .zip(labels.par_chunks_mut(CLASSES));
    tens.enumerate().for_each(|(ten, (images, labels))| {
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_SAMPLES / 10")]
        let ten = ten as u32;
        let order = NoiseKey {
            seed,
            step: 2 * ten + split,
            stream: ORDER,
        }
        .permutation(CLASSES);
        let pictures = images.chunks_mut(PIXELS).zip(labels).zip(order);
        for (index, ((image, label), class)) in (10 * ten..).zip(pictures) {
            #[expect(clippy::cast_possible_truncation, reason = "under 10")]
            let class = class as u8;
            draw(
                usize::from(class),
                &mut Draws::new(seed, split, index),
                image,
            );
            *label = class;
        }
    });
    Ok(Samples::new(images, labels, PIXELS)?)
}

/// Draws a digit into a black image.
fn draw(class: usize, draws: &mut Draws, image: &mut [u8]) {
    let lines = pen::write(choose(SHAPES[class], draws.uniform()), draws);
    ink::draw(&lines, draws, image);
}

/// Returns the shape at the fraction `part`, in (0, 1], of the total weight.
fn choose(shapes: &'static [Shape], part: f32) -> &'static Shape {
    let total: u16 = shapes.iter().map(|shape| u16::from(shape.weight)).sum();
    let mut rest = part * f32::from(total);
    let (last, others) = shapes.split_last().expect("every digit has a shape");
    for shape in others {
        rest -= f32::from(shape.weight);
        if rest <= 0.0 {
            return shape;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ten_samples_have_every_class_in_an_order_of_their_own() {
        let set = digits(1, 1000, 1000).unwrap();
        let mut orders = std::collections::HashSet::new();
        for split in [&set.train, &set.test] {
            for labels in split.labels().unwrap().chunks(10) {
                let mut sorted = labels.to_vec();
                sorted.sort_unstable();
                assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
                orders.insert(labels);
            }
        }
        assert!(orders.len() > 190, "{}", orders.len());
    }

    #[test]
    fn a_sample_depends_on_nothing_but_seed_split_and_index() {
        let (small, large) = (digits(5, 37, 11).unwrap(), digits(5, 400, 300).unwrap());
        assert_eq!(
            small.train.inputs().bytes().unwrap(),
            &large.train.inputs().bytes().unwrap()[..37 * PIXELS]
        );
        assert_eq!(
            small.test.labels(),
            large.test.labels().map(|labels| &labels[..11])
        );
        assert_ne!(small.train.input(0), large.test.input(0));
        assert_ne!(
            small.train.inputs().bytes().unwrap(),
            digits(6, 37, 0).unwrap().train.inputs().bytes().unwrap()
        );
        let one = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        assert_eq!(one.install(|| digits(5, 400, 300)).unwrap(), large);
    }

    #[test]
    fn pixels_are_as_many_and_as_bright_as_mnists() {
        let set = digits(DEFAULT_SEED, 2000, 0).unwrap();
        let pixels = set.train.inputs().bytes().unwrap();
        let part = |count: usize| count as f64 / pixels.len() as f64;
        let zeros = part(pixels.iter().map(|&pixel| usize::from(pixel == 0)).sum());
        let mean = part(pixels.iter().map(|&pixel| usize::from(pixel)).sum()) / 255.0;
        // MNIST: 0.809 and 0.1307
        assert!((0.78..0.83).contains(&zeros), "{zeros}");
        assert!((0.12..0.15).contains(&mean), "{mean}");
        assert!(
            set.train
                .inputs()
                .bytes()
                .unwrap()
                .chunks(PIXELS)
                .all(|image| image.iter().any(|&p| p > 150))
        );
    }

    /// SHA-256 of the first 1,000 training images. Changing it changes every result on `digits`:
    /// recalibrate and note it in CHANGELOG.
    const IMAGES_SUM: &str = "396faaf0610e1f598e4d9fcaee5072ab158e6ff3957f562c197cbed6eddec637";

    #[test]
    fn the_set_is_the_same_on_every_machine() {
        let set = digits(DEFAULT_SEED, 1000, 0).unwrap();
        assert_eq!(
            crate::data::checksum::sha256_hex([set.train.inputs().bytes().unwrap()]),
            IMAGES_SUM
        );
    }

    #[test]
    fn too_many_samples_are_an_error() {
        assert!(digits(0, MAX_SAMPLES + 1, 0).is_err());
        assert_eq!(digits(0, 0, 0).unwrap().train.len(), 0);
    }
}
