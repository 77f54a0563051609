//! Samples of a run: checked, split, and identified by a checksum.

use super::checkpoint::DataInfo;
use crate::data::{Batch, Batches};
use crate::error::Result;
use crate::recipe::Recipe;
use vbd_net::data::{Dataset, Samples};
use vbd_net::spec::NetSpec;

/// Training, validation and test samples of a run.
pub(super) struct RunData {
    pub(super) train: Samples,
    /// Training samples held out, if any.
    pub(super) validation: Option<Samples>,
    pub(super) test: Samples,
    batches: Batches,
    /// Identity stored in checkpoints.
    pub(super) info: DataInfo,
}

impl RunData {
    /// Splits a data set according to the recipe.
    ///
    /// # Errors
    /// [`vbd_net::Error::Data`] if it does not match network and recipe; [`crate::Error::Recipe`]
    /// if the network's input cannot be augmented as the recipe says.
    pub(super) fn new(spec: &NetSpec, recipe: &Recipe, dataset: Dataset) -> Result<Self> {
        check_data(spec, recipe, &dataset)?;
        let batches = Batches::of_recipe(recipe, spec)?;
        let crc32 = dataset.crc32();
        let (train, validation) = match recipe.train.validation {
            0 => (dataset.train, None),
            held_out => {
                let (train, validation) = dataset.train.split_last(held_out);
                (train, Some(validation))
            }
        };
        let info = DataInfo {
            name: dataset.name,
            n_train: train.len(),
            crc32,
        };
        Ok(Self {
            train,
            validation,
            test: dataset.test,
            batches,
            info,
        })
    }

    /// Builds the batch of some training samples in an epoch, counted from 0.
    pub(super) fn batch(&mut self, epoch: u32, indices: &[u32]) -> &Batch {
        self.batches.prepare(&self.train, epoch, indices)
    }

    /// Checks that the data are those that the run started with.
    ///
    /// # Errors
    /// [`vbd_net::Error::Data`] if their checksum differs.
    pub(super) fn check_same(&self, began: &DataInfo) -> Result<()> {
        if self.info.crc32 == began.crc32 {
            return Ok(());
        }
        Err(vbd_net::Error::Data {
            name: self.info.name.clone(),
            field: "checksum of images and labels",
            found: format!("{:08x}", self.info.crc32),
            expected: format!("{:08x}, as at the start of the run", began.crc32),
        }
        .into())
    }
}

/// Checks that a data set matches a network and a recipe.
pub(super) fn check_data(spec: &NetSpec, recipe: &Recipe, dataset: &Dataset) -> Result<()> {
    let problem = |field, found: String, expected: String| {
        Err(vbd_net::Error::Data {
            name: dataset.name.clone(),
            field,
            found,
            expected,
        }
        .into())
    };
    dataset.check_shape(spec)?;
    if let Some(classes) = spec.classes {
        if [&dataset.train, &dataset.test]
            .iter()
            .any(|samples| samples.labels().is_none())
        {
            let expected = format!("one per sample, for classifier `{}`", spec.name);
            return problem("label set", "missing".to_owned(), expected);
        }
        if dataset.classes > classes {
            let expected = format!("at most {classes}, as network `{}` has", spec.name);
            return problem("number of classes", dataset.classes.to_string(), expected);
        }
    }
    let (samples, held_out) = (dataset.train.len(), recipe.train.validation);
    if samples <= held_out {
        let expected = format!("more than `train.validation` = {held_out}");
        return problem("number of training samples", samples.to_string(), expected);
    }
    if dataset.test.is_empty() {
        return problem(
            "number of test samples",
            "0".to_owned(),
            "at least 1".to_owned(),
        );
    }
    let steps = (samples - held_out).div_ceil(recipe.train.batch_size) as u64;
    if steps * recipe.train.epochs as u64 >= u64::from(u32::MAX) {
        let found = (steps * recipe.train.epochs as u64).to_string();
        return problem(
            "number of steps in the run",
            found,
            "less than 2^32".to_owned(),
        );
    }
    Ok(())
}
