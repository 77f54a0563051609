//! A data set's folder as text, also if its path is not UTF-8.
//!
//! Recipes, checkpoints and reports hold the name of a data set as text: `idx:FOLDER`. A path that is
//! not UTF-8 is written as `idx%:FOLDER`, percent-encoded, and read back as the same path.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Prefix of a folder with IDX files.
pub(super) const IDX_PREFIX: &str = "idx:";
/// Prefix of a percent-encoded folder.
const ENCODED_PREFIX: &str = "idx%:";

/// Converts an argument that names a data set to text.
///
/// ```
/// use vbd_models::data::text_of;
///
/// assert_eq!(text_of("mnist".as_ref()), "mnist");
/// ```
pub fn text_of(name: &OsStr) -> String {
    match name.to_str() {
        Some(text) => text.to_owned(),
        None => encode(name.as_encoded_bytes()),
    }
}

fn encode(bytes: &[u8]) -> String {
    let folder = bytes.strip_prefix(IDX_PREFIX.as_bytes()).unwrap_or(bytes);
    let mut text = ENCODED_PREFIX.to_owned();
    for &byte in folder {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Returns the folder of `idx:FOLDER`, with a prefix in capitals or not.
pub(super) fn own_folder(text: &str) -> Option<PathBuf> {
    let after = |prefix: &str| {
        let start = text.get(..prefix.len())?;
        start
            .eq_ignore_ascii_case(prefix)
            .then(|| &text[prefix.len()..])
    };
    if let Some(encoded) = after(ENCODED_PREFIX) {
        return decode(encoded);
    }
    after(IDX_PREFIX)
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
}

/// Decodes a percent-encoded path; `None` if the encoding is invalid.
#[cfg(unix)]
fn decode(text: &str) -> Option<PathBuf> {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2)?;
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(OsString::from_vec(bytes).into())
}

/// Other systems have no paths of arbitrary bytes.
#[cfg(not(unix))]
fn decode(_text: &str) -> Option<PathBuf> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::data::{digits, idx, load};

    #[test]
    fn a_path_that_is_not_utf8_survives_as_text() {
        let bytes = b"idx:/data/caf\xe9 100%/\xff";
        let text = text_of(OsStr::from_bytes(bytes));
        assert_eq!(text, "idx%:/data/caf%E9%20100%25/%FF");
        let folder = own_folder(&text).unwrap();
        assert_eq!(folder.as_os_str().as_bytes(), &bytes[4..]);
        for broken in ["idx%:a%", "idx%:a%4", "idx%:%zz", "idx%:%+1"] {
            assert_eq!(own_folder(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_folder_that_is_not_utf8_is_read_and_named_so_that_it_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(OsStr::from_bytes(b"caf\xe9"));
        idx::write_folder(&digits(3, 20, 10).unwrap(), &own).unwrap();
        let set = load(&text_of(own.as_os_str()), None).unwrap();
        assert!(set.name.ends_with("/caf%E9"), "{}", set.name);
        assert_eq!(load(&set.name, None).unwrap(), set);
    }
}
