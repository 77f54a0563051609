//! Geometry of a weight's taps. A linear layer is a convolution with one position.

use vbd_net::graph::{Graph, WeightSpec};

/// Input and output of a weight, and the taps that connect their positions.
///
/// Activations are `[features, lanes]` with feature `(channel, y, x)`. A tap is a kernel position
/// and an input channel, with number `kernel position * channels + channel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TapGeometry {
    /// Rows of the weight: output features, or output channels.
    pub(super) rows: usize,
    /// Input features of a linear layer, or input channels.
    pub(super) channels: usize,
    /// Kernel positions.
    pub(super) kernel_area: usize,
    /// Positions of one input channel.
    pub(super) input_area: usize,
    /// Output positions.
    pub(super) positions: usize,
    /// `[positions, kernel_area]`: the input position of a kernel position, or [`OUTSIDE`].
    inside: Vec<u32>,
}

/// Input position of a kernel position in the padding.
pub(super) const OUTSIDE: u32 = u32::MAX;

impl TapGeometry {
    /// Creates the geometry of a weight of a network.
    pub(super) fn new(graph: &Graph, weight: &WeightSpec) -> Self {
        let node = graph.node(weight.node);
        let Some(window) = node.window else {
            return Self {
                rows: weight.rows(),
                channels: weight.cols(),
                kernel_area: 1,
                input_area: 1,
                positions: 1,
                inside: vec![0],
            };
        };
        let positions = 0..window.positions();
        let inside = positions.flat_map(|position| {
            let places = 0..window.area();
            places.map(move |place| window.input_at(position, place).map_or(OUTSIDE, narrow))
        });
        Self {
            rows: weight.rows(),
            channels: weight.inputs(),
            kernel_area: window.area(),
            input_area: window.input[0] * window.input[1],
            positions: window.positions(),
            inside: inside.collect(),
        }
    }

    /// Returns the geometry with fewer rows and input channels or features.
    pub(super) fn narrowed(self, rows: usize, channels: usize) -> Self {
        Self {
            rows,
            channels,
            ..self
        }
    }

    /// Returns the number of taps per row.
    pub(super) fn taps(&self) -> usize {
        self.kernel_area * self.channels
    }

    /// Returns the number of input features.
    pub(super) fn inputs(&self) -> usize {
        self.channels * self.input_area
    }

    /// Returns the input position of each kernel position at an output position.
    pub(super) fn inside(&self, position: usize) -> &[u32] {
        &self.inside[position * self.kernel_area..][..self.kernel_area]
    }

    /// Returns the input row of each tap, `[positions, taps]`. Outside the image it is the row of
    /// zeros after the input.
    pub(super) fn input_rows(&self) -> Vec<u32> {
        let mut rows = Vec::with_capacity(self.positions * self.taps());
        for position in 0..self.positions {
            for &place in self.inside(position) {
                rows.extend((0..self.channels).map(|channel| match place {
                    OUTSIDE => narrow(self.inputs()),
                    place => narrow(channel * self.input_area) + place,
                }));
            }
        }
        rows
    }

    /// Returns the taps ordered by channel: neighbours read the same part of the input.
    pub(super) fn taps_by_channel(&self) -> Vec<u32> {
        let channels = (0..self.channels).map(narrow);
        let step = narrow(self.channels);
        channels
            .flat_map(|channel| (0..narrow(self.kernel_area)).map(move |k| k * step + channel))
            .collect()
    }

    /// Returns the flat row-major index of a row's tap in the weight.
    pub(super) fn place(&self, row: usize, tap: usize) -> u32 {
        let (kernel_position, channel) = (tap / self.channels, tap % self.channels);
        narrow((row * self.channels + channel) * self.kernel_area + kernel_position)
    }

    /// Returns row and tap at a flat row-major index of the weight.
    pub(super) fn row_and_tap(&self, place: u32) -> (usize, usize) {
        let (place, row_len) = (place as usize, self.taps());
        let (row, rest) = (place / row_len, place % row_len);
        (
            row,
            rest % self.kernel_area * self.channels + rest / self.kernel_area,
        )
    }
}

/// Converts an index in a weight or an activation to u32.
pub(super) fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("a spec allows 2^28 entries of a weight and 2^24 of an activation")
}
