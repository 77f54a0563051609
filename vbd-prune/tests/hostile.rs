//! Files that lie: one test for each way, and 100,000 mutations.

mod common;

use std::path::Path;

use common::{Draws, random_checkpoint};
use safetensors::Dtype;
use vbd_core::tensor_file::{self, RawTensor, Tensors};
use vbd_prune::{Error, Layout, Problem, PrunedFile, PrunedNet, Report, SparseNet, ValueType, Opened};

fn valid(seed: u64, layout: Layout, values: ValueType) -> Vec<u8> {
    let net = PrunedNet::from_checkpoint(&random_checkpoint(seed), None).unwrap();
    PrunedFile::new(&net, Some(layout), values).unwrap().to_bytes().unwrap()
}

fn read(bytes: &[u8]) -> Result<PrunedFile, Error> {
    PrunedFile::from_bytes(bytes, Path::new("hostile"))
}

/// A file whose `fc1` is `[3, 10]` with the entries (0, 1), (0, 9), (2, 0), after `change`.
fn changed(layout: Layout, change: impl FnOnce(&mut Tensors, &mut String)) -> Result<PrunedFile, Error> {
    let (mut tensors, mut json) = tensor_file::from_bytes(&small(layout)).unwrap();
    change(&mut tensors, &mut json);
    let file = read(&tensor_file::to_bytes(&tensors, json).unwrap());
    if let Err(error) = &file {
        let text = error.to_string();
        assert!(text.starts_with("hostile: "), "{text}");
        assert!(text.contains('`'), "{text}");
    }
    file
}

fn small(layout: Layout) -> Vec<u8> {
    let json = |layout| {
        format!(
            r#"{{"version":1,"kind":"pruned","spec":{{"name":"n","input":[10],"classes":3,"normalize":{{"scale":1.0,"mean":0.0,"std":"image"}},"layer":[{{"kind":"linear","name":"fc1","out_features":3}}]}},"values":"f32","provenance":{layout}}}"#
        )
    };
    let mut weight = vec![0.0; 30];
    (weight[1], weight[9], weight[20]) = (1.0, 2.0, 3.0);
    let mut tensors = Tensors::new();
    tensors.insert("fc1.weight".to_owned(), RawTensor::f32(&[3, 10], &weight));
    tensors.insert("fc1.bias".to_owned(), RawTensor::f32(&[3], &[0.1, 0.2, 0.3]));
    tensors.insert("normalize.std".to_owned(), RawTensor::f32(&[10], &[1.0; 10]));
    let dense = read(&tensor_file::to_bytes(&tensors, json("{}")).unwrap()).unwrap();
    PrunedFile::new(dense.net(), Some(layout), ValueType::F32).unwrap().to_bytes().unwrap()
}

fn u16s(numbers: &[u16]) -> RawTensor {
    let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    RawTensor { dtype: Dtype::U16, shape: vec![numbers.len()], bytes }
}

fn i32s(numbers: &[i32]) -> RawTensor {
    let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    RawTensor { dtype: Dtype::I32, shape: vec![numbers.len()], bytes }
}

fn i64s(numbers: &[i64]) -> RawTensor {
    let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    RawTensor { dtype: Dtype::I64, shape: vec![numbers.len()], bytes }
}

fn u8s(numbers: &[u8]) -> RawTensor {
    RawTensor { dtype: Dtype::U8, shape: vec![numbers.len()], bytes: numbers.to_vec() }
}

/// The problem of a file after one tensor is replaced.
fn problem(layout: Layout, tensor: &str, raw: RawTensor) -> Problem {
    let file = changed(layout, |tensors, _| {
        assert!(tensors.insert(tensor.to_owned(), raw).is_some(), "{tensor}");
    });
    match file {
        Err(Error::Content { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_changed_is_read() {
    for layout in Layout::ALL {
        let file = changed(layout, |_, _| ()).unwrap();
        assert_eq!(file.net().layers()[0].weight.nnz(), 3);
        assert_eq!(file.storage()[0].layout, layout);
    }
}

#[test]
fn every_truncation_is_refused() {
    for layout in Layout::ALL {
        let bytes = small(layout);
        for len in 0..bytes.len() {
            assert!(matches!(read(&bytes[..len]), Err(Error::TensorFile { .. })), "{len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(read(&longer), Err(Error::TensorFile { .. })));
    }
}

#[test]
fn metadata_that_lie_are_refused() {
    let json = |from: &'static str, to: &'static str| {
        changed(Layout::Csr, move |_, json| {
            assert!(json.contains(from), "{json}");
            *json = json.replace(from, to);
        })
    };
    assert!(matches!(json(r#""version":1"#, r#""version":2"#), Err(Error::Version { found: 2, .. })));
    assert!(matches!(json(r#""version":1"#, r#""version":-1"#), Err(Error::Metadata { .. })));
    assert!(matches!(json("pruned", "checkpoint"), Err(Error::Kind { .. })));
    assert!(matches!(json(r#""values":"f32""#, r#""values":"f64""#), Err(Error::Metadata { .. })));
    assert!(matches!(json(r#""values":"f32""#, r#""values":"f16""#), Err(Error::Dtype { .. })));
    assert!(matches!(json(r#""values":"#, r#""surplus":1,"values":"#), Err(Error::Metadata { .. })));
    assert!(matches!(json(r#""classes":3"#, r#""classes":4"#), Err(Error::Spec { .. })));
    assert!(matches!(json(r#""scale":1.0"#, r#""scale":0.0"#), Err(Error::Spec { .. })));
    assert!(matches!(json(r#""scale":1.0"#, r#""scale":1e999"#), Err(Error::Metadata { .. })));
    assert!(matches!(json(r#""input":[10]"#, r#""input":[11]"#), Err(Error::Shape { .. })));
    assert!(matches!(json("}", ""), Err(Error::Metadata { .. })));
    let none = changed(Layout::Csr, |_, json| *json = "null".to_owned());
    assert!(matches!(none, Err(Error::Metadata { .. })));
}

#[test]
fn absurd_sizes_are_refused_or_cost_nothing() {
    for size in [1_u64 << 40, u64::MAX, (1 << 24) + 1] {
        let columns = changed(Layout::Delta, |_, json| {
            *json = json.replace("[10]", &format!("[{size}]"));
        });
        assert!(matches!(columns, Err(Error::Spec { .. })));
        let rows = changed(Layout::Delta, |_, json| {
            let layers = format!(
                r#"[{{"kind":"linear","name":"fc0","out_features":{size}}},{{"kind":"linear""#
            );
            *json = json.replace(r#"[{"kind":"linear""#, &layers);
        });
        assert!(matches!(rows, Err(Error::Spec { .. })));
    }
    // A net as wide as the caps let it be, without the data: nothing is allocated for its width.
    let wide = changed(Layout::Delta, |tensors, json| {
        *json = json.replace("[10]", &format!("[{}]", 1 << 24)).replace(r#""image""#, "1.0");
        tensors.remove("normalize.std");
    });
    let wide = wide.unwrap();
    assert_eq!(wide.net().layers()[0].weight.cols(), 1 << 24);
    assert_eq!(Report::of_file(&wide).layers[0].live_inputs, 3);
    SparseNet::new(wide.net()).unwrap();
    let many_rows = changed(Layout::Delta, |_, json| {
        let layers = format!(
            r#"[{{"kind":"linear","name":"fc0","out_features":{}}},{{"kind":"linear""#,
            1 << 24
        );
        *json = json.replace(r#"[{"kind":"linear""#, &layers);
    });
    assert!(matches!(many_rows, Err(Error::MissingTensor { tensor, .. }) if tensor == "fc0.bias"));
}

#[test]
fn tensors_that_are_missing_or_too_many_are_named() {
    for (layout, names) in [
        (Layout::Dense, &["fc1.weight", "fc1.bias", "normalize.std"][..]),
        (Layout::Csr, &["fc1.weight.crow_indices", "fc1.weight.col_indices", "fc1.weight.values"]),
        (Layout::Delta, &["fc1.weight.gaps", "fc1.weight.values"]),
        (
            Layout::Bitmask,
            &["fc1.weight.shape", "fc1.weight.compressed", "fc1.weight.bitmask", "fc1.weight.row_offsets"],
        ),
    ] {
        for name in names {
            let missing = changed(layout, |tensors, _| assert!(tensors.remove(*name).is_some()));
            let Err(Error::MissingTensor { tensor, .. }) = missing else { panic!("{missing:?}") };
            assert!(name.starts_with(&tensor), "{tensor}");
        }
        for name in ["fc2.weight", "x", "normalize.mean", "fc1.weight.zeros", "fc1.log_sigma2"] {
            let surplus = changed(layout, |tensors, _| {
                tensors.insert(name.to_owned(), RawTensor::f32(&[10], &[0.0; 10]));
            });
            assert!(matches!(surplus, Err(Error::SurplusTensor { tensor, .. }) if tensor == name));
        }
    }
    let twice = changed(Layout::Csr, |tensors, _| {
        tensors.insert("fc1.weight".to_owned(), RawTensor::f32(&[3, 10], &[0.0; 30]));
    });
    assert!(matches!(twice, Err(Error::SurplusTensor { .. })));
}

#[test]
fn types_and_shapes_that_are_wrong_are_named() {
    let replace = |layout, name: &'static str, raw: RawTensor| {
        changed(layout, move |tensors, _| assert!(tensors.insert(name.to_owned(), raw).is_some()))
    };
    let values = RawTensor::f32(&[3], &[1.0, 2.0, 3.0]);
    for (layout, name) in [
        (Layout::Csr, "fc1.weight.crow_indices"),
        (Layout::Csr, "fc1.weight.col_indices"),
        (Layout::Delta, "fc1.weight.gaps"),
        (Layout::Bitmask, "fc1.weight.shape"),
        (Layout::Bitmask, "fc1.weight.bitmask"),
        (Layout::Bitmask, "fc1.weight.row_offsets"),
    ] {
        assert!(matches!(replace(layout, name, values.clone()), Err(Error::Dtype { .. })), "{name}");
    }
    for (layout, name) in [
        (Layout::Dense, "fc1.weight"),
        (Layout::Dense, "fc1.bias"),
        (Layout::Dense, "normalize.std"),
        (Layout::Csr, "fc1.weight.values"),
        (Layout::Delta, "fc1.weight.values"),
        (Layout::Bitmask, "fc1.weight.compressed"),
    ] {
        let typed = replace(layout, name, RawTensor::u32(&[1, 2, 3]));
        assert!(matches!(typed, Err(Error::Dtype { .. })), "{name}");
        let shaped = replace(layout, name, RawTensor::f32(&[1, 3], &[1.0, 2.0, 3.0]));
        assert!(matches!(shaped, Err(Error::Shape { .. })), "{name}");
    }
    let mixed = replace(Layout::Csr, "fc1.weight.col_indices", i32s(&[1, 9, 0]));
    assert!(matches!(mixed, Err(Error::Dtype { .. })));
    let rows = replace(Layout::Csr, "fc1.weight.crow_indices", u16s(&[0, 2, 2, 3, 3]));
    assert!(matches!(rows, Err(Error::Shape { .. })));
    let bits = replace(Layout::Bitmask, "fc1.weight.bitmask", u8s(&[2, 2, 0, 0, 1, 0]));
    assert!(matches!(bits, Err(Error::Shape { .. })));
}

#[test]
fn csr_indices_that_cannot_be_are_refused() {
    let rows = |numbers: &[u16]| problem(Layout::Csr, "fc1.weight.crow_indices", u16s(numbers));
    assert!(matches!(rows(&[1, 2, 2, 3]), Problem::FirstRow { found: 1 }));
    assert!(matches!(rows(&[0, 2, 1, 3]), Problem::RowOrder { row: 1, start: 2, end: 1 }));
    assert!(matches!(rows(&[0, 2, 2, 2]), Problem::Count { found: 2, expected: 3 }));
    assert!(matches!(rows(&[0, 2, 2, 4]), Problem::Count { found: 4, expected: 3 }));
    assert!(matches!(rows(&[0, 65535, 65535, 65535]), Problem::Count { .. } | Problem::ColumnOrder { .. }));
    let columns = |numbers: &[u16]| problem(Layout::Csr, "fc1.weight.col_indices", u16s(numbers));
    assert!(matches!(columns(&[1, 10, 0]), Problem::ColumnRange { row: 0, column: 10, columns: 10 }));
    assert!(matches!(columns(&[9, 1, 0]), Problem::ColumnOrder { row: 0, column: 1, previous: 9 }));
    assert!(matches!(columns(&[1, 1, 0]), Problem::ColumnOrder { .. }));
    assert!(matches!(columns(&[1, 9]), Problem::Count { found: 2, expected: 3 }));
    let wide = |rows: &[i32], columns: &[i32]| {
        let file = changed(Layout::Csr, |tensors, _| {
            tensors.insert("fc1.weight.crow_indices".to_owned(), i32s(rows));
            tensors.insert("fc1.weight.col_indices".to_owned(), i32s(columns));
        });
        match file {
            Err(Error::Content { problem, .. }) => Some(problem),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(wide(&[0, 2, 2, 3], &[1, 9, 0]), None);
    assert!(matches!(wide(&[0, 2, 2, 3], &[-1, 9, 0]), Some(Problem::ColumnRange { column: -1, .. })));
    assert!(matches!(wide(&[-1, 2, 2, 3], &[1, 9, 0]), Some(Problem::FirstRow { .. })));
    assert!(matches!(wide(&[0, i32::MIN, 2, 3], &[1, 9, 0]), Some(Problem::RowOrder { .. })));
}

#[test]
fn gaps_that_cannot_be_are_refused() {
    let gaps = |numbers: &[u8]| problem(Layout::Delta, "fc1.weight.gaps", u8s(numbers));
    assert_eq!(gaps(&[1, 7, 10, 255]), Problem::GapEnd);
    assert_eq!(gaps(&[1, 7]), Problem::Count { found: 2, expected: 3 });
    assert_eq!(gaps(&[1, 7, 10, 0]), Problem::Count { found: 4, expected: 3 });
    assert_eq!(gaps(&[1, 7, 20]), Problem::GapRange { numel: 30 });
    assert_eq!(gaps(&[1, 7, 255, 0]), Problem::GapRange { numel: 30 });
    let last = changed(Layout::Delta, |tensors, _| {
        tensors.insert("fc1.weight.gaps".to_owned(), u8s(&[1, 7, 19]));
    });
    assert_eq!(last.unwrap().net().layers()[0].weight.row(2).0, [9]);
}

#[test]
fn bits_that_do_not_count_up_are_refused() {
    let bits = |numbers: &[u8]| {
        let raw = RawTensor { dtype: Dtype::U8, shape: vec![3, 2], bytes: numbers.to_vec() };
        problem(Layout::Bitmask, "fc1.weight.bitmask", raw)
    };
    assert_eq!(bits(&[2, 2, 0, 0, 3, 0]), Problem::Count { found: 4, expected: 3 });
    assert_eq!(bits(&[2, 4, 0, 0, 1, 0]), Problem::SpareBit { row: 0 });
    assert_eq!(bits(&[2, 0, 0, 2, 1, 0]), Problem::RowStart { row: 1, found: 2, expected: 1 });
    let offsets = |numbers: &[i64]| problem(Layout::Bitmask, "fc1.weight.row_offsets", i64s(numbers));
    assert_eq!(offsets(&[0, 2, 3]), Problem::RowStart { row: 2, found: 3, expected: 2 });
    assert_eq!(offsets(&[0, -2, 2]), Problem::RowStart { row: 1, found: -2, expected: 2 });
    let shape = problem(Layout::Bitmask, "fc1.weight.shape", i64s(&[10, 3]));
    assert_eq!(shape, Problem::StatedShape { found: vec![10, 3], expected: vec![3, 10] });
}

#[test]
fn values_that_are_no_numbers_or_zeros_are_refused() {
    for (layout, name) in [
        (Layout::Csr, "fc1.weight.values"),
        (Layout::Delta, "fc1.weight.values"),
        (Layout::Bitmask, "fc1.weight.compressed"),
    ] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let raw = RawTensor::f32(&[3], &[1.0, bad, 2.0]);
            assert!(matches!(problem(layout, name, raw), Problem::NotFinite { index: 1, .. }));
        }
        let raw = RawTensor::f32(&[3], &[1.0, 2.0, -0.0]);
        assert_eq!(problem(layout, name, raw), Problem::StoredZero { index: 2 });
    }
    let mut weight = vec![0.0; 30];
    weight[7] = f32::NAN;
    let weight = RawTensor::f32(&[3, 10], &weight);
    assert!(matches!(problem(Layout::Dense, "fc1.weight", weight), Problem::NotFinite { index: 7, .. }));
    let bias = RawTensor::f32(&[3], &[0.0, 0.0, f32::INFINITY]);
    assert!(matches!(problem(Layout::Dense, "fc1.bias", bias), Problem::NotFinite { index: 2, .. }));
    let std = RawTensor::f32(&[10], &[0.0; 10]);
    assert!(matches!(problem(Layout::Dense, "normalize.std", std), Problem::NotPositive { .. }));
}

/// What a user does with a file, as far as the file lets it.
fn use_it(bytes: &[u8]) -> bool {
    let Ok(file) = read(bytes) else { return false };
    let weights: usize = file.net().layers().iter().map(|layer| layer.weight.nnz()).sum();
    assert!(weights * 2 <= bytes.len());
    let file = Opened::Pruned { path: "f".into(), file: Box::new(file) };
    let report = Report::new(&file).unwrap();
    assert_eq!(report.nnz, weights);
    let spec = file.spec();
    if spec.shapes().unwrap().iter().all(|shape| shape.len() < 1 << 16) {
        let net = SparseNet::new(&file.net().unwrap()).unwrap();
        net.logits(&vec![255; spec.input_len()], 1).unwrap();
    }
    true
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
        // A digit of the header for another: sizes and offsets that lie and keep the header's length.
        _ => {
            let digits: Vec<usize> = (8..end).filter(|&i| bytes[i].is_ascii_digit()).collect();
            if !digits.is_empty() {
                bytes[digits[draws.below(digits.len())]] = b"0123456789"[draws.below(10)];
            }
        }
    }
}

#[test]
fn a_hundred_thousand_mutations_give_a_file_or_an_error() {
    let mut draws = Draws(2026);
    let mut files: Vec<Vec<u8>> = Layout::ALL.map(small).to_vec();
    for seed in 0..12 {
        let (layout, values) = (Layout::ALL[seed as usize % 4], ValueType::ALL[seed as usize % 3]);
        files.push(valid(seed, layout, values));
    }
    files.retain(|file| file.len() < 6000);
    assert!(files.len() > 8);
    let mut read = 0;
    for case in 0..100_000 {
        let mut bytes = files[case % files.len()].clone();
        for _ in 0..1 + draws.below(3) {
            if bytes.len() > 16 {
                mutate(&mut bytes, &mut draws);
            }
        }
        read += usize::from(use_it(&bytes));
    }
    // The mutations must not all die at the door.
    assert!(read > 1000, "{read}");
    println!("{read} of 100000 were still files");
}
