//! Networks that are not chains.

use vbd_net::spec::NetSpec;

use super::lines::net;

/// Factor on a pixel.
const SCALE: f64 = 0.003_906_25;

/// Linear layers: a branch around two of them, a branch around a ReLU only, the sum of a layer and
/// itself, and a ReLU that cannot be computed with its weight, because a sum reads the weight directly.
pub(crate) fn linear() -> NetSpec {
    net(
        SCALE,
        &[
            "linear name='fc1' out_features=11",
            "relu name='r1'",
            "linear name='fc2' out_features=13",
            "relu",
            "linear name='fc3' out_features=11",
            "add name='sum1' inputs=['fc3','r1']",
            "relu name='r2'",
            "add name='sum2' inputs=['r2','sum1','sum1']",
            "linear name='fc4' out_features=11",
            "relu name='r4'",
            "add inputs=['fc4','sum2','r4']",
            "relu",
            "linear name='out' out_features=4",
        ],
    )
}

/// Convolutions: two that read the input, a shortcut by a convolution of one tap, several paddings of
/// one value, and a flattened branch.
pub(crate) fn convolutions() -> NetSpec {
    net(
        SCALE,
        &[
            "conv2d name='conv1' out_channels=5 kernel=3 padding=1",
            "relu name='r1'",
            "conv2d name='conv2' out_channels=6 kernel=3 padding=1",
            "relu",
            "conv2d name='conv3' out_channels=5 kernel=3 padding=1",
            "conv2d name='first' input='input' out_channels=5 kernel=1",
            "add name='sum1' inputs=['conv3','r1','first']",
            "relu name='r2'",
            "conv2d name='conv4' out_channels=7 kernel=3 padding=1",
            "conv2d name='short' input='r2' out_channels=7 kernel=1",
            "add name='sum2' inputs=['short','conv4']",
            "max_pool2d kernel=2 name='pool'",
            "flatten name='flat'",
            "linear name='fc1' out_features=42",
            "add name='sum3' inputs=['fc1','flat']",
            "linear name='out' out_features=4",
        ],
    )
}
