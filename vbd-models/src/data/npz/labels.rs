//! Labels from arrays of integers.

use super::npy::{Array, Number, Problem};

/// Converts an array of integers to labels.
pub(super) fn labels(array: &Array) -> Result<Vec<u8>, Problem> {
    const EXPECTED: &str = "integers from 0 to 255";
    match array.number {
        Number::U1 => Ok(array.bytes.clone()),
        Number::Integer {
            signed,
            bytes,
            big_endian,
        } => array
            .bytes
            .chunks_exact(bytes)
            .enumerate()
            .map(|(index, word)| {
                let value = integer(word, signed, big_endian);
                u8::try_from(value).map_err(|_| {
                    Problem::new("label", format!("{value} of sample {index}"), EXPECTED)
                })
            })
            .collect(),
        other => Err(Problem::new(
            "type",
            other.to_string(),
            "integers from 0 to 255: convert whole numbers with .astype(\"int64\")",
        )),
    }
}

/// Returns the value of an integer of 1 to 8 bytes.
fn integer(word: &[u8], signed: bool, big_endian: bool) -> i128 {
    let mut magnitude: u64 = 0;
    for place in 0..word.len() {
        let byte = if big_endian {
            word[place]
        } else {
            word[word.len() - 1 - place]
        };
        magnitude = magnitude << 8 | u64::from(byte);
    }
    let bits = 8 * word.len();
    let is_negative = signed && magnitude >> (bits - 1) & 1 == 1;
    i128::from(magnitude) - if is_negative { 1_i128 << bits } else { 0 }
}
