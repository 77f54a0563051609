//! Data sets by name.

use std::path::{Path, PathBuf};

use vbd_net::data::Dataset;

use super::digits::{self, digits};
use super::named::NamedSet;
use super::npz;
use super::path_text::{IDX, IMAGES, NPZ, name_at, path_after};
use super::{idx, images};
use crate::catalog::CatalogEntry;
use crate::error::{Error, Result};

/// Source of a data set.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataSource {
    /// `digits`: the built-in data set.
    Digits,
    /// `mnist`, `fashion-mnist`, `cifar-10` or `svhn`: a named data set, read from its published files.
    Named(NamedSet),
    /// `idx:FOLDER`: a user's own IDX files.
    Idx(PathBuf),
    /// `npz:FILE`: a user's own numpy arrays.
    Npz(PathBuf),
    /// `images:FOLDER`: a user's own PNG and JPEG files.
    Images(PathBuf),
}

const KNOWN: [(&str, &str); 8] = [
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
        "cifar-10",
        "colour images of ten kinds, 50,000 train and 10,000 test, from its binary batches",
    ),
    (
        "svhn",
        "digits of house numbers, 73,257 train and 26,032 test, from its cropped .mat files",
    ),
    (
        "idx:FOLDER",
        "your own data: four IDX files with MNIST's names",
    ),
    (
        "npz:FILE",
        "your own data: numpy arrays x_train, y_train, x_test and y_test",
    ),
    (
        "images:FOLDER",
        "your own data: PNG or JPEG files in train/CLASS/ and test/CLASS/",
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

/// Loads a data set by name like [`load`], a named one from the hub if its files are not found. `watcher`
/// is called with the name of a file and its progress during each transfer.
///
/// # Errors
/// Those of [`load`]; [`Error::DataNotFetched`] if a named set is neither found nor fetched;
/// [`Error::DataFile`] if its fetched file is damaged.
#[cfg(feature = "hub")]
pub fn load_or_fetch(
    name: &str,
    data_dir: Option<&Path>,
    watcher: impl Fn(&str, crate::hub::Progress) + 'static,
) -> Result<Dataset> {
    let source = DataSource::parse(name)?;
    let looked_for = source.load(data_dir);
    let (
        Err(Error::DataNotFound {
            name,
            files,
            looked_in,
        }),
        DataSource::Named(set),
    ) = (&looked_for, source)
    else {
        return looked_for;
    };
    let hub = crate::hub::Hub::from_env().map(|hub| hub.watched_by(watcher));
    let fetched = hub.and_then(|hub| set.fetch(&hub));
    let paths = fetched.map_err(|source| Error::DataNotFetched {
        name,
        files,
        looked_in: looked_in.clone(),
        source: Box::new(source),
    })?;
    set.load_parquet(paths)
}

impl DataSource {
    /// Parses a name, in capitals or not: `digits`, one of [`NamedSet`], `idx:FOLDER`,
    /// `npz:FILE`, `images:FOLDER`, or the path of a directory or of a file that ends in `.npz`. A name wins over a
    /// path.
    ///
    /// # Errors
    /// [`Error::NoFolder`] if the text is the path of a directory that does not exist;
    /// [`Error::Unknown`] with the known names and the nearest one.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(folder) = path_after(IDX, text) {
            return Ok(Self::Idx(folder));
        }
        if let Some(file) = path_after(NPZ, text) {
            return Ok(Self::Npz(file));
        }
        if let Some(folder) = path_after(IMAGES, text) {
            return Ok(Self::Images(folder));
        }
        let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '_'], "");
        let name = plain(text);
        if name == digits::NAME {
            return Ok(Self::Digits);
        }
        if let Some(set) = NamedSet::ALL
            .into_iter()
            .find(|set| plain(set.name()) == name)
        {
            return Ok(Self::Named(set));
        }
        let path = Path::new(text);
        if path.is_dir() && images::is_at(path) && !idx::has_any(path) {
            return Ok(Self::Images(text.into()));
        }
        if path.is_dir() {
            return Ok(Self::Idx(text.into()));
        }
        if path.extension().is_some_and(|end| end == NPZ) {
            return Ok(Self::Npz(text.into()));
        }
        if path.is_file() || text.contains(std::path::is_separator) {
            return Err(Error::NoFolder {
                name: text.to_owned(),
                problem: if path.is_file() {
                    "is a file: expected a directory with IDX files or images, or npz:FILE"
                } else {
                    "no such directory"
                },
            });
        }
        Err(Error::unknown(
            "data set",
            text,
            KNOWN.map(|(name, _)| name),
        ))
    }

    /// Loads the data set. `data_dir` is the directory with the files of named data sets: `DIR/NAME/`,
    /// torchvision's `DIR/MNIST/raw/` or `DIR/FashionMNIST/raw/`, `DIR/cifar-10-batches-bin/`,
    /// `DIR/SVHN/`, Keras's `DIR/mnist.npz`, or `DIR/`.
    ///
    /// # Errors
    /// [`Error::DataNotFound`] if the files of a named data set are in none of these places, and
    /// those of [`idx::read_folder`]; [`Error::Npz`] or [`Error::Zip`] for numpy arrays;
    /// [`Error::MissingFiles`] or [`Error::DataFile`] for other formats, [`Error::Picture`] for
    /// images.
    pub fn load(&self, data_dir: Option<&Path>) -> Result<Dataset> {
        match self {
            Self::Digits => digits(
                digits::DEFAULT_SEED,
                digits::DEFAULT_TRAIN,
                digits::DEFAULT_TEST,
            ),
            Self::Named(set) => set.load(data_dir),
            Self::Idx(folder) => idx::read_folder(&name_at(IDX, folder), folder, None),
            Self::Npz(file) => npz::read(&name_at(NPZ, file), file, None),
            Self::Images(folder) => images::read_folder(&name_at(IMAGES, folder), folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_capitals_too() {
        for name in ["MNIST", "Mnist", "mnist"] {
            let set = DataSource::Named(NamedSet::Mnist);
            assert_eq!(DataSource::parse(name).unwrap(), set);
        }
        for name in ["FashionMNIST", "fashion_mnist", "Fashion-MNIST"] {
            let set = DataSource::Named(NamedSet::FashionMnist);
            assert_eq!(DataSource::parse(name).unwrap(), set);
        }
        let upper = DataSource::parse("IDX:Own").unwrap();
        assert_eq!(upper, DataSource::Idx("Own".into()));
    }

    #[test]
    fn a_directory_needs_no_prefix_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        idx::write_folder(&digits(3, 20, 10).unwrap(), folder.path()).unwrap();
        let text = folder.path().to_str().unwrap();
        let set = load(text, None).unwrap();
        assert_eq!(set.name, format!("idx:{text}"));
        let message = load(&format!("{text}/no"), None).unwrap_err().to_string();
        assert!(message.ends_with("/no`: no such directory"), "{message}");
    }

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
            ("cifar", "cifar-10"),
            ("shvn", "svhn"),
            ("image:x", "images:FOLDER"),
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
