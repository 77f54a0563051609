//! The files of a split, as torchvision's `ImageFolder` lists them.
//!
//! Classes are the directories of a split, sorted by name. The images of a class are all files below
//! its directory whose names end like an image's, sorted within their directory, directories sorted by
//! their whole paths. Links are followed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Endings of names that torchvision takes for images. Some are of formats that are not read here: such
/// a file is then an error.
const ENDINGS: [&str; 9] = [
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp",
];
/// Maximum number of classes, since a label is one byte.
const MAX_CLASSES: usize = 256;

/// The images of a split, by class.
pub(super) struct SplitFiles {
    /// Names of the classes, sorted.
    pub(super) classes: Vec<OsString>,
    /// Images with their classes, in the order of the classes.
    pub(super) files: Vec<(PathBuf, u8)>,
}

impl SplitFiles {
    /// Lists a split's directory.
    ///
    /// # Errors
    /// [`Error::DataFile`] naming the directory if it has no class or over 256, or a class has no
    /// image; [`vbd_net::Error::Io`] if one cannot be read.
    pub(super) fn list(folder: &Path) -> Result<Self> {
        let mut classes = Vec::new();
        for entry in read_dir(folder)? {
            if entry.is_dir() {
                classes.extend(entry.file_name().map(ToOwned::to_owned));
            }
        }
        classes.sort_unstable_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
        if classes.is_empty() || classes.len() > MAX_CLASSES {
            return Err(Error::DataFile {
                path: folder.to_owned(),
                field: "number of classes".to_owned(),
                found: classes.len().to_string(),
                expected: format!("1 to {MAX_CLASSES} directories, one for each class"),
            });
        }
        let mut files = Vec::new();
        for (label, class) in (0..=u8::MAX).zip(&classes) {
            let images = images_below(&folder.join(class))?;
            files.extend(images.into_iter().map(|image| (image, label)));
        }
        Ok(Self { classes, files })
    }
}

/// Lists the images below a class's directory.
fn images_below(class: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    add_folders(class, &mut Vec::new(), &mut folders)?;
    folders.sort_unstable_by(|(a, _), (b, _)| by_bytes(a, b));
    let mut images = Vec::new();
    for (_, mut files) in folders {
        files.sort_unstable_by(|a, b| by_bytes(a, b));
        images.extend(files);
    }
    if images.is_empty() {
        return Err(Error::DataFile {
            path: class.to_owned(),
            field: "number of images".to_owned(),
            found: "0".to_owned(),
            expected: "at least 1 file that ends in .png, .jpg or .jpeg".to_owned(),
        });
    }
    Ok(images)
}

/// Adds a directory with its images, and those below it. `above` has the directories that contain it.
fn add_folders(
    folder: &Path,
    above: &mut Vec<PathBuf>,
    folders: &mut Vec<(PathBuf, Vec<PathBuf>)>,
) -> Result<()> {
    let real = folder.canonicalize().map_err(Error::io(folder))?;
    if above.contains(&real) {
        return Err(Error::DataFile {
            path: folder.to_owned(),
            field: "directory".to_owned(),
            found: "a link to one that contains it".to_owned(),
            expected: "directories that end".to_owned(),
        });
    }
    above.push(real);
    let mut images = Vec::new();
    for path in read_dir(folder)? {
        if path.is_dir() {
            add_folders(&path, above, folders)?;
        } else if is_image_name(&path) {
            images.push(path);
        }
    }
    folders.push((folder.to_owned(), images));
    above.pop();
    Ok(())
}

fn read_dir(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    paths
        .collect::<std::io::Result<_>>()
        .map_err(Error::io(folder))
}

fn is_image_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    ENDINGS.iter().any(|ending| {
        let start = name.len().checked_sub(ending.len());
        start.is_some_and(|start| name[start..].eq_ignore_ascii_case(ending.as_bytes()))
    })
}

/// Compares paths as Python compares their text, not part by part.
fn by_bytes(a: &Path, b: &Path) -> std::cmp::Ordering {
    let [a, b] = [a, b].map(|path| path.as_os_str().as_encoded_bytes());
    a.cmp(b)
}
