//! Max-pooling.

mod run;

use serde::{Deserialize, Serialize};

use super::{GEOMETRIES, Kind, NodeTensors, Plain, Units, one};
use crate::graph::{Shape, Window, image, image_of};
use crate::spec::{Padding, Sides};

/// Maximum of each window. Padding is never the maximum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2d {
    /// Name for consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Size of the window.
    pub kernel: Sides,
    /// Step between windows; `None` for the window's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<Sides>,
    /// Padding on opposite sides, at most half of the window.
    #[serde(default, skip_serializing_if = "Sides::is_zero")]
    pub padding: Sides,
}

/// Works out the positions of a pool's window.
///
/// # Errors
/// A description of the problem.
pub(super) fn pool_window(
    kernel: Sides,
    stride: Option<Sides>,
    padding: Sides,
    input: Shape,
) -> Result<Window, String> {
    let (_, height, width) = image(input)?;
    // Every window has a value of the image then.
    if padding.rows > kernel.rows / 2 || padding.columns > kernel.columns / 2 {
        return Err(format!(
            "padding of {padding} is more than half of the pool of {kernel}"
        ));
    }
    let window = Window::new(
        kernel,
        stride.unwrap_or(kernel),
        Padding::Sides(padding),
        [height, width],
    );
    window.map_err(|_| format!("pool of {kernel} does not fit its input of {height} x {width}"))
}

impl Kind for MaxPool2d {
    wiring!("max_pool2d", optional);

    fn units(&self) -> Units {
        Units::PerUnit
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = one(inputs)?;
        let [height, width] = pool_window(self.kernel, self.stride, self.padding, input)?.output;
        image_of(input.units(), height, width)
    }

    fn window(&self, inputs: &[Shape]) -> Result<Option<Window>, String> {
        pool_window(self.kernel, self.stride, self.padding, one(inputs)?).map(Some)
    }

    fn since(&self) -> u32 {
        let is_square = self.kernel.as_square().is_some();
        // Older readers do not know the key `stride`, whatever its value.
        if is_square && self.stride.is_none() && self.padding.is_zero() {
            1
        } else {
            GEOMETRIES
        }
    }

    fn plain(&self, inputs: &[Plain<'_>], _own: NodeTensors<'_>, _output: Shape) -> Vec<f32> {
        let window = pool_window(self.kernel, self.stride, self.padding, inputs[0].shape);
        let Ok(window) = window else {
            return Vec::new();
        };
        let images = inputs[0].values.chunks_exact(inputs[0].shape.area());
        let largest = images.flat_map(|image| {
            (0..window.positions()).map(move |position| {
                let places = window.inputs_at(position);
                let values = places.map(|place| image[place]);
                values.fold(f32::NEG_INFINITY, f32::max)
            })
        });
        largest.collect()
    }
}
