//! Arrays of numbers in MATLAB's MAT-file of version 5, little-endian: no more than [`super`] needs.
//!
//! A file is a header of 128 bytes, then elements: a type, a length, the data, zeros to a multiple of
//! 8 bytes. An array is an element of elements: flags, dimensions, name, values. It may be packed
//! with zlib in an element of its own. Up to 4 bytes of data may be inside the tag.
//!
//! Source: "MAT-File Format", The `MathWorks`, chapter 1. Files are untrusted: memory grows with the
//! data that are there, and arrays of other names are not unpacked.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::ZlibDecoder;
use vbd_net::foreign;

use crate::data::idx::MAX_PIXELS;
use crate::error::{Error, Result};

const HEADER: usize = 128;
const ARRAY: u32 = 14;
const COMPRESSED: u32 = 15;
/// Types of the parts of an array.
const INT8: u32 = 1;
const INT32: u32 = 5;
const UINT32: u32 = 6;
/// Maximum number of bytes of a name or of dimensions.
const MOST_SMALL: u32 = 256;
const COMPLEX: u32 = 0x0800;

/// An array of numbers, column by column.
#[derive(Debug)]
pub(super) struct MatArray {
    pub(super) shape: Vec<usize>,
    /// Type that the values have in MATLAB.
    pub(super) class: &'static str,
    number: Number,
    /// The values, little-endian, in the type of `number`.
    pub(super) bytes: Vec<u8>,
}

/// Type in which values are stored; it may be smaller than their class.
#[derive(Debug, Clone, Copy)]
enum Number {
    Signed(usize),
    Unsigned(usize),
    Single,
    Double,
}

impl Number {
    fn of(kind: u32) -> Option<Self> {
        Some(match kind {
            1 => Self::Signed(1),
            2 => Self::Unsigned(1),
            3 => Self::Signed(2),
            4 => Self::Unsigned(2),
            5 => Self::Signed(4),
            6 => Self::Unsigned(4),
            7 => Self::Single,
            9 => Self::Double,
            12 => Self::Signed(8),
            13 => Self::Unsigned(8),
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::Signed(bytes) | Self::Unsigned(bytes) => bytes,
            Self::Single => 4,
            Self::Double => 8,
        }
    }

    /// Converts one value. Integers over 2^53 are rounded.
    fn value(self, bytes: &[u8]) -> f64 {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(word);
        match self {
            Self::Unsigned(_) => unsigned as f64,
            Self::Signed(width) => {
                let unused = 64 - 8 * width;
                ((unsigned << unused).cast_signed() >> unused) as f64
            }
            Self::Single => f64::from(f32::from_le_bytes([word[0], word[1], word[2], word[3]])),
            Self::Double => f64::from_le_bytes(word),
        }
    }
}

impl MatArray {
    /// Returns all values.
    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        let values = self.bytes.chunks_exact(self.number.bytes());
        values.map(|value| self.number.value(value))
    }
}

/// Name of a MATLAB class, if its values are real numbers.
fn class_name(class: u32) -> Option<&'static str> {
    Some(match class {
        6 => "double",
        7 => "single",
        8 => "int8",
        9 => "uint8",
        10 => "int16",
        11 => "uint16",
        12 => "int32",
        13 => "uint32",
        14 => "int64",
        15 => "uint64",
        _ => return None,
    })
}

/// Reads the arrays with these names; `None` for those that the file lacks.
///
/// # Errors
/// [`Error::DataFile`] naming the field if the file is another, cut off or damaged, or an array
/// holds no real numbers or has over [`MAX_PIXELS`] bytes.
pub(super) fn read<const N: usize>(path: &Path, names: [&str; N]) -> Result<[Option<MatArray>; N]> {
    let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let end = file.get_ref().metadata().map_err(Error::io(path))?.len();
    let whole = |problem: Problem| problem.of(path);
    let start = file.fill_buf().map_err(Error::io(path))?;
    let foreign = foreign::kind_of(start);
    check_header(&take(&mut file, HEADER as u64).map_err(whole)?, foreign).map_err(whole)?;
    let mut found = [const { None }; N];
    let mut place = HEADER as u64;
    while place < end {
        file.seek(SeekFrom::Start(place)).map_err(Error::io(path))?;
        let tag = Tag::read(&mut file).map_err(whole)?;
        let next = place + 8 + u64::from(tag.len);
        if next > end {
            let found = format!("cut off: {} of {} bytes", end - place - 8, tag.len);
            return Err(whole(Problem::new("element", found, "a whole file")));
        }
        let mut body = (&mut file).take(u64::from(tag.len));
        let array = match tag.kind {
            COMPRESSED => {
                let mut unpacked = ZlibDecoder::new(&mut body);
                let inner = Tag::read(&mut unpacked).map_err(whole)?;
                match inner.kind {
                    ARRAY => named_array(&mut unpacked, names).map_err(whole)?,
                    _ => None,
                }
            }
            ARRAY => named_array(&mut body, names).map_err(whole)?,
            _ => None,
        };
        if let Some((number, array)) = array {
            found[number] = Some(array);
        }
        // What is packed is not padded.
        place = if tag.kind == COMPRESSED {
            next
        } else {
            next.next_multiple_of(8)
        };
    }
    Ok(found)
}

fn check_header(header: &[u8], foreign: Option<&'static str>) -> Result<(), Problem> {
    let expected = "a MAT-file of version 5, little-endian (in MATLAB, save with -v7)";
    let found = if header.starts_with(b"MATLAB 7.3") {
        "7.3, which is HDF5".to_owned()
    } else if let Some(kind) = foreign {
        format!("none, since this is {kind}")
    } else {
        match header[124..] {
            [0, 1, b'I', b'M'] => return Ok(()),
            [1, 0, b'M', b'I'] => "5, big-endian".to_owned(),
            ref other => format!("{other:?}"),
        }
    };
    Err(Problem::new("version", found, expected))
}

/// Reads an array after its tag; `None` if its name is not among the `names`.
fn named_array<const N: usize>(
    source: &mut impl Read,
    names: [&str; N],
) -> Result<Option<(usize, MatArray)>, Problem> {
    let flags = words(&small_part(source, UINT32, "flags of an array")?);
    let shape = words(&small_part(source, INT32, "dimensions of an array")?);
    let name = small_part(source, INT8, "name of an array")?;
    let Some(number) = names.iter().position(|known| known.as_bytes() == name) else {
        return Ok(None);
    };
    let problem = |field: &str, found: String, expected: &'static str| {
        Problem::new(&format!("{field} of `{}`", names[number]), found, expected)
    };
    let flags = flags.first().copied().unwrap_or(0);
    let Some(class) = class_name(flags & 0xff).filter(|_| flags & COMPLEX == 0) else {
        let found = format!(
            "class {}{}",
            flags & 0xff,
            if flags & COMPLEX == 0 {
                ""
            } else {
                ", complex"
            }
        );
        return Err(problem("type", found, "real numbers"));
    };
    let tag = Tag::read(source)?;
    let Some(stored) = Number::of(tag.kind) else {
        return Err(problem(
            "values",
            format!("of type {}", tag.kind),
            "numbers",
        ));
    };
    let len = shape.iter().try_fold(stored.bytes() as u64, |len, &size| {
        len.checked_mul(u64::from(size))
            .filter(|&len| len <= MAX_PIXELS)
    });
    if len != Some(u64::from(tag.len)) {
        let found = format!("{} bytes for shape {shape:?}", tag.len);
        return Err(problem(
            "values",
            found,
            "as many as the shape says, in at most 2^32 bytes",
        ));
    }
    let bytes = match tag.inside {
        Some(inside) => inside[..tag.len as usize].to_vec(),
        None => take(source, u64::from(tag.len))
            .map_err(|cut| problem("values", cut.found, "a whole array"))?,
    };
    let array = MatArray {
        shape: shape.into_iter().map(|size| size as usize).collect(),
        class,
        number: stored,
        bytes,
    };
    Ok(Some((number, array)))
}

/// Type and length of an element.
struct Tag {
    kind: u32,
    len: u32,
    /// Data inside the tag.
    inside: Option<[u8; 4]>,
}

impl Tag {
    fn read(source: &mut impl Read) -> Result<Self, Problem> {
        let bytes = take(source, 8)?;
        let (kind, rest) = bytes.split_at(4);
        let [kind, rest] = [kind, rest].map(word);
        let inside_len = kind >> 16;
        if inside_len == 0 {
            return Ok(Self {
                kind,
                len: rest,
                inside: None,
            });
        }
        if inside_len > 4 {
            let found = format!("{inside_len} bytes inside a tag");
            return Err(Problem::new("element", found, "at most 4"));
        }
        Ok(Self {
            kind: kind & 0xffff,
            len: inside_len,
            inside: Some(rest.to_le_bytes()),
        })
    }
}

/// Reads a small part of an array, which must have this type.
fn small_part(source: &mut impl Read, kind: u32, field: &str) -> Result<Vec<u8>, Problem> {
    let tag = Tag::read(source)?;
    if tag.kind != kind || tag.len > MOST_SMALL {
        let found = format!("{} bytes of type {}", tag.len, tag.kind);
        return Err(Problem::new(field, found, "those of an array of numbers"));
    }
    if let Some(inside) = tag.inside {
        return Ok(inside[..tag.len as usize].to_vec());
    }
    let padded = u64::from(tag.len).next_multiple_of(8);
    let mut bytes = take(source, padded)?;
    bytes.truncate(tag.len as usize);
    Ok(bytes)
}

/// Returns the number in four bytes.
fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(word).collect()
}

/// Reads exactly so many bytes.
fn take(source: &mut impl Read, len: u64) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let read = source.take(len).read_to_end(&mut bytes);
    let found = match read {
        Ok(found) if found as u64 == len => return Ok(bytes),
        Ok(found) => format!("cut off after {found} bytes"),
        Err(error) => format!("damaged: {error}"),
    };
    Err(Problem::new("content", found, "a whole MAT-file"))
}

/// What is wrong with a file.
struct Problem {
    field: String,
    found: String,
    expected: &'static str,
}

impl Problem {
    fn new(field: &str, found: String, expected: &'static str) -> Self {
        Self {
            field: field.to_owned(),
            found,
            expected,
        }
    }

    fn of(self, path: &Path) -> Error {
        Error::DataFile {
            path: path.to_owned(),
            field: self.field,
            found: self.found,
            expected: self.expected.to_owned(),
        }
    }
}
