//! Running a pruned net: a [`Plan`] of what is left of it, and [`Session`]s with their buffers.
//!
//! ```text
//! PrunedNet -> chain    (crate::chain) what cannot matter is gone, normalisation is folded
//!           -> layout   where each activation lies
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
