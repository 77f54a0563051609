//! Valid files, changed at random a hundred thousand times: a file or a typed error, never a panic.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, compare exactly, and draw small numbers"
)]

mod common;
mod lies;

use common::{Draws, random_checkpoint};
use lies::{small, use_it};
use safetensors::Dtype;
use vbd_net::tensor_file;
use vbd_net::{Layout, PrunedFile, ValueType};
use vbd_prune::prune_checkpoint;

fn valid(seed: u64, layout: Layout, values: ValueType) -> Vec<u8> {
    let net = prune_checkpoint(&random_checkpoint(seed), None).unwrap();
    PrunedFile::new(&net, Some(layout), values)
        .unwrap()
        .to_bytes()
        .unwrap()
}

fn mutate(bytes: &mut Vec<u8>, draws: &mut Draws) {
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let end = (8 + header).min(bytes.len());
    match draws.below(8) {
        // A bit or a byte anywhere, in the header, in its length, or in the data.
        0 => {
            let at = draws.below(bytes.len());
            bytes[at] ^= 1 << draws.below(8);
        }
        1 => {
            let at = draws.below(bytes.len());
            bytes[at] = draws.next() as u8;
        }
        2 => {
            let at = 8 + draws.below(end - 8);
            bytes[at] = b"0123456789\"[]{},:-.ex"[draws.below(21)];
        }
        3 => {
            let at = draws.below(8);
            bytes[at] = draws.next() as u8;
        }
        4 if end < bytes.len() => {
            let at = end + draws.below(bytes.len() - end);
            bytes[at] = [0, 1, 127, 128, 254, 255][draws.below(6)];
        }
        5 => bytes.truncate(8 + draws.below(bytes.len() - 8)),
        6 => {
            let extra = (0..draws.below(9)).map(|_| draws.next() as u8);
            bytes.extend(extra);
        }
        // Another digit in the header: wrong sizes and offsets with the same header length.
        _ => {
            let digits: Vec<usize> = (8..end).filter(|&i| bytes[i].is_ascii_digit()).collect();
            if !digits.is_empty() {
                bytes[digits[draws.below(digits.len())]] = b"0123456789"[draws.below(10)];
            }
        }
    }
}

/// A change inside a valid container: one tensor's bytes, length, type or name, or the JSON.
fn mutate_inside(bytes: &[u8], draws: &mut Draws) -> Option<Vec<u8>> {
    let (mut tensors, json) = tensor_file::from_bytes(bytes).ok()?;
    let mut json = json.into_bytes();
    let name = tensors.keys().nth(draws.below(tensors.len()))?.clone();
    let mut raw = tensors.remove(&name)?;
    let size = raw.dtype.bitsize() / 8;
    match draws.below(6) {
        0 if !raw.bytes.is_empty() => {
            let at = draws.below(raw.bytes.len());
            raw.bytes[at] = [0, 1, 2, 127, 128, 254, 255, draws.next() as u8][draws.below(8)];
        }
        1 if raw.shape.len() == 1 => {
            raw.shape[0] = draws.below(raw.shape[0] + 3);
            raw.bytes.resize(raw.shape[0] * size, draws.next() as u8);
        }
        2 => {
            let types = [Dtype::F16, Dtype::BF16, Dtype::U16, Dtype::I16];
            let of_size = [
                [Dtype::U8; 4],
                types,
                [Dtype::I32, Dtype::F32, Dtype::U32, Dtype::I32],
            ];
            raw.dtype = match size {
                8 => [Dtype::I64, Dtype::F64][draws.below(2)],
                size => of_size[size / 2][draws.below(4)],
            };
        }
        3 if draws.below(4) == 0 => raw.shape.push(1),
        4 if !json.is_empty() => {
            let digits: Vec<usize> = (0..json.len())
                .filter(|&i| json[i].is_ascii_digit())
                .collect();
            json[digits[draws.below(digits.len())]] = b"0123456789"[draws.below(10)];
        }
        _ => {}
    }
    tensors.insert(name, raw);
    tensor_file::to_bytes(&tensors, String::from_utf8(json).ok()?).ok()
}

#[test]
fn a_hundred_thousand_mutations_give_a_file_or_an_error() {
    let mut draws = Draws(2026);
    let mut files: Vec<Vec<u8>> = Layout::ALL.map(small).to_vec();
    for seed in 0..12 {
        let (layout, values) = (
            Layout::ALL[seed as usize % 4],
            ValueType::ALL[seed as usize % 3],
        );
        files.push(valid(seed, layout, values));
    }
    files.retain(|file| file.len() < 6000);
    assert!(files.len() > 8);
    let mut read = 0;
    for case in 0..100_000 {
        let mut bytes = files[case % files.len()].clone();
        for _ in 0..=draws.below(3) {
            if case % 2 == 0 {
                bytes = mutate_inside(&bytes, &mut draws).unwrap_or(bytes);
            } else if bytes.len() > 16 {
                mutate(&mut bytes, &mut draws);
            }
        }
        read += usize::from(use_it(&bytes));
    }
    // Some mutations must get past the first checks.
    assert!(read > 1000, "{read}");
    println!("{read} of 100000 were still files");
}
