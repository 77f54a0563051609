//! Networks with the kinds of layer that people deploy: batch normalisation, groups, windows of any
//! shape.
//!
//! A batch normalisation removes any shift and factor of its input. So no weight in front of one has a
//! bias, and no unit is only multiplied before one: their gradients would be rounding errors alone.

use vbd_net::spec::NetSpec;

use super::lines::net;

const SCALE: f64 = 0.003_906_25;

/// Depthwise and grouped convolutions, rectangular windows, TensorFlow's padding, pools with stride
/// and padding, softplus, weights without bias.
pub(crate) fn windows() -> NetSpec {
    net(
        SCALE,
        &[
            "conv2d name='conv1' out_channels=6 kernel=3 padding='same' bias=false",
            "batch_norm name='bn1'",
            "softplus",
            "conv2d name='depth1' out_channels=6 kernel=[3,2] padding='same' groups='depthwise'",
            "softplus",
            "batch_norm name='bn2' eps=0.05 momentum=0.3",
            "conv2d name='group1' out_channels=8 kernel=[2,3] stride=[1,2] padding=[1,1] groups=2",
            "softplus",
            "max_pool2d kernel=3 stride=[2,1] padding=1",
            "conv2d name='depth2' out_channels=16 kernel=2 groups='depthwise' bias=false",
            "batch_norm name='bn3'",
            "softplus",
            "avg_pool2d kernel=2 stride=1 padding=1",
            "flatten",
            "linear name='fc1' out_features=9 bias=false",
            "batch_norm name='bn4'",
            "softplus",
            "linear name='out' out_features=4",
        ],
    )
}

/// A small residual net with projections, as for microcontrollers: a batch normalisation behind each
/// convolution, one that follows no weight, and an image whose sides and channels are equal.
pub(crate) fn residual() -> NetSpec {
    net(
        SCALE,
        &[
            "conv2d name='conv1' out_channels=5 kernel=3 padding=1 bias=false",
            "batch_norm name='bn1'",
            "relu name='r1'",
            "conv2d name='conv2' out_channels=5 kernel=3 padding='same' bias=false",
            "batch_norm name='bn2'",
            "relu",
            "conv2d name='conv3' out_channels=5 kernel=3 padding=1 bias=false",
            "batch_norm name='bn3'",
            "add name='sum1' inputs=['bn3','r1']",
            "relu name='r2'",
            "conv2d name='conv4' out_channels=3 kernel=3 stride=2 padding='same' bias=false",
            "batch_norm name='bn4'",
            "relu",
            "conv2d name='conv5' out_channels=3 kernel=3 padding=1 bias=false",
            "batch_norm name='bn5'",
            "conv2d name='short' input='r2' out_channels=3 kernel=1 stride=2 bias=false",
            "add name='sum2' inputs=['short','bn5']",
            "relu",
            "batch_norm name='bn6'",
            "conv2d name='conv6' out_channels=3 kernel=3 padding=1",
            "avg_pool2d kernel='all'",
            "flatten",
            "linear name='out' out_features=4",
        ],
    )
}
