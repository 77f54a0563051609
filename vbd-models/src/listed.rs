//! An entry of a list of things that have names.

use serde::Serialize;

/// A name and one line about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The name, as commands take it.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
}
