//! Named data sets, read from their published IDX files.

use std::path::{Path, PathBuf};

use vbd_net::data::Dataset;

use super::idx;
use crate::error::{Error, Result};

/// A named data set, read from files.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedSet {
    /// Handwritten digits.
    Mnist,
    /// Images of clothing.
    FashionMnist,
}

/// Number of classes of every named set.
const NAMED_CLASSES: usize = 10;

impl NamedSet {
    /// Returns the data set's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
        }
    }

    pub(super) fn load(self, data_dir: Option<&Path>) -> Result<Dataset> {
        let name = self.name();
        let looked_in: Vec<PathBuf> = data_dir
            .into_iter()
            .flat_map(|dir| [dir.join(name), dir.to_owned()])
            .collect();
        let Some(folder) = looked_in.iter().find(|folder| idx::has_any(folder)) else {
            return Err(Error::DataNotFound { name, looked_in });
        };
        let set = idx::read_labelled_folder(name, folder, NAMED_CLASSES)?;
        self.refuse_another(&set, folder)?;
        Ok(set)
    }

    /// Rejects the files of another named set: all have the same file names.
    fn refuse_another(self, set: &Dataset, folder: &Path) -> Result<()> {
        let files = idx::files(set)?;
        let test_labels = files.iter().find(|file| file.name == idx::FILE_NAMES[3]);
        let sum = test_labels.map(idx::IdxFile::sha256).unwrap_or_default();
        match [Self::Mnist, Self::FashionMnist]
            .into_iter()
            .find(|set| set.test_labels() == sum)
        {
            Some(found) if found != self => Err(Error::Idx {
                path: folder.to_owned(),
                field: "data set",
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
            Self::FashionMnist => {
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vbd_net::data::Samples;

    use super::*;
    use crate::data::{digits, load};

    /// Writes a small set under the names of a named one.
    fn write_small(folder: &Path) {
        idx::write_folder(&digits(3, 20, 10).unwrap(), folder).unwrap();
    }

    #[test]
    fn without_files_every_remedy_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for data_dir in [
            None,
            Some(folder.path()),
            Some(Path::new("/no/such/folder")),
        ] {
            let message = load("mnist", data_dir).unwrap_err().to_string();
            for way in ["--data-dir DIR", "VBD_DATA_DIR", "idx:FOLDER", "digits"] {
                assert!(message.contains(way), "{message}");
            }
            if let Some(folder) = data_dir {
                let place = folder.join("mnist");
                assert!(message.contains(place.to_str().unwrap()), "{message}");
            }
        }
    }

    #[test]
    fn named_sets_are_found_in_their_folder_and_beside() {
        let folder = tempfile::tempdir().unwrap();
        write_small(&folder.path().join("mnist"));
        let set = load("mnist", Some(folder.path())).unwrap();
        assert_eq!(
            (set.name.as_str(), set.classes, set.train.len()),
            ("mnist", 10, 20)
        );
        assert!(load("fashion-mnist", Some(folder.path())).is_err());
        let set = load("fashion-mnist", Some(&folder.path().join("mnist"))).unwrap();
        assert_eq!(set.name, "fashion-mnist");
    }

    #[test]
    fn a_named_set_has_ten_classes_and_ones_own_as_many_as_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let samples = || Samples::new(vec![1_u8; 8], vec![3, 10], 4).unwrap();
        let set = Dataset::new("own", [1, 2, 2], 11, samples(), samples()).unwrap();
        idx::write_folder(&set, folder.path()).unwrap();
        let own = load(&format!("idx:{}", folder.path().display()), None).unwrap();
        assert_eq!((own.classes, own.shape), (11, [1, 2, 2]));
        let message = load("mnist", Some(folder.path())).unwrap_err().to_string();
        assert!(
            message.contains("train-labels-idx1-ubyte: label is 10"),
            "{message}"
        );
        assert!(message.contains("0 to 9"), "{message}");
    }

    #[test]
    #[ignore = "needs VBD_DATA_DIR with mnist and fashion-mnist"]
    fn real_sets_have_the_published_checksums() {
        let folder = PathBuf::from(std::env::var_os("VBD_DATA_DIR").unwrap());
        let published = [
            (
                "mnist",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            (
                "fashion-mnist",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
        ];
        for (name, sum) in published {
            let set = load(name, Some(&folder)).unwrap();
            let summary = crate::data::summary(&set).unwrap();
            assert_eq!(summary.sha256[idx::FILE_NAMES[0]], sum);
            assert_eq!((summary.train, summary.test), (60_000, 10_000));
            // Another set's files are not taken for this one's.
            let other = if name == "mnist" {
                "fashion-mnist"
            } else {
                "mnist"
            };
            let message = load(other, Some(&folder.join(name)))
                .unwrap_err()
                .to_string();
            assert!(message.contains("data set is"), "{message}");
        }
    }
}
