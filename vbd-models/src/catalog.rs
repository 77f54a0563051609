//! Entries of lists, and built-in texts.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};

/// A name with a one-line summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogEntry {
    /// Name, as used on the command line.
    pub name: &'static str,
    /// Summary in one line.
    pub summary: String,
}

/// Built-in TOML texts by name.
pub(crate) struct Catalog {
    /// Kind of the texts, for errors.
    pub(crate) kind: &'static str,
    /// Names and texts.
    pub(crate) texts: &'static [(&'static str, &'static str)],
    /// Texts of several sizes.
    pub(crate) families: &'static [Family],
}

/// A text with words in place of what differs from size to size.
pub(crate) struct Family {
    pub(crate) text: &'static str,
    /// Words in the text that are replaced.
    pub(crate) words: &'static [&'static str],
    /// Name of each member, with what replaces each word.
    pub(crate) members: &'static [(&'static str, &'static [&'static str])],
}

impl Family {
    /// Returns the text of a member.
    fn member(&self, values: &[&str]) -> String {
        let pairs = self.words.iter().zip(values);
        pairs.fold(self.text.to_owned(), |text, (word, value)| {
            text.replace(word, value)
        })
    }
}

impl Catalog {
    /// Returns names and texts in order, those of families last.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
        let members = self.families.iter().flat_map(|family| {
            let members = family.members.iter();
            members.map(|&(name, values)| (name, Cow::Owned(family.member(values))))
        });
        let texts = self.texts.iter().copied();
        texts
            .map(|(name, text)| (name, Cow::Borrowed(text)))
            .chain(members)
    }

    /// Returns the text with this name.
    pub(crate) fn text(&self, name: &str) -> Result<Cow<'static, str>> {
        let found = self.entries().find(|(known, _)| *known == name);
        let text = found.map(|(_, text)| text);
        text.ok_or_else(|| {
            let names = self.entries().map(|(known, _)| known);
            Error::unknown(self.kind, name, names)
        })
    }

    /// Parses the text with this name or, if the name looks like a path, a file.
    pub(crate) fn read<T>(
        &self,
        name_or_path: &OsStr,
        parse: impl FnOnce(&str, &str) -> vbd_core::Result<T>,
    ) -> Result<T> {
        // A name is ASCII, a path may not even be UTF-8.
        let name = name_or_path.to_str().filter(|text| !is_path(text));
        if let Some(name) = name {
            return Ok(parse(&self.text(name)?, &format!("{} {name}", self.kind))?);
        }
        let text = vbd_net::file::read_to_string(Path::new(name_or_path))?;
        Ok(parse(&text, &name_or_path.to_string_lossy())?)
    }
}

/// Returns whether a network or recipe is given by path: it ends in `.toml` or contains a path
/// separator.
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
