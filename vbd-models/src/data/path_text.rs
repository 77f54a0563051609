//! A data set's folder as text, also if its path is not UTF-8.
//!
//! Recipes, checkpoints and reports hold the name of a data set as text: `idx:FOLDER`, `npz:FILE` or
//! `images:FOLDER`. A path that is not UTF-8 is written as `idx%:FOLDER` and so on, percent-encoded, and
//! read back as the same path.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Prefix of a folder with IDX files.
pub(super) const IDX: &str = "idx";
/// Prefix of a numpy archive.
pub(super) const NPZ: &str = "npz";
/// Prefix of a folder with images.
pub(super) const IMAGES: &str = "images";

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
    let prefixed = |prefix: &str| bytes.strip_prefix(format!("{prefix}:").as_bytes());
    let known = [IDX, NPZ, IMAGES].into_iter();
    let mut known = known.filter_map(|prefix| Some((prefix, prefixed(prefix)?)));
    let (prefix, path) = match known.next() {
        Some(found) => found,
        None if bytes.ends_with(b".npz") => (NPZ, bytes),
        None => (IDX, bytes),
    };
    let mut text = format!("{prefix}%:");
    for &byte in path {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Returns the name of a set at a path: `PREFIX:PATH`.
pub(super) fn name_at(prefix: &str, path: &Path) -> String {
    let mut name = OsString::from(format!("{prefix}:"));
    name.push(path);
    text_of(&name)
}

/// Returns the path after a prefix, in capitals or not.
pub(super) fn path_after(prefix: &str, text: &str) -> Option<PathBuf> {
    let start = text.get(..prefix.len())?;
    let after = start
        .eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])?;
    if let Some(encoded) = after.strip_prefix("%:") {
        return decode(encoded);
    }
    let path = after.strip_prefix(':')?;
    (!path.is_empty()).then(|| path.into())
}

/// Decodes a percent-encoded path; `None` if the encoding is invalid.
#[cfg(unix)]
fn decode(text: &str) -> Option<PathBuf> {
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
        let folder = path_after(IDX, &text).unwrap();
        assert_eq!(folder.as_os_str().as_bytes(), &bytes[4..]);
        let images = text_of(OsStr::from_bytes(b"images:caf\xe9"));
        assert_eq!(images, "images%:caf%E9");
        assert!(path_after(IMAGES, &images).is_some());
        for broken in ["idx%:a%", "idx%:a%4", "idx%:%zz", "idx%:%+1"] {
            assert_eq!(path_after(IDX, broken), None, "{broken}");
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
