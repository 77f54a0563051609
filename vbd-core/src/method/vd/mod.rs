//! Variational dropout with the log-uniform prior (Kingma et al. 2015; sparse with one alpha per
//! weight, Molchanov et al. 2017).

use super::Definition;
use super::posterior::{KEYS, applies, build};
use crate::prior::Prior;

pub(super) const DEFINITION: Definition = Definition {
    keys: KEYS,
    applies,
    build: |settings| build(settings, Prior::LogUniform),
};
