//! Range checks of a recipe's values.

use crate::error::{Error, Result};

/// Result of a range check.
pub(super) struct Check {
    valid: bool,
    field: String,
    found: String,
    expected: String,
}

impl Check {
    pub(super) fn new(valid: bool, field: &str, found: &impl ToString, expected: &str) -> Self {
        Self {
            valid,
            field: field.to_owned(),
            found: found.to_string(),
            expected: expected.to_owned(),
        }
    }

    /// Returns [`Error::Recipe`] if the value is out of range; `origin` names the recipe.
    pub(super) fn pass(self, origin: &str) -> Result<()> {
        if self.valid {
            return Ok(());
        }
        Err(Error::Recipe {
            origin: origin.to_owned(),
            field: self.field,
            found: self.found,
            expected: self.expected,
        })
    }
}
