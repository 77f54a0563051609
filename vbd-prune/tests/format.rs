//! Files are read as they were written, to the bit, and are as small as promised.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, compare exactly, and draw small numbers"
)]

mod common;

use std::path::Path;

use common::{certain_weight, checkpoint_of, random_checkpoint};
use proptest::prelude::*;
use vbd_core::recipe::NetToml;
use vbd_core::train::Progress;
use vbd_net::spec::NetSpec;
use vbd_net::{Error, Layout, PrunedFile, PrunedNet, ValueType};
use vbd_prune::prune_checkpoint;

fn net(seed: u64) -> PrunedNet {
    prune_checkpoint(&random_checkpoint(seed), None).unwrap()
}

fn layouts() -> impl Iterator<Item = Option<Layout>> {
    std::iter::once(None).chain(Layout::ALL.map(Some))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_read_back_exactly(seed in 0..u64::MAX) {
        let net = net(seed);
        for values in ValueType::ALL {
            for layout in layouts() {
                let file = PrunedFile::new(&net, layout, values).unwrap();
                let bytes = file.to_bytes().unwrap();
                prop_assert_eq!(bytes.len() as u64, file.bytes());
                let back = PrunedFile::from_bytes(&bytes, Path::new("f")).unwrap();
                prop_assert_eq!(&back, &file);
                prop_assert_eq!(back.to_bytes().unwrap(), bytes);
                if let Some(layout) = layout {
                    prop_assert!(file.storage().iter().all(|storage| storage.layout == layout));
                }
                // Once rounded and folded, a second writing changes nothing.
                prop_assert_eq!(&PrunedFile::new(file.net(), layout, values).unwrap(), &file);
            }
        }
    }

    #[test]
    fn auto_is_never_larger_than_a_uniform_layout(seed in 0..u64::MAX) {
        let net = net(seed);
        for values in ValueType::ALL {
            let size = |layout| PrunedFile::new(&net, layout, values).unwrap().bytes();
            for layout in [Layout::Dense, Layout::Csr, Layout::Delta] {
                prop_assert!(size(None) <= size(Some(layout)), "{} {}", layout, values);
            }
        }
    }
}

#[test]
fn values_are_the_checkpoints_own_rounded() {
    for seed in 0..30 {
        let net = net(seed);
        for values in ValueType::ALL {
            let file = PrunedFile::new(&net, None, values).unwrap();
            for (rounded, layer) in file.net().layers().iter().zip(net.layers()) {
                let expected: Vec<f32> = layer
                    .weight
                    .to_dense()
                    .into_iter()
                    .map(|value| values.round(value, "w").unwrap())
                    .collect();
                assert_eq!(rounded.weight.to_dense(), expected);
            }
        }
    }
}

#[test]
fn a_value_that_rounds_to_zero_is_dropped_and_one_that_overflows_is_named() {
    let mut checkpoint = random_checkpoint(3);
    let layer = &mut checkpoint.parameters.layers[0];
    let mut theta = layer.weight.theta().clone();
    theta.value.fill(1.0);
    theta.value[0] = 1e-9;
    layer.weight = certain_weight(&checkpoint.recipe, layer.weight.shape(), theta.clone());
    let name = format!("{}.weight", layer.name);
    let nnz = |checkpoint: &_, values| {
        let net = prune_checkpoint(checkpoint, None).unwrap();
        PrunedFile::new(&net, None, values).map(|file| file.net().layers()[0].weight.nnz())
    };
    assert_eq!(nnz(&checkpoint, ValueType::F32).unwrap(), theta.value.len());
    assert_eq!(
        nnz(&checkpoint, ValueType::F16).unwrap(),
        theta.value.len() - 1
    );
    assert_eq!(
        nnz(&checkpoint, ValueType::Bf16).unwrap(),
        theta.value.len()
    );

    theta.value[0] = 1e6;
    let layer = &mut checkpoint.parameters.layers[0];
    layer.weight = certain_weight(&checkpoint.recipe, layer.weight.shape(), theta);
    let error = nnz(&checkpoint, ValueType::F16).unwrap_err();
    assert!(
        matches!(&error, Error::Overflow { tensor, .. } if *tensor == name),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("bf16"));
    assert!(nnz(&checkpoint, ValueType::Bf16).is_ok());
}

/// LeNet-300-100 at the density that DESIGN.md measured: 2,960 weights, 90x.
#[test]
fn lenet_300_100_at_90x_takes_at_most_20_kb() {
    let spec = NetSpec::from_toml(
        r#"
        name = "lenet-300-100"
        input = [1, 28, 28]
        classes = 10
        normalize = { scale = 0.00390625, mean = "image" }
        layer = [
            { kind = "flatten" },
            { kind = "linear", name = "fc1", out_features = 300 },
            { kind = "relu" },
            { kind = "linear", name = "fc2", out_features = 100 },
            { kind = "relu" },
            { kind = "linear", name = "fc3", out_features = 10 },
        ]
        "#,
        "lenet",
    )
    .unwrap();
    // Every weight is kept with the density of its layer.
    let mut checkpoint = checkpoint_of(spec, 0);
    checkpoint.recipe.summary =
        "LeNet-300-100 by variational Bayesian dropout (Table 4)".to_owned();
    checkpoint.recipe.model = Some("lenet-300-100".to_owned());
    checkpoint.progress = Progress {
        epoch: 200,
        test_error: Some(0.0179),
        ..Progress::default()
    };
    let mut draws = common::Draws(1);
    for (layer, nnz) in checkpoint
        .parameters
        .layers
        .iter_mut()
        .zip([1960, 690, 310])
    {
        let numel = layer.weight.numel();
        let mut live: Vec<u32> = Vec::new();
        while live.len() < nnz {
            live.push(u32::try_from(draws.below(numel)).unwrap());
            live.sort_unstable();
            live.dedup();
        }
        let values = |value: f32| vbd_core::weight::Parameter::new(vec![value; nnz]);
        let shape = layer.weight.shape().to_vec();
        layer.weight = vbd_core::weight::Weight::compact(
            &shape,
            live,
            values(0.3),
            vec![vbd_core::posterior::state(values(-9.0))],
        )
        .unwrap();
    }
    let net = prune_checkpoint(&checkpoint, None).unwrap();
    let size = |layout, values| PrunedFile::new(&net, layout, values).unwrap().bytes();
    let auto = size(None, ValueType::F32);
    println!("auto f32 {auto}, f16 {}", size(None, ValueType::F16));
    for layout in Layout::ALL {
        println!("{layout} f32 {}", size(Some(layout), ValueType::F32));
    }
    assert!(auto <= 20_000, "{auto}");
    assert!(size(None, ValueType::F16) <= 14_000);
    let dense = size(Some(Layout::Dense), ValueType::F32);
    assert!((1_060_000..1_070_000).contains(&dense), "{dense}");
}

#[test]
fn two_runs_write_identical_bytes() {
    for seed in 0..10 {
        let bytes = || {
            PrunedFile::new(&net(seed), None, ValueType::F16)
                .unwrap()
                .to_bytes()
                .unwrap()
        };
        assert_eq!(bytes(), bytes());
    }
}
