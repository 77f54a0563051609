//! Reads a file, a pipe or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::DecodeError;

/// Largest file that is read.
const LIMIT: u64 = 1 << 28;

/// Returns whether the path means standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a file to its end; `-` is standard input.
///
/// # Errors
/// If it cannot be read, or is larger than the limit.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = if is_stdin(path) {
        read_some(io::stdin().lock())
    } else {
        File::open(path).and_then(read_some)
    };
    let bytes = bytes.map_err(vbd_core::Error::io(path))?;
    if bytes.len() as u64 > LIMIT {
        let error = DecodeError::FileTooLarge { limit: LIMIT };
        return Err(anyhow::Error::new(error).context(path.display().to_string()));
    }
    Ok(bytes)
}

/// Reads up to one byte more than the limit.
fn read_some(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
