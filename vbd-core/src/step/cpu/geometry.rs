//! Geometry of a weight's taps. A linear layer is a convolution with one position.

use std::ops::Range;

use vbd_net::graph::{Graph, WeightSpec, Window};

/// Input and output of a weight, and the taps that connect their positions.
///
/// Activations are `[features, lanes]` with feature `(channel, y, x)`. A tap is a kernel position
/// and an input channel of the row's group, with number `kernel position * channels of a group +
/// channel of the group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TapGeometry {
    /// Rows of the weight: output features, or output channels.
    pub(super) rows: usize,
    /// Input features of a linear layer, or input channels of all groups.
    pub(super) channels: usize,
    /// Groups of rows and channels that do not mix.
    pub(super) groups: usize,
    /// Kernel positions.
    pub(super) kernel_area: usize,
    /// Positions of one input channel.
    pub(super) input_area: usize,
    /// Output positions.
    pub(super) positions: usize,
    /// Window of a convolution.
    pub(super) window: Option<Window>,
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
                groups: 1,
                kernel_area: 1,
                input_area: 1,
                positions: 1,
                window: None,
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
            groups: weight.groups,
            kernel_area: window.area(),
            input_area: window.input[0] * window.input[1],
            positions: window.positions(),
            window: Some(window),
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
        self.kernel_area * self.group_channels()
    }

    /// Returns the number of input channels of a group.
    pub(super) fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    /// Returns the number of rows of a group.
    pub(super) fn group_rows(&self) -> usize {
        self.rows / self.groups
    }

    /// Returns the number of input features.
    pub(super) fn inputs(&self) -> usize {
        self.channels * self.input_area
    }

    /// Returns the input position of each kernel position at an output position.
    pub(super) fn inside(&self, position: usize) -> &[u32] {
        &self.inside[position * self.kernel_area..][..self.kernel_area]
    }

    /// Returns the input row of each kernel position and channel of `channels`, `[positions,
    /// kernel_area * channels]`. Outside the image it is the row of zeros after the input.
    pub(super) fn input_rows(&self, channels: Range<usize>) -> Vec<u32> {
        let mut rows = Vec::with_capacity(self.positions * self.kernel_area * channels.len());
        for position in 0..self.positions {
            for &place in self.inside(position) {
                rows.extend(channels.clone().map(|channel| match place {
                    OUTSIDE => narrow(self.inputs()),
                    place => narrow(channel * self.input_area) + place,
                }));
            }
        }
        rows
    }

    /// Returns the taps ordered by channel: neighbours read the same part of the input.
    pub(super) fn taps_by_channel(&self) -> Vec<u32> {
        let channels = (0..self.group_channels()).map(narrow);
        let step = narrow(self.group_channels());
        channels
            .flat_map(|channel| (0..narrow(self.kernel_area)).map(move |k| k * step + channel))
            .collect()
    }

    /// Returns the flat row-major index of a row's tap in the weight.
    pub(super) fn place(&self, row: usize, tap: usize) -> u32 {
        let channels = self.group_channels();
        let (kernel_position, channel) = (tap / channels, tap % channels);
        narrow((row * channels + channel) * self.kernel_area + kernel_position)
    }

    /// Returns row and tap at a flat row-major index of the weight.
    pub(super) fn row_and_tap(&self, place: u32) -> (usize, usize) {
        let (place, row_len) = (place as usize, self.taps());
        let (row, rest) = (place / row_len, place % row_len);
        (
            row,
            rest % self.kernel_area * self.group_channels() + rest / self.kernel_area,
        )
    }
}

/// Converts an index in a weight or an activation to u32.
pub(super) fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("a spec allows 2^28 entries of a weight and 2^24 of an activation")
}
