//! Max-pooling.

mod run;

use serde::{Deserialize, Serialize};

use super::{Kind, NodeTensors, Plain, Units, one};
use crate::graph::{Shape, image, image_of};

/// Maximum of each `kernel x kernel` window, with adjacent windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2d {
    /// Name for consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Side of the window and step between windows.
    pub kernel: usize,
}

impl Kind for MaxPool2d {
    wiring!("max_pool2d", optional);

    fn units(&self) -> Units {
        Units::PerUnit
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, height, width) = image(one(inputs)?)?;
        let kernel = self.kernel;
        if kernel == 0 || kernel > height || kernel > width {
            return Err(format!(
                "pool of {kernel} does not fit its input of {height} x {width}"
            ));
        }
        image_of(channels, height / kernel, width / kernel)
    }

    fn plain(&self, inputs: &[Plain<'_>], _own: NodeTensors<'_>, output: Shape) -> Vec<f32> {
        let kernel = self.kernel;
        let (input, output) = (inputs[0].shape.dims(), output.dims());
        let (height, width) = (input[1], input[2]);
        let mut values = Vec::new();
        for image in inputs[0].values.chunks_exact(height * width) {
            for position in 0..output[1] * output[2] {
                let top = position / output[2] * kernel;
                let left = position % output[2] * kernel;
                let rows = (top..top + kernel).map(|y| &image[y * width + left..][..kernel]);
                let window = rows.flatten().copied();
                values.push(window.fold(f32::NEG_INFINITY, f32::max));
            }
        }
        values
    }
}
