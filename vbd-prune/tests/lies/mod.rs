//! A small file of each layout, and the error of a reader after a part of it has changed.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part")]

use std::path::Path;

use safetensors::Dtype;
use vbd_net::Error;
use vbd_net::tensor_file::{self, RawTensor, Tensors};
use vbd_net::{Layout, Plan, Problem, PrunedFile, ValueType};
use vbd_prune::{ModelFile, Report};

pub(crate) fn read(bytes: &[u8]) -> Result<PrunedFile, Error> {
    PrunedFile::from_bytes(bytes, Path::new("hostile"))
}

pub(crate) fn small(layout: Layout) -> Vec<u8> {
    let json = |layout| {
        format!(
            r#"{{"version":1,"kind":"pruned","spec":{{"name":"n","input":[10],"classes":3,"normalize":{{"scale":1.0,"mean":0.0,"std":"image"}},"layer":[{{"kind":"linear","name":"fc1","out_features":3}}]}},"values":"f32","provenance":{layout}}}"#
        )
    };
    let mut weight = vec![0.0; 30];
    (weight[1], weight[9], weight[20]) = (1.0, 2.0, 3.0);
    let mut tensors = Tensors::new();
    tensors.insert("fc1.weight".to_owned(), RawTensor::f32(&[3, 10], &weight));
    tensors.insert(
        "fc1.bias".to_owned(),
        RawTensor::f32(&[3], &[0.1, 0.2, 0.3]),
    );
    tensors.insert(
        "normalize.std".to_owned(),
        RawTensor::f32(&[10], &[1.0; 10]),
    );
    let dense = read(&tensor_file::to_bytes(&tensors, json("{}")).unwrap()).unwrap();
    PrunedFile::new(dense.net(), Some(layout), ValueType::F32)
        .unwrap()
        .to_bytes()
        .unwrap()
}

/// A file whose `fc1` is `[3, 10]` with the entries (0, 1), (0, 9), (2, 0), after `change`.
pub(crate) fn changed(
    layout: Layout,
    change: impl FnOnce(&mut Tensors, &mut String),
) -> Result<PrunedFile, Error> {
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

/// The problem of a file after one tensor is replaced.
pub(crate) fn problem(layout: Layout, tensor: &str, raw: RawTensor) -> Problem {
    let file = changed(layout, |tensors, _| {
        assert!(tensors.insert(tensor.to_owned(), raw).is_some(), "{tensor}");
    });
    match file {
        Err(Error::Content { problem, .. }) => *problem,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn u16s(numbers: &[u16]) -> RawTensor {
    let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    RawTensor {
        dtype: Dtype::U16,
        shape: vec![numbers.len()],
        bytes,
    }
}

pub(crate) fn i32s(numbers: &[i32]) -> RawTensor {
    let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    RawTensor {
        dtype: Dtype::I32,
        shape: vec![numbers.len()],
        bytes,
    }
}

pub(crate) fn i64s(numbers: &[i64]) -> RawTensor {
    let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    RawTensor {
        dtype: Dtype::I64,
        shape: vec![numbers.len()],
        bytes,
    }
}

pub(crate) fn u8s(numbers: &[u8]) -> RawTensor {
    RawTensor {
        dtype: Dtype::U8,
        shape: vec![numbers.len()],
        bytes: numbers.to_vec(),
    }
}

/// Uses a file as a user would, as far as it allows.
pub(crate) fn use_it(bytes: &[u8]) -> bool {
    let Ok(file) = read(bytes) else { return false };
    let weights: usize = file
        .net()
        .layers()
        .iter()
        .map(|layer| layer.weight.nnz())
        .sum();
    assert!(weights * 2 <= bytes.len());
    let file = ModelFile::Pruned {
        path: "f".into(),
        file: Box::new(file),
    };
    let report = Report::new(&file).unwrap();
    assert_eq!(report.nnz, weights);
    match Plan::new(&file.net().unwrap()) {
        Ok(plan) if plan.multiply_adds() < 1 << 20 && plan.input_len() < 1 << 16 => {
            let mut session = plan.session();
            for samples in [1, 5] {
                let pixels = vec![255_u8; samples * plan.input_len()];
                assert_eq!(
                    session.run(&pixels).unwrap().len(),
                    samples * plan.output_len()
                );
            }
        }
        Ok(_) | Err(Error::TooLarge { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    true
}
