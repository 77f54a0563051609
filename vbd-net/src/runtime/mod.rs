//! Runs pruned nets: a [`Plan`] describes the computation, a [`Session`] holds its buffers.
//!
//! ```text
//! PrunedNet -> passes   (crate::passes) irrelevant parts dropped, normalisation folded
//!           -> layout   position of each activation
//!           -> kernels  one for each step, by its density
//! ```

mod buffer;
mod input;
pub(crate) mod kernels;
mod layout;
mod plan;
mod session;
mod stage;
mod threads;

pub(crate) use buffer::Buffer;
pub use kernels::Pixel;
#[doc(hidden)]
pub use kernels::arches;
pub(crate) use layout::Layout;
pub use plan::{Kernel, LayerPlan, Plan};
pub use session::Session;
pub use threads::{Threads, VARIABLE};
