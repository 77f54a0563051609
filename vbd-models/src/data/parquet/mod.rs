//! Parquet files of images, as the hub makes them of a data set: a column of images (PNG or JPEG, in
//! the field `bytes` of a group), and a column of labels.
//!
//! Files are untrusted, though the hub's checksum fits: counts and sizes are checked before anything
//! large is allocated, and one damaged image is an error that names its row.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use rayon::prelude::*;
use vbd_net::data::{Inputs, Samples};

use super::idx::MAX_PIXELS;
use super::split::Split;
use crate::error::{Error, Result};
use crate::picture::{Channels, Encoded, Ground};

/// Reads a split of images of this shape and of labels below `classes`.
///
/// # Errors
/// [`Error::DataFile`] naming file and field: not a parquet file, no images or labels, too many rows, an
/// image that cannot be read or has another size, or a label out of range.
pub(super) fn read_split(path: &Path, shape: [usize; 3], classes: usize) -> Result<Split> {
    let file = File::open(path).map_err(Error::io(path))?;
    // The reader is not made for files of strangers.
    let read = catch_unwind(AssertUnwindSafe(|| read_rows(path, file, shape)));
    let rows = read.unwrap_or_else(|_| Err(problem(path, "content", "damaged", WHOLE)))?;
    let labels = rows.iter().enumerate().map(|(row, sample)| {
        let label = u8::try_from(sample.label).ok();
        label
            .filter(|&label| usize::from(label) < classes)
            .ok_or_else(|| {
                let found = format!("{} in row {row}", sample.label);
                problem(path, "label", &found, &format!("0 to {}", classes - 1))
            })
    });
    let labels = labels.collect::<Result<Vec<u8>>>()?;
    let images = rows.par_iter().enumerate();
    let images = images.map(|(row, sample)| decode(path, row, &sample.image, shape));
    let images = images.collect::<Result<Vec<_>>>()?.concat();
    Ok(Split {
        shape,
        samples: Samples::new(Inputs::U8(images), labels, shape.iter().product())?,
        classes,
    })
}

const WHOLE: &str = "a whole parquet file";
const COLUMNS: &str = "a column of images (a group with `bytes`) and one of whole numbers";

/// A row of the file.
struct Encoding {
    image: Vec<u8>,
    label: i64,
}

fn read_rows(path: &Path, file: File, shape: [usize; 3]) -> Result<Vec<Encoding>> {
    let damaged = |error: ParquetError| problem(path, "content", &error.to_string(), WHOLE);
    let reader = SerializedFileReader::new(file).map_err(damaged)?;
    let count = reader.metadata().file_metadata().num_rows();
    let pixels: usize = shape.iter().product();
    let most = MAX_PIXELS / pixels as u64;
    if u64::try_from(count)
        .ok()
        .is_none_or(|count| count == 0 || count > most)
    {
        let expected = format!("1 to {most}");
        return Err(problem(
            path,
            "number of rows",
            &count.to_string(),
            &expected,
        ));
    }
    let rows = reader.get_row_iter(None).map_err(damaged)?;
    let rows = rows.map(|row| {
        let row = row.map_err(damaged)?;
        encoding_of(&row).ok_or_else(|| problem(path, "row", &row.to_string(), COLUMNS))
    });
    rows.collect()
}

/// Returns the image and the label of a row.
fn encoding_of(row: &Row) -> Option<Encoding> {
    let (mut image, mut label) = (None, None);
    for (_, field) in row.get_column_iter() {
        match field {
            Field::Group(group) => {
                image = group
                    .get_column_iter()
                    .find_map(|(name, field)| match field {
                        Field::Bytes(bytes) if name == "bytes" => Some(bytes.data().to_vec()),
                        _ => None,
                    });
            }
            Field::Long(value) => label = Some(*value),
            Field::Int(value) => label = Some(i64::from(*value)),
            _ => {}
        }
    }
    Some(Encoding {
        image: image?,
        label: label?,
    })
}

fn decode(path: &Path, row: usize, bytes: &[u8], shape: [usize; 3]) -> Result<Vec<u8>> {
    let [channels, rows, columns] = shape;
    let picture = || -> std::result::Result<Vec<u8>, String> {
        let encoded = Encoded::open(bytes).map_err(|error| error.to_string())?;
        let size = encoded.size();
        if [size.height, size.width] != [rows, columns] {
            return Err(size.to_string());
        }
        let raster = encoded.decode().map_err(|error| error.to_string())?;
        let pixels = Ground::Assumed
            .lay(&raster)
            .map_err(|error| error.to_string())?;
        let channels = if channels == 1 {
            Channels::Grey
        } else {
            Channels::Rgb
        };
        Ok(channels.planes(&pixels))
    };
    picture().map_err(|found| {
        let found = format!("{found} in row {row}");
        problem(
            path,
            "image",
            &found,
            &format!("PNG or JPEG of {rows} x {columns} pixels"),
        )
    })
}

fn problem(path: &Path, field: &str, found: &str, expected: &str) -> Error {
    Error::DataFile {
        path: path.to_owned(),
        field: field.to_owned(),
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}
