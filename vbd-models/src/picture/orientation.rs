//! The orientation in EXIF data.

use image::metadata::Orientation;

use super::DecodeError;

const TAG: u16 = 0x0112;
const SHORT: u16 = 3;
/// Bytes of an entry of a directory.
const ENTRY: usize = 12;
/// Prefix of EXIF data in a JPEG segment.
pub(super) const PREFIX: &[u8] = b"Exif\0\0";

/// Reads the orientation of EXIF data, a TIFF file. Without such a tag, or with a value that is not
/// 1 to 8, the picture is shown as stored.
///
/// # Errors
/// [`DecodeError::Exif`] if the first directory cannot be read: the picture may then be turned.
pub(super) fn orientation(mut tiff: &[u8]) -> Result<Orientation, DecodeError> {
    while let Some(rest) = tiff.strip_prefix(PREFIX) {
        tiff = rest;
    }
    if tiff.is_empty() {
        return Ok(Orientation::NoTransforms);
    }
    let is_little = match tiff.get(..4) {
        Some(b"II\x2a\0") => true,
        Some(b"MM\0\x2a") => false,
        _ => return Err(DecodeError::Exif("not a TIFF header")),
    };
    let short = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..)?.get(..2)?.try_into().ok()?;
        Some(if is_little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    };
    let long = |at: usize| {
        let (first, second) = (u32::from(short(at)?), u32::from(short(at + 2)?));
        Some(if is_little {
            second << 16 | first
        } else {
            first << 16 | second
        })
    };
    let cut = || DecodeError::Exif("the first directory is cut off");
    let start = long(4).ok_or_else(cut)? as usize;
    let entries = usize::from(short(start).ok_or_else(cut)?);
    if start + 2 + entries * ENTRY > tiff.len() {
        return Err(cut());
    }
    let mut found = None;
    for entry in 0..entries {
        let at = start + 2 + entry * ENTRY;
        let count = long(at + 4).map_or(0, |count| count as usize);
        let len = count.saturating_mul(short(at + 2).map_or(0, size_of_kind));
        let value = long(at + 8).map_or(0, |place| place as usize);
        if len > 4 && value.saturating_add(len) > tiff.len() {
            return Err(DecodeError::Exif(
                "a value of the first directory is cut off",
            ));
        }
        if short(at) != Some(TAG) {
            continue;
        }
        if (short(at + 2), long(at + 4)) != (Some(SHORT), Some(1)) {
            return Err(DecodeError::Exif("the orientation is not one short number"));
        }
        if found.replace(short(at + 8).unwrap_or(0)).is_some() {
            return Err(DecodeError::Exif("two orientations"));
        }
    }
    let stored = found.and_then(|value| u8::try_from(value).ok());
    let known = stored.and_then(Orientation::from_exif);
    Ok(known.unwrap_or(Orientation::NoTransforms))
}

/// Bytes of a number of this kind; 0 if the kind is unknown.
fn size_of_kind(kind: u16) -> usize {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 => 8,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EXIF data with one entry.
    fn exif(tag: u16, kind: u16, value: u16) -> Vec<u8> {
        let mut bytes = b"MM\0\x2a\0\0\0\x08\0\x01".to_vec();
        for number in [tag, kind, 0, 1, value, 0, 0, 0] {
            bytes.extend(number.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn known_values_are_read_and_others_are_ignored() {
        for value in 1..=8_u8 {
            let read = orientation(&exif(TAG, SHORT, value.into())).unwrap();
            assert_eq!(read.to_exif(), value);
        }
        for other in [
            exif(TAG, SHORT, 0),
            exif(TAG, SHORT, 262),
            exif(1, SHORT, 6),
        ] {
            assert_eq!(orientation(&other).unwrap(), Orientation::NoTransforms);
        }
        assert_eq!(orientation(b"").unwrap(), Orientation::NoTransforms);
        let little = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        assert_eq!(orientation(little).unwrap(), Orientation::Rotate90);
    }

    #[test]
    fn exif_data_that_cannot_be_read_are_an_error() {
        let whole = exif(TAG, SHORT, 6);
        for len in 1..whole.len() - 4 {
            assert!(orientation(&whole[..len]).is_err(), "{len}");
        }
        assert!(orientation(&exif(TAG, 4, 6)).is_err());
        let mut text = exif(TAG + 1, 2, 6);
        assert!(orientation(&text).is_ok());
        text[17] = 200;
        assert!(orientation(&text).is_err());
    }
}
