//! Target `torch-csr`: `.crow_indices`, `.col_indices` and `.values` of every weight, whatever its
//! density, for `torch.sparse_csr_tensor`. The indices are U16 or I32: cast them to int32 or int64.
//! The weight of a convolution is a matrix `[out, in / groups * rows * columns]`.

use vbd_net::Layout;

pub(super) const NAME: &str = "torch-csr";
pub(super) const LAYOUT: Layout = Layout::Csr;
