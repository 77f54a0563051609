//! A posterior for each unit's factor that prunes units (Liu et al. 2019, eq. 19).
//!
//! Here are its keys and its learnt part. `B' = f(B) * (theta + sigma eps)` is computed in
//! `kernels/gate.rs` by the CPU engine and in `layers/noise_gate.rs` with Candle's operations.

use super::keys::{KL_WEIGHT, PRIOR};
use super::{Definition, GateNoise};
use crate::method::Variational;
use crate::noise::NoiseKey;
use crate::recipe::{Key, Range, Value};

pub(super) const DEFINITION: Definition = Definition {
    keys: &[
        PRIOR,
        KL_WEIGHT,
        Key {
            name: "log_alpha_threshold",
            default: Value::Methods(3.0),
            from_trained: None,
            range: Range::FINITE,
            meaning: "units with log_alpha at or above this are pruned",
        },
        Key {
            name: "log_sigma2_init",
            default: Value::Methods(-10.0),
            from_trained: None,
            range: Range::Number {
                least: -40.0,
                most: 20.0,
                words: "-40 to 20",
            },
            meaning: "initial log_sigma2",
        },
    ],
    applies: |_, _| true,
    build: |settings| {
        let prior = super::keys::prior(settings);
        Box::new(Normal(Variational {
            prior,
            log_alpha_threshold: settings.f32("log_alpha_threshold"),
            log_sigma2_init: settings.f32("log_sigma2_init"),
        }))
    },
};

/// Gate with learned theta and `log_sigma2` per unit.
#[derive(Debug)]
struct Normal(Variational);

impl GateNoise for Normal {
    fn posterior(&self) -> Option<Variational> {
        Some(self.0)
    }

    fn prunes(&self) -> bool {
        true
    }

    fn draw(&self, key: NoiseKey, unit: u32, factors: &mut [f32]) {
        key.fill_normal(unit, factors);
    }
}
