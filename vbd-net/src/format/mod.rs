//! The pruned file: layouts, writer and reader. `docs/format.md` specifies it.
//!
//! A [`PrunedFile`] is a net together with the type of its values, the layout of each weight and
//! its size on disk. The reader accepts untrusted files: it never panics, and its allocations are
//! bounded by the file's size.

mod bitmask;
mod choose;
mod csr;
mod delta;
mod dense;
mod file;
mod file_tensors;
mod layout;
mod metadata;
mod reader;
mod selection;
mod size;
mod values;
mod weights;
mod writer;

pub use file::{PrunedFile, Storage, dense_bytes};
pub use layout::Layout;
pub use metadata::{KIND, Label, Method, Provenance, VERSION, is_of_kind, is_written_by_vbd};
pub use values::ValueType;
pub use weights::{NamedWeight, StoredWeight, WEIGHTS_KIND, WEIGHTS_VERSION, WeightsFile};

pub(crate) use layout::LayoutTensor;
pub(crate) use reader::MOST_ROWS;
