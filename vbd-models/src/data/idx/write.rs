//! Writing a data set as IDX files, and what they hash to.

use std::path::Path;

use vbd_net::data::{Dataset, Samples};
use vbd_net::file::write_atomic;

use super::FILE_NAMES;
use crate::data::checksum::sha256_hex;
use crate::error::{Error, Result};

/// One of the four files of a data set, unzipped: its bytes are the header's, then the body's.
#[derive(Debug, Clone)]
pub struct IdxFile<'a> {
    /// Its name.
    pub name: &'static str,
    /// Magic number and sizes.
    pub header: Vec<u8>,
    /// Pixels or labels, as the data set holds them.
    pub body: &'a [u8],
}

impl IdxFile<'_> {
    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.header, self.body].concat()
    }

    /// The file's SHA-256, in hexadecimal.
    pub fn sha256(&self) -> String {
        sha256_hex([&self.header[..], self.body])
    }
}

/// The four files of a data set, in the order of [`FILE_NAMES`].
///
/// # Errors
/// [`vbd_net::Error::Data`] if a size does not fit into 32 bits.
pub fn files(set: &Dataset) -> Result<[IdxFile<'_>; 4]> {
    let [images, labels, test_images, test_labels] = FILE_NAMES;
    Ok([
        images_file(images, set, &set.train)?,
        labels_file(labels, set, &set.train)?,
        images_file(test_images, set, &set.test)?,
        labels_file(test_labels, set, &set.test)?,
    ])
}

/// Writes the four files, unzipped, into a folder, which is made if it is not there. Each file is
/// whole or absent. A set of one channel gets MNIST's own form, others the form with channels.
///
/// # Errors
/// [`vbd_net::Error::Io`] naming the file, and those of [`files`].
pub fn write_folder(set: &Dataset, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    for file in files(set)? {
        write_atomic(&folder.join(file.name), &file.bytes())?;
    }
    Ok(())
}

fn images_file<'a>(name: &'static str, set: &Dataset, samples: &'a Samples) -> Result<IdxFile<'a>> {
    let header = match set.shape {
        [1, rows, columns] => header(set, 0x0803, &[samples.len(), rows, columns]),
        [channels, rows, columns] => header(set, 0x0804, &[samples.len(), channels, rows, columns]),
    };
    Ok(IdxFile {
        name,
        header: header?,
        body: samples.images(),
    })
}

fn labels_file<'a>(name: &'static str, set: &Dataset, samples: &'a Samples) -> Result<IdxFile<'a>> {
    Ok(IdxFile {
        name,
        header: header(set, 0x0801, &[samples.len()])?,
        body: samples.labels(),
    })
}

fn header(set: &Dataset, magic: u32, sizes: &[usize]) -> Result<Vec<u8>> {
    let mut header = magic.to_be_bytes().to_vec();
    for &size in sizes {
        let size = u32::try_from(size).map_err(|_| vbd_net::Error::Data {
            name: set.name.clone(),
            field: "a size of an IDX file",
            found: size.to_string(),
            expected: format!("at most {}", u32::MAX),
        })?;
        header.extend(size.to_be_bytes());
    }
    Ok(header)
}
