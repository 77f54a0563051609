//! A convolution.

mod run;

pub(crate) use run::{Conv, ConvGeometry, FUSED_WINDOW};

use serde::{Deserialize, Serialize};

use super::{GEOMETRIES, Kind, RequiredTensors, Units, is_true, one, yes};
use crate::graph::{MAX_TENSOR, Shape, Window, checked_len, image, image_of};
use crate::spec::{Groups, LayerKind, Padding, Sides};

/// Convolution, `[batch, in, h, w] -> [batch, out_channels, h', w']`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Prefix of the layer's tensors.
    pub name: String,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Number of output channels.
    pub out_channels: usize,
    /// Size of the kernel.
    pub kernel: Sides,
    /// Stride.
    #[serde(default = "Sides::one", skip_serializing_if = "Sides::is_one")]
    pub stride: Sides,
    /// Zero padding.
    #[serde(default, skip_serializing_if = "Padding::is_default")]
    pub padding: Padding,
    /// Groups of channels that do not mix.
    #[serde(default, skip_serializing_if = "Groups::is_default")]
    pub groups: Groups,
    /// Whether there is a bias.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub bias: bool,
}

impl Conv2d {
    /// Creates a convolution with a stride of 1, without padding, with a bias.
    pub fn new(name: &str, out_channels: usize, kernel: impl Into<Sides>) -> Self {
        Self {
            name: name.to_owned(),
            input: None,
            out_channels,
            kernel: kernel.into(),
            stride: Sides::one(),
            padding: Padding::default(),
            groups: Groups::default(),
            bias: true,
        }
    }

    /// Returns the number of groups for an input of `channels`, which divides both.
    fn groups_of(&self, channels: usize) -> Result<usize, String> {
        let groups = match self.groups {
            Groups::Number(groups) => groups,
            Groups::Depthwise => channels,
        };
        let outputs = self.out_channels;
        if groups == 0 || !channels.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return Err(format!(
                "{groups} groups do not divide {channels} input and {outputs} output channels"
            ));
        }
        Ok(groups)
    }

    fn window_on(&self, input: Shape) -> Result<Window, String> {
        let (_, height, width) = image(input)?;
        Window::new(self.kernel, self.stride, self.padding, [height, width])
    }
}

impl Kind for Conv2d {
    wiring!("conv2d", named);

    fn units(&self) -> Units {
        Units::Mixes
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = one(inputs)?;
        let (channels, ..) = image(input)?;
        let window = self.window_on(input)?;
        let [rows, columns] = window.kernel;
        let inputs = channels / self.groups_of(channels)?;
        checked_len(&[self.out_channels, inputs, rows, columns], MAX_TENSOR)?;
        image_of(self.out_channels, window.output[0], window.output[1])
    }

    fn window(&self, inputs: &[Shape]) -> Result<Option<Window>, String> {
        self.window_on(one(inputs)?).map(Some)
    }

    fn needs(&self, inputs: &[Shape]) -> RequiredTensors {
        let channels = inputs[0].units();
        let groups = self.groups_of(channels).unwrap_or(1);
        let Sides { rows, columns } = self.kernel;
        RequiredTensors::Weight {
            kind: LayerKind::Conv2d,
            shape: vec![self.out_channels, channels / groups, rows, columns],
            groups,
            has_bias: self.bias,
        }
    }

    fn set_units(&mut self, units: usize) {
        self.out_channels = units;
    }

    fn set_groups(&mut self, groups: usize) {
        // One group per input channel is so for any number of channels.
        if self.groups != Groups::Depthwise {
            self.groups = Groups::Number(groups);
        }
    }

    fn add_bias(&mut self) {
        self.bias = true;
    }

    fn since(&self) -> u32 {
        let is_square = |sides: Sides| sides.as_square().is_some();
        let pads_square = matches!(self.padding, Padding::Sides(sides) if is_square(sides));
        let is_old = is_square(self.kernel) && is_square(self.stride) && pads_square;
        if is_old && self.groups.is_default() && self.bias {
            1
        } else {
            GEOMETRIES
        }
    }
}
