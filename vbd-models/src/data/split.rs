//! A split of a data set, as a source reads it.

use vbd_net::data::{Dataset, Samples};

use crate::error::Result;

/// Samples of a split.
pub(super) struct Split {
    /// `[channels, rows, columns]` of an image.
    pub(super) shape: [usize; 3],
    pub(super) samples: Samples,
    /// Largest label plus one; 0 without labels.
    pub(super) classes: usize,
}

impl Split {
    /// Creates a data set of this training split and a test split of the same shape. Without
    /// `classes`, their number follows from the largest label.
    ///
    /// # Errors
    /// Those of [`Dataset::new`].
    pub(super) fn with_test(
        self,
        test: Self,
        name: &str,
        classes: Option<usize>,
    ) -> Result<Dataset> {
        let classes = classes.unwrap_or(self.classes.max(test.classes));
        Ok(Dataset::new(
            name,
            self.shape,
            classes,
            self.samples,
            test.samples,
        )?)
    }
}
