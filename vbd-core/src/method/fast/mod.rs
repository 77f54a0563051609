//! Fast dropout (Wang and Manning 2013): `b ~ N(sum theta x, alpha sum theta^2 x^2)` with fixed
//! alpha and no KL. This is local reparameterisation with `sigma2 = alpha theta^2`.

use std::sync::Arc;

use super::Definition;
use super::shared_alpha::{LEARN, RATE, SharedAlpha};
use crate::recipe::{Key, Value};

pub(super) const DEFINITION: Definition = Definition {
    keys: &[
        RATE,
        Key {
            default: Value::Flag(false),
            meaning: "whether each layer's alpha is learned, without a prior",
            ..LEARN
        },
    ],
    applies: |_, _| true,
    build: |settings| {
        let is_learned = settings.flag("learn");
        Arc::new(SharedAlpha::of(settings, None, is_learned))
    },
};
