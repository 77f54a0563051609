//! Shrunk nets keep groups of channels, and residual streams.
#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

#[path = "common/draws.rs"]
#[expect(dead_code, reason = "one test uses a part")]
mod draws;

use draws::Draws;
use vbd_net::graph::WeightSpec;
use vbd_net::spec::{Groups, LayerSpec, NetSpec};
use vbd_net::{Plan, PrunedNet};

/// A net over an image of `channels` of 5 x 5, with random weights but those for which `is_dead(layer,
/// row, input)`.
fn net(channels: usize, layers: &str, is_dead: impl Fn(&str, usize, usize) -> bool) -> PrunedNet {
    let json = format!(
        r#"{{"name": "n", "input": [{channels}, 5, 5], "classes": 2, "layer": [{layers},
            {{"kind": "linear", "name": "out", "out_features": 2}}]}}"#
    );
    let spec = NetSpec::from_json(&json).unwrap();
    let draws = &mut Draws(5);
    let mut tensors = Vec::new();
    for weight in spec.weights().unwrap() {
        let (cols, taps) = (weight.cols(), weight.taps());
        let values = (0..weight.numel()).map(|place| {
            let (row, col) = (place / cols, place % cols);
            // A linear layer reads the 25 values of a channel.
            let input = if weight.layer == "out" {
                col / 25
            } else {
                weight.first_input(row) + col / taps
            };
            let value = draws.real() + 1.5;
            if is_dead(&weight.layer, row, input) {
                0.0
            } else {
                value
            }
        });
        tensors.push((
            format!("{}.weight", weight.layer),
            values.collect::<Vec<_>>(),
        ));
        let bias = (0..weight.rows()).map(|_| draws.real() + 1.5).collect();
        tensors.push((format!("{}.bias", weight.layer), bias));
    }
    PrunedNet::from_parts(spec, tensors).unwrap()
}

fn shapes(net: &PrunedNet) -> Vec<(Vec<usize>, usize)> {
    let weights = net.graph().weights().iter();
    weights.map(|own| (own.shape.clone(), own.groups)).collect()
}

fn conv<'a>(net: &'a PrunedNet, name: &str) -> &'a vbd_net::ops::Conv2d {
    let mut layers = net.spec().layers.iter().filter_map(|layer| match layer {
        LayerSpec::Conv2d(conv) => Some(conv),
        _ => None,
    });
    layers.find(|conv| conv.name == name).unwrap()
}

fn assert_same_outputs(net: &PrunedNet, small: &PrunedNet) {
    let pixels: Vec<u8> = (0..=255).cycle().take(net.spec().input_len() * 3).collect();
    let run = |net: &PrunedNet| {
        Plan::new(net)
            .unwrap()
            .session()
            .run(&pixels)
            .unwrap()
            .to_vec()
    };
    for (found, expected) in run(small).iter().zip(run(net)) {
        assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0));
    }
}

const DEPTHWISE: &str = r#"
    {"kind": "conv2d", "name": "a", "out_channels": 4, "kernel": 1},
    {"kind": "relu"},
    {"kind": "conv2d", "name": "d", "out_channels": 4, "kernel": 3, "padding": 1, "groups": "depthwise"},
    {"kind": "relu"},
    {"kind": "conv2d", "name": "p", "out_channels": 3, "kernel": 1}"#;

#[test]
fn a_depthwise_channel_goes_with_its_output() {
    let net = net(2, DEPTHWISE, |layer, _, input| layer == "p" && input == 1);
    let small = net.shrunk().unwrap();
    let expected = [
        (vec![3, 2, 1, 1], 1),
        (vec![3, 1, 3, 3], 3),
        (vec![3, 3, 1, 1], 1),
        (vec![2, 75], 1),
    ];
    assert_eq!(shapes(&small), expected);
    let depthwise = conv(&small, "d");
    assert_eq!(
        (depthwise.groups, depthwise.out_channels),
        (Groups::Depthwise, 3)
    );
    assert_same_outputs(&net, &small);
}

#[test]
fn a_depthwise_channel_without_weights_folds_into_the_next_bias() {
    let net = net(2, DEPTHWISE, |layer, row, _| layer == "d" && row == 2);
    let small = net.shrunk().unwrap();
    assert_eq!(
        shapes(&small)[..2],
        [(vec![3, 2, 1, 1], 1), (vec![3, 1, 3, 3], 3)]
    );
    assert_same_outputs(&net, &small);
    // Behind padding it is 0 at the edge.
    let padded = DEPTHWISE.replace(
        r#""out_channels": 3, "kernel": 1"#,
        r#""out_channels": 3, "kernel": 3, "padding": 1"#,
    );
    let net = self::net(2, &padded, |layer, row, _| layer == "d" && row == 2);
    let small = net.shrunk().unwrap();
    assert_eq!(shapes(&small)[1], (vec![4, 1, 3, 3], 4));
    assert_eq!(
        small.layers()[0].weight.nnz(),
        6,
        "its input is kept without weights"
    );
    assert_same_outputs(&net, &small);
}

#[test]
fn groups_stay_equal_and_dead_ones_go() {
    let layers = r#"
        {"kind": "conv2d", "name": "a", "out_channels": 6, "kernel": 1},
        {"kind": "conv2d", "name": "g", "out_channels": 9, "kernel": 3, "groups": 3},
        {"kind": "relu"},
        {"kind": "conv2d", "name": "p", "out_channels": 2, "kernel": 3}"#;
    // Of the first group, one output is read, of the second none, of the third two.
    let read = [0, 7, 8];
    let net = net(2, layers, |layer, row, input| match layer {
        "p" => !read.contains(&input),
        // The first group's only output reads both of its inputs, the others one.
        "g" => row == 7 && input == 5 || row == 8 && input == 4,
        _ => false,
    });
    let small = net.shrunk().unwrap();
    assert_eq!(
        shapes(&small)[..3],
        [
            (vec![4, 2, 1, 1], 1),
            (vec![4, 2, 3, 3], 2),
            (vec![2, 4, 3, 3], 1)
        ]
    );
    let grouped = conv(&small, "g");
    assert_eq!(
        (grouped.groups, grouped.out_channels),
        (Groups::Number(2), 4)
    );
    assert_eq!(
        small.layers()[1].weight.row(1).0.len(),
        0,
        "a dead output has no weights"
    );
    assert_same_outputs(&net, &small);
    assert_eq!(small.shrunk().unwrap(), small);
}

const RESIDUAL: &str = r#"
    {"kind": "conv2d", "name": "a", "out_channels": 4, "kernel": 3, "padding": 1},
    {"kind": "relu", "name": "r"},
    {"kind": "conv2d", "name": "b", "out_channels": 4, "kernel": 3, "padding": 1},
    {"kind": "add", "name": "s", "inputs": ["b", "r"]},
    {"kind": "conv2d", "name": "c", "out_channels": 5, "kernel": 3, "padding": "same", "stride": 2},
    {"kind": "conv2d", "name": "j", "input": "s", "out_channels": 5, "kernel": 1, "padding": "same", "stride": 2},
    {"kind": "add", "name": "t", "inputs": ["c", "j"]},
    {"kind": "add", "name": "u", "inputs": ["t", "c"]},
    {"kind": "avg_pool2d", "kernel": [1, 1]},
    {"kind": "avg_pool2d", "kernel": 3, "stride": 1, "padding": 1}"#;

#[test]
fn a_residual_channel_lives_while_any_branch_makes_it_and_anything_reads_it() {
    // Channel 1 of the first stream is dead on one branch only, channel 2 on both, and channel 3 is
    // read by the projection only.
    let of = |reads: &'static [usize]| {
        move |layer: &str, row: usize, input: usize| match layer {
            "b" => row == 1 || row == 2,
            "a" => row == 2,
            "c" => !reads.contains(&input),
            "j" => input < 3,
            _ => false,
        }
    };
    let net = net(2, RESIDUAL, of(&[0, 1]));
    let small = net.shrunk().unwrap();
    let rows = |net: &PrunedNet| -> Vec<usize> {
        net.graph().weights().iter().map(WeightSpec::rows).collect()
    };
    // Channel 2 is a constant of the sum that only `b`, which pads, reads: it stays there.
    assert_same_outputs(&net, &small);
    let kept = rows(&small);
    assert_eq!(
        kept[0], kept[1],
        "both branches of a sum keep the same channels"
    );
    assert!(kept[0] >= 3 && kept[2] == 5 && kept[3] == 5, "{kept:?}");
    // Not read at all, channel 1 goes from both branches.
    let net = self::net(2, RESIDUAL, |layer, row, input| {
        of(&[0])(layer, row, input) || layer == "b" && (input == 1 || input == 2)
    });
    let small = net.shrunk().unwrap();
    assert_eq!(rows(&small)[..2], [2, 2]);
    assert_same_outputs(&net, &small);
}
