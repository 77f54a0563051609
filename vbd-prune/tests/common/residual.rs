//! Checkpoints of networks with sums, with gates that fold and gates that cannot.

use vbd_core::train::Checkpoint;
use vbd_net::spec::NetSpec;

use super::lines::net;
use super::{Draws, checkpoint_of, with_gates};

/// Factor on a pixel.
const SCALE: f64 = 0.007_812_5;

/// Two branches of linear layers, or two of convolutions with a shortcut of one tap.
pub(crate) fn residual_spec(seed: u64) -> NetSpec {
    if seed.is_multiple_of(2) {
        return net(
            SCALE,
            &[
                "linear name='fc1' out_features=12",
                "relu name='r1'",
                "linear name='fc2' out_features=9",
                "relu",
                "linear name='fc3' out_features=12",
                "add name='sum1' inputs=['fc3','r1']",
                "relu name='r2'",
                "linear name='fc4' out_features=12",
                "add name='sum2' inputs=['r2','fc4']",
                "linear name='out' out_features=4",
            ],
        );
    }
    net(
        SCALE,
        &[
            "conv2d name='conv1' out_channels=6 kernel=3 padding=1",
            "relu name='r1'",
            "conv2d name='conv2' out_channels=5 kernel=3 padding=1",
            "relu",
            "conv2d name='conv3' out_channels=6 kernel=3 padding=1",
            "add name='sum1' inputs=['conv3','r1']",
            "relu name='r2'",
            "conv2d name='conv4' out_channels=7 kernel=3 padding=1",
            "conv2d name='short' input='r2' out_channels=7 kernel=1",
            "add name='sum2' inputs=['short','conv4']",
            "max_pool2d kernel=2",
            "flatten",
            "linear name='out' out_features=4",
        ],
    )
}

/// Random parameters, mostly dead.
pub(crate) fn residual_checkpoint(seed: u64) -> Checkpoint {
    checkpoint_of(residual_spec(seed), seed)
}

/// Weights with all entries, and gates: a sum also reads the one after the first layer.
pub(crate) fn gated_residual_checkpoint(seed: u64) -> Checkpoint {
    let after: &[&str] = if seed.is_multiple_of(2) {
        &["input", "fc1", "fc2", "sum1", "fc4", "sum2"]
    } else {
        &["conv1", "conv2", "sum1", "conv4", "flatten"]
    };
    let draws = &mut Draws(seed ^ 0x1234);
    let after: Vec<&str> = after
        .iter()
        .copied()
        .filter(|_| draws.below(4) > 0)
        .collect();
    with_gates(checkpoint_of(residual_spec(seed), seed | 3), &after, seed)
}
