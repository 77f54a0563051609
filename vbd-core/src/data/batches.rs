//! Batches of a run.

use vbd_net::data::{Samples, ValuesMut};
use vbd_net::spec::NetSpec;

use super::{Batch, CropFlip};
use crate::error::Result;
use crate::noise::{NoiseKey, Stream};
use crate::recipe::Recipe;

/// Key of a sample's augmentation. It does not include the position in a batch, the batch size or
/// the number of threads, so a resumed run draws the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleKey {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u32,
    /// Index of the sample in the data set.
    pub sample: u32,
}

impl SampleKey {
    /// Fills `out` with draws from the uniform distribution on (0, 1].
    pub fn fill_uniform(self, out: &mut [f32]) {
        self.noise().fill_uniform(self.sample, out);
    }

    /// Returns draw `number`, uniform in `0..most`. Not independent of [`SampleKey::fill_uniform`].
    ///
    /// # Panics
    /// If `most` is 0.
    pub fn below(self, number: u32, most: u32) -> u32 {
        assert!(most > 0, "there is no number below 0");
        // The high half of the product: the bias is under 2^-32 `most`.
        let product = u64::from(self.noise().word(self.sample, number)) * u64::from(most);
        u32::try_from(product >> 32).expect("below `most`")
    }

    fn noise(self) -> NoiseKey {
        NoiseKey {
            seed: self.seed,
            step: self.epoch,
            stream: Stream::Augment,
        }
    }
}

/// Augmentation of training samples.
///
/// The target of an autoencoder is augmented with its input.
pub trait Augment: Send {
    /// Changes the values of one input, with draws from its key only.
    fn apply(&self, key: SampleKey, input: ValuesMut<'_>);
}

/// Builds the batches of a run in shared memory.
#[derive(Default)]
pub struct Batches {
    seed: u64,
    augment: Option<Box<dyn Augment>>,
    batch: Batch,
}

impl Batches {
    /// Creates batches of unchanged samples for a run with this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Creates the batches of a recipe, augmented if it says so.
    ///
    /// # Errors
    /// Those of [`CropFlip::new`].
    pub fn of_recipe(recipe: &Recipe, spec: &NetSpec) -> Result<Self> {
        let batches = Self::new(recipe.train.seed);
        Ok(match recipe.train.augment {
            Some(setting) => batches.augmented(Box::new(CropFlip::new(setting, spec)?)),
            None => batches,
        })
    }

    /// Adds an augmentation of training samples.
    #[must_use]
    pub fn augmented(self, augment: Box<dyn Augment>) -> Self {
        Self {
            augment: Some(augment),
            ..self
        }
    }

    /// Builds the batch of some training samples in an epoch, counted from 0.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn prepare(&mut self, samples: &Samples, epoch: u32, indices: &[u32]) -> &Batch {
        let Self {
            seed,
            augment,
            batch,
        } = self;
        batch.take(samples, indices);
        if let Some(augment) = augment {
            for (row, &sample) in indices.iter().enumerate() {
                let key = SampleKey {
                    seed: *seed,
                    epoch,
                    sample,
                };
                augment.apply(key, batch.inputs.row_mut(row, samples.sample_len()));
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use vbd_net::data::Values;

    use super::*;

    /// Adds a draw to every value.
    struct Jitter;

    impl Augment for Jitter {
        fn apply(&self, key: SampleKey, input: ValuesMut<'_>) {
            let ValuesMut::F32(values) = input else {
                panic!("only f32 can be jittered")
            };
            let mut draws = vec![0.0; values.len()];
            key.fill_uniform(&mut draws);
            for (value, draw) in values.iter_mut().zip(draws) {
                *value += draw;
            }
        }
    }

    fn samples() -> Samples {
        let values: Vec<f32> = (0..12_u8).map(f32::from).collect();
        Samples::new(values, vec![3, 2, 1, 0], 3).unwrap()
    }

    fn row(batch: &Batch, row: usize) -> Vec<f32> {
        batch.inputs().range(3 * row..3 * row + 3).to_f32()
    }

    #[test]
    fn a_batch_has_the_samples_of_its_indices_whatever_it_was_before() {
        let samples = samples();
        let mut batches = Batches::new(1);
        let first = batches.prepare(&samples, 0, &[2, 0]).clone();
        assert_eq!(first, Batch::of(&samples, &[2, 0]));
        assert_eq!(first.labels(), Some(&[1, 3][..]));
        assert_eq!(first.inputs().to_f32(), [6.0, 7.0, 8.0, 0.0, 1.0, 2.0]);
        let bytes = Samples::unlabelled(vec![9_u8, 8, 7, 6], 2).unwrap();
        let second = batches.prepare(&bytes, 0, &[1, 1, 0]);
        assert_eq!(second.inputs(), Values::U8(&[7, 6, 7, 6, 9, 8]));
        assert_eq!((second.labels(), second.len()), (None, 3));
        let mut neighbours = Batch::default();
        neighbours.take_range(&samples, 1..3);
        assert_eq!(neighbours, Batch::of(&samples, &[1, 2]));
    }

    #[test]
    fn augmentation_depends_on_the_seed_the_epoch_and_the_sample_alone() {
        let samples = samples();
        let of = |seed, epoch, indices: &[u32], at| {
            let mut batches = Batches::new(seed).augmented(Box::new(Jitter));
            row(batches.prepare(&samples, epoch, indices), at)
        };
        let found = of(7, 3, &[2, 0, 1], 1);
        assert_eq!(found, of(7, 3, &[0], 0));
        assert_ne!(found, row(&Batch::of(&samples, &[0]), 0));
        for other in [of(8, 3, &[0], 0), of(7, 4, &[0], 0)] {
            assert_ne!(found, other);
        }
        // Another sample has draws of its own.
        let draws = |values: &[f32], first: f32| vec![values[0] - first, values[1] - first - 1.0];
        assert_ne!(draws(&found, 0.0), draws(&of(7, 3, &[1], 0), 3.0));
    }
}
