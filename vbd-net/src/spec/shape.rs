//! Shape inference: what flows between the layers, and the weights that they need.

use std::collections::HashSet;

use super::{LayerKind, LayerSpec, NetSpec};
use crate::error::Result;

/// Largest number of values of one sample between two layers.
pub const MAX_ACTIVATION: usize = 1 << 24;
/// Largest number of entries of one weight.
pub const MAX_TENSOR: usize = 1 << 28;

/// The shape of one sample between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A vector.
    Features(usize),
    /// Channels first.
    Image {
        /// Number of channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

impl Shape {
    /// Number of values.
    pub fn len(self) -> usize {
        match self {
            Self::Features(features) => features,
            Self::Image {
                channels,
                height,
                width,
            } => channels * height * width,
        }
    }

    /// Whether there is no value at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Sizes, slowest first.
    pub fn dims(self) -> Vec<usize> {
        match self {
            Self::Features(features) => vec![features],
            Self::Image {
                channels,
                height,
                width,
            } => vec![channels, height, width],
        }
    }
}

/// A weight that a network needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSpec {
    /// Name of its layer.
    pub layer: String,
    /// Kind of its layer.
    pub kind: LayerKind,
    /// `[out, in]`, or `[out, in, kernel, kernel]`.
    pub shape: Vec<usize>,
}

impl WeightSpec {
    /// Number of entries.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Outputs: rows of the weight, and the length of its bias.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// Entries a row: the fan-in of one output.
    pub fn cols(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

impl NetSpec {
    /// The shapes between the layers: the input's, then each layer's output, so that layer `i`
    /// takes `shapes[i]` to `shapes[i + 1]`.
    ///
    /// # Errors
    /// [`crate::Error::Spec`] naming the layer if a size cannot work, a name is taken twice or is
    /// no tensor prefix, the last layer is not `classes` wide, or a size passes [`MAX_ACTIVATION`]
    /// or [`MAX_TENSOR`].
    pub fn shapes(&self) -> Result<Vec<Shape>> {
        let mut shapes = vec![self.input_shape()?];
        let mut names = HashSet::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let label = layer.label(index);
            if let Some(name) = layer.prefix() {
                self.check_name(name)?;
                if !names.insert(name) {
                    return Err(self.problem(name, "two layers have this name"));
                }
            }
            let output = layer
                .output(shapes[index])
                .map_err(|problem| self.problem(&label, problem))?;
            shapes.push(output);
        }
        self.check_output(shapes[self.layers.len()])?;
        let last = self.layers.iter().rposition(|layer| layer.name().is_some());
        for layer in &self.layers[last.unwrap_or_default()..] {
            if let LayerSpec::Select { name, .. } = layer {
                return Err(self.problem(name, "no linear or conv2d layer reads what it selects"));
            }
        }
        Ok(shapes)
    }

    /// The weights of the network, in order.
    ///
    /// # Errors
    /// As [`NetSpec::shapes`].
    pub fn weights(&self) -> Result<Vec<WeightSpec>> {
        let shapes = self.shapes()?;
        let weights = self
            .layers
            .iter()
            .zip(&shapes)
            .filter_map(|(layer, &input)| {
                let (layer, kind, shape) = match layer {
                    LayerSpec::Linear { name, out_features } => {
                        (name, LayerKind::Linear, vec![*out_features, input.len()])
                    }
                    LayerSpec::Conv2d {
                        name,
                        out_channels,
                        kernel,
                        ..
                    } => {
                        let channels = input.dims()[0];
                        (
                            name,
                            LayerKind::Conv2d,
                            vec![*out_channels, channels, *kernel, *kernel],
                        )
                    }
                    _ => return None,
                };
                Some(WeightSpec {
                    layer: layer.clone(),
                    kind,
                    shape,
                })
            });
        Ok(weights.collect())
    }

    /// Positions of each weight's output, in the order of [`NetSpec::weights`]: 1 of a linear layer.
    ///
    /// # Errors
    /// As [`NetSpec::shapes`].
    pub fn positions(&self) -> Result<Vec<usize>> {
        let shapes = self.shapes()?;
        let layers = self.layers.iter().zip(&shapes[1..]);
        let outputs = layers.filter(|(layer, _)| layer.name().is_some());
        let positions = outputs.map(|(_, &output)| output.len() / output.dims()[0]);
        Ok(positions.collect())
    }

    fn input_shape(&self) -> Result<Shape> {
        let shape = match self.input[..] {
            [features] => Shape::Features(features),
            [channels, height, width] => Shape::Image {
                channels,
                height,
                width,
            },
            _ => {
                return Err(self.problem("input", "write [channels, height, width] or [features]"));
            }
        };
        checked_len(&self.input, MAX_ACTIVATION)
            .map_err(|problem| self.problem("input", problem))?;
        self.normalize
            .check(shape)
            .map_err(|problem| self.problem("normalize", problem))?;
        Ok(shape)
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            let problem = "a layer's name is 1 to 64 letters, digits, `_` or `-`";
            return Err(self.problem(name, problem));
        }
        if matches!(name, "normalize" | "gate" | "input" | "flatten") {
            return Err(self.problem(name, "this name is kept for the file format"));
        }
        Ok(())
    }

    fn check_output(&self, output: Shape) -> Result<()> {
        if !(1..=256).contains(&self.classes) {
            return Err(self.problem("classes", "a network has 1 to 256 classes"));
        }
        if !self.layers.iter().any(|layer| layer.name().is_some()) {
            return Err(self.problem("layer", "a network needs a linear or conv2d layer"));
        }
        if output == Shape::Features(self.classes) {
            return Ok(());
        }
        let last = self.layers.iter().enumerate().next_back();
        let label = last.map_or_else(String::new, |(index, layer)| layer.label(index));
        let problem = format!(
            "the last layer gives {:?} values, but `classes` is {}",
            output.dims(),
            self.classes
        );
        Err(self.problem(&label, problem))
    }
}

impl LayerSpec {
    /// The shape of this layer's output, or what is wrong with it.
    fn output(&self, input: Shape) -> Result<Shape, String> {
        match *self {
            Self::Linear { out_features, .. } => {
                checked_len(&[out_features], MAX_ACTIVATION)?;
                checked_len(&[out_features, input.len()], MAX_TENSOR)?;
                Ok(Shape::Features(out_features))
            }
            Self::Conv2d {
                out_channels,
                kernel,
                stride,
                padding,
                ..
            } => {
                let (channels, height, width) = image(input)?;
                if stride == 0 {
                    return Err("stride is 0".to_owned());
                }
                checked_len(&[out_channels, channels, kernel, kernel], MAX_TENSOR)?;
                let side = |size: usize| {
                    let padded = padding.checked_mul(2).and_then(|p| p.checked_add(size));
                    let room = padded.and_then(|padded| padded.checked_sub(kernel));
                    let problem = || format!("kernel {kernel} is larger than its input, {size}");
                    room.map(|room| room / stride + 1).ok_or_else(problem)
                };
                image_of(out_channels, side(height)?, side(width)?)
            }
            Self::MaxPool2d { kernel } => {
                let (channels, height, width) = image(input)?;
                if kernel == 0 || kernel > height || kernel > width {
                    return Err(format!(
                        "pool {kernel} does not fit its input, {height} x {width}"
                    ));
                }
                image_of(channels, height / kernel, width / kernel)
            }
            Self::Relu {} => Ok(input),
            Self::Flatten {} => Ok(Shape::Features(input.len())),
            Self::Select { units, .. } => {
                let all = input.dims()[0];
                if units == 0 || units > all {
                    return Err(format!("keeps {units} of {all}: expected 1 to {all}"));
                }
                Ok(match input {
                    Shape::Features(_) => Shape::Features(units),
                    Shape::Image { height, width, .. } => Shape::Image {
                        channels: units,
                        height,
                        width,
                    },
                })
            }
        }
    }
}

fn image(input: Shape) -> Result<(usize, usize, usize), String> {
    match input {
        Shape::Image {
            channels,
            height,
            width,
        } => Ok((channels, height, width)),
        Shape::Features(features) => {
            Err(format!("needs an image, but {features} features come in"))
        }
    }
}

fn image_of(channels: usize, height: usize, width: usize) -> Result<Shape, String> {
    checked_len(&[channels, height, width], MAX_ACTIVATION)?;
    Ok(Shape::Image {
        channels,
        height,
        width,
    })
}

/// The product of `dims`, if none is 0 and it does not pass `most`.
fn checked_len(dims: &[usize], most: usize) -> Result<usize, String> {
    if dims.contains(&0) {
        return Err(format!("a size is 0 in {dims:?}"));
    }
    dims.iter()
        .try_fold(1_usize, |product, &dim| product.checked_mul(dim))
        .filter(|&product| product <= most)
        .ok_or_else(|| format!("{dims:?} is more than {most} values"))
}
