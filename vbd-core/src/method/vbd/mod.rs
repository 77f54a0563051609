//! Variational Bayesian dropout (Liu et al. 2019), with the hierarchical prior.

use super::Definition;
use super::posterior::{KEYS, applies, build};
use crate::prior::Prior;

pub(super) const DEFINITION: Definition = Definition {
    keys: KEYS,
    applies,
    build: |settings| build(settings, Prior::Hierarchical),
};
