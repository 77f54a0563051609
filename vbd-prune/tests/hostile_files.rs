//! Files with wrong lengths, metadata, sizes, names, types and shapes.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, compare exactly, and draw small numbers"
)]

mod lies;

use lies::{changed, i32s, read, small, u8s, u16s};
use vbd_net::Error;
use vbd_net::Layout;
use vbd_net::tensor_file::RawTensor;
use vbd_prune::{Report, SparseNet};

#[test]
fn an_unchanged_file_is_read() {
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
            assert!(
                matches!(read(&bytes[..len]), Err(Error::TensorFile { .. })),
                "{len}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(read(&longer), Err(Error::TensorFile { .. })));
    }
}

#[test]
fn inconsistent_metadata_are_refused() {
    let json = |from: &'static str, to: &'static str| {
        changed(Layout::Csr, move |_, json| {
            assert!(json.contains(from), "{json}");
            *json = json.replace(from, to);
        })
    };
    assert!(matches!(
        json(r#""version":1"#, r#""version":5"#),
        Err(Error::Version { found: 5, .. })
    ));
    assert!(matches!(
        json(r#""version":1"#, r#""version":-1"#),
        Err(Error::Metadata { .. })
    ));
    assert!(matches!(
        json("pruned", "checkpoint"),
        Err(Error::Kind { .. })
    ));
    assert!(matches!(
        json(r#""values":"f32""#, r#""values":"f64""#),
        Err(Error::Metadata { .. })
    ));
    assert!(matches!(
        json(r#""values":"f32""#, r#""values":"f16""#),
        Err(Error::Dtype { .. })
    ));
    assert!(matches!(
        json(r#""values":"#, r#""surplus":1,"values":"#),
        Err(Error::Metadata { .. })
    ));
    assert!(matches!(
        json(r#""classes":3"#, r#""classes":4"#),
        Err(Error::SpecInFile { .. })
    ));
    assert!(matches!(
        json(r#""scale":1.0"#, r#""scale":0.0"#),
        Err(Error::SpecInFile { .. })
    ));
    assert!(matches!(
        json(r#""scale":1.0"#, r#""scale":1e999"#),
        Err(Error::Metadata { .. })
    ));
    assert!(matches!(
        json(r#""input":[10]"#, r#""input":[11]"#),
        Err(Error::Shape { .. })
    ));
    for blank in ["[0]", "[256]", "[-1]", "0"] {
        let lie = changed(Layout::Csr, |_, json| {
            let provenance = format!(r#""provenance":{{"blank":{blank}}}"#);
            *json = json.replace(r#""provenance":{}"#, &provenance);
            assert!(json.contains("blank"), "{json}");
        });
        let is_told = matches!(
            lie,
            Err(Error::Provenance { field: "blank", .. } | Error::Metadata { .. })
        );
        assert!(is_told, "{blank}");
    }
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
        assert!(matches!(columns, Err(Error::SpecInFile { .. })));
        let rows = changed(Layout::Delta, |_, json| {
            let layers = format!(
                r#"[{{"kind":"linear","name":"fc0","out_features":{size}}},{{"kind":"linear""#
            );
            *json = json.replace(r#"[{"kind":"linear""#, &layers);
        });
        assert!(matches!(rows, Err(Error::SpecInFile { .. })));
    }
    // A net of the maximum width without the data: nothing is allocated for its width.
    let wide = changed(Layout::Delta, |tensors, json| {
        *json = json
            .replace("[10]", &format!("[{}]", 1 << 24))
            .replace(r#""image""#, "1.0");
        tensors.remove("normalize.std");
    });
    let wide = wide.unwrap();
    assert_eq!(wide.net().layers()[0].weight.cols(), 1 << 24);
    assert_eq!(Report::of_file(&wide).unwrap().layers[0].live_inputs, 3);
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
        (
            Layout::Dense,
            &["fc1.weight", "fc1.bias", "normalize.std"][..],
        ),
        (
            Layout::Csr,
            &[
                "fc1.weight.crow_indices",
                "fc1.weight.col_indices",
                "fc1.weight.values",
            ],
        ),
        (Layout::Delta, &["fc1.weight.gaps", "fc1.weight.values"]),
        (
            Layout::Bitmask,
            &[
                "fc1.weight.shape",
                "fc1.weight.compressed",
                "fc1.weight.bitmask",
                "fc1.weight.row_offsets",
            ],
        ),
    ] {
        for name in names {
            let missing = changed(layout, |tensors, _| {
                assert!(tensors.remove(*name).is_some());
            });
            let Err(Error::MissingTensor { tensor, .. }) = missing else {
                panic!("{missing:?}")
            };
            assert!(name.starts_with(&tensor), "{tensor}");
        }
        for name in [
            "fc2.weight",
            "x",
            "normalize.mean",
            "fc1.weight.zeros",
            "fc1.log_sigma2",
        ] {
            let surplus = changed(layout, |tensors, _| {
                tensors.insert(name.to_owned(), RawTensor::f32(&[10], &[0.0; 10]));
            });
            assert!(matches!(surplus, Err(Error::SurplusTensor { tensor, .. }) if tensor == name));
        }
    }
    let twice = changed(Layout::Csr, |tensors, _| {
        tensors.insert(
            "fc1.weight".to_owned(),
            RawTensor::f32(&[3, 10], &[0.0; 30]),
        );
    });
    assert!(matches!(twice, Err(Error::SurplusTensor { .. })));
}

#[test]
fn types_and_shapes_that_are_wrong_are_named() {
    let replace = |layout, name: &'static str, raw: RawTensor| {
        changed(layout, move |tensors, _| {
            assert!(tensors.insert(name.to_owned(), raw).is_some());
        })
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
        assert!(
            matches!(
                replace(layout, name, values.clone()),
                Err(Error::Dtype { .. })
            ),
            "{name}"
        );
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
    let rows = replace(
        Layout::Csr,
        "fc1.weight.crow_indices",
        u16s(&[0, 2, 2, 3, 3]),
    );
    assert!(matches!(rows, Err(Error::Shape { .. })));
    let bits = replace(
        Layout::Bitmask,
        "fc1.weight.bitmask",
        u8s(&[2, 2, 0, 0, 1, 0]),
    );
    assert!(matches!(bits, Err(Error::Shape { .. })));
}

/// Returns the error of a file in which `layers` come before the net's own, on an image.
fn layers_are_refused(layers: &str) -> String {
    let lie = changed(Layout::Delta, |tensors, json| {
        tensors.remove("normalize.std");
        *json = json
            .replace("[10]", "[4,6,5]")
            .replace(r#""image""#, "1.0")
            .replace(r#""layer":["#, &format!(r#""layer":[{layers},"#));
    });
    lie.unwrap_err().to_string()
}

#[test]
fn windows_groups_and_biases_that_cannot_be_are_refused() {
    let conv = |keys: &str| {
        let head = r#"{"kind":"conv2d","name":"c","out_channels":6"#;
        layers_are_refused(&format!("{head},{keys}}}"))
    };
    for (keys, expected) in [
        (r#""kernel":3,"groups":3"#, "3 groups do not divide 4 input"),
        (
            r#""kernel":3,"groups":"depthwise""#,
            "4 groups do not divide",
        ),
        (r#""kernel":3,"groups":0"#, "0 groups do not divide"),
        (r#""kernel":[7,1]"#, "kernel 7 is larger than its input, 6"),
        (r#""kernel":[0,1]"#, "kernel must be positive"),
        (r#""kernel":1,"stride":[1,0]"#, "stride must be positive"),
        (
            r#""kernel":1,"padding":18446744073709551615"#,
            "larger than its input",
        ),
        (r#""kernel":1,"padding":16777216"#, "exceeds the limit"),
        (r#""kernel":16777216,"padding":"same""#, "exceeds the limit"),
        (
            r#""kernel":[1,20000000],"padding":"same""#,
            "exceeds the limit",
        ),
        (
            r#""kernel":18446744073709551615,"padding":"same""#,
            "exceeds the limit",
        ),
    ] {
        let error = conv(keys);
        assert!(error.contains(expected), "{keys}: {error}");
    }
    for pool in [
        r#"{"kind":"max_pool2d","kernel":2,"padding":2}"#,
        r#"{"kind":"max_pool2d","kernel":1099511627776,"padding":549755813888}"#,
        r#"{"kind":"avg_pool2d","kernel":16777216,"padding":8388608}"#,
        r#"{"kind":"avg_pool2d","kernel":[7,1]}"#,
    ] {
        let error = layers_are_refused(pool);
        assert!(error.contains("pool"), "{pool}: {error}");
    }
    let norm = layers_are_refused(r#"{"kind":"batch_norm","name":"bn"}"#);
    assert!(norm.contains("`bn`") && norm.contains("folded"), "{norm}");
    let rows = r#"{"kind":"linear","name":"fc0","out_features":1048576,"bias":false}"#;
    let rows = layers_are_refused(rows);
    assert!(rows.contains("rows of weights without bias"), "{rows}");
}
