//! Reads a file, a pipe or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::DecodeError;
use crate::error::{Error, Result};

/// Largest file that is read.
const LIMIT: u64 = 1 << 28;

/// Returns whether the path means standard input.
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a file to its end; `-` is standard input.
///
/// # Errors
/// [`vbd_net::Error::Io`] if it cannot be read; [`Error::Picture`] if it is larger than 2^28 bytes.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = if is_stdin(path) {
        read_some(io::stdin().lock())
    } else {
        File::open(path).and_then(read_some)
    };
    let bytes = bytes.map_err(Error::io(path))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::picture(path)(DecodeError::FileTooLarge {
            limit: LIMIT,
        }));
    }
    Ok(bytes)
}

/// Reads up to one byte more than the limit.
fn read_some(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
