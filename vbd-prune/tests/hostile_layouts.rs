//! Files with inconsistent layouts, one test per layout.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, compare exactly, and draw small numbers"
)]

mod lies;

use lies::{changed, i32s, i64s, problem, u8s, u16s};
use safetensors::Dtype;
use vbd_net::tensor_file::RawTensor;
use vbd_net::{Error, Layout, Problem};

#[test]
fn impossible_csr_indices_are_refused() {
    let rows = |numbers: &[u16]| problem(Layout::Csr, "fc1.weight.crow_indices", u16s(numbers));
    assert!(matches!(
        rows(&[1, 2, 2, 3]),
        Problem::FirstRow { found: 1 }
    ));
    assert!(matches!(
        rows(&[0, 2, 1, 3]),
        Problem::RowOrder {
            row: 1,
            start: 2,
            end: 1
        }
    ));
    assert!(matches!(
        rows(&[0, 2, 2, 2]),
        Problem::Count {
            found: 2,
            expected: 3
        }
    ));
    assert!(matches!(
        rows(&[0, 2, 2, 4]),
        Problem::Count {
            found: 4,
            expected: 3
        }
    ));
    assert!(matches!(
        rows(&[0, 65535, 65535, 65535]),
        Problem::Count { .. } | Problem::ColumnOrder { .. }
    ));
    let columns = |numbers: &[u16]| problem(Layout::Csr, "fc1.weight.col_indices", u16s(numbers));
    assert!(matches!(
        columns(&[1, 10, 0]),
        Problem::ColumnRange {
            row: 0,
            column: 10,
            columns: 10
        }
    ));
    assert!(matches!(
        columns(&[9, 1, 0]),
        Problem::ColumnOrder {
            row: 0,
            column: 1,
            previous: 9
        }
    ));
    assert!(matches!(columns(&[1, 1, 0]), Problem::ColumnOrder { .. }));
    assert!(matches!(
        columns(&[1, 9]),
        Problem::Count {
            found: 2,
            expected: 3
        }
    ));
    let wide = |rows: &[i32], columns: &[i32]| {
        let file = changed(Layout::Csr, |tensors, _| {
            tensors.insert("fc1.weight.crow_indices".to_owned(), i32s(rows));
            tensors.insert("fc1.weight.col_indices".to_owned(), i32s(columns));
        });
        match file {
            Err(Error::Content { problem, .. }) => Some(*problem),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(wide(&[0, 2, 2, 3], &[1, 9, 0]), None);
    assert!(matches!(
        wide(&[0, 2, 2, 3], &[-1, 9, 0]),
        Some(Problem::ColumnRange { column: -1, .. })
    ));
    assert!(matches!(
        wide(&[-1, 2, 2, 3], &[1, 9, 0]),
        Some(Problem::FirstRow { .. })
    ));
    assert!(matches!(
        wide(&[0, i32::MIN, 2, 3], &[1, 9, 0]),
        Some(Problem::RowOrder { .. })
    ));
}

#[test]
fn impossible_gaps_are_refused() {
    let gaps = |numbers: &[u8]| problem(Layout::Delta, "fc1.weight.gaps", u8s(numbers));
    assert_eq!(gaps(&[1, 7, 10, 255]), Problem::GapEnd);
    assert_eq!(
        gaps(&[1, 7]),
        Problem::Count {
            found: 2,
            expected: 3
        }
    );
    assert_eq!(
        gaps(&[1, 7, 10, 0]),
        Problem::Count {
            found: 4,
            expected: 3
        }
    );
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
        let raw = RawTensor {
            dtype: Dtype::U8,
            shape: vec![3, 2],
            bytes: numbers.to_vec(),
        };
        problem(Layout::Bitmask, "fc1.weight.bitmask", raw)
    };
    assert_eq!(
        bits(&[2, 2, 0, 0, 3, 0]),
        Problem::Count {
            found: 4,
            expected: 3
        }
    );
    assert_eq!(bits(&[2, 4, 0, 0, 1, 0]), Problem::SpareBit { row: 0 });
    assert_eq!(
        bits(&[2, 0, 0, 2, 1, 0]),
        Problem::RowStart {
            row: 1,
            found: 2,
            expected: 1
        }
    );
    let offsets =
        |numbers: &[i64]| problem(Layout::Bitmask, "fc1.weight.row_offsets", i64s(numbers));
    assert_eq!(
        offsets(&[0, 2, 3]),
        Problem::RowStart {
            row: 2,
            found: 3,
            expected: 2
        }
    );
    assert_eq!(
        offsets(&[0, -2, 2]),
        Problem::RowStart {
            row: 1,
            found: -2,
            expected: 2
        }
    );
    let shape = problem(Layout::Bitmask, "fc1.weight.shape", i64s(&[10, 3]));
    assert_eq!(
        shape,
        Problem::StatedShape {
            found: vec![10, 3],
            expected: vec![3, 10]
        }
    );
}

#[test]
fn nan_infinite_and_zero_values_are_refused() {
    for (layout, name) in [
        (Layout::Csr, "fc1.weight.values"),
        (Layout::Delta, "fc1.weight.values"),
        (Layout::Bitmask, "fc1.weight.compressed"),
    ] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let raw = RawTensor::f32(&[3], &[1.0, bad, 2.0]);
            assert!(matches!(
                problem(layout, name, raw),
                Problem::NotFinite { index: 1, .. }
            ));
        }
        let raw = RawTensor::f32(&[3], &[1.0, 2.0, -0.0]);
        assert_eq!(problem(layout, name, raw), Problem::StoredZero { index: 2 });
    }
    let mut weight = vec![0.0; 30];
    weight[7] = f32::NAN;
    let weight = RawTensor::f32(&[3, 10], &weight);
    assert!(matches!(
        problem(Layout::Dense, "fc1.weight", weight),
        Problem::NotFinite { index: 7, .. }
    ));
    let bias = RawTensor::f32(&[3], &[0.0, 0.0, f32::INFINITY]);
    assert!(matches!(
        problem(Layout::Dense, "fc1.bias", bias),
        Problem::NotFinite { index: 2, .. }
    ));
    let std = RawTensor::f32(&[10], &[0.0; 10]);
    assert!(matches!(
        problem(Layout::Dense, "normalize.std", std),
        Problem::NotPositive { .. }
    ));
}
