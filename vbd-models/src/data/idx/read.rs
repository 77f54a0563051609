//! Reads an IDX file, gzipped or not.

use std::path::Path;

use crate::data::packed::PackedFile;
use crate::error::{Error, Result};

/// Maximum number of image bytes per file.
pub const MAX_PIXELS: u64 = 1 << 32;

/// Bytes per step of a comparison.
const COMPARED_AT_ONCE: u64 = 1 << 16;

const LABELS: u32 = 0x0801;
const GREY_IMAGES: u32 = 0x0803;
const IMAGES: u32 = 0x0804;

/// Content of a file: dimensions and bytes.
pub(super) struct Idx<const DIMENSIONS: usize> {
    pub(super) sizes: [usize; DIMENSIONS],
    pub(super) bytes: Vec<u8>,
}

/// Returns whether two files have the same content, each unpacked if it is gzipped.
pub(super) fn is_same_content(first: &Path, second: &Path) -> Result<bool> {
    let mut files = [IdxReader::open(first)?, IdxReader::open(second)?];
    let mut parts = [Vec::new(), Vec::new()];
    loop {
        for (file, part) in files.iter_mut().zip(&mut parts) {
            part.clear();
            file.read(part, COMPARED_AT_ONCE)?;
        }
        if parts[0] != parts[1] || parts[0].is_empty() {
            return Ok(parts[0] == parts[1]);
        }
    }
}

/// Reads a file of labels: `[count]`.
pub(super) fn read_labels(path: &Path) -> Result<Idx<1>> {
    let mut file = IdxReader::open(path)?;
    let magic = file.word("magic number")?;
    if magic != LABELS {
        return Err(file.wrong_magic(magic, "0x00000801, labels"));
    }
    let sizes = [file.word("number of labels")?];
    file.rest(sizes, "number of labels")
}

/// Reads a file of images: `[count, channels, rows, columns]`.
pub(super) fn read_images(path: &Path) -> Result<Idx<4>> {
    let mut file = IdxReader::open(path)?;
    let channels = match file.word("magic number")? {
        GREY_IMAGES => false,
        IMAGES => true,
        magic => {
            return Err(file.wrong_magic(magic, "0x00000803 or 0x00000804, images"));
        }
    };
    let count = file.word("number of images")?;
    let channels = if channels {
        file.word("number of channels")?
    } else {
        1
    };
    let rows = file.word("number of rows")?;
    let columns = file.word("number of columns")?;
    file.rest([count, channels, rows, columns], "product of the sizes")
}

/// Reader of an IDX file.
struct IdxReader<'a>(PackedFile<'a>);

impl<'a> IdxReader<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        Ok(Self(PackedFile::open(path)?))
    }

    /// Reads the next number of the header.
    fn word(&mut self, field: &'static str) -> Result<u32> {
        let mut word = Vec::with_capacity(4);
        self.read(&mut word, 4)?;
        match <[u8; 4]>::try_from(&word[..]) {
            Ok(word) => Ok(u32::from_be_bytes(word)),
            Err(_) => Err(self.problem(field, "cut off", "4 bytes")),
        }
    }

    /// Reads the rest of the file, which must have exactly the length given by the header.
    fn rest<const N: usize>(mut self, sizes: [u32; N], product: &'static str) -> Result<Idx<N>> {
        if sizes.contains(&0) {
            let found = sizes.map(|size| size.to_string()).join(" x ");
            return Err(self.problem("size", found, "nonzero dimensions"));
        }
        let len = sizes
            .iter()
            .try_fold(1_u64, |len, &size| len.checked_mul(u64::from(size)));
        let Some(len) = len.filter(|&len| len <= MAX_PIXELS) else {
            let found = sizes.map(|size| size.to_string()).join(" x ");
            return Err(self.problem(product, found, &format!("at most {MAX_PIXELS}")));
        };
        let mut bytes = Vec::new();
        // One more byte shows whether the file continues. Memory grows with the data actually read.
        self.read(&mut bytes, len + 1)?;
        let found = bytes.len() as u64;
        if found != len {
            let found = match found.cmp(&len) {
                std::cmp::Ordering::Less => format!("cut off after {found} bytes"),
                _ => format!("followed by more than its {len} bytes"),
            };
            return Err(self.problem("data", found, &format!("{len} bytes")));
        }
        let too_large = |_| {
            self.problem(
                "size",
                len.to_string(),
                "a size that this machine can address",
            )
        };
        let mut sizes_read = [0; N];
        for (read, &size) in sizes_read.iter_mut().zip(&sizes) {
            *read = usize::try_from(size).map_err(too_large)?;
        }
        Ok(Idx {
            sizes: sizes_read,
            bytes,
        })
    }

    fn read(&mut self, into: &mut Vec<u8>, most: u64) -> Result<()> {
        self.0.read(into, most)
    }

    fn wrong_magic(&self, found: u32, expected: &str) -> Error {
        let found = match self.0.foreign() {
            Some(kind) => format!("{found:#010x}, since this is {kind}"),
            None => format!("{found:#010x}"),
        };
        self.problem("magic number", found, expected)
    }

    fn problem(&self, field: &'static str, found: impl Into<String>, expected: &str) -> Error {
        Error::Idx {
            path: self.0.path().to_owned(),
            field,
            found: found.into(),
            expected: expected.to_owned(),
        }
    }
}
