//! Networks that resolve, and networks that are rejected.

use super::{NodeId, Shape, TensorSlot};
use crate::ops::Units;
use crate::spec::NetSpec;

/// A network of layers that are JSON objects without their braces.
fn net(layers: &[&str]) -> NetSpec {
    let layers: Vec<String> = layers.iter().map(|layer| format!("{{{layer}}}")).collect();
    let json = format!(
        r#"{{"name":"n","input":[1,4,4],"classes":3,"layer":[{}]}}"#,
        layers.join(",")
    );
    serde_json::from_str(&json).unwrap()
}

const RESIDUAL: [&str; 6] = [
    r#""kind":"linear","name":"a","out_features":5"#,
    r#""kind":"relu","name":"r""#,
    r#""kind":"linear","name":"b","out_features":5"#,
    r#""kind":"add","name":"sum","inputs":["b","r"]"#,
    r#""kind":"linear","name":"c","input":"sum","out_features":3"#,
    r#""kind":"relu""#,
];

#[test]
fn nodes_know_what_they_read_and_who_reads_them() {
    let spec = net(&RESIDUAL);
    let graph = spec.resolve().unwrap();
    let ids: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    assert_eq!(graph.node(ids[4]).inputs, [ids[3], ids[2]]);
    assert_eq!(graph.consumers(ids[2]), [ids[3], ids[4]]);
    assert_eq!(graph.sole_consumer(ids[2]), None);
    assert_eq!(graph.sole_consumer(ids[1]), Some(ids[2]));
    assert_eq!(graph.node(ids[4]).units, Some(Units::Ties));
    assert_eq!(graph.node(ids[4]).shape, Shape::Features(5));
    let weights = graph.weights().iter().map(|weight| &weight.shape[..]);
    assert_eq!(weights.collect::<Vec<_>>(), [[5, 16], [5, 5], [3, 5]]);
    assert_eq!(graph.node(ids[5]).slot, TensorSlot::Weight(2));
    assert_eq!(graph.output(), ids[6]);
    assert!(graph.starts_linear());
    // it is written as it was read
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<NetSpec>(&json).unwrap(), spec);
}

#[test]
fn impossible_wiring_is_refused_and_the_layer_is_named() {
    type Change<'a> = &'a [(usize, &'a str)];
    let error = |change: Change<'_>| {
        let mut layers = RESIDUAL;
        for &(index, layer) in change {
            layers[index] = layer;
        }
        net(&layers).resolve().unwrap_err().to_string()
    };
    let cases: [(Change<'_>, &[&str]); 7] = [
        (
            &[(
                4,
                r#""kind":"linear","name":"c","input":"d","out_features":3"#,
            )],
            &["`c`: reads `d`", "`input`, `r`, `sum`"],
        ),
        // a layer below
        (
            &[(
                2,
                r#""kind":"linear","name":"b","input":"sum","out_features":5"#,
            )],
            &["`b`: reads `sum`, which is not an earlier layer"],
        ),
        (
            &[(3, r#""kind":"add","name":"sum","inputs":["b"]"#)],
            &["`sum`: adds one layer"],
        ),
        (
            &[(3, r#""kind":"add","inputs":[]"#), (4, RESIDUAL[2])],
            &["add (layer 4)", "adds no layers"],
        ),
        (
            &[(2, r#""kind":"linear","name":"b","out_features":6"#)],
            &["`sum`: adds `b` of shape [6] and `r` of shape [5]"],
        ),
        (
            &[(
                4,
                r#""kind":"linear","name":"c","input":"r","out_features":3"#,
            )],
            &["`sum`: output is not used by any layer"],
        ),
        (
            &[(1, r#""kind":"relu","name":"a""#)],
            &["`a`: duplicate layer name"],
        ),
    ];
    for (change, expected) in cases {
        let error = error(change);
        for part in expected {
            assert!(error.contains(part), "{error}");
        }
    }
}
