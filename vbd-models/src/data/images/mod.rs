//! Folders of PNG and JPEG files: `images:FOLDER`, as torchvision's `ImageFolder` reads them.
//!
//! `FOLDER/train/CLASS/` and `FOLDER/test/CLASS/` have the images of each class. Classes are numbered
//! in the order of their names. All images have one size. They are grey, one channel, if each pixel of
//! all images is, else RGB. Transparent pixels are laid on white.
//!
//! Files are untrusted: sizes are checked before pixels are decoded, and one damaged file is an error
//! that names it.

mod notes;
mod planes;
#[cfg(test)]
mod tests;
mod walk;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use vbd_net::data::Dataset;

use self::notes::{Notes, Oddities};
use self::planes::Planes;
use self::walk::SplitFiles;
use super::idx::MAX_PIXELS;
use crate::error::{Error, Result};
use crate::picture::{self, Channels, Encoded, Ground, Size};

/// Directories of the splits.
const SPLITS: [&str; 2] = ["train", "test"];
/// Bytes of decoded pixels that are held beside those of the data set.
const AT_ONCE: usize = 1 << 27;
/// Bytes of a pixel while it is decoded: four values, then three.
const DECODED: usize = 7;

/// Returns whether a directory has a directory of training images.
pub(super) fn is_at(folder: &Path) -> bool {
    folder.join(SPLITS[0]).is_dir()
}

/// Reads a data set from a directory.
///
/// # Errors
/// [`Error::DataFile`] or [`Error::Picture`] naming the directory or the file: if a split, a class or
/// its images are missing, an image cannot be read or has another size than the first, or all together
/// have over [`MAX_PIXELS`] bytes.
pub(super) fn read_folder(name: &str, folder: &Path) -> Result<Dataset> {
    let [train, test] = SPLITS.map(|split| folder.join(split));
    for split in [&train, &test] {
        if !split.is_dir() {
            return Err(Error::DataFile {
                path: split.clone(),
                field: "directory".to_owned(),
                found: "missing".to_owned(),
                expected: "train/CLASS/ and test/CLASS/ with PNG or JPEG files".to_owned(),
            });
        }
    }
    let [train_files, test_files] = [SplitFiles::list(&train)?, SplitFiles::list(&test)?];
    check_same_classes(&train, &train_files, &test, &test_files)?;
    let first = &train_files.files[0].0;
    let size = size_of(first)?;
    let count = train_files.files.len() + test_files.files.len();
    check_total(folder, count, size)?;
    let reader = ImageReader { first, size };
    let mut notes = Notes::default();
    let mut train = reader.read_all(&train_files.files, &mut notes)?;
    let mut test = reader.read_all(&test_files.files, &mut notes)?;
    notes.warn();
    if !(train.is_grey() && test.is_grey()) {
        train.make_rgb();
        test.make_rgb();
    }
    let classes = train_files.classes.len();
    let labels = |files: &SplitFiles| files.files.iter().map(|&(_, label)| label).collect();
    let train = train.labelled(labels(&train_files), classes)?;
    let test = test.labelled(labels(&test_files), classes)?;
    let names = train_files.classes.iter();
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let set = train.with_test(test, name, Some(classes))?;
    Ok(set.with_class_names(names.collect()))
}

/// Checks that both splits have the same classes.
fn check_same_classes(
    train: &Path,
    train_files: &SplitFiles,
    test: &Path,
    test_files: &SplitFiles,
) -> Result<()> {
    let problem = |path: PathBuf, found: &str, expected: String| {
        Err(Error::DataFile {
            path,
            field: "class".to_owned(),
            found: found.to_owned(),
            expected,
        })
    };
    let lacks =
        |files: &SplitFiles, class: &OsStr| files.classes.iter().all(|other| other != class);
    if let Some(class) = test_files
        .classes
        .iter()
        .find(|class| lacks(train_files, class))
    {
        let known: Vec<_> = train_files
            .classes
            .iter()
            .map(|class| class.to_string_lossy())
            .collect();
        let expected = format!("those of {}: {}", train.display(), known.join(", "));
        return problem(test.join(class), "not one of training", expected);
    }
    if let Some(class) = train_files
        .classes
        .iter()
        .find(|class| lacks(test_files, class))
    {
        return problem(
            test.join(class),
            "missing",
            format!("the classes of {}", train.display()),
        );
    }
    Ok(())
}

/// Reads the size of an image from its headers.
fn size_of(path: &Path) -> Result<Size> {
    let bytes = read_bytes(path)?;
    let encoded = Encoded::open(&bytes).map_err(Error::picture(path))?;
    Ok(encoded.size())
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    let is_file = path.metadata().map_err(Error::io(path))?.is_file();
    if !is_file {
        return Err(Error::DataFile {
            path: path.to_owned(),
            field: "image".to_owned(),
            found: "neither a file nor a directory".to_owned(),
            expected: "a PNG or JPEG file".to_owned(),
        });
    }
    picture::read(path)
}

fn check_total(folder: &Path, count: usize, size: Size) -> Result<()> {
    let total = size
        .area()
        .checked_mul(3)
        .and_then(|len| len.checked_mul(count));
    if total.is_some_and(|total| total as u64 <= MAX_PIXELS) {
        return Ok(());
    }
    Err(Error::DataFile {
        path: folder.to_owned(),
        field: "size".to_owned(),
        found: format!("{count} images of {size} pixels"),
        expected: format!("at most {MAX_PIXELS} bytes, 3 per pixel"),
    })
}

/// How images are read.
struct ImageReader<'a> {
    /// Image whose size all have.
    first: &'a Path,
    size: Size,
}

impl ImageReader<'_> {
    /// Reads images on all threads. Of several errors, returns that of the first file.
    fn read_all(&self, files: &[(PathBuf, u8)], notes: &mut Notes) -> Result<Planes> {
        let mut planes = Planes::new([self.size.height, self.size.width]);
        let at_once = AT_ONCE / (DECODED * self.size.area().max(1));
        for files in files.chunks(at_once.max(1)) {
            let images = files.par_iter().map(|(path, _)| self.read(path));
            for ((path, _), image) in files.iter().zip(images.collect::<Vec<_>>()) {
                let (image, oddities) = image?;
                planes.push(&image);
                notes.add(path, oddities);
            }
        }
        Ok(planes)
    }

    /// Reads an image: one plane if it is grey, else three.
    fn read(&self, path: &Path) -> Result<(Vec<u8>, Oddities)> {
        let bytes = read_bytes(path)?;
        let encoded = Encoded::open(&bytes).map_err(Error::picture(path))?;
        let size = encoded.size();
        if size != self.size {
            return Err(Error::DataFile {
                path: path.to_owned(),
                field: "image size".to_owned(),
                found: size.to_string(),
                expected: format!("{}, as of {}", self.size, self.first.display()),
            });
        }
        let raster = encoded.decode().map_err(Error::picture(path))?;
        let pixels = Ground::Assumed.lay(&raster).map_err(Error::picture(path))?;
        let is_grey = pixels
            .iter()
            .all(|&[red, green, blue]| red == green && green == blue);
        let channels = if is_grey {
            Channels::Grey
        } else {
            Channels::Rgb
        };
        Ok((channels.planes(&pixels), Oddities::of(&raster)))
    }
}
