//! Data sets by name.

use std::path::{Path, PathBuf};

use vbd_core::data::Dataset;

use super::{digits, idx};
use crate::error::{Error, Result};
use crate::listed::Listed;

/// Where a data set comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataSource {
    /// `digits`: the built-in set of drawn digits.
    Digits,
    /// `mnist` or `fashion-mnist`: a named set, from its IDX files.
    Named(NamedSet),
    /// `idx:FOLDER`: a user's own IDX files.
    Idx(PathBuf),
}

/// The sets that are known by name and read from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedSet {
    /// Handwritten digits.
    Mnist,
    /// Pictures of clothing.
    FashionMnist,
}

/// Classes of every named set.
const NAMED_CLASSES: usize = 10;
const IDX_PREFIX: &str = "idx:";
const LIST: [Listed; 4] = [
    Listed { name: digits::NAME, summary: "drawn digits, 60,000 + 10,000, built in" },
    Listed { name: "mnist", summary: "handwritten digits, 60,000 + 10,000, from IDX files" },
    Listed { name: "fashion-mnist", summary: "clothing, 60,000 + 10,000, from IDX files" },
    Listed { name: "idx:FOLDER", summary: "your own set: four IDX files with MNIST's names" },
];

/// The data sets that [`load`] knows.
pub fn list() -> &'static [Listed] {
    &LIST
}

/// Loads a data set by its name; `data_dir` is where the files of named sets are.
///
/// ```
/// use vbd_models::data::load;
///
/// let problem = load("mnist", None).unwrap_err().to_string();
/// assert!(problem.contains("--data-dir DIR"));
/// ```
///
/// # Errors
/// [`Error::Unknown`] if the name is none of [`list`]'s, and those of [`DataSource::load`].
pub fn load(name: &str, data_dir: Option<&Path>) -> Result<Dataset> {
    DataSource::parse(name)?.load(data_dir)
}

impl DataSource {
    /// Reads a name: `digits`, `mnist`, `fashion-mnist` or `idx:FOLDER`.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the known names and the nearest.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            digits::NAME => Ok(Self::Digits),
            "mnist" => Ok(Self::Named(NamedSet::Mnist)),
            "fashion-mnist" => Ok(Self::Named(NamedSet::FashionMnist)),
            _ => match name.strip_prefix(IDX_PREFIX) {
                Some(folder) if !folder.is_empty() => Ok(Self::Idx(folder.into())),
                _ => Err(Error::unknown("data set", name, LIST.map(|listed| listed.name))),
            },
        }
    }

    /// Loads the data set; `data_dir` is where the files of named sets are, in `DIR/NAME/` or in
    /// `DIR/`.
    ///
    /// # Errors
    /// [`Error::DataNotFound`] with every way out if a named set's files are in neither place, and
    /// those of [`idx::read_folder`].
    pub fn load(&self, data_dir: Option<&Path>) -> Result<Dataset> {
        match self {
            Self::Digits => {
                digits::digits(digits::DEFAULT_SEED, digits::DEFAULT_TRAIN, digits::DEFAULT_TEST)
            }
            Self::Named(set) => set.load(data_dir),
            Self::Idx(folder) => {
                idx::read_folder(&format!("{IDX_PREFIX}{}", folder.display()), folder, None)
            }
        }
    }
}

impl NamedSet {
    /// The set's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
        }
    }

    fn load(self, data_dir: Option<&Path>) -> Result<Dataset> {
        let name = self.name();
        let looked_in: Vec<PathBuf> =
            data_dir.into_iter().flat_map(|dir| [dir.join(name), dir.to_owned()]).collect();
        let Some(folder) = looked_in.iter().find(|folder| idx::has_any(folder)) else {
            return Err(Error::DataNotFound { name, looked_in });
        };
        let set = idx::read_folder(name, folder, Some(NAMED_CLASSES))?;
        self.refuse_another(&set, folder)?;
        Ok(set)
    }

    /// All named sets have files of the same names: `DIR/` may hold another one's.
    fn refuse_another(self, set: &Dataset, folder: &Path) -> Result<()> {
        let [.., test_labels] = idx::files(set)?;
        let sum = test_labels.sha256();
        match [Self::Mnist, Self::FashionMnist].into_iter().find(|set| set.test_labels() == sum) {
            Some(found) if found != self => Err(Error::Idx {
                path: folder.join(test_labels.name),
                field: "the data set",
                found: found.name().to_owned(),
                expected: self.name().to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// SHA-256 of the published test labels, unzipped.
    fn test_labels(self) -> &'static str {
        match self {
            Self::Mnist => "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            Self::FashionMnist => "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        }
    }
}
