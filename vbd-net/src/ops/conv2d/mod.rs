//! A convolution.

mod run;

pub(crate) use run::{Conv, ConvGeometry, FUSED_WINDOW};

use serde::{Deserialize, Serialize};

use super::{Kind, RequiredTensors, Units, one};
use crate::graph::{MAX_TENSOR, Shape, checked_len, image, image_of};
use crate::spec::LayerKind;

/// Square convolution, `[batch, in, h, w] -> [batch, out_channels, h', w']`.
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
    /// Side of the square kernel.
    pub kernel: usize,
    /// Stride.
    #[serde(default = "one_step", skip_serializing_if = "is_one")]
    pub stride: usize,
    /// Zero padding on every side.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub padding: usize,
}

impl Kind for Conv2d {
    wiring!("conv2d", named);

    fn units(&self) -> Units {
        Units::Mixes
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, height, width) = image(one(inputs)?)?;
        let Self {
            out_channels,
            kernel,
            stride,
            padding,
            ..
        } = *self;
        if stride == 0 {
            return Err("stride must be positive, got 0".to_owned());
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

    fn needs(&self, inputs: &[Shape]) -> RequiredTensors {
        let channels = inputs[0].units();
        let shape = vec![self.out_channels, channels, self.kernel, self.kernel];
        RequiredTensors::Weight(LayerKind::Conv2d, shape)
    }

    fn set_units(&mut self, units: usize) {
        self.out_channels = units;
    }
}

fn one_step() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(value: &usize) -> bool {
    *value == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}
