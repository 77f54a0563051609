//! Writes data sets as IDX files and computes their hashes.

use std::path::Path;

use vbd_net::data::{Dataset, Samples};
use vbd_net::file::write_atomic;

use super::FILE_NAMES;
use crate::data::checksum::sha256_hex;
use crate::error::{Error, Result};

/// A file of a data set, not compressed: header, then body.
#[derive(Debug, Clone)]
pub struct IdxFile<'a> {
    /// File name.
    pub name: &'static str,
    /// Magic number and dimensions.
    pub header: Vec<u8>,
    /// Pixels or labels.
    pub body: &'a [u8],
}

impl IdxFile<'_> {
    /// Returns the bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.header, self.body].concat()
    }

    /// Returns the file's SHA-256 in hexadecimal.
    pub fn sha256(&self) -> String {
        sha256_hex([&self.header[..], self.body])
    }
}

/// Returns the files of a data set in the order of [`FILE_NAMES`], without label files for
/// unlabeled data.
///
/// # Errors
/// [`vbd_net::Error::Data`] if a size does not fit into 32 bits or the inputs are not bytes.
pub fn files(set: &Dataset) -> Result<Vec<IdxFile<'_>>> {
    let [images, labels, test_images, test_labels] = FILE_NAMES;
    let train = split_files([images, labels], set, &set.train)?;
    let test = split_files([test_images, test_labels], set, &set.test)?;
    Ok(train.into_iter().chain(test).collect())
}

/// Writes the files, not compressed, to a directory, which is created if needed. Each file is
/// written atomically. A data set with one channel has MNIST's format, others the format with
/// channels.
///
/// # Errors
/// [`vbd_net::Error::Io`] naming the file, and those of [`files`].
pub fn write_folder(set: &Dataset, folder: &Path) -> Result<()> {
    let files = files(set)?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    for file in files {
        write_atomic(&folder.join(file.name), &file.bytes())?;
    }
    Ok(())
}

/// Returns the files of a split: images, and labels if there are any.
fn split_files<'a>(
    [images, labels]: [&'static str; 2],
    set: &Dataset,
    samples: &'a Samples,
) -> Result<Vec<IdxFile<'a>>> {
    let mut files = vec![images_file(images, set, samples)?];
    if let Some(body) = samples.labels() {
        files.push(IdxFile {
            name: labels,
            header: header(set, 0x0801, &[samples.len()])?,
            body,
        });
    }
    Ok(files)
}

fn images_file<'a>(name: &'static str, set: &Dataset, samples: &'a Samples) -> Result<IdxFile<'a>> {
    let header = match set.shape {
        [1, rows, columns] => header(set, 0x0803, &[samples.len(), rows, columns]),
        [channels, rows, columns] => header(set, 0x0804, &[samples.len(), channels, rows, columns]),
    };
    let bytes = samples
        .inputs()
        .bytes()
        .ok_or_else(|| vbd_net::Error::Data {
            name: set.name.clone(),
            field: "input type",
            found: "float32".to_owned(),
            expected: "uint8, which is all that IDX files hold".to_owned(),
        })?;
    Ok(IdxFile {
        name,
        header: header?,
        body: bytes,
    })
}

fn header(set: &Dataset, magic: u32, sizes: &[usize]) -> Result<Vec<u8>> {
    let mut header = magic.to_be_bytes().to_vec();
    for &size in sizes {
        let size = u32::try_from(size).map_err(|_| vbd_net::Error::Data {
            name: set.name.clone(),
            field: "dimension of an IDX file",
            found: size.to_string(),
            expected: format!("at most {}", u32::MAX),
        })?;
        header.extend(size.to_be_bytes());
    }
    Ok(header)
}
