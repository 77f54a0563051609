//! Comparison of a cached file with what the hub said about it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::HubProblem;
use crate::data::checksum::hex;

/// Characters of a SHA-256 in hexadecimal.
const SHA256_LEN: usize = 64;

/// Checks a file of the cache. Its blob is named after its `ETag`, which is the SHA-256 of a large file.
/// A file that differs is removed.
///
/// # Errors
/// [`HubProblem::Damaged`] if it has another length than `len`, or another SHA-256 than its name.
pub(super) fn check(path: &Path, len: Option<u64>) -> Result<(), HubProblem> {
    let blob = path.canonicalize().map_err(unreadable)?;
    let found = fs::metadata(&blob).map_err(unreadable)?.len();
    if let Some(expected) = len.filter(|&expected| expected != found) {
        return Err(damaged(
            path,
            &blob,
            "length",
            found.to_string(),
            expected.to_string(),
        ));
    }
    let name = blob.file_name().and_then(|name| name.to_str());
    let is_sum =
        |name: &&str| name.len() == SHA256_LEN && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some(expected) = name.filter(is_sum) else {
        return Ok(());
    };
    let found = sha256_of(&blob).map_err(unreadable)?;
    if found == expected.to_ascii_lowercase() {
        return Ok(());
    }
    Err(damaged(path, &blob, "SHA-256", found, expected.to_owned()))
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            len => hash.update(&buffer[..len]),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn unreadable(error: io::Error) -> HubProblem {
    HubProblem::Other(format!("the cached file: {error}"))
}

/// Removes a file and its blob, so that it is downloaded again.
fn damaged(
    path: &Path,
    blob: &Path,
    field: &'static str,
    found: String,
    expected: String,
) -> HubProblem {
    for place in [path, blob] {
        if let Err(error) = fs::remove_file(place)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("{}: cannot be removed: {error}", place.display());
        }
    }
    HubProblem::Damaged {
        field,
        found,
        expected,
    }
}
