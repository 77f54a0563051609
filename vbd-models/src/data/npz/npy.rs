//! One array in numpy's format: magic number, version, a header that is a Python dictionary, values.
//!
//! Source: numpy.lib.format, versions 1.0 to 3.0.

use std::fmt;
use std::io::Read;

use vbd_net::data::Inputs;

/// Maximum length of a header in bytes; numpy's own limit is 10,000.
const MOST_HEADER: usize = 1 << 16;
/// Maximum number of bytes of an array.
const MOST_BYTES: u64 = 1 << 32;
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// An array in C order.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::data) struct Array {
    pub(in crate::data) number: Number,
    pub(in crate::data) shape: Vec<usize>,
    /// The values, in the byte order of `number`.
    pub(in crate::data) bytes: Vec<u8>,
}

impl Array {
    /// Converts the values to inputs of samples of `sample_len` values.
    pub(in crate::data) fn into_inputs(self, sample_len: usize) -> Result<Inputs, Problem> {
        let big_endian = match self.number {
            Number::U1 => return Ok(self.bytes.into()),
            Number::F4 { big_endian } => big_endian,
            other => {
                let expected = "uint8 or float32: convert it with .astype(\"float32\")";
                return Err(Problem::new("type", other.to_string(), expected));
            }
        };
        let words = self.bytes.chunks_exact(4);
        let floats: Vec<f32> = words
            .map(|word| {
                let word = [word[0], word[1], word[2], word[3]];
                if big_endian {
                    f32::from_be_bytes(word)
                } else {
                    f32::from_le_bytes(word)
                }
            })
            .collect();
        match floats.iter().position(|value| !value.is_finite()) {
            Some(place) => {
                let sample = place / sample_len;
                let found = format!("{} in sample {sample}", floats[place]);
                Err(Problem::new("value", found, "finite numbers"))
            }
            None => Ok(floats.into()),
        }
    }
}

/// Type of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Number {
    /// `uint8`.
    U1,
    /// `float32`.
    F4 { big_endian: bool },
    /// Another integer of so many bytes.
    Integer {
        signed: bool,
        bytes: usize,
        big_endian: bool,
    },
    /// Another float of so many bytes.
    Float { bytes: usize },
    /// `bool`.
    Bool,
}

impl Number {
    /// Parses numpy's name of a type, such as `<f4`. Returns `None` for one without numbers, such as
    /// text, objects and dates.
    fn parse(descr: &str) -> Option<Self> {
        let mut characters = descr.chars();
        let big_endian = match characters.next()? {
            '>' => true,
            '<' | '|' | '=' => false,
            _ => return None,
        };
        let kind = characters.next()?;
        let bytes: usize = characters.as_str().parse().ok()?;
        match (kind, bytes) {
            ('u', 1) => Some(Self::U1),
            ('f', 4) => Some(Self::F4 { big_endian }),
            ('u' | 'i', 1 | 2 | 4 | 8) => Some(Self::Integer {
                signed: kind == 'i',
                bytes,
                big_endian,
            }),
            ('f', 2 | 8 | 16) => Some(Self::Float { bytes }),
            ('b', 1) => Some(Self::Bool),
            _ => None,
        }
    }

    /// Returns the number of bytes of a value.
    fn bytes(self) -> usize {
        match self {
            Self::U1 | Self::Bool => 1,
            Self::F4 { .. } => 4,
            Self::Integer { bytes, .. } | Self::Float { bytes } => bytes,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U1 => formatter.write_str("uint8"),
            Self::F4 { .. } => formatter.write_str("float32"),
            Self::Integer { signed, bytes, .. } => {
                let sign = if *signed { "" } else { "u" };
                write!(formatter, "{sign}int{}", bytes * 8)
            }
            Self::Float { bytes } => write!(formatter, "float{}", bytes * 8),
            Self::Bool => formatter.write_str("bool"),
        }
    }
}

/// What is wrong with an array.
#[derive(Debug)]
pub(in crate::data) struct Problem {
    pub(in crate::data) field: &'static str,
    pub(in crate::data) found: String,
    pub(in crate::data) expected: &'static str,
}

impl Problem {
    pub(in crate::data) fn new(
        field: &'static str,
        found: impl Into<String>,
        expected: &'static str,
    ) -> Self {
        Self {
            field,
            found: found.into(),
            expected,
        }
    }
}

/// Reads an array. Memory grows with the data that are there.
pub(in crate::data) fn read(mut source: impl Read) -> Result<Array, Problem> {
    let start: [u8; 8] = exactly(&mut source, 8)?.try_into().map_err(|_| cut_off())?;
    if !start.starts_with(MAGIC) {
        return Err(Problem::new(
            "magic number",
            format!("{:?}", &start[..6]),
            "\\x93NUMPY",
        ));
    }
    let header_len = match start[6] {
        1 => {
            let len: [u8; 2] = exactly(&mut source, 2)?.try_into().map_err(|_| cut_off())?;
            usize::from(u16::from_le_bytes(len))
        }
        2 | 3 => {
            let len: [u8; 4] = exactly(&mut source, 4)?.try_into().map_err(|_| cut_off())?;
            usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX)
        }
        version => return Err(Problem::new("version", version.to_string(), "1 to 3")),
    };
    if header_len > MOST_HEADER {
        return Err(Problem::new(
            "header length",
            header_len.to_string(),
            "at most 65536 bytes",
        ));
    }
    let header = exactly(&mut source, header_len)?;
    let header = String::from_utf8(header).map_err(|_| {
        Problem::new(
            "header",
            "not text",
            "a dictionary of descr, fortran_order, shape",
        )
    })?;
    let (number, shape) = parse(&header)?;
    let len = shape.iter().try_fold(number.bytes() as u64, |len, &size| {
        len.checked_mul(size as u64)
            .filter(|&len| len <= MOST_BYTES)
    });
    let Some(len) = len else {
        return Err(Problem::new(
            "size",
            format!("{shape:?} of {number}"),
            "at most 2^32 bytes",
        ));
    };
    let mut bytes = Vec::new();
    // One more byte shows whether the file continues.
    source
        .take(len + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Problem::new(
                "data",
                format!("damaged: {error}"),
                "the values of the shape",
            )
        })?;
    if bytes.len() as u64 != len {
        let found = if (bytes.len() as u64) < len {
            format!("cut off after {} bytes", bytes.len())
        } else {
            format!("followed by more than its {len} bytes")
        };
        return Err(Problem::new(
            "data",
            found,
            "as many values as the shape says",
        ));
    }
    Ok(Array {
        number,
        shape,
        bytes,
    })
}

fn cut_off() -> Problem {
    Problem::new("header", "cut off", "a whole numpy array")
}

/// Reads so many bytes.
fn exactly(source: &mut impl Read, len: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let read = source.take(len as u64).read_to_end(&mut bytes);
    match read {
        Ok(found) if found == len => Ok(bytes),
        Ok(_) => Err(cut_off()),
        Err(error) => Err(Problem::new(
            "data",
            format!("damaged: {error}"),
            "a whole numpy array",
        )),
    }
}

/// Parses a header to type and shape.
fn parse(header: &str) -> Result<(Number, Vec<usize>), Problem> {
    const EXPECTED: &str = "a dictionary of descr, fortran_order, shape";
    let malformed = || Problem::new("header", format!("`{}`", header.trim()), EXPECTED);
    let entries = entries(header.trim()).ok_or_else(malformed)?;
    let value = |key: &str| {
        let found = entries.iter().find(|(own, _)| *own == key);
        found.map(|(_, value)| *value).ok_or_else(malformed)
    };
    let descr = value("descr")?;
    let name = unquoted(descr).unwrap_or(descr);
    let number = Number::parse(name).ok_or_else(|| {
        let found = match name {
            "|O" | "O" => "object, which would have to be unpickled".to_owned(),
            name => format!("`{name}`"),
        };
        Problem::new("type", found, "numbers")
    })?;
    match value("fortran_order")? {
        "False" => {}
        "True" => {
            let expected = "C order: convert it with numpy.ascontiguousarray";
            return Err(Problem::new("order", "Fortran", expected));
        }
        _ => return Err(malformed()),
    }
    let shape = value("shape")?;
    let shape = shape
        .strip_prefix('(')
        .and_then(|shape| shape.strip_suffix(')'));
    let sizes = shape.ok_or_else(malformed)?.split(',').map(str::trim);
    let sizes = sizes.filter(|size| !size.is_empty());
    let sizes: Option<Vec<usize>> = sizes.map(|size| size.parse().ok()).collect();
    Ok((number, sizes.ok_or_else(malformed)?))
}

/// Splits a dictionary with text for keys into keys and values, as text.
fn entries(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':')?;
        let end = value_end(after);
        entries.push((unquoted(key.trim())?, after[..end].trim()));
        rest = after[end..].strip_prefix(',').unwrap_or("").trim();
    }
    Some(entries)
}

/// Returns where a value ends: at the first comma outside of quotes and brackets, or at the end.
fn value_end(text: &str) -> usize {
    let (mut depth, mut quote) = (0_usize, None);
    for (place, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => return place,
            _ => {}
        }
    }
    text.len()
}

fn unquoted(text: &str) -> Option<&str> {
    let quoted = |mark: char| text.strip_prefix(mark)?.strip_suffix(mark);
    quoted('\'').or_else(|| quoted('"'))
}
