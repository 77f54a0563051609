//! Small networks and data for the tests of the engines.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and compares bits"
)]

pub(crate) mod deployed;
pub(crate) mod engine;
mod lines;
pub(crate) mod residual;

use vbd_core::noise::{NoiseKey, Stream};
use vbd_core::recipe::NetToml;
use vbd_core::recipe::Recipe;
use vbd_net::data::{Dataset, Samples};
use vbd_net::spec::NetSpec;

/// Draws from (0, 1].
pub(crate) fn uniform(seed: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    NoiseKey {
        seed,
        step: 0,
        stream: Stream::Other(9),
    }
    .fill_uniform(0, &mut values);
    values
}

/// Noisy images of a few classes that a small network can tell apart.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixels and labels"
)]
pub(crate) fn dataset(shape: [usize; 3], classes: usize, train: usize, test: usize) -> Dataset {
    let len = shape.iter().product::<usize>();
    let prototypes: Vec<Vec<f32>> = (0..classes as u64)
        .map(|class| uniform(class, len))
        .collect();
    let samples = |first: usize, count: usize| {
        let mut images = Vec::with_capacity(count * len);
        let mut labels = Vec::with_capacity(count);
        for index in first..first + count {
            let class = (index * 7 + index / 3) % classes;
            let noise = uniform(1000 + index as u64, len);
            let pixels = prototypes[class].iter().zip(&noise).map(|(&p, &n)| {
                let value = if p > 0.6 {
                    200.0 * (0.4 * p + 0.6 * n)
                } else {
                    90.0 * (n - 0.5)
                };
                value.max(0.0) as u8
            });
            images.extend(pixels);
            labels.push(class as u8);
        }
        Samples::new(images, labels, len).unwrap()
    };
    Dataset::new(
        "small",
        shape,
        classes,
        samples(0, train),
        samples(train, test),
    )
    .unwrap()
}

/// A network of linear layers with these widths, ReLU between them.
pub(crate) fn mlp(input: &[usize], widths: &[usize]) -> NetSpec {
    let classes = widths.last().unwrap();
    let mut text = format!(
        "name = 'mlp'\ninput = {input:?}\nclasses = {classes}\n\
         normalize = {{ scale = 0.00390625, mean = 'image' }}\n"
    );
    for (index, width) in widths.iter().enumerate() {
        if index > 0 {
            text += "[[layer]]\nkind = 'relu'\n";
        }
        let layer = format!(
            "kind = 'linear'\nname = 'fc{}'\nout_features = {width}",
            index + 1
        );
        text += "[[layer]]\n";
        text += &layer;
        text += "\n";
    }
    NetSpec::from_toml(&text, "mlp").unwrap()
}

/// A network of two convolutions, the second padded, with pooling that leaves rows and columns over,
/// and two linear layers: LeNet-5 in small, for images of `[1, 10, 9]`.
pub(crate) fn lenet5_like(classes: usize) -> NetSpec {
    let text = format!(
        "name = 'lenet5-like'\ninput = [1, 10, 9]\nclasses = {classes}\n\
         normalize = {{ scale = 0.00390625, mean = 'image' }}\n\
         [[layer]]\nkind = 'conv2d'\nname = 'conv1'\nout_channels = 3\nkernel = 3\n\
         [[layer]]\nkind = 'relu'\n\
         [[layer]]\nkind = 'max_pool2d'\nkernel = 2\n\
         [[layer]]\nkind = 'conv2d'\nname = 'conv2'\nout_channels = 4\nkernel = 2\npadding = 1\n\
         [[layer]]\nkind = 'relu'\n\
         [[layer]]\nkind = 'max_pool2d'\nkernel = 2\n\
         [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 12\n\
         [[layer]]\nkind = 'relu'\n\
         [[layer]]\nkind = 'linear'\nname = 'fc2'\nout_features = {classes}\n"
    );
    NetSpec::from_toml(&text, "lenet5-like").unwrap()
}

/// A recipe of this kind with further TOML lines for `[train]`.
pub(crate) fn recipe(kind: &str, train: &str) -> Recipe {
    let text = format!("summary = 'test'\n[method]\nkind = '{kind}'\n[train]\n{train}\n");
    Recipe::from_toml(&text, "test").unwrap()
}
