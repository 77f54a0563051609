//! The pruned file: layouts, writer and reader. `docs/format.md` has every byte of it.
//!
//! A [`PrunedFile`] is a net with what a file adds to it: the type of its values, the layout of each
//! weight, the size on disk. A reader treats every file as hostile: it never panics, and what it
//! allocates is bounded by the file's size and not by what the file says.

mod bitmask;
mod choose;
mod csr;
mod delta;
mod dense;
mod file;
mod layout;
mod metadata;
mod reader;
mod selection;
mod size;
mod take;
mod values;
mod weights;
mod writer;

pub use file::{PrunedFile, Storage, dense_bytes};
pub use layout::Layout;
pub use metadata::{KIND, Label, Method, Provenance, VERSION};
pub use values::ValueType;
pub use weights::{NamedWeight, StoredWeight, WEIGHTS_KIND, WEIGHTS_VERSION, WeightsFile};

pub(crate) use layout::Part;
