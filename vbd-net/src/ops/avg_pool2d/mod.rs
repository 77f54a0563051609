//! Average pooling.

mod run;

use serde::{Deserialize, Serialize};

use super::max_pool2d::pool_window;
use super::{GEOMETRIES, Kind, NodeTensors, Plain, Units, one};
use crate::graph::{Shape, Window, image, image_of};
use crate::spec::{PoolWindow, Sides};

/// Average of each window. Padding counts as zeros, as in PyTorch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgPool2d {
    /// Name for consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Size of the window, or `"all"` for the whole image.
    pub kernel: PoolWindow,
    /// Step between windows; `None` for the window's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<Sides>,
    /// Zeros on opposite sides, at most half of the window.
    #[serde(default, skip_serializing_if = "Sides::is_zero")]
    pub padding: Sides,
}

impl AvgPool2d {
    fn window_on(&self, input: Shape) -> Result<Window, String> {
        let (_, rows, columns) = image(input)?;
        let kernel = match self.kernel {
            PoolWindow::Sides(sides) => sides,
            PoolWindow::All => Sides { rows, columns },
        };
        pool_window(kernel, self.stride, self.padding, input)
    }
}

impl Kind for AvgPool2d {
    wiring!("avg_pool2d", optional);

    fn units(&self) -> Units {
        Units::PerUnit
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = one(inputs)?;
        let [height, width] = self.window_on(input)?.output;
        image_of(input.units(), height, width)
    }

    fn window(&self, inputs: &[Shape]) -> Result<Option<Window>, String> {
        self.window_on(one(inputs)?).map(Some)
    }

    fn since(&self) -> u32 {
        GEOMETRIES
    }

    fn plain(&self, inputs: &[Plain<'_>], _own: NodeTensors<'_>, _output: Shape) -> Vec<f32> {
        let Ok(window) = self.window_on(inputs[0].shape) else {
            return Vec::new();
        };
        let images = inputs[0].values.chunks_exact(inputs[0].shape.area());
        let averages = images.flat_map(|image| {
            (0..window.positions()).map(move |position| {
                let places = window.inputs_at(position);
                places.map(|place| image[place]).sum::<f32>() / window.area() as f32
            })
        });
        averages.collect()
    }
}
