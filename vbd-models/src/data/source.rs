//! Data sets by name.

use std::path::{Path, PathBuf};

use vbd_net::data::Dataset;

use super::digits::{self, digits};
use super::idx;
use super::named::NamedSet;
use crate::catalog::CatalogEntry;
use crate::error::{Error, Result};

/// Source of a data set.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataSource {
    /// `digits`: the built-in data set.
    Digits,
    /// `mnist` or `fashion-mnist`: a named data set, read from IDX files.
    Named(NamedSet),
    /// `idx:FOLDER`: a user's own IDX files.
    Idx(PathBuf),
}

const IDX_PREFIX: &str = "idx:";
const KNOWN: [(&str, &str); 4] = [
    (
        digits::NAME,
        "synthetic handwritten digits, 60,000 train and 10,000 test, built in",
    ),
    (
        "mnist",
        "handwritten digits, 60,000 train and 10,000 test, from IDX files",
    ),
    (
        "fashion-mnist",
        "clothing images, 60,000 train and 10,000 test, from IDX files",
    ),
    (
        "idx:FOLDER",
        "your own data: four IDX files with MNIST's names",
    ),
];

/// Lists the data sets for [`load`].
pub fn list() -> Vec<CatalogEntry> {
    KNOWN
        .map(|(name, summary)| CatalogEntry {
            name,
            summary: summary.to_owned(),
        })
        .into()
}

/// Loads a data set by name. `data_dir` is the directory with the files of named data sets.
///
/// ```
/// use vbd_models::data::load;
///
/// let problem = load("mnist", None).unwrap_err().to_string();
/// assert!(problem.contains("--data-dir DIR"));
/// ```
///
/// # Errors
/// [`Error::Unknown`] if the name is not in [`list`], and those of [`DataSource::load`].
pub fn load(name: &str, data_dir: Option<&Path>) -> Result<Dataset> {
    DataSource::parse(name)?.load(data_dir)
}

impl DataSource {
    /// Parses a name: `digits`, `mnist`, `fashion-mnist` or `idx:FOLDER`.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the known names and the nearest one.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            digits::NAME => Ok(Self::Digits),
            "mnist" => Ok(Self::Named(NamedSet::Mnist)),
            "fashion-mnist" => Ok(Self::Named(NamedSet::FashionMnist)),
            _ => match name.strip_prefix(IDX_PREFIX) {
                Some(folder) if !folder.is_empty() => Ok(Self::Idx(folder.into())),
                _ => Err(Error::unknown(
                    "data set",
                    name,
                    KNOWN.map(|(name, _)| name),
                )),
            },
        }
    }

    /// Loads the data set. `data_dir` is the directory with the files of named data sets,
    /// `DIR/NAME/` or `DIR/`.
    ///
    /// # Errors
    /// [`Error::DataNotFound`] if the files of a named data set are in neither place, and those of
    /// [`idx::read_folder`].
    pub fn load(&self, data_dir: Option<&Path>) -> Result<Dataset> {
        match self {
            Self::Digits => digits(
                digits::DEFAULT_SEED,
                digits::DEFAULT_TRAIN,
                digits::DEFAULT_TEST,
            ),
            Self::Named(set) => set.load(data_dir),
            Self::Idx(folder) => {
                idx::read_folder(&format!("{IDX_PREFIX}{}", folder.display()), folder, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_written() {
        assert_eq!(DataSource::parse("digits").unwrap(), DataSource::Digits);
        let mnist = DataSource::parse("fashion-mnist").unwrap();
        assert_eq!(mnist, DataSource::Named(NamedSet::FashionMnist));
        assert_eq!(
            DataSource::parse("idx:/a b").unwrap(),
            DataSource::Idx("/a b".into())
        );
        for named in [NamedSet::Mnist, NamedSet::FashionMnist] {
            assert_eq!(
                DataSource::parse(named.name()).unwrap(),
                DataSource::Named(named)
            );
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones_and_the_nearest() {
        for (name, nearest) in [
            ("mnits", "mnist"),
            ("digit", "digits"),
            ("idx:", "idx:FOLDER"),
        ] {
            let message = load(name, None).unwrap_err().to_string();
            assert!(
                message.contains(&format!("the nearest is `{nearest}`")),
                "{message}"
            );
            assert!(message.contains("`fashion-mnist`"), "{message}");
        }
    }
}
