//! What lists of networks, recipes and data sets hold, and texts that are built in.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};

/// A name and one line about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The name, as commands take it.
    pub name: &'static str,
    /// One line.
    pub summary: String,
}

/// TOML texts that are built in, each under a name.
pub(crate) struct BuiltIn {
    /// What they are, for errors.
    pub(crate) kind: &'static str,
    /// Name and text.
    pub(crate) texts: &'static [(&'static str, &'static str)],
}

impl BuiltIn {
    /// The text of a name.
    pub(crate) fn text(&self, name: &str) -> Result<&'static str> {
        match self.texts.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Ok(text),
            None => Err(Error::unknown(
                self.kind,
                name,
                self.texts.iter().map(|(known, _)| *known),
            )),
        }
    }

    /// Reads the text of a name or, for what looks like a path, of a file.
    pub(crate) fn read<T>(
        &self,
        name_or_path: &str,
        parse: impl FnOnce(&str, &str) -> vbd_core::Result<T>,
    ) -> Result<T> {
        if is_path(name_or_path) {
            let text = vbd_net::file::read_to_string(Path::new(name_or_path))?;
            return Ok(parse(&text, name_or_path)?);
        }
        Ok(parse(
            self.text(name_or_path)?,
            &format!("{} {name_or_path}", self.kind),
        )?)
    }
}

/// Whether what stands for a network or a recipe is a path: it ends in `.toml`, or has a separator.
///
/// ```
/// assert!(vbd_models::is_path("mine.toml") && !vbd_models::is_path("lenet-300-100"));
/// ```
pub fn is_path(text: &str) -> bool {
    let is_toml = Path::new(text)
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    is_toml || text.contains(std::path::is_separator)
}
