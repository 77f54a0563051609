//! Named data sets, read from their published files.

use std::path::{Path, PathBuf};

use vbd_net::data::Dataset;

use super::{cifar, idx, npz, svhn};
use crate::error::{Error, Result};

/// A named data set, read from files.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedSet {
    /// Handwritten digits.
    Mnist,
    /// Images of clothing.
    FashionMnist,
    /// Colour images of animals and vehicles.
    Cifar10,
    /// Digits of house numbers in colour.
    Svhn,
}

/// Number of classes of every named set.
const NAMED_CLASSES: usize = 10;

impl NamedSet {
    /// All named sets.
    pub const ALL: [Self; 4] = [Self::Mnist, Self::FashionMnist, Self::Cifar10, Self::Svhn];

    /// Returns the data set's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar-10",
            Self::Svhn => "svhn",
        }
    }

    /// Returns the repository of the data set on the Hugging Face hub, `owner/name`.
    pub fn hub_id(self) -> &'static str {
        match self {
            Self::Mnist => "ylecun/mnist",
            Self::FashionMnist => "zalando-datasets/fashion_mnist",
            Self::Cifar10 => "uoft-cs/cifar10",
            Self::Svhn => "ufldl-stanford/svhn",
        }
    }

    /// Files of the set, in words.
    fn files(self) -> &'static str {
        match self {
            Self::Mnist | Self::FashionMnist => "IDX files",
            Self::Cifar10 => "data_batch_1.bin to data_batch_5.bin and test_batch.bin",
            Self::Svhn => "train_32x32.mat and test_32x32.mat",
        }
    }

    /// Directories of the set below `data_dir`, in the order of the search: `NAME/`, those of its
    /// archive or of torchvision, from its root or from the set's directory, and `data_dir` itself.
    fn places(self, data_dir: &Path) -> Vec<PathBuf> {
        let others: &[&str] = match self {
            Self::Mnist => &["MNIST/raw", "raw"],
            Self::FashionMnist => &["FashionMNIST/raw", "raw"],
            Self::Cifar10 => &["cifar-10-batches-bin"],
            Self::Svhn => &["SVHN"],
        };
        let mut places = vec![data_dir.join(self.name())];
        places.extend(others.iter().map(|place| data_dir.join(place)));
        places.push(data_dir.to_owned());
        places
    }

    /// Returns whether a directory has any of the files.
    fn has_any(self, folder: &Path) -> bool {
        match self {
            Self::Mnist | Self::FashionMnist => idx::has_any(folder),
            Self::Cifar10 => cifar::has_any(folder),
            Self::Svhn => svhn::has_any(folder),
        }
    }

    pub(super) fn load(self, data_dir: Option<&Path>) -> Result<Dataset> {
        let name = self.name();
        let looked_in = data_dir.map_or_else(Vec::new, |dir| self.places(dir));
        let Some(folder) = looked_in.iter().find(|folder| self.has_any(folder)) else {
            // Keras keeps MNIST as one file.
            let keras = data_dir.map(|dir| dir.join(format!("{name}.npz")));
            let is_idx = matches!(self, Self::Mnist | Self::FashionMnist);
            if let Some(file) = keras.filter(|file| is_idx && file.is_file()) {
                let set = npz::read(name, &file, Some(NAMED_CLASSES))?;
                self.refuse_another(&set, &file)?;
                return Ok(set);
            }
            let files = self.files();
            return Err(Error::DataNotFound {
                name,
                files,
                looked_in,
            });
        };
        match self {
            Self::Cifar10 => cifar::read_folder(name, folder),
            Self::Svhn => svhn::read_folder(name, folder),
            Self::Mnist | Self::FashionMnist => {
                let set = idx::read_labelled_folder(name, folder, NAMED_CLASSES)?;
                self.refuse_another(&set, folder)?;
                Ok(set)
            }
        }
    }

    /// Fetches the parquet files of the training and test images from the hub, which makes them of each of
    /// its data sets.
    #[cfg(feature = "hub")]
    pub(super) fn fetch(self, hub: &crate::hub::Hub) -> Result<[PathBuf; 2]> {
        let folder = match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion_mnist",
            Self::Cifar10 => "plain_text",
            Self::Svhn => "cropped_digits",
        };
        let fetch = |split: &str| {
            let path = format!("{folder}/{split}/0000.parquet");
            let revision = "refs/convert/parquet";
            hub.fetch_once(&crate::hub::HubFile::of_dataset(
                self.hub_id(),
                &path,
                revision,
            ))
        };
        Ok([fetch("train")?, fetch("test")?])
    }

    /// Reads the set from the parquet files of its training and test images.
    #[cfg(feature = "hub")]
    pub(super) fn load_parquet(self, [train, test]: [PathBuf; 2]) -> Result<Dataset> {
        use super::parquet::read_split;
        let shape = match self {
            Self::Mnist | Self::FashionMnist => [1, 28, 28],
            Self::Cifar10 | Self::Svhn => [3, 32, 32],
        };
        let train = read_split(&train, shape, NAMED_CLASSES)?;
        let test = read_split(&test, shape, NAMED_CLASSES)?;
        let set = train.with_test(test, self.name(), Some(NAMED_CLASSES))?;
        Ok(match self {
            Self::Cifar10 => cifar::with_class_names(set),
            _ => set,
        })
    }

    /// Refuses an IDX file of another named set: all have the same file names.
    fn refuse_another(self, set: &Dataset, folder: &Path) -> Result<()> {
        for file in idx::files(set)? {
            let sum = file.sha256();
            let others = Self::ALL.into_iter().filter(|&other| other != self);
            let owner = others.into_iter().find(|other| other.has_published(&sum));
            if let Some(owner) = owner {
                return Err(Error::Idx {
                    path: folder.join(file.name),
                    field: "data set",
                    found: format!("that of `{}`", owner.name()),
                    expected: format!("the file of `{}`", self.name()),
                });
            }
        }
        Ok(())
    }

    /// Returns the names of the files that are not the published ones.
    pub(super) fn unpublished(self, set: &Dataset) -> Result<Vec<&'static str>> {
        match self {
            Self::Cifar10 => Ok(cifar::unpublished(set)),
            Self::Svhn => Ok(svhn::unpublished(set)),
            Self::Mnist | Self::FashionMnist => {
                let files = idx::files(set)?.into_iter();
                let differing = files.filter(|file| !self.has_published(&file.sha256()));
                Ok(differing.map(|file| file.name).collect())
            }
        }
    }

    /// Returns whether a published IDX file has this SHA-256.
    fn has_published(self, sha256: &str) -> bool {
        self.published().contains(&sha256)
    }

    /// Returns the set with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// SHA-256 of the four published IDX files, unzipped, in the order of [`idx::FILE_NAMES`].
    fn published(self) -> &'static [&'static str] {
        match self {
            Self::Mnist => &[
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ],
            Self::FashionMnist => &[
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ],
            Self::Cifar10 | Self::Svhn => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use vbd_net::data::Samples;
    use vbd_net::file::write_atomic;

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
    fn torchvisions_folders_are_found_from_their_root_and_from_the_set() {
        for (name, torchvision) in [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")] {
            let folder = tempfile::tempdir().unwrap();
            let own = folder.path().join(torchvision);
            write_small(&own.join("raw"));
            for data_dir in [folder.path(), &own, &own.join("raw")] {
                let set = load(name, Some(data_dir)).unwrap();
                assert_eq!(set.train.len(), 20, "{}", data_dir.display());
            }
        }
    }

    #[test]
    fn the_file_that_keras_keeps_is_found() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/npz/golden.npz");
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(golden, folder.path().join("mnist.npz")).unwrap();
        let set = load("mnist", Some(folder.path())).unwrap();
        assert_eq!(
            (set.name.as_str(), set.classes, set.train.len()),
            ("mnist", 10, 3)
        );
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
        for [named, other] in [
            [NamedSet::Mnist, NamedSet::FashionMnist],
            [NamedSet::FashionMnist, NamedSet::Mnist],
        ] {
            let set = load(named.name(), Some(&folder)).unwrap();
            assert_eq!(crate::data::warnings(&set).unwrap(), []);
            assert_eq!((set.train.len(), set.test.len()), (60_000, 10_000));
            // One file of another set is not taken for this one's, whichever it is.
            let mixed = tempfile::tempdir().unwrap();
            idx::write_folder(&set, mixed.path()).unwrap();
            let others = load(other.name(), Some(&folder)).unwrap();
            for file in idx::files(&others).unwrap() {
                let place = mixed.path().join(file.name);
                let own = std::fs::read(&place).unwrap();
                write_atomic(&place, &file.bytes()).unwrap();
                let message = load(named.name(), Some(mixed.path()))
                    .unwrap_err()
                    .to_string();
                assert!(message.contains(file.name), "{message}");
                assert!(message.contains(other.name()), "{message}");
                write_atomic(&place, &own).unwrap();
            }
        }
    }
}
