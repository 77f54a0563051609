//! Target `torch`: dense tensors that `module.load_state_dict(load_file(FILE))` takes, strictly.

use vbd_net::Layout;

pub(super) const NAME: &str = "torch";
pub(super) const LAYOUT: Layout = Layout::Dense;
