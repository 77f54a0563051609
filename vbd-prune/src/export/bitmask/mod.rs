//! Target `bitmask`: `.shape`, `.compressed`, `.bitmask` and `.row_offsets` of every weight, whatever
//! its density, for `BitmaskCompressor` of compressed-tensors up to 0.14. The weight of a convolution is
//! a matrix `[out, in / groups * rows * columns]`.

use vbd_net::Layout;

pub(super) const NAME: &str = "bitmask";
pub(super) const LAYOUT: Layout = Layout::Bitmask;
